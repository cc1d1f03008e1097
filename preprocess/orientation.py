"""How a photo is stored: turned or upright."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PIL import Image

from .image import Limits, read_as, read_bytes, turn_of

if TYPE_CHECKING:
    from PIL import ImageFile

_STORED = {
    None: 1,
    Image.Transpose.FLIP_LEFT_RIGHT: 2,
    Image.Transpose.ROTATE_180: 3,
    Image.Transpose.FLIP_TOP_BOTTOM: 4,
    Image.Transpose.TRANSPOSE: 5,
    Image.Transpose.ROTATE_270: 6,
    Image.Transpose.TRANSVERSE: 7,
    Image.Transpose.ROTATE_90: 8,
}


def exif_orientation(path: str | os.PathLike[str], limits: Limits | None = None) -> int:
    """EXIF's orientation, 1 to 8, by which `read_image` turns the photo; 1 where it is stored upright, or its reader turns it as HEIC's does.

    The header is enough for it, so no pixels are decoded, but for PNG, which may have it behind them.

    Raises:
        ImageError, MissingExtra: as `read_image`.
    """
    return read_as(read_bytes(path, limits), os.fspath(path), limits, _orientation)


def _orientation(opened: ImageFile.ImageFile) -> int:
    if opened.format == "PNG":
        opened.load()
    return _STORED[turn_of(opened)]
