"""A picture that shows a photo before and after dehazing, and its depth, side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .image import RgbImage
from .save import QUALITY

_SIDE = 1024  # of a panel, in pixels: three fit a wide screen, and a 12-megapixel photo makes a file of some 500 kB
_NARROWEST = 200  # of a panel's column, so that its caption fits
_GAP, _STRIP, _TEXT = 8, 34, 20
_PAPER, _INK = (24, 24, 24), (235, 235, 235)


def side_by_side(panels: Sequence[tuple[str, RgbImage]]) -> RgbImage:
    """Pictures of one size in a row, each with its caption below, on a dark ground.

    Each is brought down to at most 1024 pixels on its long side, and never enlarged.

    >>> side_by_side([("before", np.zeros((30, 300, 3), np.uint8)), ("after", np.zeros((30, 300, 3), np.uint8))]).shape
    (80, 624, 3)
    """
    height, width = panels[0][1].shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    column = max(size[0], _NARROWEST)
    sheet = Image.new("RGB", (len(panels) * (column + _GAP) + _GAP, size[1] + 2 * _GAP + _STRIP), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
    for index, (caption, pixels) in enumerate(panels):
        left = _GAP + index * (column + _GAP)
        sheet.paste(
            Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.LANCZOS), (left + (column - size[0]) // 2, _GAP)
        )
        draw.text((left + column // 2, _GAP + size[1] + _STRIP // 2), caption, _INK, font, anchor="mm")
    return np.asarray(sheet)


def jpeg_bytes(pixels: RgbImage, profile: bytes = b"") -> bytes:
    """The pixels as a JPEG file, with an ICC profile where one is given."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY, subsampling=0, icc_profile=profile or None)
    return buffer.getvalue()


def png_bytes(pixels: RgbImage) -> bytes:
    """The pixels as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
