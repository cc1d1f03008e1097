"""Single image haze removal by the dark channel prior.

He, Sun, Tang, "Single Image Haze Removal Using Dark Channel Prior", CVPR 2009 and TPAMI 33(12), 2011. Equations are numbered as in the latter. A hazy
picture is I = J · t + A · (1 - t) (Eq. 1): the scene J behind a veil of the atmospheric light A, which transmits the part t. Almost every patch of a clear
photo has a pixel that is nearly black in one colour (Eq. 6), so what is left of that blackness measures the veil.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ._opencv import cv2
from .errors import InputError
from .guided_filter import fit_guided_filter, reduced, strips
from .image import RgbImage
from .recovery import Veil, noise_level, recover

_ONE = 32_768  # 1.0 in the 16-bit map of I / A, which reaches 2.0


@dataclass(frozen=True, slots=True)
class DarkChannelOptions:
    """How haze is estimated and removed. The values here are the published ones; the treatments of known failures are off."""

    id: str
    """Name and version of these values, as a recipe shows it."""
    side: int = 0
    """The estimate is made on a copy whose short side has about this many pixels; 0: on the whole picture. `radius` and `refine_radius` count in it."""
    radius: int = 7
    """Of the square window of the dark channel, in pixels."""
    brightest: float = 0.001
    """The share of pixels, those with the brightest dark channel, that the atmospheric light is taken from."""
    light: Literal["brightest", "mean"] = "brightest"
    """Of those: the pixel that is brightest in grey (published, as the highest intensity), or their mean colour, which no lamp or white wall decides alone."""
    omega: float = 0.95
    """The share of the haze that is removed, in (0, 1]; a little that is left keeps distance visible."""
    refine_radius: int = 60
    """Of the window of the guided filter, in pixels."""
    eps: float = 1e-4
    """Of the guided filter: the variance of brightness, white being 1, that counts as flat."""
    refine_step: int = 2
    """Of the fast guided filter: it is fitted on cells of this many pixels a side."""
    t0: float = 0.1
    """The least transmission; detail is never amplified by more than 1 / t0."""
    sky: float = 0.0
    """The share of haze that is left where everything is flat and nearly as bright and colourless as the light, in [0, 1]."""
    brightness: float = 0.0
    """The share of lost brightness that is given back, in [0, 1]."""
    max_noise: float = math.inf
    """Noise is not amplified beyond this standard deviation, in 8-bit steps: fine detail is amplified less where there is much of it."""

    def __post_init__(self) -> None:
        for name, right in {
            "side": self.side >= 0, "radius": self.radius >= 0, "brightest": 0 < self.brightest <= 1, "light": self.light in ("brightest", "mean"),
            "omega": 0 < self.omega <= 1, "refine_radius": self.refine_radius >= 1, "eps": self.eps > 0, "refine_step": self.refine_step >= 1,
            "t0": 0 < self.t0 <= 1, "sky": 0 <= self.sky <= 1, "brightness": 0 <= self.brightness <= 1, "max_noise": self.max_noise > 0,
        }.items():  # fmt: skip
            if not right:
                raise InputError(
                    f"The option {name} of the dark channel is {getattr(self, name)!r}: out of range. DarkChannelOptions says what each takes."
                )


_DEFAULT = DarkChannelOptions(
    "dark-channel-1", side=230, light="mean", brightest=0.002, omega=0.93, refine_radius=30, eps=3e-3, refine_step=2, t0=0.15,
    sky=0.7, brightness=0.5, max_noise=6.0,
)  # fmt: skip

PRESETS: Mapping[str, DarkChannelOptions] = {
    "default": _DEFAULT,
    "search": replace(_DEFAULT, id="dark-channel-search-1", sky=0.0, t0=0.1),
    "paper": DarkChannelOptions("dark-channel-paper-1"),
}
"""What measured best on pairs; what measured best for search, where nobody looks at the picture: dense haze is as bright, flat and grey as a sky, so that
its protection protects the haze too; and what was published. See docs/dark-channel.md and docs/haze.md for the figures."""

# Between these the sky's protection sets in, smoothly: how near to the light the darkest colour is, and the standard deviation of brightness, both in
# windows of this radius, in cells of the guided filter.
_NEAR = (0.85, 1.0)
_FLAT = (0.005, 0.02)
_FLAT_RADIUS = 3
_LEAST_MEAN = 0.4  # brightness is given back below this mean of grey: middle grey of sRGB is 0.46
_STRONGEST_CURVE = 0.6  # the least exponent of the tone curve


@dataclass(frozen=True, slots=True, eq=False)
class Haze:
    """The estimate: `transmission`, Float32["height width"] in [t0, 1], and the atmospheric `light`, Float32["3"], RGB in [1, 255]."""

    transmission: NDArray[np.float32]
    light: NDArray[np.float32]


class DarkChannel:
    """The dehazer: RGB to RGB of the same size. It keeps nothing between calls, so threads may share one."""

    def __init__(self, options: DarkChannelOptions) -> None:
        self.options, self.id = options, options.id

    def __call__(self, pixels: RgbImage) -> RgbImage:
        """The dehazed picture, UInt8["height width 3"].

        Raises:
            InputError: `pixels` is not an 8-bit RGB picture, or is empty.
        """
        pixels = _checked(pixels)
        veil, guide = self._veil(pixels)
        limit = self.options.max_noise
        detail_t0 = min(noise_level(pixels) / limit, 1.0) if math.isfinite(limit) else 0.0
        return recover(pixels, veil, self._tone_curve(veil, guide), detail_t0)

    def estimate(self, pixels: RgbImage) -> Haze:
        """Transmission and light, as `__call__` uses them.

        Raises:
            InputError: `pixels` is not an 8-bit RGB picture, or is empty.
        """
        pixels = _checked(pixels)
        veil, _ = self._veil(pixels)
        return Haze(np.concatenate([t for _, _, t in veil.transmission(pixels)]), veil.light)

    def _veil(self, pixels: RgbImage) -> tuple[Veil, NDArray[np.uint8]]:
        """The estimate in its compact form, and the reduced grey picture that it was fitted on."""
        o = self.options
        step = max(1, round(min(pixels.shape[:2]) / o.side)) if o.side else 1
        small = reduced(pixels, step)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        light = atmospheric_light(small, grey, o)
        ratio = _least(small, [ratio_table(value) for value in light])
        # Eq. 12, in 16 bits.
        guide = reduced(grey, o.refine_step)
        t = reduced(_eroded(ratio, o.radius), o.refine_step).astype(np.float32)
        t *= np.float32(-o.omega / _ONE)
        t += np.float32(1)
        if o.sky:
            t += (1 - t) * (np.float32(o.sky) * _sky(reduced(ratio, o.refine_step), guide))
        radius = max(1, round(o.refine_radius / o.refine_step))
        return Veil(light, fit_guided_filter(guide, t, radius, o.eps, step * o.refine_step), o.t0), guide

    def _tone_curve(self, veil: Veil, guide: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """256 bytes that give back some of the brightness that went with the haze, or none where there is nothing to give back.

        A power, so that nothing is cut off at white; and never beyond the mean of the hazy picture, so that a night stays one.
        """
        if not self.options.brightness:
            return None
        grey = guide.astype(np.float32) / 255
        light = float(np.dot(veil.light, (0.299, 0.587, 0.114))) / 255
        found = float(((grey - light) / veil.bounded(veil.model.cells(guide)) + light).clip(0, 1).mean())
        wanted = min(_LEAST_MEAN, float(grey.mean()))
        if not 0 < found < wanted:
            return None
        wanted = found + self.options.brightness * (wanted - found)
        power = max(_STRONGEST_CURVE, math.log(wanted) / math.log(found))
        return np.asarray(np.rint(255 * (np.arange(256) / 255) ** power), np.uint8)


def dark_channel(pixels: RgbImage, radius: int) -> NDArray[np.uint8]:
    """The least value of any colour in the square window around each pixel (Eq. 5), UInt8["height width"].

    A minimum of 8-bit values is exact in 8 bits. Over RGB first, then along rows, then along columns: OpenCV's erosion does the latter two by vectors.
    """
    return _eroded(_least(pixels), radius)


def atmospheric_light(pixels: RgbImage, grey: NDArray[np.uint8], options: DarkChannelOptions) -> NDArray[np.float32]:
    """The colour of the haze, Float32["3"] in [1, 255] (section 4.3): from the pixels with the brightest dark channel, `options.brightest` of all.

    A histogram of the 8-bit values finds their threshold, without sorting. Pixels of one value count all or not at all, whichever comes nearer to
    the share.
    """
    dark = dark_channel(pixels, options.radius)
    at_least = np.cumsum(cv2.calcHist([dark], [0], None, [256], [0, 256]).ravel()[::-1])[::-1]
    wanted = max(1.0, options.brightest * dark.size)
    apart = np.abs(np.log(at_least.clip(1) / wanted))
    threshold = int(np.argmin(np.where(at_least > 0, apart, np.inf)))
    among = (dark >= threshold).view(np.uint8)
    if options.light == "mean":
        light = cv2.mean(pixels, among)[:3]
    else:
        column, row = cv2.minMaxLoc(grey, among)[3]
        light = pixels[row, column]
    return np.maximum(np.asarray(light, np.float32), 1)


def _checked(pixels: RgbImage) -> RgbImage:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(
            f"A dehazer takes 8-bit RGB of shape (height, width, 3), not {pixels.dtype} of shape {pixels.shape}. Use read_image."
        )
    return np.ascontiguousarray(pixels)


def _least(pixels: RgbImage, tables: Sequence[NDArray[np.uint16]] = ()) -> NDArray[Any]:
    """The least of the three colours, UInt8["height width"]; with a table for each colour, of what it makes of them, UInt16."""
    height, width = pixels.shape[:2]
    out = np.empty((height, width), np.uint16 if tables else np.uint8)
    for top, bottom in strips(height, width):
        planes = cv2.split(pixels[top:bottom])
        if tables:
            planes = [cv2.LUT(plane, table) for plane, table in zip(planes, tables, strict=True)]
        out[top:bottom] = cv2.min(cv2.min(planes[0], planes[1]), planes[2])
    return out


def ratio_table(light: float) -> NDArray[np.uint16]:
    """I / A of one colour for each 8-bit I, 256 values, 32,768 being 1; cut off just below 2. One division for each value instead of for each pixel."""
    return np.asarray(np.minimum(np.rint(np.arange(256) * (_ONE / light)), 65535), np.uint16)


def _eroded(values: NDArray[Any], radius: int) -> NDArray[Any]:
    height, width = values.shape
    window = (2 * min(radius, height) + 1, 2 * min(radius, width) + 1)
    return np.asarray(cv2.erode(values, np.ones(window, np.uint8)), values.dtype)


def _sky(ratio: NDArray[np.uint16], guide: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much each place looks like sky or water in haze, in [0, 1]: near to the light in every colour, and flat. There Eq. 6 does not hold."""
    window = (2 * _FLAT_RADIUS + 1,) * 2
    near = np.asarray(cv2.blur(ratio.astype(np.float32) / _ONE, window), np.float32)
    grey = guide.astype(np.float32) / 255
    mean = cv2.blur(grey, window)
    spread = np.sqrt(np.maximum(cv2.blur(grey * grey, window) - mean * mean, 0))
    return _smooth_step(near, *_NEAR) * (1 - _smooth_step(spread, *_FLAT))


def _smooth_step(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """0 below `low`, 1 above `high`, and a cubic without corners between."""
    x = ((values - np.float32(low)) / np.float32(high - low)).clip(0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)
