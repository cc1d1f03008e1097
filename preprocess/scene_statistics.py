"""Statistics that photos of nature have in common, and that blur, noise and compression change.

After Mittal, Moorthy, Bovik, "No-reference image quality assessment in the spatial domain" (BRISQUE), IEEE TIP 2012: luma I, brought to local mean 0 and deviation 1,

    Î = (I - μ) / (σ + 1),    μ and σ in a Gaussian window of 7×7 with a deviation of 7/6        (equations 1-3)

follows a generalised Gaussian, and products of neighbours an asymmetric one; how they lie, at three scales, tells what was done to the photo. Beside these 18 numbers a scale: how σ itself
is spread, and the generalised Gaussian of σ brought to local mean 0 in the same way, which Zhang, Zhang, Bovik, "A feature-enriched completely blind image quality evaluator", IEEE TIP 2015,
use of gradients.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ._opencv import cv2
from .image import RgbImage

SCALES = 3
STATISTICS = (
    "shape", "variance",
    *(f"{part}_{way}" for way in ("across", "down", "falling", "rising") for part in ("shape", "mean", "left", "right")),
    "deviation_mean", "deviation_spread", "deviation_10", "deviation_50", "deviation_90", "deviation_shape", "deviation_variance",
)  # fmt: skip
"""Of one scale, in order; variances and shapes as logarithms."""
_LEAST = 32  # pixels a side: the third scale has 8
_WINDOW, _SIGMA = (7, 7), 7 / 6
_FAINT = 1e-4  # variance below which there is nothing to see, so that logarithms stay finite


def natural_statistics(pixels: RgbImage) -> NDArray[np.float32]:
    """Of a photo, UInt8["height width 3"], as it is, at full size, half and a quarter: Float32["75"]; finite, whatever the photo. Its edges are repeated where it is small."""
    luma = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.float32)
    down, right = (max(0, _LEAST - length) for length in luma.shape)
    if down or right:
        luma = np.asarray(cv2.copyMakeBorder(luma, 0, down, 0, right, cv2.BORDER_REPLICATE), np.float32)
    found: list[float] = []
    for scale in range(SCALES):
        if scale:
            luma = np.asarray(cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32)
        found += _of_scale(luma)
    return np.array(found, np.float32)


def _of_scale(luma: NDArray[np.float32]) -> list[float]:
    even, deviation = evened(luma)
    found = [*_logarithms(*symmetric(even))]
    for first, second in (
        (even[:, :-1], even[:, 1:]),
        (even[:-1], even[1:]),
        (even[:-1, :-1], even[1:, 1:]),
        (even[:-1, 1:], even[1:, :-1]),
    ):
        shape, mean, left, right = asymmetric(first * second)
        found += [math.log(shape), mean, math.log(left + _FAINT), math.log(right + _FAINT)]
    spread = np.log(deviation + 1)
    found += [float(spread.mean()), float(spread.std()), *(float(value) for value in np.quantile(spread, (0.1, 0.5, 0.9)))]
    return [*found, *_logarithms(*symmetric(evened(deviation)[0]))]


def evened(luma: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Î, and the deviation σ that it was divided by, both Float32["height width"]."""
    mean = cv2.GaussianBlur(luma, _WINDOW, _SIGMA)
    squares = cv2.GaussianBlur(luma * luma, _WINDOW, _SIGMA)
    deviation = np.sqrt(np.maximum(squares - mean * mean, 0), dtype=np.float32)
    return np.asarray((luma - mean) / (deviation + 1), np.float32), deviation


def symmetric(values: NDArray[np.float32]) -> tuple[float, float]:
    """Shape α, between 0.2 and 10, and variance of the generalised Gaussian that fits: α = 2 is the normal distribution, 1 that of Laplace. By moments: Sharifi, Leon-Garcia, "Estimation
    of shape parameter for generalized Gaussian distributions in subband decompositions of video", IEEE TCSVT 1995."""
    variance, size = float(np.square(values).mean()), float(np.abs(values).mean())
    return _shape_of(size * size / (variance + 1e-12)), variance


def asymmetric(values: NDArray[np.float32]) -> tuple[float, float, float, float]:
    """Shape, mean η, and the variances left and right of 0 of the asymmetric generalised Gaussian that fits; section III-A of BRISQUE, by the moments of Lasmar, Stitou,
    Berthoumieu, "Multiscale skewed heavy tailed model for texture analysis", ICIP 2009."""
    variances = []
    for sign in (-1, 1):
        half = np.maximum(sign * values, 0)
        variances.append(float(np.square(half).sum()) / max(1, int(np.count_nonzero(half))))
    left, right = (math.sqrt(max(variance, 1e-12)) for variance in variances)
    ratio, size = left / right, float(np.abs(values).mean())
    part = size * size / (float(np.square(values).mean()) + 1e-12)
    part *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = _shape_of(part)
    mean = (right - left) * math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape)) * math.gamma(2 / shape) / math.gamma(1 / shape)
    return shape, mean, variances[0], variances[1]


def _logarithms(shape: float, variance: float) -> tuple[float, float]:
    return math.log(shape), math.log(variance + _FAINT)


def _shape_of(ratio: float) -> float:
    shapes, ratios = _table()
    return float(shapes[min(int(np.searchsorted(ratios, ratio)), len(shapes) - 1)])


@cache
def _table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shapes, and the ascending ratio (E|x|)² / E x² = Γ(2/α)² / (Γ(1/α) Γ(3/α)) of each."""
    shapes = np.arange(200, 10_001) / 1000
    ratios = np.array([math.gamma(2 / a) ** 2 / (math.gamma(1 / a) * math.gamma(3 / a)) for a in shapes])
    return shapes, ratios
