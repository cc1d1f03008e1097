"""How hazy a photo is, from statistics of a small copy of it.

Haze adds light of its own colour to what is behind it: the darkest channel of a patch is no longer dark (He, Sun, Tang: Single Image Haze Removal Using
Dark Channel Prior, 2009), value rises while saturation falls (Zhu, Mai, Shao: A Fast Single Image Haze Removal Algorithm Using Color Attenuation Prior,
2015), and local contrast fades. A logistic model weighs these.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ._opencv import cv2
from .image import RgbImage

SIDE = 64  # haze is smooth, so a thumbnail shows it, and a JPEG that was decoded at reduced size gives the same thumbnail
_THIRD = SIDE // 3
_DARK = 38  # of 255. Haze is bright: a photo that hardly reaches this value anywhere, as behind a lens cap, shows none
_LIMIT = 4.0  # spreads from the mean: what lies further out than nearly all photos of the fit says no more than that

# Made by: python training/haze_gate.py --data DATA
MODEL: dict[str, tuple[float, float, float]] = {
    "dark_middle": (0.2637, 0.1687, 0.2873),
    "dark_upper": (0.3306, 0.2156, 0.5444),
    "dark_1": (0.0461, 0.0955, 0.7580),
    "value_1": (0.1508, 0.1493, -0.6537),
    "value_10": (0.2750, 0.1792, -0.6310),
    "gap": (0.2482, 0.2485, -0.3201),
    "colourfulness": (0.1435, 0.0983, -0.6574),
    "white": (0.0194, 0.0739, -0.2390),
    "contrast": (0.4324, 0.1758, -0.6917),
    "contrast_5": (0.1195, 0.1155, -0.3783),
    "contrast_50": (0.4377, 0.2189, -0.3372),
    "contrast_95": (0.7359, 0.1962, -1.1387),
    "spread_middle": (0.0996, 0.0412, -0.7738),
    "log_relative_lower": (-1.7109, 0.6368, 0.2448),
    "log_detail_25": (-4.7948, 0.5334, 0.4674),
    "log_detail_95": (-2.2510, 0.5142, 0.2350),
}
"""A row a feature: its mean and spread over the photos of the fit, and its weight in spreads."""

BIAS = -3.5107


def haze_density(pixels: RgbImage) -> float:
    """Haze density in [0, 1]: the chance that a person calls the photo hazy, where one photo in seven is.

    So at 0.5, hazy and clear photos are equally frequent in such a library; where haze is rarer, more of those at 0.5 are clear. It says how sure haze is
    rather than how much there is: photos in thin haze lie anywhere between.
    """
    small = _thumbnail(pixels)
    features = _features(small)
    logit = BIAS
    for name, (mean, spread, weight) in MODEL.items():
        logit += weight * min(max((features[name] - mean) / spread, -_LIMIT), _LIMIT)
    (brightest,) = _percentiles(small, 99)
    return min(1.0, brightest / _DARK) / (1 + math.exp(-logit))


def haze_features(pixels: RgbImage) -> dict[str, float]:
    """The statistics that `haze_density` weighs, of the photo squashed to a square of `SIDE` pixels. All are finite, whatever the photo."""
    return _features(_thumbnail(pixels))


def _thumbnail(pixels: RgbImage) -> RgbImage:
    return np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _features(small: RgbImage) -> dict[str, float]:
    luma = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32) / np.float32(255)
    return {**_colours(small), **_contrasts(luma)}


def _colours(small: RgbImage) -> dict[str, float]:
    """The dark channel in its parts, the darkest values, value against saturation, and colourfulness (Hasler, Süsstrunk: Measuring Colourfulness in
    Natural Images, 2003)."""
    red, green, blue = cv2.split(small)
    value, darkest = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    dark = cv2.erode(darkest, np.ones((5, 5), np.uint8))
    value_f, darkest_f = value.astype(np.float32) / 255, darkest.astype(np.float32) / 255
    saturation = (value_f - darkest_f) / np.maximum(value_f, 1 / 255)
    red_f, green_f, blue_f = (np.asarray(channel, np.float32) / np.float32(255) for channel in (red, green, blue))
    (mean_rg, spread_rg), (mean_yb, spread_yb) = _moments(red_f - green_f), _moments((red_f + green_f) * np.float32(0.5) - blue_f)
    dark_1, (value_1, value_10) = _percentiles(dark, 1)[0], _percentiles(value, 1, 10)
    return {
        "dark_middle": float(dark[_THIRD:-_THIRD].mean()) / 255,
        "dark_upper": float(dark[:_THIRD].mean()) / 255,
        "dark_1": dark_1 / 255,
        "value_1": value_1 / 255,
        "value_10": value_10 / 255,
        "gap": float((value_f - saturation).mean()),
        "colourfulness": math.hypot(spread_rg, spread_yb) + 0.3 * math.hypot(mean_rg, mean_yb),
        "white": cv2.countNonZero(cv2.inRange(darkest, 248, 255)) / SIDE**2,
    }


def _contrasts(luma: NDArray[np.float32]) -> dict[str, float]:
    """Contrast in windows, as Michelson's ratio and as a standard deviation, absolute and over the mean; and the finest detail."""
    window = np.ones((9, 9), np.uint8)
    low, high = cv2.erode(luma, window), cv2.dilate(luma, window)
    contrast = (high - low) / (high + low + 0.05)
    mean = cv2.blur(luma, (7, 7))
    spread = np.sqrt(np.maximum(cv2.blur(luma * luma, (7, 7)) - mean * mean, 0))
    relative = spread[-_THIRD:] / (mean[-_THIRD:] + 0.05)
    low_5, middle, high_95 = _percentiles(contrast, 5, 50, 95)
    detail_25, detail_95 = _percentiles(np.abs(luma - cv2.GaussianBlur(luma, (5, 5), 1.0)), 25, 95)
    return {
        "contrast": float(contrast.mean()),
        "contrast_5": low_5,
        "contrast_50": middle,
        "contrast_95": high_95,
        "spread_middle": float(spread[_THIRD:-_THIRD].mean()),
        "log_relative_lower": math.log(float(relative.mean()) + 0.003),
        "log_detail_25": math.log(detail_25 + 0.003),
        "log_detail_95": math.log(detail_95 + 0.003),
    }


def _moments(values: NDArray[np.float32]) -> tuple[float, float]:
    mean, spread = cv2.meanStdDev(values)
    return float(mean[0, 0]), float(spread[0, 0])


def _percentiles(values: NDArray[np.generic], *percents: int) -> list[float]:
    """Values with so many percent of the others below them, without a full sort."""
    places = [(values.size - 1) * percent // 100 for percent in percents]
    ordered = np.partition(values, places, axis=None)
    return [float(ordered[place]) for place in places]
