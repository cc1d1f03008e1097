"""Pixels as the numbers that networks take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]


def normalised_planes(pixels: NDArray[np.uint8], mean: Colour, std: Colour) -> NDArray[np.float32]:
    """Float32["... 3 height width"] of UInt8["... height width 3"]: values in [0, 1], less `mean`, over `std`, to the very bits of torchvision's ToTensor and
    Normalize."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    tables = (levels - np.array(mean, np.float32)[:, None]) / np.array(std, np.float32)[:, None]  # one colour's 256 values each
    return np.stack([tables[colour][pixels[..., colour]] for colour in range(3)], axis=-3)
