"""Where the tiles of a large picture lie, and how much each counts where they overlap. Pure geometry, one axis at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """The tiles along one side of a picture, each from `starts[i]` on, `tile` pixels long, the last one ending with the picture.

    `weights`, Float32["tile pixel"], say how much each tile counts at each of its pixels. At every pixel of the picture they add up to 1, so those
    of two axes, multiplied, do so too, and tiles need only be added up.
    """

    length: int
    tile: int
    starts: tuple[int, ...]
    weights: NDArray[np.float32]

    @property
    def steps(self) -> tuple[int, ...]:
        """How many pixels are finished, from its start on, once a tile and those before it are in."""
        return tuple(after - start for start, after in zip(self.starts, (*self.starts[1:], self.starts[-1] + self.tile), strict=True))


def tiled(length: int, tile: int, overlap: int) -> Axis:
    """As few tiles as cover `length` pixels with neighbours sharing at least `overlap`, spread evenly; one of that length where it fits into a tile.

    The weights are raised cosines over the tiles, divided by their sum. So where two tiles meet, one fades smoothly into the other, and an edge of a
    tile, where a network saw padding instead of the picture, counts next to nothing.

    Raises:
        InputError: a length is not positive, or the overlap is as long as a tile.
    """
    if length < 1 or tile < 1 or not 0 <= overlap < tile:
        raise InputError(f"Tiles of {tile} pixels that share {overlap} cannot cover {length}. The overlap must be less than a tile.")
    if length <= tile:
        return Axis(length, length, (0,), np.ones((1, length), np.float32))
    count = math.ceil((length - overlap) / (tile - overlap))
    starts = tuple(round(place * (length - tile) / (count - 1)) for place in range(count))
    window = np.sin(np.pi * (np.arange(tile) + 0.5) / tile) ** 2
    total = np.zeros(length)
    for start in starts:
        total[start : start + tile] += window
    return Axis(length, tile, starts, np.stack([window / total[start : start + tile] for start in starts]).astype(np.float32))


def padded_length(length: int, stride: int, least: int = 1) -> int:
    """The least multiple of `stride` that is not below `length` or `least`."""
    return math.ceil(max(length, least) / stride) * stride
