"""Encoders map photos and words to unit rows of one space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from preprocess import choose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from preprocess import RgbImage

# In quotes, so that numpy is not imported for them.
Vectors: TypeAlias = "NDArray[np.float32]"  # [row, dim]
Prepared: TypeAlias = "NDArray[np.uint8]"  # [side, side, 3]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What made a vector: rows of different recipes are never compared."""

    encoder: str
    weights: str  # sha256 over the weight files
    precision: str
    enhancer: str
    dim: int

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that name this recipe in the store."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

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


def _builtin(threads: int) -> Encoder:
    from ._onnx_clip import OnnxEncoder, builtin_folder

    return OnnxEncoder(builtin_folder(), threads=threads)


ENCODERS: Mapping[str, Callable[[int], Encoder]] = {"builtin": _builtin}


def load_encoder(name: str = "builtin", threads: int = 0) -> Encoder:
    """The encoder called `name`, ready to run; `threads` 0 means one for each core.

    Raises:
        UnknownName: no encoder has this name.
        WeightsError: its files are missing or damaged.
    """
    return choose(ENCODERS, name, "encoder")(threads)


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
