"""Models of segmentation-models-pytorch (smp), from folders and checkpoints: read as data, which never runs."""

from __future__ import annotations

import inspect
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess import InputError, MissingExtra, WeightsError, choose

from .segment import IMAGENET_MEAN, IMAGENET_STD, TILE, Frame
from .tiles import padded_length

try:
    import segmentation_models_pytorch as smp  # type: ignore[import-untyped]
    import torch
except ImportError as error:
    raise MissingExtra(
        "Models of segmentation-models-pytorch need it and torch, which are not installed. Install them with: pip install 'pellucid[torch]'"
    ) from error

_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_TRAINED = {"inception": _HALF, "xception": _HALF}  # beginnings of encoders' names whose mean and std are not ImageNet's
_PREFIXES = ("module.", "model.", "net.", "body.")  # of several GPUs, of Lightning's usual attribute, and of what `training/` makes


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model in memory: `arch` is its architecture and encoder, such as "DeepLabV3Plus/resnet101"; `frame` how it is fed."""

    module: Any
    arch: str
    classes: int
    frame: Frame

    @property
    def label_count(self) -> int:
        """Two for a model of one class, which is told from all else."""
        return max(2, self.classes)


def load_folder(folder: Path) -> Loaded:
    """A model from a folder that `save_pretrained` made: `config.json` and `model.safetensors`, or `pytorch_model.bin`. Nothing is downloaded.

    Raises:
        WeightsError: a file is missing or damaged, or the weights do not fit.
        UnknownName: smp has no such architecture.
    """
    file = folder / "config.json"
    try:
        config = dict(json.loads(file.read_text(encoding="utf-8")))
        arch = str(config.pop("_model_class"))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{file} is missing or damaged ({error!r}). Name a folder that smp's save_pretrained made.") from error
    config = {name: value for name, value in config.items() if not name.startswith("_")}
    weights = next((found for name in ("model.safetensors", "pytorch_model.bin") if (found := folder / name).is_file()), None)
    if weights is None:
        raise WeightsError(f"{folder} has neither model.safetensors nor pytorch_model.bin. Copy the whole folder.")
    loaded = create(arch, **config)
    fill(loaded.module, read_state(weights), f"{weights} does not fit {loaded.arch}")
    return loaded


def load_checkpoint(file: Path, arch: str, encoder: str, classes: int, **more: Any) -> Loaded:
    """A model from a state dict; `more` are further arguments of its architecture in smp, such as `encoder_output_stride`.

    Raises:
        WeightsError: the file is missing, damaged or holds more than tensors, or the weights do not fit.
        UnknownName: smp has no such architecture or encoder.
    """
    loaded = create(arch, encoder_name=encoder, classes=classes, **more)
    fill(loaded.module, read_state(file), f"{file} does not fit {loaded.arch} with {classes} classes")
    return loaded


def create(arch: str, **config: Any) -> Loaded:
    """A model with random weights; whatever `config` says of pretrained ones and of the last activation, which does not change what is best, is left out.

    Raises:
        UnknownName: smp has no such architecture or encoder.
        InputError: smp does not take these arguments.
    """
    known: dict[str, Any] = smp.MODEL_ARCHITECTURES_MAPPING
    maker = choose({kind.__name__: kind for kind in known.values()}, getattr(known.get(arch.lower()), "__name__", arch), "architecture")
    encoder = str(config.get("encoder_name", inspect.signature(maker).parameters["encoder_name"].default))
    if not encoder.startswith("tu-"):
        choose(smp.encoders.encoders, encoder, "encoder of smp")
    if config.get("in_channels", 3) != 3:
        raise InputError(f"A model of {config['in_channels']} channels takes no photos. Take one of 3 channels, red, green and blue.")
    try:
        module = maker(**config | {"encoder_name": encoder, "encoder_weights": None, "activation": None}).eval()
    except (TypeError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        raise InputError(f"smp makes no {maker.__name__} of {config}: {first_line(error)}. Check the arguments.") from error
    mean, std = next((pair for name, pair in _TRAINED.items() if encoder.startswith(name)), (IMAGENET_MEAN, IMAGENET_STD))
    stride = int(module.encoder.output_stride)
    frame = Frame(stride, tile=padded_length(TILE, stride), mean=mean, std=std)
    return Loaded(module, f"{maker.__name__}/{encoder}", int(config.get("classes", 1)), frame)


def read_state(file: Path) -> dict[str, Any]:
    """The tensors of a checkpoint by name, on the CPU: `.safetensors`, or a state dict that torch saved, also one under "state_dict" or "model".

    What training put before every name ("module.", "model.", ...) is taken off. Files are read as data: what they hold never runs.

    Raises:
        WeightsError: the file is missing, damaged, no state dict, or cannot be read without running code from it.
    """
    if not file.is_file() or not file.stat().st_size:
        raise WeightsError(f"{file} is missing or empty. Check the path, or fetch it again.")
    try:
        if file.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(file)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # UnpicklingError, RuntimeError, EOFError, SafetensorError, ...: whatever damaged bytes lead to
        if any(f"unsupported {what}" in str(error).lower() for what in ("global", "class")):
            raise WeightsError(
                f"{file} holds more than tensors, and could run code when it is read. Where you trust it, save its tensors alone: "
                f"safetensors.torch.save_file(MODEL.state_dict(), 'model.safetensors')."
            ) from error
        raise WeightsError(f"{file} is no checkpoint, or is damaged ({first_line(error)}). Fetch it again.") from error
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise WeightsError(f"{file} holds no state dict: names and their tensors, or those under 'state_dict'. Save MODEL.state_dict().")
    state = {str(name): tensor for name, tensor in found.items()}
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def fill(module: Any, state: dict[str, Any], what: str) -> None:
    """Put a state dict into a module.

    Raises:
        WeightsError: keys are missing, unknown or of another shape; `what` begins the message.
    """
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        said = " ".join(str(error).split("\n", 1)[-1].split())
        raise WeightsError(
            f"{what}: {said[:300]}{'…' if len(said) > 300 else ''} Name the architecture, encoder and classes that they were trained with."
        ) from error


def first_line(error: Exception) -> str:
    text = " ".join(str(error).split("\n", 1)[0].split()).rstrip(".") or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"
