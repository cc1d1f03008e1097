"""A torch model of open_clip to a model folder: two ONNX graphs and a tokenizer, compared with the model before they are accepted."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from preprocess import Progress, WeightsError, digest_of, example_photos, first_line, graph_errors, no_progress, real_photos

from ._onnx_clip import OnnxEncoder
from ._tokenizers import write_clip_tokenizer, write_hf_tokenizer
from .model import IMAGE, TEXT, TOKENIZER, TORCH, Model, TextInput
from .probe import EXAMPLE_TEXTS, probe_vectors
from .tokenize import Words

if TYPE_CHECKING:
    from preprocess import RgbImage

    from ._open_clip import Loaded
    from .clean import Clean
    from .encode import Vectors

LEAST_COSINE = 0.9999
"""Between open_clip's vector of a photo or text and ours: sound graphs reach 0.999999, and one wrong step costs more than 0.0001."""


def export_model(
    loaded: Loaded, folder: Path, name: str, source: str, licence: str, *,
    photos: Sequence[RgbImage] = (), runtime: str = "onnx", dense: bool = False, on_progress: Progress = no_progress,
) -> Model:  # fmt: skip
    """Fill `folder`, which exists and is empty, with a model's files; with `runtime` "torch" also with the weights for that runtime, with `dense` also with a
    graph of dense features.

    `photos` are those on which the graphs are compared with open_clip; where there are none, those that ship and made-up ones of odd shapes. `weights.json` is
    written last, and whoever calls removes the folder where this raises.

    Raises:
        WeightsError: the model cannot be exported, its tokenizer cannot be had, or its graphs do not give its vectors.
    """
    if dense:
        from ._dense_export import DenseTower

        DenseTower(loaded)  # where there can be none, that is said before the work
    on_progress("tokenizer", None)
    tokenizer = reference_tokenizer(loaded)
    text = _write_tokenizer(loaded, tokenizer, folder)
    text = _write_graphs(loaded, text, folder, on_progress)
    if dense:
        from ._dense_export import write_dense

        write_dense(loaded, folder, on_progress)
    if runtime == "torch":
        on_progress("weights for torch", None)
        _write_weights(loaded.module, folder / TORCH)
    on_progress("checksums", None)
    files = {file.name: digest_of(file) for file in sorted(folder.iterdir()) if file.is_file()}
    model = Model(
        name, loaded.dim, loaded.image, text, files, licence, source, loaded.arch, logit_scale=loaded.logit_scale, logit_bias=loaded.logit_bias
    )  # fmt: skip
    on_progress("comparison with open_clip", None)
    model.write(folder)  # the encoder reads it
    try:
        shown = photos or [*real_photos(), *example_photos()]
        model = replace(model, measured=compare(loaded, OnnxEncoder(folder), shown, tokenizer))
        if dense:
            from ._dense_export import DENSE_PHOTOS, check_dense

            model = replace(model, measured=dict(model.measured) | check_dense(loaded, OnnxEncoder(folder), shown[:DENSE_PHOTOS]))
    except BaseException:
        (folder / "weights.json").unlink()
        raise
    model.write(folder)
    return model


def compare(loaded: Loaded, encoder: OnnxEncoder, photos: Sequence[RgbImage], tokenizer: Any) -> dict[str, Any]:
    """The least cosines of the encoder's vectors with open_clip's, and the encoder's probe.

    Raises:
        WeightsError: a cosine is below `LEAST_COSINE`, or not a number.
    """
    ready = [encoder.prepare(photo) for photo in photos]
    pairs = {
        "image": (_both_ways(encoder.encode_images, ready), reference_images(loaded, photos)),
        "text": (_both_ways(encoder.encode_texts, EXAMPLE_TEXTS), reference_texts(loaded, EXAMPLE_TEXTS, tokenizer or _our_ids(encoder))),
    }
    measured: dict[str, Any] = {}
    for kind, (ours, theirs) in pairs.items():
        if ours.shape[1:] != theirs.shape:
            raise WeightsError(
                f"The exported {kind} tower of {loaded.arch} gives {ours.shape[-1]} numbers, open_clip's {theirs.shape[-1]}."
            )
        cosine = float((ours * theirs).sum(-1).min())
        if not cosine >= LEAST_COSINE:  # also where it is not a number
            raise WeightsError(
                f"The exported {kind} tower of {loaded.arch} does not give open_clip's vectors: their cosine is {cosine:.6f}, less than "
                f"{LEAST_COSINE}. Nothing was kept. Choose another model, and report this one."
            )
        measured[f"{kind}_cosine"] = round(cosine, 7)
    return measured | {"photos": len(photos), "texts": len(EXAMPLE_TEXTS), "probe": probe_vectors(encoder)}


