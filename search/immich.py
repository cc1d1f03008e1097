"""Ready ONNX files in the layout that Immich publishes, made into a model folder of ours.

`config.json` is open_clip's definition of the architecture; `visual/` holds `model.onnx` and `preprocess_cfg.json`; `textual/` holds
`model.onnx`, `tokenizer.json` and `tokenizer_config.json`. What the graphs say of their inputs and outputs wins over what a file says.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from preprocess import WeightsError, digest_of

from .model import DATA, IMAGE, TEXT, TOKENIZER, ImageInput, Model, TextInput

if TYPE_CHECKING:
    from .clean import Clean

CONFIG, VISUAL, TEXTUAL = "config.json", "visual/model.onnx", "textual/model.onnx"
PREPROCESS, TOKENS, TOKENS_CONFIG = "visual/preprocess_cfg.json", "textual/tokenizer.json", "textual/tokenizer_config.json"
SMALL = (CONFIG, PREPROCESS, TOKENS, TOKENS_CONFIG)
GRAPHS = (VISUAL, TEXTUAL)
_PAGE = 1 << 16


@dataclass(frozen=True, slots=True)
class Tower:
    """A graph's one input and its first output: names, element types, and sizes, of which those that vary are none."""

    tensor: str
    dtype: str
    shape: tuple[int | None, ...]
    dim: int | None


def is_immich(folder: Path) -> bool:
    """Whether a folder has both graphs in this layout."""
    return all((folder / graph).is_file() for graph in GRAPHS)


