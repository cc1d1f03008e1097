"""What a build measures of every photo while it has the pixels: the measures of `quality` that are cheap, on a smaller copy and in whole numbers.

`quality.measure` takes 8 ms for a photo of 500 pixels, as long as all else that a build does to it; this takes 0.6 ms. Of 64 photos of 500 pixels, the order by each measure agrees with that of `quality`
(Spearman): brightness, contrast, exposure and colourfulness 1.00, highlights 0.99, shadows 0.95, and sharpness, which is taken of the middle alone here, 0.75; of the same part it is 0.97. So compare these
among themselves: the frames of one scene, the photos of one library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ._opencv import cv2
from .perceptual_hash import halved, luma_hash
from .quality import colourfulness, well_exposed

if TYPE_CHECKING:
    from .image import RgbImage

MEASURES_SOURCE = "measures-1"
"""What made these scores; another number where a measure changes."""

MEASURED = ("sharpness", "brightness", "exposure", "highlights", "shadows", "contrast", "colourfulness")
"""The measures, as `quality.Measures` names them; as axes of scores they have `measured_` before that."""

_SHORT = 256  # pixels on the short side for sharpness, at least where there are so many, and under 512: halving keeps JPEG's own scales apart from it
_SAMPLED_SHORT = 96  # rows or columns of pixels that are looked at for colours, at least
_TILE = 32
_LEAST = 16
_WHITE, _BLACK = 250, 5


@dataclass(frozen=True, slots=True)
class BuildMeasures:
    """The perceptual hash of a photo, and its measures by axis; all finite, whatever the photo."""

    hash: int
    scores: dict[str, float]


def measure_for_build(pixels: RgbImage) -> BuildMeasures:
    """What a build keeps of the pixels of a photo, UInt8["height width 3"], which may be decoded at a reduced size."""
    luma = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    return BuildMeasures(luma_hash(luma), _scores(pixels, luma))


def _scores(pixels: RgbImage, luma: NDArray[np.uint8]) -> dict[str, float]:
    mean, spread = (float(moment[0, 0]) for moment in cv2.meanStdDev(luma))
    step = max(1, min(luma.shape) // _SAMPLED_SHORT)
    size = tuple(max(1, length // step) for length in luma.shape[::-1])
    some = np.asarray(
        cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST), np.uint8
    )  # single pixels: means of several are clipped less often
    count = size[0] * size[1]
    below_white = cv2.countNonZero(cv2.inRange(some, (0, 0, 0), (_WHITE - 1,) * 3))
    black = cv2.countNonZero(cv2.inRange(some, (0, 0, 0), (_BLACK,) * 3))
    values = (
        quick_sharpness(_middle(halved(luma, _SHORT))), mean / 255, well_exposed(some), 1 - below_white / count, black / count, spread / 255,
        colourfulness(some),
    )  # fmt: skip
    return {f"measured_{name}": round(float(value), 5) for name, value in zip(MEASURED, values, strict=True)}


def _middle(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle four ninths, or of a small picture the whole."""
    height, width = luma.shape
    return luma[height // 6 : height - height // 6, width // 6 : width - width // 6] if min(height, width) >= 4 * _TILE else luma


def quick_sharpness(luma: NDArray[np.uint8]) -> float:
    """`quality.sharpness` in whole levels, UInt8["height width"]: the share of steps between neighbours that a blur by 9 pixels takes away, in tiles of 32 pixels,
    of which the one with more than 90 % of the others counts."""
    if min(luma.shape) < _LEAST:
        return 0.0
    luma = np.asarray(cv2.GaussianBlur(luma, (3, 3), 0.7), np.uint8)
    best = 0.0
    for axis, kernel in ((1, (9, 1)), (0, (1, 9))):
        before = _steps(luma, axis)
        lost = np.asarray(cv2.subtract(before, _steps(np.asarray(cv2.blur(luma, kernel), np.uint8), axis)), np.uint8)  # stops at 0
        weights = _tile_means(before)
        ratios = _tile_means(lost) / (weights + 0.5)
        order = np.argsort(ratios)
        share = np.cumsum(weights[order]) / max(float(weights.sum()), 1e-6)
        best += float(ratios[order][min(int(np.searchsorted(share, 0.9)), len(order) - 1)])
    return best / 2


def _steps(values: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    """The sizes of differences between neighbours, from left to right for axis 1 and downwards for axis 0."""
    first, second = (values[:, :-1], values[:, 1:]) if axis else (values[:-1], values[1:])
    return np.asarray(cv2.absdiff(first, second), np.uint8)


def _tile_means(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means over tiles of 32 pixels a side, at least one, Float32["tile"]; what is left over at the right and at the bottom is not looked at."""
    high, wide = (min(_TILE, length) for length in values.shape)
    rows, columns = values.shape[0] // high, values.shape[1] // wide
    bands = values[: rows * high, : columns * wide].reshape(rows, high, columns * wide).sum(1, dtype=np.uint16)
    return np.asarray(bands.reshape(rows, columns, wide).sum(2, dtype=np.uint32).ravel() / np.float32(high * wide), np.float32)
