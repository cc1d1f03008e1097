"""Encoders map photos and words to unit rows of one space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from preprocess import MissingExtra, choose, folders_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from preprocess import RgbImage

# In quotes, so that numpy is not imported for them.
Vectors: TypeAlias = "NDArray[np.float32]"  # [row, dim]
Prepared: TypeAlias = "NDArray[np.uint8]"  # [side, side, 3]


PLAIN = "none"
"""The enhancer of a vector of the photo as it is."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What made a vector: rows of different recipes are never compared."""

    encoder: str
    weights: str  # sha256 over the weight files
    precision: str
    enhancer: str  # PLAIN, or the id of what the pixels went through first
    dim: int

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that name this recipe in the store."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def through(self, enhancer: str) -> Recipe:
        """The recipe of the same encoder's vectors of photos that went through an enhancer first."""
        return replace(self, enhancer=enhancer)

    def as_dict(self) -> dict[str, str | int]:
        """The fields as plain values, for JSON."""
        return asdict(self)


class Encoder(Protocol):
    """Photos and words to unit rows, Float32["row dim"]; the cosine of two rows is their dot product."""

    recipe: Recipe
    side: int  # pixels on the short side that `prepare` needs
    batch_size: int

    def prepare(self, pixels: RgbImage) -> Prepared:
        """One photo, made ready for the image tower; safe to call from many threads."""
        ...

    def encode_images(self, prepared: Sequence[Prepared]) -> Vectors:
        """Unit rows of prepared photos."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit rows of texts."""
        ...


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """How an encoder is loaded.

    `models` is the folder of models that were added; `precision` "fp32" or "int8", none for what the model's own file is; `runtime` "onnx",
    "torch", or "auto": torch where a GPU is at hand and the model was added for it; `threads` 0 means one for each core.
    """

    models: Path | None = None
    precision: str | None = None
    runtime: str = "auto"
    threads: int = 0


def _builtin(options: EncoderOptions) -> Encoder:
    from ._onnx_clip import OnnxEncoder, builtin_folder

    return OnnxEncoder(builtin_folder(), options)


ENCODERS: Mapping[str, Callable[[EncoderOptions], Encoder]] = {"builtin": _builtin}
"""Encoders that need nothing added; models that were added are known by their folder's name."""


def load_encoder(name: str = "builtin", options: EncoderOptions | None = None) -> Encoder:
    """The encoder called `name`: one that is built in, or a model that was added; ready to run.

    Raises:
        UnknownName: no encoder has this name.
        WeightsError: its files are missing or damaged.
        MissingExtra: it was asked for through torch, which is not installed.
    """
    options = options or EncoderOptions()
    if name in ENCODERS:
        return ENCODERS[name](options)
    added = {folder.name: folder for folder in model_folders(options.models)}
    choose({**ENCODERS, **added}, name, "encoder")
    return _added(added[name], options)


def _onnx(folder: Path, options: EncoderOptions) -> Encoder:
    from ._onnx_clip import OnnxEncoder

    return OnnxEncoder(folder, options)


def _torch(folder: Path, options: EncoderOptions) -> Encoder:
    try:
        from ._torch_clip import TorchEncoder
    except ImportError as error:
        raise MissingExtra("The torch runtime needs torch and open_clip. Install them with: pip install 'pellucid[torch]'") from error
    return TorchEncoder(folder, options)


def _auto(folder: Path, options: EncoderOptions) -> Encoder:
    """Torch only where it wins: the model was added for it, a GPU is at hand, and int8, which only the graphs have, is not asked for."""
    from .model import TORCH

    if options.precision == "int8" or not (folder / TORCH).is_file() or not (find_spec("torch") and find_spec("open_clip")):
        return _onnx(folder, options)
    import torch

    return (_torch if torch.cuda.is_available() else _onnx)(folder, options)


RUNTIMES: Mapping[str, Callable[[Path, EncoderOptions], Encoder]] = {"auto": _auto, "onnx": _onnx, "torch": _torch}


def _added(folder: Path, options: EncoderOptions) -> Encoder:
    encoder = choose(RUNTIMES, options.runtime, "runtime")(folder, options)
    encoder.recipe = replace(encoder.recipe, encoder=folder.name)  # a folder that was renamed by hand is found by its name now
    return encoder


def model_folders(models: Path | None) -> list[Path]:
    """Folders of encoders that were added, by name; segmenters, which lie beside them, are left out."""
    return folders_of(models, "encoder")


def normalize(rows: NDArray[np.floating]) -> Vectors:
    """Rows scaled to unit length, Float32["row dim"]; a zero row stays zero.

    >>> import numpy as np
    >>> normalize(np.array([[3.0, 4.0], [0.0, 0.0]])).round(1).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    import numpy as np

    rows = np.asarray(rows, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)
