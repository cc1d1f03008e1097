"""Classical measures of how a photo was taken and kept: sharpness, exposure, clipping, contrast, colour, noise, and traces of JPEG.

Each is a number with a meaning of its own, from the pixels alone, and none says whether people like a photo. All but `blockiness` are measured on a copy whose
short side is at most `SHORT` pixels, so that photos of different sizes are judged as they look on a screen, and so that it matters little at which size a
JPEG was decoded. What is finer than that copy shows is not measured: the noise of single pixels of a large photo, or a slight blur that only shows at 100 %.

The rating weighs these (`search.rating`). Those that the index writes for every photo are cheaper: see `build_measures`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._opencv import cv2
from .haze import haze_density
from .image import RgbImage

SHORT = 512
"""Pixels on the short side of the copy that is measured, at most; smaller pictures are measured as they are, never enlarged.

A build decodes a JPEG to at least 288 (three times what the encoder that ships sees) and mostly to 300-600, so one of 12 megapixels comes as 375 of its 3,000 and one of 24 as 500 of
4,000. Of 80 photos of 512 pixels brought down to 302, the median change was 0.002 or less in `brightness`, `exposure`, `contrast`, `shadows`, `highlights` and `haze`, 0.08 of 38 in
`colourfulness`, and 0.02 of 0.65 in `sharpness`; but the median `laplacian` rose from 319 to 452 and `noise` from 0.24 to 0.37, since texture becomes finer, and `blockiness` fell
from 0.23 to 0.01. So compare these three among photos that were decoded alike: give `read_image` the side `DECODED_SIDE`, and all large photos come with 512 or more."""

DECODED_SIDE = -(-SHORT // 3)
"""For `read_image(file, side=...)`, which decodes to at least three times that."""

_LONGEST = 4  # short sides that a panorama's copy is long, at most: a strip of 1:20 would take as long as five photos
_TILE = 32
_LEAST = 16  # pixels a side, below which there is no tile to measure
_WHITE, _BLACK = 250, 5  # of 255: JPEG and resizing leave clipped pixels a few levels away from the ends
_EXPOSED = 0.2  # σ of Mertens et al.


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured of a photo. Larger is better for `sharpness` and `exposure` alone; the others have no good end, or a bad one.

    `sharpness` in [0, 1]: see `sharpness`. `laplacian` from 0 up, in squared levels of 255: the variance of the Laplacian (Pech-Pacheco et al., "Diatom
    autofocusing in brightfield microscopy", ICPR 2000), which also grows with contrast, texture and noise. `brightness` in [0, 1]: the mean luma. `exposure` in
    [0, 1]: see `well_exposed`. `highlights` and `shadows` in [0, 1]: the shares of pixels whose brightest colour is at the upper end, and all of whose colours
    are at the lower end. `contrast` in [0, 0.5]: the standard deviation of luma (Peli, "Contrast in complex images", JOSA A 1990, the RMS contrast).
    `colourfulness` from 0 to about 180: see `colourfulness`. `noise` from 0 up, in levels of 255: see `noise`. `haze` in [0, 1]: see `haze_density`.
    `blockiness` from 0 up: see `blockiness`.
    """

    sharpness: float
    laplacian: float
    brightness: float
    exposure: float
    highlights: float
    shadows: float
    contrast: float
    colourfulness: float
    noise: float
    haze: float
    blockiness: float


def measure(pixels: RgbImage) -> Measures:
    """The measures of a photo, UInt8["height width 3"]; all finite, whatever the photo."""
    small = working_copy(pixels)
    luma = grey(small)
    mean, spread = _moments(luma)
    red, green, blue = cv2.split(small)
    brightest = cv2.max(cv2.max(red, green), blue)
    return Measures(
        sharpness=sharpness(luma),
        laplacian=_moments(np.asarray(cv2.Laplacian(luma, cv2.CV_32F), np.float32))[1] ** 2,
        brightness=mean / 255,
        exposure=well_exposed(small),
        highlights=float(np.count_nonzero(brightest >= _WHITE)) / brightest.size,
        shadows=float(np.count_nonzero(brightest <= _BLACK)) / brightest.size,
        contrast=spread / 255,
        colourfulness=colourfulness(small),
        noise=noise(luma),
        haze=haze_density(pixels),
        blockiness=blockiness(pixels),
    )


