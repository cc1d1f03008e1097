"""Open bytes with Pillow: only our decoders, no second limit, and no Python warnings.

Two settings of Pillow are global to a process. Both are made here, once, before the first decode:

- `Image.MAX_IMAGE_PIXELS` would warn at 89 megapixels and fail at 179, whatever `Limits.max_pixels` says. It is switched off;
  `preprocess.image` compares the size in the header with `Limits` before a pixel is decoded.
- Pillow reports damaged metadata (a truncated EXIF block is common in real photos) through `warnings.warn`. In a service that is noise
  without a file name, under `-W error` it would turn a good photo into a failure, and `warnings.catch_warnings` is not thread-safe: two
  threads that overlap can leave each other's filters behind for good. So the name `warnings` inside those Pillow modules is bound to
  an object that passes the text to `logging`. Warnings of other libraries are not touched.
"""

from __future__ import annotations

import functools
import io
import logging

from PIL import Image, ImageFile

from .formats import DECODERS

_log = logging.getLogger(__name__)


class _WarningsToLog:
    """Stands in for the module `warnings` inside Pillow's readers."""

    @staticmethod
    def warn(message: str, category: type[Warning] | None = None, stacklevel: int = 1) -> None:
        """Log the message at debug level; the arguments are those of `warnings.warn`."""
        del category, stacklevel
        _log.debug("%s", message)


def open_image(data: bytes) -> ImageFile.ImageFile:
    """Read the header. Pixels are not decoded yet.

    Raises:
        PIL.UnidentifiedImageError: none of our decoders knows these bytes.
        Exception: anything, for a damaged file; the caller maps it.
    """
    return Image.open(io.BytesIO(data), formats=_decoders())


@functools.cache
def _decoders() -> tuple[str, ...]:
    """Our decoders that this build of Pillow has. Idempotent, so two threads that arrive together do no harm."""
    import pillow_heif
    from PIL import JpegImagePlugin, PngImagePlugin, TiffImagePlugin

    Image.init()
    pillow_heif.register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None
    for module in (Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin):
        vars(module)["warnings"] = _WarningsToLog
    return tuple(name for name in DECODERS if name in Image.OPEN)