def from_immich(folder: Path, to: Path, name: str, source: str, licence: str) -> Model:
    """Copy a folder in Immich's layout into the folder `to`, and say how its graphs are fed. `weights.json` is not written yet.

    Raises:
        WeightsError: a file is missing or damaged, or the graphs take something else than one picture or one row of ids.
    """
    missing = [file for file in (*SMALL, *GRAPHS) if not (folder / file).is_file()]
    if missing:
        raise WeightsError(
            f"{folder} has no {' and no '.join(missing)}. Pellucid reads its own model folders, and those that Immich publishes."
        )
    config, cfg, tokens = (_json(folder / file) for file in (CONFIG, PREPROCESS, TOKENS_CONFIG))
    copy_graph(folder / VISUAL, to / IMAGE)
    copy_graph(folder / TEXTUAL, to / TEXT)
    shutil.copyfile(folder / TOKENS, to / TOKENIZER)
    image, text = tower(to / IMAGE), tower(to / TEXT)
    files = {file.name: digest_of(file) for file in sorted(to.iterdir()) if file.is_file()}
    try:
        return Model(
            name=name, dim=image.dim or text.dim or int(config["embed_dim"]), image=_image(cfg, image), text=_text(config, tokens, text, to / TOKENIZER),
            files=files, licence=licence, source=source, arch=_arch(source),
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{folder / CONFIG} or a file beside it is not what Immich publishes: {error!r}.") from error


def _image(cfg: Mapping[str, Any], found: Tower) -> ImageInput:
    if found.dtype != "tensor(float)" or len(found.shape) != 4:
        raise WeightsError(f"{VISUAL} takes {found.dtype} of {len(found.shape)} axes; Pellucid feeds Float32[batch 3 side side].")
    size = cfg["size"]
    sides = {int(side) for side in (size if isinstance(size, list) else [size])} | {side for side in found.shape[2:] if side}
    if len(sides) != 1:
        raise WeightsError(
            f"{VISUAL} and {PREPROCESS} want photos of {' and '.join(map(str, sorted(sides)))} pixels; one square is needed."
        )
    resize, interpolation = cfg.get("resize_mode", "shortest"), cfg.get("interpolation", "bicubic")
    if resize not in ("squash", "shortest", "longest") or interpolation not in ("bicubic", "bilinear"):
        raise WeightsError(f"{PREPROCESS} wants {resize!r} resizing with {interpolation!r} interpolation, which Pellucid does not have.")
    fill = cfg.get("fill_color", 0)
    return ImageInput(
        side=sides.pop(),
        resize=cast(Literal["squash", "shortest", "longest"], resize),
        interpolation=cast(Literal["bicubic", "bilinear"], interpolation),
        fill=int(fill[0] if isinstance(fill, list) else fill),
        mean=_three(cfg["mean"]),
        std=_three(cfg["std"]),
        layout="floats",
        tensor=found.tensor,
    )


def _text(config: Mapping[str, Any], tokens: Mapping[str, Any], found: Tower, tokenizer: Path) -> TextInput:
    dtypes: dict[str, Literal["int32", "int64"]] = {"tensor(int32)": "int32", "tensor(int64)": "int64"}
    if found.dtype not in dtypes or len(found.shape) != 2:
        raise WeightsError(f"{TEXTUAL} takes {found.dtype} of {len(found.shape)} axes; Pellucid feeds Int32 or Int64[batch length].")
    cfg = config["text_cfg"]
    return TextInput(
        length=found.shape[1] or int(cfg.get("context_length") or 77),
        pad=_pad(cfg, tokens, tokenizer),
        clean=_clean(cfg),
        dtype=dtypes[found.dtype],
        tensor=found.tensor,
    )


def _clean(cfg: Mapping[str, Any]) -> Clean:
    """open_clip's own tokenizer makes small letters, one from the hub only tidies white space, unless the architecture says otherwise."""
    said = (cfg.get("tokenizer_kwargs") or {}).get("clean")
    if said in ("whitespace", "lower", "canonicalize"):
        return cast("Clean", said)
    return "whitespace" if cfg.get("hf_tokenizer_name") else "lower"


def _pad(cfg: Mapping[str, Any], tokens: Mapping[str, Any], tokenizer: Path) -> int:
    """open_clip pads its own tokenizer's rows with 0, whatever the file beside the graph says; those from the hub with their own token."""
    if not cfg.get("hf_tokenizer_name"):
        return int(cfg.get("pad_id") or 0)
    from tokenizers import Tokenizer

    token = tokens.get("pad_token")
    token = token["content"] if isinstance(token, dict) else token
    try:
        number = Tokenizer.from_file(str(tokenizer)).token_to_id(str(token))
    except Exception as error:
        raise WeightsError(f"{TOKENS} does not load: {error}") from error
    if number is None:
        raise WeightsError(f"{TOKENS_CONFIG} names the padding token {token!r}, which {TOKENS} does not have.")
    return int(number)


def tower(graph: Path) -> Tower:
    """What a graph takes and gives.

    Raises:
        WeightsError: it does not load, or has more than one input.
    """
    from ._onnx_clip import _session

    session = _session(graph, 1)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        names = ", ".join(f"{entry.name!r}" for entry in inputs)
        raise WeightsError(f"{graph.name} has {len(inputs)} inputs ({names}); Pellucid feeds a tower of one input.")
    shape = tuple(size if isinstance(size, int) else None for size in inputs[0].shape)
    dim = outputs[0].shape[-1] if outputs[0].shape else None
    return Tower(inputs[0].name, inputs[0].type, shape, dim if isinstance(dim, int) else None)


def outside(graph: Path) -> list[str]:
    """Names of the files beside a graph that hold its weights; empty where they are inside.

    Raises:
        WeightsError: it is no ONNX graph, or names a file that is not beside it.
    """
    return sorted({dict(_entries(tensor))["location"] for tensor in _beside(graph)[1]})


def _beside(graph: Path) -> tuple[Any, list[Any]]:
    """The graph without the weights beside it, and the tensors that have theirs there."""
    import onnx
    from onnx.external_data_helper import _get_all_tensors, uses_external_data

    try:
        proto = onnx.load(str(graph), load_external_data=False)
        tensors = [tensor for tensor in _get_all_tensors(proto) if uses_external_data(tensor)]
    except Exception as error:
        raise WeightsError(f"{graph} is no ONNX graph, or is damaged: {error}. Fetch it again.") from error
    for tensor in tensors:
        name = dict(_entries(tensor)).get("location", "")
        if not name or Path(name).name != name or name in (".", ".."):
            raise WeightsError(f"{graph} looks for its weights in {name!r}; only a file beside it is read.")
    return proto, tensors


def _entries(tensor: Any) -> list[tuple[str, str]]:
    return [(entry.key, entry.value) for entry in tensor.external_data]


def copy_graph(graph: Path, to: Path) -> None:
    """Copy a graph. Weights that lie beside it, in one file or many, become one, `to` with `.data` behind it: two graphs share a folder, and
    both of Immich's call theirs `model.onnx_data`. The weights are copied, never loaded.

    Raises:
        WeightsError: it is no graph, or a file that it needs is missing or too short.
    """
    proto, tensors = _beside(graph)
    if not tensors:
        shutil.copyfile(graph, to)
        return
    names = sorted({dict(_entries(tensor))["location"] for tensor in tensors})
    missing = [name for name in names if not (graph.parent / name).is_file()]
    if missing:
        raise WeightsError(f"{graph.parent / missing[0]} is missing, where {graph.name} has its weights. Fetch it too.")
    data, starts = to.with_name(to.name + DATA), {}
    with data.open("wb") as out:
        for name in names:
            out.write(bytes(-out.tell() % _PAGE))  # weights at page borders can be mapped into memory
            starts[name] = out.tell()
            with (graph.parent / name).open("rb") as source:
                shutil.copyfileobj(source, out, 1 << 24)
    for tensor in tensors:
        facts = dict(_entries(tensor))
        size = (graph.parent / facts["location"]).stat().st_size
        start = int(facts.get("offset", 0))
        length = int(facts.get("length", size - start))
        if start < 0 or length < 0 or start + length > size:
            raise WeightsError(f"{graph.parent / facts['location']} is too short for {graph.name}. Fetch it again.")
        del tensor.external_data[:]
        for key, value in (("location", data.name), ("offset", starts[facts["location"]] + start), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
    to.write_bytes(proto.SerializeToString())


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)


def _arch(source: str) -> str:
    """Immich names a repository ARCH__TAG."""
    name = source.rpartition("/")[2]
    return name.partition("__")[0] if "__" in name else ""


def _json(file: Path) -> dict[str, Any]:
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{file} is missing or damaged ({error}). Fetch it again.") from error
    if not isinstance(facts, dict):
        raise WeightsError(f"{file} is not what it should be: {str(facts)[:60]}. Fetch it again.")
    return facts