def _both_ways(encode: Any, items: Sequence[Any]) -> Vectors:
    """Float32["2 item dim"]: all at once, and one by one. A graph that has the size of its example written into it fails one of them.

    Raises:
        WeightsError: it does not run.
    """
    try:
        return np.stack([encode(items), np.concatenate([encode([item]) for item in items])])
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(f"The exported graph does not run: {first_line(error)}. Choose another model, and report this one.") from error


def reference_images(loaded: Loaded, photos: Sequence[RgbImage]) -> Vectors:
    """open_clip's own vectors, Float32["photo dim"], through its own transform, one photo at a time."""
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image

    transform = image_transform_v2(PreprocessCfg(**loaded.module.visual.preprocess_cfg), is_train=False)
    with torch.inference_mode():
        rows = [loaded.module.encode_image(transform(Image.fromarray(photo))[None], normalize=True) for photo in photos]
        return cast("Vectors", torch.cat(rows).numpy())


def reference_texts(loaded: Loaded, texts: Sequence[str], tokenizer: Any) -> Vectors:
    """open_clip's own vectors, Float32["text dim"], of the ids that `tokenizer` gives."""
    import torch

    with torch.inference_mode():
        return cast("Vectors", loaded.module.encode_text(tokenizer(list(texts)), normalize=True).numpy())


def reference_tokenizer(loaded: Loaded) -> Any:
    """open_clip's own tokenizer of a model; none where it needs transformers, which is not installed.

    Raises:
        WeightsError: its files cannot be had.
    """
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    if not loaded.tokenizer:
        return SimpleTokenizer(context_length=loaded.context_length)
    if find_spec("transformers") is None:
        return None
    try:
        return HFTokenizer(loaded.tokenizer, loaded.context_length, loaded.clean, loaded.strip_sep)
    except Exception as error:
        raise _no_tokenizer(loaded, error) from error


def _our_ids(encoder: OnnxEncoder) -> Any:
    import torch

    words = Words(encoder.folder / TOKENIZER, replace(encoder.model.text, padded=True))
    return lambda texts: torch.from_numpy(np.asarray(words(texts), np.int64))


def _write_tokenizer(loaded: Loaded, tokenizer: Any, folder: Path) -> TextInput:
    file = folder / TOKENIZER
    if not loaded.tokenizer:
        return write_clip_tokenizer(file, loaded.context_length)
    with tempfile.TemporaryDirectory() as scratch:
        if tokenizer is not None:  # what transformers makes of the files is what open_clip uses
            tokenizer.save_pretrained(scratch)
        source = Path(scratch) if tokenizer is not None else _files_of_tokenizer(loaded)
        return write_hf_tokenizer(source, file, loaded.context_length, cast("Clean", loaded.clean), strip_sep=loaded.strip_sep)


def _files_of_tokenizer(loaded: Loaded) -> Path:
    if Path(loaded.tokenizer).is_dir():
        return Path(loaded.tokenizer)
    from huggingface_hub import hf_hub_download

    try:
        files = [hf_hub_download(loaded.tokenizer, name) for name in ("tokenizer.json", "tokenizer_config.json")]
    except Exception as error:
        raise _no_tokenizer(loaded, error) from error
    return Path(files[0]).parent


def _no_tokenizer(loaded: Loaded, error: Exception) -> WeightsError:
    return WeightsError(
        f"The tokenizer of {loaded.arch} ({loaded.tokenizer}) cannot be had: {first_line(error)}. Check the network, or fetch it into "
        f"the hub's cache: hf download {loaded.tokenizer}"
    )


def _write_graphs(loaded: Loaded, text: TextInput, folder: Path, on_progress: Progress) -> TextInput:
    """How the text graph is fed."""
    import torch

    from ._towers import ImageTower, ShortTextTower, text_tower, write_graph

    side, random = loaded.image.side, np.random.default_rng(0)
    pixels = torch.from_numpy(random.integers(0, 256, (2, side, side, 3), np.uint8))
    ids = torch.ones((2, text.length), dtype=torch.int64)
    tower = text_tower(loaded.module)
    short = isinstance(tower, ShortTextTower)
    with graph_errors(loaded.arch):
        on_progress("image tower to ONNX", None)
        write_graph(ImageTower(loaded), pixels, folder / IMAGE, loaded.image.tensor, {0: "batch"})
        on_progress("text tower to ONNX", None)
        write_graph(tower, ids, folder / TEXT, text.tensor, {0: "batch", 1: "length"} if short else {0: "batch"})
    return replace(text, padded=not short)


def _write_weights(module: Any, file: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.detach().clone().contiguous() for name, tensor in module.state_dict().items()}, file)
    file.chmod(0o644)  # safetensors leaves it to its owner alone
