"""Models of open_clip with random weights: small where the code that runs stays the same, and lively, so that a wrong step is seen."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NARROW: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 256, "patch_size": 32, "head_width": 64},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 2},
}


@dataclass(frozen=True)
class Family:
    """A torch model and the folder that was exported from it."""

    loaded: Any
    folder: Path
    encoder: Any
    tokenizer: Any
    measured: dict[str, Any]
    before: dict[str, float]  # sums of the model's weights before it was exported


def sums(module: Any) -> dict[str, float]:
    return {name: float(tensor.double().sum()) for name, tensor in module.state_dict().items()}


def cut_config(arch: str, tokenizer: Path | None) -> dict[str, Any]:
    """open_clip's configuration with one or two layers instead of twelve, and a vocabulary of hundreds where it has 256,000."""
    from open_clip.factory import _MODEL_CONFIGS

    config = copy.deepcopy(_MODEL_CONFIGS[arch])
    vision, text = config["vision_cfg"], config["text_cfg"]
    text["layers"] = 2
    if "multimodal_cfg" in config:  # writes captions, which nobody asks for
        config["multimodal_cfg"]["layers"] = 1
    if "layers" in vision:
        vision["layers"] = [1, 1, 1, 1] if isinstance(vision["layers"], list) else 2
    if "hf_tokenizer_name" in text:
        text["hf_tokenizer_name"], text["vocab_size"] = str(tokenizer), 600
    return config


def shorten(module: Any) -> None:
    """Fewer blocks in a trunk of timm, which open_clip's configuration cannot ask for."""
    trunk = getattr(module.visual, "trunk", None)
    if hasattr(trunk, "blocks"):
        trunk.blocks = trunk.blocks[:2]
    if type(trunk).__name__ == "ConvNeXt":
        for stage in trunk.stages:
            stage.blocks = stage.blocks[:1]


def enliven(module: Any, seed: int, gain: float = 3.0) -> Any:
    """Weights under which different photos have clearly different vectors.

    As they are initialised, towers give any photo nearly the same vector, and a cosine of 0.9999 proves nothing. So matrices get larger,
    biases and scales vary, and running means and variances are those of something seen.
    """
    import torch

    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if name in ("logit_scale", "logit_bias"):
                continue
            if name == "text_decoder.text_projection":  # open_clip leaves whatever the memory held, which may be no number
                weight.normal_(0, weight.shape[0] ** -0.5, generator=random)
            elif weight.dim() >= 2 and weight.std() < 1e-3:  # timm starts its last layer at nearly nothing
                weight.normal_(0, weight[0].numel() ** -0.5, generator=random)
            elif weight.dim() >= 2:
                weight.mul_(gain)
            elif name.endswith("weight"):
                weight.mul_(torch.empty_like(weight).uniform_(0.5, 1.5, generator=random))
            else:
                weight.add_(torch.empty_like(weight).normal_(0, 0.3, generator=random))
        norms = [part for part in module.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
        for part in norms:
            part.reset_running_stats()
            part.momentum = None  # the mean of all that is seen
        if norms:
            module.visual.train()(some_photos(module))
    return module.eval()


def some_photos(module: Any) -> Any:
    import torch

    from preprocess import Fit, example_photos, fit

    facts = module.visual.preprocess_cfg
    pixels = np.stack([fit(photo, Fit(int(np.max(facts["size"])))) for photo in example_photos(10)]).astype(np.float32) / 255
    return torch.from_numpy((pixels - np.float32(facts["mean"])) / np.float32(facts["std"])).permute(0, 3, 1, 2)


@pytest.fixture(scope="session")
def small_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer of SigLIP2's kind (byte-pair, an end token, padding with 0), trained on a few words."""
    pytest.importorskip("transformers", reason="open_clip's own tokenizer of SigLIP needs transformers")
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    text = "a photo of two dogs run along the sandy beach at sunset red bicycle leaning on a wall old people wait for train"
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([text, *text.split()] * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", pair="$A <eos> $B <eos>", special_tokens=[("<eos>", 1)])
    folder = tmp_path_factory.mktemp("tokenizer")
    whole = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>", padding_side="right"
    )
    whole.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_loaded(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a torch model with random weights, with what must be known to feed it: of real size, or cut."""
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("open_clip", reason="open_clip is not installed")
    import torch
    from open_clip import factory

    from search._open_clip import create_module, describe

    before = dict(factory._MODEL_CONFIGS)

    def make(arch: str, *, name: str = "", seed: int = 0, constants: dict[str, Any] | None = None, **changes: Any) -> Any:
        """With another name than the architecture's, it is cut, and `changes` are made to its configuration."""
        name = name or arch
        if name != arch:
            tokenizer = request.getfixturevalue("small_tokenizer") if "SigLIP" in arch else None
            factory._MODEL_CONFIGS[name] = cut_config(arch, tokenizer) | changes
        torch.manual_seed(seed)
        module = create_module(name, constants)
        if name != arch:
            shorten(module)
        return describe(enliven(module, seed), name)

    yield make
    factory._MODEL_CONFIGS.clear()
    factory._MODEL_CONFIGS.update(before)


@pytest.fixture(scope="session")
def make_narrow(make_loaded: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a ViT of two narrow layers, for tests of what is done with any model."""
    return lambda name, **changes: make_loaded("ViT-B-32", name=name, **NARROW | changes)


@pytest.fixture(scope="session")
def export() -> Callable[..., Family]:
    """Exports a model, which is compared with open_clip on the way, into a folder that does not exist yet."""

    def make(loaded: Any, folder: Path, **options: Any) -> Family:
        from search._export import export_model, reference_tokenizer
        from search._onnx_clip import OnnxEncoder

        before = sums(loaded.module)
        folder.mkdir(parents=True)
        model = export_model(loaded, folder, folder.name, "path:random", "none", **options)
        return Family(loaded, folder, OnnxEncoder(folder), reference_tokenizer(loaded), dict(model.measured), before)

    return make
