"""Bring a picture to the square that a model takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from .image import RgbImage

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

# Above this ratio of the sides, "shortest" first cuts out what its middle needs: 1×3,000 pixels on a side of 224 would take 0.6 GB otherwise.
# The cut's edges fall between pixels, which leaves some values a level or two of 255 away from the exact ones.
_LONG = 100


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture becomes `side`×`side` pixels.

    `resize` "squash" gives up the aspect ratio; "shortest" scales the short side to `side` and cuts the middle out; "longest" scales the
    long side to it and puts the picture in the middle of `fill` (0-255, all three colours). `gap` is Pillow's reducing_gap, none is exact.
    """

    side: int
    resize: Literal["squash", "shortest", "longest"] = "squash"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    fill: int = 0
    gap: float | None = None


def fit(pixels: RgbImage, how: Fit) -> RgbImage:
    """The picture as UInt8["side side 3"], antialiased: without a gap the very bytes of `open_clip.image_transform` before it normalises.

    There, a picture so long that "longest" would leave nothing of its short side is an error; here one pixel is left.

    Raises:
        ValueError: `pixels` is not (height, width, 3) of uint8 with at least one pixel, or the side is below 1.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(f"A picture is uint8 pixels of shape (height, width, 3), not {pixels.dtype} of {pixels.shape}.")
    if how.side < 1:
        raise ValueError(f"The side must be at least 1 pixel, not {how.side}.")
    picture = Image.fromarray(pixels)
    if how.resize == "shortest":
        return np.asarray(_middle(picture, how))
    if how.resize == "longest":
        return np.asarray(_framed(picture, how))
    return np.asarray(_resized(picture, (how.side, how.side), how))


def reduced(pixels: RgbImage, short: int, most: int | None = None) -> RgbImage:
    """The picture brought down by a whole factor, averaged, to no less than `short` pixels on its short side; itself where that is impossible.

    With `most`, a very long picture is brought down further, to at most so many pixels where its short side allows it.
    """
    height, width = pixels.shape[:2]
    factor = min(height, width) // short
    if most is not None and height * width > most * max(1, factor) ** 2:
        factor = min(math.ceil(math.sqrt(height * width / most)), height, width)
    return pixels if factor < 2 else np.asarray(Image.fromarray(pixels).reduce(factor))


def squash(pixels: RgbImage, side: int) -> RgbImage:
    """The whole picture as `side`×`side` pixels, antialiased bicubic; the aspect ratio is given up, nothing is cropped.

    The transform is `Image.resize((side, side), BICUBIC, reducing_gap=3.0)`. The gap lets Pillow average whole blocks first: 8 ms
    instead of 57 for 12 megapixels, at a mean absolute difference of 0.2-0.35/255 (benchmarks/decode.py).

    Raises:
        ValueError: see `fit`.
    """
    return fit(pixels, Fit(side, gap=3.0))


def _resized(picture: Image.Image, size_wh: tuple[int, int], how: Fit) -> Image.Image:
    return picture.resize(size_wh, _FILTERS[how.interpolation], reducing_gap=how.gap)


def _middle(picture: Image.Image, how: Fit) -> Image.Image:
    """torchvision's Resize(side) and CenterCrop(side), with its roundings."""
    side, short, long = how.side, min(picture.size), max(picture.size)
    length = int(side * long / short)
    start = round((length - side) / 2)
    upright = picture.width <= picture.height
    if long > _LONG * short:
        return _middle_of_strip(picture, how, start * long / length, long / length)
    resized = _resized(picture, (side, length) if upright else (length, side), how)
    return resized.crop((0, start, side, start + side) if upright else (start, 0, start + side, side))


def _middle_of_strip(picture: Image.Image, how: Fit, first: float, scale: float) -> Image.Image:
    """`side` pixels of `scale` source pixels each, from `first` on along the long side."""
    margin = math.ceil(4 * max(scale, 1))  # more than a filter reaches
    last, low = first + how.side * scale, max(0, math.floor(first) - margin)
    high = min(max(picture.size), math.ceil(last) + margin)
    upright = picture.width <= picture.height
    cut = picture.crop((0, low, picture.width, high) if upright else (low, 0, high, picture.height))
    box = (0, first - low, picture.width, last - low) if upright else (first - low, 0, last - low, picture.height)
    return cut.resize((how.side, how.side), _FILTERS[how.interpolation], box, how.gap)


def _framed(picture: Image.Image, how: Fit) -> Image.Image:
    """open_clip's ResizeKeepRatio(side, longest=1) and CenterCropOrPad(side, fill)."""
    ratio = max(picture.width / how.side, picture.height / how.side)
    width, height = (max(1, round(length / ratio)) for length in picture.size)
    frame = Image.new("RGB", (how.side, how.side), (how.fill,) * 3)
    frame.paste(_resized(picture, (width, height), how), ((how.side - width) // 2, (how.side - height) // 2))
    return frame
