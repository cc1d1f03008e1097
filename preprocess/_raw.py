"""The preview inside a camera's raw file. Needs the extra `raw`.

Every camera stores a JPEG that it made itself, mostly at full size. It looks as the photographer saw it and is read 50 times
faster than the sensor's data are developed.
"""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from .errors import ImageCorrupt, ImageUnsupported, MissingExtra

_ORIENTATION = 0x0112
_ORIENTATION_OF_FLIP = {3: 3, 5: 8, 6: 6}  # LibRaw's turns (180°, 90° left, 90° right) as EXIF orientations


def preview(data: bytes, name: str) -> bytes:
    """The preview as an encoded picture, whose EXIF says how to turn it.

    Raises:
        MissingExtra: rawpy is not installed.
        ImageUnsupported: there is no preview, or this camera is unknown.
        ImageCorrupt: the file cannot be read.
    """
    try:
        import rawpy
    except ImportError as error:
        raise MissingExtra(f"{name} is a camera raw file. To read those, run: pip install 'pellucid[raw]'") from error
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            thumb = raw.extract_thumb()
            flip = int(raw.sizes.flip)
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError) as error:
        raise ImageUnsupported(f"{name} has no preview inside. Export it as JPEG.") from error
    except rawpy.LibRawFileUnsupportedError as error:
        raise ImageUnsupported(f"{name} is from a camera that LibRaw does not know. Export it as JPEG or DNG.") from error
    except Exception as error:
        raise ImageCorrupt(f"{name} is damaged: {_text(error)}. Restore it from a backup or export it as JPEG.") from error
    return _encoded(thumb, _ORIENTATION_OF_FLIP.get(flip, 1), is_jpeg=thumb.format == rawpy.ThumbFormat.JPEG)


def _encoded(thumb: Any, orientation: int, *, is_jpeg: bool) -> bytes:
    """A bitmap becomes an uncompressed TIFF. A JPEG stays as it is where it says how to turn it, and is told so where it does not."""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    if not is_jpeg:
        tiff = io.BytesIO()
        Image.fromarray(thumb.data).save(tiff, "TIFF", exif=exif)
        return tiff.getvalue()
    jpeg = bytes(thumb.data)
    if orientation == 1 or b"Exif\0\0" in jpeg[:4096]:
        return jpeg
    block = exif.tobytes()
    return jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]


def _text(error: Exception) -> str:
    """LibRaw's messages are bytes."""
    first = error.args[0] if error.args else type(error).__name__
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
