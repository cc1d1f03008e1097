"""Haze on a clear photo, by the atmospheric model with a plausible depth: the same for the same photo every time."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .guided_filter import fit_guided_filter
from .image import RgbImage


def add_haze(pixels: RgbImage, mean_t: float, name: str) -> RgbImage:
    """A copy in haze: I = J·t + A·(1 - t) with t = exp(-β·depth), and β such that the mean of t is `mean_t`, in (0, 1]; 1 is the photo itself.

    The depth grows upwards, as on a plain seen in perspective, with hills and valleys at random, and follows the edges of the picture. The light A is
    0.75-0.95, slightly tinted. `name` is what the random choices are drawn from: each strength of a photo has the same depth and light.
    """
    if not 0 < mean_t <= 1:
        raise ValueError(f"mean_t is {mean_t}; the mean transmission lies above 0, and 1 at most.")
    if mean_t == 1:
        return pixels.copy()
    random = np.random.default_rng(zlib.crc32(name.encode()))
    light = 255 * (random.uniform(0.75, 0.95) * random.uniform(0.97, 1.03, 3)).clip(0, 1).astype(np.float32)
    t = _transmission(_depth(pixels, random), mean_t)[..., None]
    return (pixels * t + light * (1 - t)).round().clip(0, 255).astype(np.uint8)


def _transmission(depth: NDArray[np.float32], mean_t: float) -> NDArray[np.float32]:
    """exp(-β·depth) for the β that gives this mean, by bisection: the mean falls as β grows. Every fourth row and column is enough to find it."""
    sample = depth[::4, ::4] if min(depth.shape) > 16 else depth
    thin, thick = 0.0, 1.0
    while np.exp(-thick * sample).mean() > mean_t:
        thin, thick = thick, 2 * thick
    for _ in range(16):
        middle = (thin + thick) / 2
        thin, thick = (middle, thick) if np.exp(-middle * sample).mean() > mean_t else (thin, middle)
    return np.asarray(np.exp(np.float32(-thick) * depth), np.float32)


def _depth(pixels: RgbImage, random: np.random.Generator) -> NDArray[np.float32]:
    """Relative depth, above 0: 0.35 at the bottom, about 1.35 at the top, hills of ±0.25, then filtered along the picture's edges."""
    height, width = pixels.shape[:2]
    hills = Image.fromarray(random.normal(size=(4, 4)).astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    rise = np.linspace(1, 0, height, dtype=np.float32)[:, None] ** 1.5
    plain = np.maximum(0.35 + rise + 0.25 * np.asarray(hills, np.float32), 0.1)
    grey = pixels.mean(2, dtype=np.float32)
    model = fit_guided_filter(grey, plain, max(2, min(height, width) // 8), 1e-3)
    return np.maximum(model.cells(grey), np.float32(0.05))
