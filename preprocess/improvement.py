"""Whether a dehazed picture is better than the picture, told without a haze-free reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._opencv import cv2
from .errors import InputError
from .image import RgbImage

SIDE = 192  # pixels of the long side on which both are compared: noise and JPEG blocks do not count as sharpness there
_WINDOW = (15, 15)
_BLACK, _WHITE = 2, 253  # of 255: a pixel is clipped where its brightest channel is at most, or its darkest at least this


@dataclass(frozen=True, slots=True)
class Change:
    """What dehazing did to a picture, at 192 pixels.

    `contrast` and `sharpness` are ratios, after to before: of the mean standard deviation in a 15×15 window, and of the mean of what a narrow blur takes away; `clipped` is the
    share of pixels that became pure black or white; `sky_clipped` the same of its bright, flat part; `cast` is how far the mean colour of the bright, flat
    part moved, in units of CIELAB (a*, b*); 0 where it has no such part.
    """

    contrast: float
    sharpness: float
    clipped: float
    sky_clipped: float
    cast: float


@dataclass(frozen=True, slots=True)
class ImprovementOptions:
    """How much better a dehazed picture must be, and what it may cost.

    Of hazy photos, nine of ten have 1.1 to 2.4 times the contrast when dehazed by the dark channel, and at most 1% of their pixels are clipped.
    """

    min_contrast: float = 1.05
    min_sharpness: float = 1.05
    max_clipped: float = 0.05
    max_sky_clipped: float = 0.1
    max_cast: float = 30.0  # a blue sky behind haze looks white, and moves by 20 to 30 when it is blue again


def refusal(before: RgbImage, after: RgbImage, options: ImprovementOptions | None = None) -> str:
    """Why `after` is not worth keeping, in a few words; empty where it is.

    Raises:
        InputError: the two differ in size.
    """
    o, change = options or ImprovementOptions(), measure_change(before, after)
    if change.contrast < o.min_contrast:
        return "no gain in contrast"
    if change.sharpness < o.min_sharpness:
        return "no gain in sharpness"
    if change.sky_clipped > o.max_sky_clipped:
        return "clipped sky"
    if change.clipped > o.max_clipped:
        return "clipped pixels"
    if change.cast > o.max_cast:
        return "colour cast"
    return ""


def measure_change(before: RgbImage, after: RgbImage) -> Change:
    """What differs between a picture and its dehazed copy.

    Raises:
        InputError: the two differ in size.
    """
    if before.shape != after.shape:
        raise InputError(f"The dehazed picture has the shape {after.shape}, the picture {before.shape}. A dehazer keeps the size.")
    was, now = _Look(before), _Look(after)
    new = now.clipped & ~was.clipped
    sky = was.bright_flat
    enough = sky.mean() > 0.02
    shift = now.chroma[sky].mean(0) - was.chroma[sky].mean(0) if enough else np.zeros(2, np.float32)
    return Change(
        contrast=(now.contrast + 1e-3) / (was.contrast + 1e-3),
        sharpness=(now.sharpness + 1e-3) / (was.sharpness + 1e-3),
        clipped=float(new.mean()),
        sky_clipped=float(new[sky].mean()) if enough else 0.0,
        cast=float(np.hypot(*shift)),
    )


class _Look:
    """Contrast, sharpness, clipped pixels, colours and the bright flat part of a small copy of a picture."""

    def __init__(self, pixels: RgbImage) -> None:
        height, width = pixels.shape[:2]
        scale = min(1.0, SIDE / max(height, width))
        small = cv2.resize(pixels, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
        lab = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2Lab), np.float32)  # in bytes: L* is stretched to 255, a* and b* begin at 128
        luma, self.chroma = np.ascontiguousarray(lab[..., 0]) / np.float32(255), lab[..., 1:]
        mean = cv2.blur(luma, _WINDOW)
        spread = np.sqrt(np.maximum(cv2.blur(luma * luma, _WINDOW) - mean * mean, 0))
        detail = np.abs(luma - cv2.GaussianBlur(luma, (5, 5), 1.0))
        self.contrast, self.sharpness = float(spread.mean()), float(detail.mean())
        red, green, blue = cv2.split(small)
        brightest, darkest = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
        self.clipped: NDArray[np.bool_] = (np.asarray(brightest) <= _BLACK) | (np.asarray(darkest) >= _WHITE)
        self.bright_flat: NDArray[np.bool_] = (mean > max(0.55, float(np.median(mean)))) & (spread < 0.02)
