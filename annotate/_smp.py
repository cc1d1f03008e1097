"""Models of segmentation-models-pytorch (smp), from folders and checkpoints: read as data, which never runs."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess import InputError, MissingExtra, WeightsError, choose, first_line, misfits, read_state

from .segment import IMAGENET_MEAN, IMAGENET_STD, TILE, Frame
from .tiles import padded_length

try:
    import segmentation_models_pytorch as smp
    import torch  # noqa: F401 (what reads checkpoints needs it)
except ImportError as error:
    raise MissingExtra(
        "Models of segmentation-models-pytorch need it and torch, which are not installed. Install them with: pip install 'pellucid[torch]'"
    ) from error

SHORT = 512
"""Pixels of the short side that photos are brought down to, unless another is asked for: neither a checkpoint nor a folder says what it was trained
at, and most models of Pascal VOC, COCO-Stuff and ADE20K are trained on crops of 512."""
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
    fill(loaded.module, read_checkpoint(weights), f"{weights} does not fit {loaded.arch}")
    return loaded


def load_checkpoint(file: Path, arch: str, encoder: str, classes: int, **more: Any) -> Loaded:
    """A model from a state dict; `more` are further arguments of its architecture in smp, such as `encoder_output_stride`.

    Raises:
        WeightsError: the file is missing, damaged or holds more than tensors, or the weights do not fit.
        UnknownName: smp has no such architecture or encoder.
    """
    return fitted(read_checkpoint(file), str(file), arch, encoder, classes, **more)


def fitted(state: dict[str, Any], what: str, arch: str, encoder: str, classes: int, **more: Any) -> Loaded:
    """As `load_checkpoint`, of a state dict that was read already; `what` begins messages."""
    loaded = create(arch, encoder_name=encoder, classes=classes, **more)
    fill(loaded.module, state, f"{what} does not fit {loaded.arch} with {classes} classes")
    return loaded


def classes_of(state: dict[str, Any]) -> int | None:
    """How many classes a state dict's last layer tells; none where smp's has no layer of that name, as DPT's."""
    weight = state.get("segmentation_head.0.weight")
    return None if weight is None else int(weight.shape[0])


def create(arch: str, **config: Any) -> Loaded:
    """A model with random weights; whatever `config` says of pretrained ones and of the last activation, which does not change what is best, is left out.

    Raises:
        UnknownName: smp has no such architecture or encoder.
        InputError: smp does not take these arguments.
    """
    known: dict[str, Any] = smp.MODEL_ARCHITECTURES_MAPPING
    maker = choose(known, arch.lower(), "architecture of smp")
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
    frame = Frame(stride, short=SHORT, tile=padded_length(TILE, stride), mean=mean, std=std)
    return Loaded(module, f"{maker.__name__}/{encoder}", int(config.get("classes", 1)), frame)


def read_checkpoint(file: Path) -> dict[str, Any]:
    """The tensors of a checkpoint by name, as `preprocess.read_state` gives them, also those under "model", without what training put before every name.

    Raises:
        WeightsError: the file is missing, damaged, no state dict, or cannot be read without running code from it.
    """
    return read_state(file, ("state_dict", "model"), _PREFIXES)


def fill(module: Any, state: dict[str, Any], what: str) -> None:
    """Put a state dict into a module.

    Raises:
        WeightsError: keys are missing, unknown or of another shape; `what` begins the message.
    """
    if said := misfits(module.state_dict(), state):
        raise WeightsError(f"{what}: {said}. Name the architecture, encoder and classes that they were trained with.")
    module.load_state_dict(state)
