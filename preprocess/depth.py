"""Relative depth from haze: the farther, the more of it.

Koschmieder's law, t = exp(-β · d), as in Eq. 2 of He, Sun, Tang, "Single Image Haze Removal Using Dark Channel Prior", TPAMI 2011. Depths of one photo
can be compared with each other, not with those of another: how dense its haze is, nobody knows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._opencv import cv2
from .dark_channel import PRESETS, DarkChannel
from .errors import InputError
from .image import RgbImage

# Of the default preset; but the sky is far, not near, and nothing is amplified, so that t may become small.
_ESTIMATOR = DarkChannel(replace(PRESETS["default"], id="depth-1", sky=0.0, t0=0.05))

_ONE_DEPTH = 1e-5  # rounding makes differences of 2e-7 in a photo of one colour; one 8-bit step of a photo makes 4e-3, both at β = 1

LEAST_TRANSMISSION = 1 - _ESTIMATOR.options.omega
"""What the method finds at the horizon: depth cannot be above -log of it (2.66 at β = 1) by much."""


@dataclass(frozen=True, slots=True)
class RegionDepth:
    """Relative depth within a region, and how many pixels that was taken from. `p10` and `p90` are the 10th and 90th percentile."""

    mean: float
    median: float
    p10: float
    p90: float
    pixels: int


def relative_depth(pixels: RgbImage, beta: float = 1.0) -> NDArray[np.float32]:
    """-log(t) / β for each pixel, Float32["height width"], 0 or more; larger is farther.

    White things look far away, because white and haze are the same to the dark channel; where there is no haze, this is no depth at all.

    Args:
        pixels: UInt8["height width 3"].
        beta: the scattering coefficient, per unit of depth; any positive number. It only sets the unit.

    Raises:
        InputError: `beta` is not a positive number, or `pixels` is not an 8-bit RGB picture.
    """
    if not (beta > 0 and math.isfinite(beta)):
        raise InputError(f"The scattering coefficient beta is {beta}; it must be a positive number, such as 1.")
    depth = _ESTIMATOR.estimate(pixels).transmission
    np.log(depth, out=depth)
    depth *= np.float32(-1 / beta)
    return np.abs(depth, out=depth)  # -0.0 becomes 0.0; nothing else here is negative


def depth_heat_map(depth: NDArray[np.float32]) -> RgbImage:
    """Depth in the perceptually uniform palette "inferno", UInt8["height width 3"]: nearest black, farthest yellow.

    Stretched between the 1st and the 99th percentile, so that a few odd pixels do not take all the contrast. A map of one depth, to
    within rounding, is black.

    Raises:
        InputError: `depth` has not two dimensions, is empty, or holds something that is not a number.
    """
    _check_map(depth)
    low, high = np.percentile(depth, (1, 99))
    scale = 255 / (high - low) if high - low > _ONE_DEPTH else 0.0
    grey = np.rint(((depth - np.float32(low)) * np.float32(scale)).clip(0, 255)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), np.uint8)


def region_depth(depth: NDArray[np.float32], mask: NDArray[Any]) -> RegionDepth:
    """Statistics of `depth`, Float32["height width"], where `mask`, of the same shape, is not zero.

    >>> region_depth(np.float32([[0, 1], [2, 3]]), np.array([[False, True], [True, True]]))
    RegionDepth(mean=2.0, median=2.0, p10=1.2, p90=2.8, pixels=3)

    Raises:
        InputError: the mask is of another shape or empty, or `depth` holds something that is not a number.
    """
    _check_map(depth)
    if mask.shape != depth.shape:
        raise InputError(f"The mask has shape {mask.shape}, the depth {depth.shape}. Make the mask for the same picture.")
    inside = depth[mask.astype(bool)].astype(np.float64)  # of a region, so small; the percentiles below then print as people expect
    if not inside.size:
        raise InputError("The mask is empty: no pixel of it is set. Leave such regions out.")
    p10, median, p90 = (round(float(value), 6) for value in np.percentile(inside, (10, 50, 90)))
    return RegionDepth(round(float(inside.mean()), 6), median, p10, p90, inside.size)


def _check_map(depth: NDArray[np.float32]) -> None:
    if depth.ndim != 2 or not depth.size or not np.isfinite(depth).all():
        raise InputError(
            f"A depth map has shape (height, width) and finite values; this one has shape {depth.shape}. Make it with relative_depth."
        )
