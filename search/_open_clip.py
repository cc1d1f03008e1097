"""open_clip's models as torch modules, with their weights and what must be known to feed them."""

from __future__ import annotations

import contextlib
import difflib
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess import MissingExtra, WeightsError, choose, first_line, read_state

from ._checkpoint import fill
from .model import ImageInput

_log = logging.getLogger(__name__)

EXTRA = "pip install 'pellucid[torch]'"
_QUICK = "-quickgelu"
_CONSTANTS = ("mean", "std", "interpolation", "resize_mode", "fill_color")
_OPENAI_KEYS = ("input_resolution", "context_length", "vocab_size")  # numbers, not weights, among OpenAI's


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A torch model with its weights, in fp32 and on the CPU, and what its folder must say of it."""

    module: Any
    arch: str
    dim: int
    image: ImageInput
    context_length: int
    tokenizer: str  # a folder or a name on the hub; empty: CLIP's own
    clean: str
    strip_sep: bool
    logit_scale: float
    logit_bias: float


def load_pretrained(arch: str, tag: str) -> Loaded:
    """A model with weights that open_clip knows by their tag; they are fetched where they are not in the cache.

    Some tags were trained with QuickGELU, but carry the name of an architecture with GELU ("ViT-B-32", "openai"): such weights run, and are
    wrong without any message. They are loaded into the architecture that they were trained in, "ViT-B-32-quickgelu".

    Raises:
        MissingExtra: torch or open_clip is not installed.
        UnknownName: no such architecture, or no such tag of it.
        WeightsError: the weights cannot be fetched, or do not fit.
    """
    open_clip = _open_clip()
    config_of(arch)
    tags = dict.fromkeys(open_clip.list_pretrained_tags_by_model(arch.removesuffix(_QUICK)))
    tags |= dict.fromkeys(open_clip.list_pretrained_tags_by_model(arch))
    choose(tags, tag, f"tag of {arch}")
    facts = open_clip.get_pretrained_cfg(arch, tag) or open_clip.get_pretrained_cfg(arch.removesuffix(_QUICK), tag)
    arch = _quick(arch) if facts.get("quick_gelu") else arch.removesuffix(_QUICK)
    try:
        file = open_clip.download_pretrained(facts)
    except Exception as error:  # urllib, the hub's client and open_clip itself each have their own
        raise WeightsError(
            f"The weights {tag} of {arch} cannot be fetched ({first_line(error)}). Check the network, or bring the file: "
            f"pellucid models add path:FILE --arch {arch}"
        ) from error
    return load_checkpoint(arch, Path(file), constants=facts)


def load_checkpoint(arch: str, file: Path, *, constants: Mapping[str, Any] | None = None) -> Loaded:
    """A model with the weights of a file: `.safetensors`, or a state dict that torch saved. Pickled code is never run.

    `constants` are those of preprocessing, as in open_clip's table of tags; without them, they are the ones of the architecture.

    Raises:
        MissingExtra: torch or open_clip is not installed.
        UnknownName: no such architecture.
        WeightsError: the file is missing, no state dict, needs code to be run, or belongs to another architecture.
    """
    config_of(arch)
    state = read_state(file)
    if [state.pop(key) for key in _OPENAI_KEYS if key in state]:
        arch = _quick(arch)  # OpenAI's own models all have it
    module = create_module(arch, constants)
    fill(module, state, f"{file} does not fit {arch}", stretch=constants is not None)
    return describe(module, arch)


def describe(module: Any, arch: str) -> Loaded:
    """What a torch model of open_clip takes and gives.

    Raises:
        WeightsError: it takes pictures or words in a way that Pellucid cannot feed.
    """
    facts, config = _open_clip().get_model_preprocess_cfg(module), config_of(arch)
    text = config["text_cfg"]
    sides = set(facts["size"]) if isinstance(facts["size"], (tuple, list)) else {facts["size"]}
    if len(sides) != 1:
        raise WeightsError(f"{arch} takes pictures of {facts['size']} pixels; Pellucid feeds square ones. Choose another model.")
    image = ImageInput(
        side=int(sides.pop()),
        resize=facts.get("resize_mode") or "shortest",
        interpolation="bilinear" if facts.get("interpolation") == "bilinear" else "bicubic",  # "random" is for training
        fill=int(facts.get("fill_color") or 0),
        mean=_three(facts.get("mean", (0.48145466, 0.4578275, 0.40821073))),
        std=_three(facts.get("std", (0.26862954, 0.26130258, 0.27577711))),
    )
    source = text.get("hf_tokenizer_name", "")
    options = dict(text.get("tokenizer_kwargs") or {})
    clean, strip_sep = options.pop("clean", "whitespace" if source else "lower"), bool(options.pop("strip_sep_token", False))
    if options or text.get("tokenizer_mode") or (not source and (clean != "lower" or strip_sep)):
        raise WeightsError(f"The tokenizer of {arch} has settings that Pellucid does not know: {text}. Choose another model.")
    scale = float(module.logit_scale.detach().exp())
    bias = float(module.logit_bias.detach()) if getattr(module, "logit_bias", None) is not None else 0.0
    length = int(text.get("context_length", 77))
    return Loaded(module, arch, int(config["embed_dim"]), image, length, str(source), clean, strip_sep, scale, bias)


def config_of(arch: str) -> dict[str, Any]:
    """open_clip's configuration of an architecture; the name may carry "-quickgelu" where open_clip lists it only without.

    Raises:
        MissingExtra: torch or open_clip is not installed.
        UnknownName: no such architecture.
    """
    open_clip = _open_clip()
    known = dict.fromkeys(open_clip.list_models(), open_clip.get_model_config)
    if arch not in known and arch.removesuffix(_QUICK) in known:
        return {**open_clip.get_model_config(arch.removesuffix(_QUICK)), "quick_gelu": True}
    if arch not in known:  # all 140 names would fill the screen
        near = difflib.get_close_matches(arch, known, n=5) or sorted(known)
        known = dict.fromkeys(near, open_clip.get_model_config)
    config: dict[str, Any] = choose(known, arch, "architecture")(arch)
    return config


def create_module(arch: str, constants: Mapping[str, Any] | None = None) -> Any:
    """A torch model of open_clip with random weights, in evaluation mode, fp32, on the CPU.

    Raises:
        MissingExtra: torch or open_clip is not installed.
        UnknownName: no such architecture.
        WeightsError: it cannot be created, as where its text tower's configuration would have to be fetched.
    """
    quick = bool(config_of(arch).get("quick_gelu"))
    open_clip = _open_clip()
    name = arch if arch in open_clip.list_models() else arch.removesuffix(_QUICK)
    wanted = {key: value for key, value in (constants or {}).items() if key in _CONSTANTS}
    try:
        with _quiet():
            module = open_clip.create_model(
                name, force_quick_gelu=quick, force_preprocess_cfg=wanted, pretrained_text=False, pretrained_image=False
            )
    except Exception as error:
        raise WeightsError(f"open_clip cannot create {arch} ({first_line(error)}). Check the network, or choose another model.") from error
    return module.eval().float()


def _quick(arch: str) -> str:
    """The architecture's name with QuickGELU."""
    if config_of(arch).get("quick_gelu"):
        return arch
    _log.info("loaded as %s%s: these weights were trained with QuickGELU", arch, _QUICK)
    return arch + _QUICK


def _three(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in (values if isinstance(values, (tuple, list)) else (values,) * 3))
    return first, second, third


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """open_clip warns of random weights, which is what was asked for, through the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)


def import_torch() -> Any:
    """The module torch.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra(f"The torch runtime needs torch and open_clip, which are not installed. Install them with: {EXTRA}") from error
    return torch


def _open_clip() -> Any:
    import_torch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import open_clip
    except ImportError as error:
        raise MissingExtra(f"Models of open_clip need the packages torch and open_clip_torch. Install them with: {EXTRA}") from error
    return open_clip
