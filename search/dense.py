"""Dense features: where in a photo is what, as vectors of an encoder's space on a grid of cells."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from preprocess import InputError, Progress, RgbImage, no_progress

from .encode import EncoderOptions, load_encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Encoder, Vectors

DENSE = "dense.onnx"
"""In a model's folder: the graph of its dense features."""

LONGEST = 12
"""A photo's longer side counts as at most so many times the shorter one: a longer panorama is squeezed, so that no photo takes more than its share."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """What a photo shows, cell by cell, from its top left to its bottom right.

    `vectors`, Float32["row column dim"], are means of unit rows, not scaled to unit length again: where views disagree about a cell, its vector is short, and no
    text is very similar to it.
    """

    vectors: NDArray[np.float32]


class DenseEncoder(Protocol):
    """Makes cells of photos. Safe to call from many threads.

    `encoder` has the text tower of the same space. `id` names all that decides the cells, beside the encoder's recipe; `short` is the number of pixels on the
    short side that are needed: more is brought down.
    """

    encoder: Encoder
    id: str
    short: int

    def __call__(self, pixels: RgbImage, on_progress: Progress = no_progress) -> Cells:
        """The cells of a photo, UInt8["height width 3"]."""
        ...


def load_dense(name: str = "builtin", options: EncoderOptions | None = None) -> DenseEncoder:
    """The dense features of the encoder called `name`: those of its `dense.onnx`, or where it has none, those of overlapping crops.

    Raises:
        UnknownName: no encoder has this name.
        WeightsError: its files are missing or damaged.
    """
    options = options or EncoderOptions()
    encoder = load_encoder(name, options)
    folder = getattr(encoder, "folder", None)
    if isinstance(folder, Path) and (folder / DENSE).is_file():
        from ._dense import TiledEncoder

        return TiledEncoder(encoder, folder, options)
    return CropEncoder(encoder)


@dataclass(frozen=True, slots=True)
class CropOptions:
    """Square windows over a photo. Each of `sizes` is a window's side as a share of the photo's short side; neighbours are at most `step` of a side apart. `rows`
    is the number of cells on the short side.

    Measured on 38 photos of cats and dogs with the encoder that ships (mean IoU of pet and rest): windows of 1/3 alone 0.56, of 1/2 to 1/4 0.57, of 1 to
    1/4 0.59, and 0.60 where those count more in their middles.
    """

    sizes: tuple[float, ...] = (1.0, 2 / 3, 1 / 2, 1 / 3, 1 / 4)
    step: float = 1 / 3
    rows: int = 24

    def __post_init__(self) -> None:
        if not self.sizes or not all(0 < size <= 1 for size in self.sizes) or not 0 < self.step <= 1 or self.rows < 1:
            raise InputError(f"{self} is not possible: sizes and step are shares above 0, up to 1; rows is at least 1.")


class CropEncoder:
    """Cells of any encoder: overlapping crops of several sizes are encoded as if they were photos, and a cell gets the mean over those that cover it, each
    counting most in its middle. For encoders without patches, such as the one that ships."""

    def __init__(self, encoder: Encoder, options: CropOptions | None = None) -> None:
        self.encoder, self.options = encoder, options or CropOptions()
        sizes = ",".join(f"{size:.3f}" for size in self.options.sizes)
        self.id = f"crops-1:{sizes}:{self.options.step:.3f}:{self.options.rows}"
        self.short = round(encoder.side / min(self.options.sizes))

    def __call__(self, pixels: RgbImage, on_progress: Progress = no_progress) -> Cells:
        """The cells of a photo, UInt8["height width 3"]; crops in batches of the encoder's size."""
        pixels = resized(pixels, grid_of(pixels, self.short))
        shape = grid_of(pixels, self.options.rows)
        sums, weights = np.zeros((*shape, self.encoder.recipe.dim), np.float32), np.zeros((*shape, 1), np.float32)
        windows = list(self._windows(pixels.shape[:2]))
        for at in range(0, len(windows), self.encoder.batch_size):
            batch = windows[at : at + self.encoder.batch_size]
            crops = [self.encoder.prepare(np.ascontiguousarray(pixels[top : top + side, left : left + side])) for top, left, side in batch]
            for window, vector in zip(batch, self.encoder.encode_images(crops), strict=True):
                place, weight = _bump(window, pixels.shape[:2], shape)
                sums[place] += weight[..., None] * vector
                weights[place] += weight[..., None]
            on_progress("crops", min(1.0, (at + len(batch)) / len(windows)))
        return Cells(np.asarray(sums / weights, np.float32))

    def _windows(self, size_hw: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
        """Top, left and side of each window, in pixels."""
        for size in self.options.sizes:
            side = max(1, round(size * min(size_hw)))
            for top in starts(size_hw[0], side, side * self.options.step):
                for left in starts(size_hw[1], side, side * self.options.step):
                    yield top, left, side


def starts(length: int, tile: int, step: float) -> list[int]:
    """Where tiles begin that cover a length, at most `step` apart and spread evenly, the last one ending with it.

    >>> starts(10, 4, 2), starts(4, 4, 2), starts(11, 4, 3)
    ([0, 2, 4, 6], [0], [0, 2, 5, 7])
    """
    count = max(1, math.ceil((length - tile) / step) + 1)
    return [round(at * (length - tile) / (count - 1)) for at in range(count)] if count > 1 else [0]


def grid_of(pixels: RgbImage, short: int) -> tuple[int, int]:
    """Rows and columns of a grid with the photo's shape, `short` on its shorter side; at most `LONGEST` times that on the longer one."""
    height, width = pixels.shape[:2]
    scale = short / min(height, width)
    rows, columns = (min(LONGEST * short, max(short, round(length * scale))) for length in (height, width))
    return rows, columns


def resized(pixels: RgbImage, size_hw: tuple[int, int], *, bilinear: bool = False) -> RgbImage:
    """The photo at another size, antialiased."""
    if pixels.shape[:2] == size_hw:
        return pixels
    how = Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size_hw[::-1], how, reducing_gap=3.0))


def bump(length: int) -> Vectors:
    """Weights over a tile, Float32["place"]: a raised cosine, next to nothing at its ends, where it saw little of what is around."""
    return np.asarray(np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2, np.float32)


def _bump(
    window: tuple[int, int, int], size_hw: tuple[int, ...], shape: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
    """The cells whose middles lie in a window, and how much it counts for each, Float32["row column"]."""
    top, left, side = window
    slices, weights = [], []
    for begin, length, count in ((top, size_hw[0], shape[0]), (left, size_hw[1], shape[1])):
        middles = (np.arange(count, dtype=np.float32) + 0.5) * (length / count)
        first, last = np.searchsorted(middles, (begin, begin + side))
        slices.append(slice(int(first), int(last)))
        weights.append(np.sin(np.pi * (middles[first:last] - begin) / side) ** 4)
    return (slices[0], slices[1]), np.asarray(weights[0][:, None] * weights[1], np.float32)