def working_copy(pixels: RgbImage, short: int = SHORT) -> RgbImage:
    """The photo brought down to `short` pixels on its short side, each the mean of what it covers; a smaller photo as it is, a very long one squeezed."""
    height, width = pixels.shape[:2]
    scale = min(1.0, short / min(height, width))
    longest = _LONGEST * max(1, round(scale * min(height, width)))
    size = tuple(max(1, min(longest, round(length * scale))) for length in (width, height))
    return pixels if size == (width, height) else np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def grey(pixels: RgbImage) -> NDArray[np.float32]:
    """Luma of BT.601, Float32["height width"] in [0, 255]."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.float32)


def sharpness(luma: NDArray[np.float32]) -> float:
    """How much of a photo's detail another blur takes away, in [0, 1], where the photo is sharpest.

    After Crété-Roffet, Dolmiere, Ladret, Nicolas, "The blur effect: perception and estimation with a new no-reference perceptual blur metric", SPIE 2007: of
    differences between neighbours, the part that is lost when the picture is blurred by 9 pixels along that direction; blurred pictures hardly lose any. It is a
    ratio, so it does not depend on contrast. Here 1 is sharp, as their 1 - blur, and the ratio is taken in tiles of 32 pixels, of which the one
    with more sharpness than 90 % of the others counts, each weighed by its differences: a portrait before a soft background is sharp. A light blur comes first, for noise.
    """
    if min(luma.shape) < _LEAST:
        return 0.0
    luma = np.asarray(cv2.GaussianBlur(luma, (0, 0), 0.7), np.float32)
    parts = []
    for axis, kernel in ((1, (9, 1)), (0, (1, 9))):
        before, after = _steps(luma, axis), _steps(np.asarray(cv2.blur(luma, kernel), np.float32), axis)
        lost = np.maximum(before - after, 0)
        parts.append((_tile_means(before), _tile_means(lost)))
    best = 0.0
    for before, lost in parts:
        ratios, weights = (lost / (before + 0.5)).ravel(), before.ravel()
        order = np.argsort(ratios)
        share = np.cumsum(weights[order]) / max(float(weights.sum()), 1e-6)
        best += float(ratios[order][min(int(np.searchsorted(share, 0.9)), len(order) - 1)])
    return best / 2


def well_exposed(pixels: RgbImage) -> float:
    """The mean over pixels of exp(-(i - 0.5)² / 2σ²) with σ = 0.2, multiplied over the three colours and brought back by the cube root: Mertens, Kautz, Van Reeth,
    "Exposure fusion", Pacific Graphics 2007, section 3.1. In [0, 1]: near 0 for black and for white, 1 for middle grey."""
    levels = np.arange(256, dtype=np.float64) / 255
    table = ((levels - 0.5) ** 2).astype(np.float32)
    red, green, blue = (np.asarray(cv2.LUT(channel, table), np.float32) for channel in cv2.split(pixels))
    return float(cv2.mean(cv2.exp((red + green + blue) * np.float32(-1 / (3 * 2 * _EXPOSED**2))))[0])


def colourfulness(pixels: RgbImage) -> float:
    """M⁽³⁾ of Hasler, Süsstrunk, "Measuring colourfulness in natural images", SPIE 2003: √(σ²rg + σ²yb) + 0.3 √(μ²rg + μ²yb), in levels of 255. They call 15 slightly,
    33 moderately, 45 averagely, 59 quite, 82 highly and 109 extremely colourful."""
    red, green, blue = (np.asarray(channel, np.float32) for channel in cv2.split(pixels))
    rg, yb = red - green, (red + green) * np.float32(0.5) - blue
    (mean_rg, spread_rg), (mean_yb, spread_yb) = _moments(rg), _moments(yb)
    return math.hypot(spread_rg, spread_yb) + 0.3 * math.hypot(mean_rg, mean_yb)


def noise(luma: NDArray[np.float32]) -> float:
    """The standard deviation of noise, in levels of 255, where the photo is flattest.

    Immerkær, "Fast noise variance estimation", CVIU 1996: √(π/2) / 6 times the mean size of what the difference of two Laplacians leaves, which is 0 wherever luma is a
    plane. Texture counts as noise in it, so it is taken in tiles of 32 pixels, of which the one with less than 90 % of the others counts; tiles that are clipped have lost
    theirs and are left out.
    """
    if min(luma.shape) < _LEAST:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    left = _tile_means(np.abs(cv2.filter2D(luma, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT)))
    levels = _tile_means(luma)
    open_tiles = (levels > 2 * _BLACK) & (levels < 255 - 2 * _BLACK)
    left = left[open_tiles] if open_tiles.any() else left
    return float(np.sqrt(np.pi / 2) / 6 * np.quantile(left, 0.1))


def blockiness(pixels: RgbImage) -> float:
    """How much larger steps between neighbours are at the edges of JPEG's blocks of 8×8 than elsewhere, from 0 up; 0.1 is faint, 1 is plain.

    After Wang, Sheikh, Bovik, "No-reference perceptual quality assessment of JPEG compressed images", ICIP 2002, equation 1: the mean size of horizontal and of vertical steps,
    here for each of the eight places that the grid can have, since a crop or a turn moves it. The largest of the eight over the second largest, less 1, and the mean
    of both directions. It needs the pixels as JPEG keeps them: of a photo decoded at a reduced size, or resized since, it tells nothing, and is about 0.
    """
    luma = grey(pixels)
    if min(luma.shape) < 2 * _LEAST:
        return 0.0
    excess = []
    for axis in (1, 0):
        steps = cv2.reduce(_steps(luma, axis), 1 - axis, cv2.REDUCE_AVG).ravel()
        means = sorted(float(steps[place::8].mean()) for place in range(8))
        excess.append((means[-1] + 0.05) / (means[-2] + 0.05) - 1)
    return sum(excess) / 2


def _steps(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """The sizes of differences between neighbours, from left to right for axis 1 and downwards for axis 0."""
    first, second = (values[:, :-1], values[:, 1:]) if axis else (values[:-1], values[1:])
    return np.asarray(cv2.absdiff(first, second), np.float32)


def _moments(values: NDArray[np.floating]) -> tuple[float, float]:
    """Mean and standard deviation."""
    mean, spread = cv2.meanStdDev(values)
    return float(mean[0, 0]), float(spread[0, 0])


def _tile_means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over tiles of about 32 pixels a side, at least one, Float32["row column"]."""
    rows, columns = (max(1, length // _TILE) for length in values.shape)
    return np.asarray(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
