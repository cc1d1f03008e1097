"""What is cut out of a photo around a region, to be encoded."""

from __future__ import annotations

import math

from preprocess import RgbImage

from .region import Box

CONTEXTS = (1.0, 1.5)
"""How many times its width and height is cut out around a region's middle: tight crops alone do not say where a thing is, which encoders rely on."""


def region_crops(pixels: RgbImage, box_xyxy: Box, size_wh: tuple[int, int]) -> list[RgbImage]:
    """A crop for each of the `CONTEXTS`, cut off at the photo's edge; one that would be the same as the one before is left out.

    Args:
        pixels: UInt8["height width 3"], the photo, which may be reduced.
        box_xyxy: the region, in pixels of the photo at its full size.
        size_wh: that size.
    """
    crops, before = [], None
    for context in CONTEXTS:
        window = _window(pixels.shape[1], pixels.shape[0], box_xyxy, size_wh, context)
        if window != before:
            left, top, right, bottom = before = window
            crops.append(pixels[top:bottom, left:right])
    return crops


def _window(width: int, height: int, box: Box, size_wh: tuple[int, int], context: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom in the reduced photo, of at least one pixel."""
    (left, right), (top, bottom) = (
        _span(low / full * length, high / full * length, length, context)
        for low, high, full, length in ((box[0], box[2], size_wh[0], width), (box[1], box[3], size_wh[1], height))
    )
    return left, top, right, bottom


def _span(low: float, high: float, length: int, context: float) -> tuple[int, int]:
    middle, half = (low + high) / 2, (high - low) / 2 * context
    first = min(max(0, math.floor(middle - half + 0.001)), length - 1)
    return first, min(max(first + 1, math.ceil(middle + half - 0.001)), length)
