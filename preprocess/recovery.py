"""The scene behind the haze: from transmission and atmospheric light back to 8-bit pixels, a strip of rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._opencv import cv2
from .guided_filter import GuidedFilter, strips
from .image import RgbImage

_BLUR = 5  # pixels of the window by which noise is told from the picture
_BLUR_SIGMA = 1.2
_NOISE_ROWS = 8
_NOISE_BANDS = 24  # 24 bands of 8 rows are enough for a figure that is right to a tenth, and cost nothing on a large photo
# The mask answers to noise of σ with σ · 6 · sqrt(2 / π) on average; the lower decile of the means of our cells is 0.77 of that.
_DECILE_TO_SIGMA = math.sqrt(math.pi / 2) / 6 / 0.77
_LAPLACE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Veil:
    """What hides the scene: the atmospheric light, Float32["3"] in [1, 255], and the model of the transmission, kept within [t0, 1]."""

    light: NDArray[np.float32]
    model: GuidedFilter
    t0: float

    def transmission(self, pixels: RgbImage) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """First and last row (exclusive) of strips, and their transmission, Float32["rows width"]."""
        rows = self.model.rows(pixels[..., 0])
        for top, bottom in strips(*pixels.shape[:2]):
            guide = np.asarray(cv2.cvtColor(pixels[top:bottom], cv2.COLOR_RGB2GRAY), np.uint8)
            yield top, bottom, self.bounded(rows.filtered(guide, top))

    def bounded(self, t: NDArray[np.float32]) -> NDArray[np.float32]:
        """`t` within [t0, 1]."""
        return t.clip(np.float32(self.t0), np.float32(1))


def recover(pixels: RgbImage, veil: Veil, table: NDArray[np.uint8] | None = None, detail_t0: float = 0.0) -> RgbImage:
    """J = (I - A) / max(t, t0) + A (Eq. 22 of He, Sun, Tang, TPAMI 2011), rounded and cut to [0, 255].

    Args:
        pixels: UInt8["height width 3"].
        veil: A and t.
        table: 256 bytes that every value of the result goes through last, such as a tone curve.
        detail_t0: where t is below, fine detail is amplified by 1 / detail_t0 only, the rest of the picture by 1 / t as ever.
    """
    out = np.empty_like(pixels)
    for top, bottom, t in veil.transmission(pixels):
        gain = np.divide(np.float32(1), t)
        rest = np.subtract(np.float32(1), gain)
        strip = pixels[top:bottom]
        if detail_t0 > veil.t0:
            planes = _planes_without_noise(pixels, (top, bottom), gain, np.divide(np.float32(1), np.maximum(t, np.float32(detail_t0))))
        else:
            planes = [cv2.multiply(plane, gain, dtype=cv2.CV_32F) for plane in cv2.split(strip)]
        # One pass adds A · (1 - 1/t), rounds and cuts.
        planes = [cv2.addWeighted(p, 1, rest, float(a), 0, dtype=cv2.CV_8U) for p, a in zip(planes, veil.light, strict=True)]
        cv2.merge(planes, out[top:bottom])
        if table is not None:
            cv2.LUT(out[top:bottom], table, out[top:bottom])
    return out


def _planes_without_noise(
    pixels: RgbImage, span: tuple[int, int], gain: NDArray[np.float32], detail_gain: NDArray[np.float32]
) -> list[NDArray[Any]]:
    """The three planes of smooth · gain + (pixels - smooth) · detail_gain, for the rows of `span`."""
    top, bottom = span
    above = max(0, top - _BLUR // 2)
    wide = cv2.GaussianBlur(pixels[above : bottom + _BLUR // 2], (_BLUR, _BLUR), _BLUR_SIGMA)
    smooth = wide[top - above : bottom - above]
    more = gain - detail_gain
    return [
        cv2.multiply(plane, detail_gain, dtype=cv2.CV_32F) + cv2.multiply(base, more, dtype=cv2.CV_32F)
        for plane, base in zip(cv2.split(pixels[top:bottom]), cv2.split(smooth), strict=True)
    ]


def noise_level(pixels: RgbImage) -> float:
    """Standard deviation of the noise in brightness, in 8-bit steps, measured where the picture is flattest.

    Immerkær, "Fast Noise Variance Estimation", 1996: a mask that slopes do not answer to; but of small cells, of which the lower decile counts,
    because in the rest there is texture. Cells that are cut off at black or white show no noise, and are left out.
    """
    height, width = pixels.shape[:2]
    across = width // _NOISE_ROWS
    if min(height, width) < _NOISE_ROWS:
        return 0.0
    tops = np.unique(np.linspace(0, height - _NOISE_ROWS, _NOISE_BANDS).astype(int))
    bands = np.concatenate([pixels[top : top + _NOISE_ROWS, : across * _NOISE_ROWS] for top in tops])
    grey = np.asarray(cv2.cvtColor(bands, cv2.COLOR_RGB2GRAY), np.uint8)
    answer = np.abs(cv2.filter2D(grey, cv2.CV_32F, _LAPLACE)).reshape(len(tops), _NOISE_ROWS, -1)
    inner = np.ascontiguousarray(answer[:, 1:-1]).reshape(-1, grey.shape[1])  # the mask must not see two bands at once
    inside = ((grey > 0) & (grey < 255)).view(np.uint8)
    means = cv2.resize(inner, (across, len(tops)), interpolation=cv2.INTER_AREA)
    found = means[cv2.erode(inside, np.ones((_NOISE_ROWS, _NOISE_ROWS)), anchor=(0, 0))[::_NOISE_ROWS, ::_NOISE_ROWS] > 0]
    return float(np.quantile(found, 0.1)) * _DECILE_TO_SIGMA if found.size else 0.0
