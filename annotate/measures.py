"""What is measured of a region within its mask: area, mean colour and mean haze depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocess import InputError, RgbImage, relative_depth

from ._opencv import cv2
from .masks import decode_mask, mask_area
from .region import Region

_DEPTH_SHORT = 160
"""Pixels of the short side at which depth is estimated: the mean over a region needs no more, and the estimate takes the longest of all measures."""
_MOST_PIXELS = 4_000_000  # of a photo that is segmented: what is longer than 16:1 is brought down further


def brought_down(pixels: RgbImage, short: int) -> RgbImage:
    """The photo with at most `short` pixels on its short side, antialiased bilinear; itself where it has no more.

    Panoramas are brought down further, to 4 megapixels.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, short / min(height, width), (_MOST_PIXELS / (height * width)) ** 0.5)
    if scale == 1:
        return pixels
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size_wh, Image.Resampling.BILINEAR, reducing_gap=3.0))


def measured(pixels: RgbImage, regions: Sequence[Region]) -> tuple[Region, ...]:
    """The regions with `area`, `colour` and `haze_depth` filled in.

    Args:
        pixels: UInt8["height width 3"], the photo, which may be reduced.
        regions: boxes in whole pixels of `pixels`, masks of its size; a region without a mask is measured within its box.

    Raises:
        InputError: a mask is of another size, or empty; a box lies outside.
    """
    if not regions:
        return ()
    height, width = pixels.shape[:2]
    depth = relative_depth(brought_down(pixels, _DEPTH_SHORT))
    depth = np.asarray(cv2.resize(depth, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return tuple(_measured(pixels, depth, region) for region in regions)


def _measured(pixels: RgbImage, depth: NDArray[np.float32], region: Region) -> Region:
    height, width = pixels.shape[:2]
    left, top, right, bottom = (int(value) for value in region.box_xyxy)
    window = slice(max(0, top), min(bottom, height)), slice(max(0, left), min(right, width))
    inside, pixels_inside = None, pixels[window].shape[0] * pixels[window].shape[1]
    if region.mask is not None:
        if region.mask.size_hw != (height, width):
            raise InputError(f"The mask of {region.label!r} is of {region.mask.size_hw} pixels, the photo of {(height, width)}. Resize it.")
        inside, pixels_inside = np.ascontiguousarray(decode_mask(region.mask)[window]).view(np.uint8), mask_area(region.mask)
    if not pixels_inside:
        raise InputError(f"The region {region.label!r} at {region.box_xyxy} has no pixel within the photo. Leave it out.")
    red, green, blue = (min(255, round(value)) for value in cv2.mean(np.ascontiguousarray(pixels[window]), inside)[:3])
    mean_depth = float(cv2.mean(np.ascontiguousarray(depth[window]), inside)[0])
    return replace(region, area=pixels_inside / (height * width), colour=(red, green, blue), haze_depth=round(max(0.0, mean_depth), 6))


def scaled_box(region: Region, from_wh: tuple[int, int], to_wh: tuple[int, int]) -> Region:
    """The region with its box, in whole pixels of a photo of `from_wh`, in those of one of `to_wh`: clipped, and outwards, so that it is never empty."""
    (width, height), (wide, high) = from_wh, to_wh
    x1, y1, x2, y2 = (int(value) for value in region.box_xyxy)
    left, top = max(0, x1) * wide // width, max(0, y1) * high // height
    right, bottom = -(-min(x2, width) * wide // width), -(-min(y2, height) * high // height)
    return replace(region, box_xyxy=(float(left), float(top), float(right), float(bottom)))
