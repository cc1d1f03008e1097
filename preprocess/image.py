"""The one door for decoding: bytes on disk to upright 8-bit RGB pixels."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from ._pillow import open_image
from .colors import to_rgb
from .errors import ImageCorrupt, ImageError, ImageTooLarge, ImageUnreadable, ImageUnsupported, ImageVanished
from .facts import Facts, read_facts
from .formats import FORMAT_OF_DECODER, is_photo, is_raw

RgbImage: TypeAlias = NDArray[np.uint8]
"""Pixels: shape (height, width, 3), order RGB, contiguous. Those from this module are read-only: make a copy to change them."""

T = TypeVar("T")

# JPEG can be decoded at 1/2, 1/4 or 1/8 of its size: for 12 megapixels, 35 ms of processor time instead of 116-144 (benchmarks/decode.py).
# Pillow's draft and OpenCV's reduced reading take the same time and give the same pixels, but OpenCV ignores colour profiles, and fills
# the missing part of a truncated file with grey, where Pillow raises. With the decoded short side at least twice the wanted one,
# real 500-pixel photos are 1.0/255 away from the exact ones (mean absolute difference; 2.7 for the 95th of a hundred); at three times, 0.5
# and 2.0. For 12 megapixels three times costs nothing: 1/8 is still enough.
DECODE_MARGIN = 3

# A photo of 180 MP takes 0.7 GB, and twice that again while its colours are converted. So large ones wait for each other, and are
# brought down by a whole factor (the mean of a square) as soon as they are decoded, to at least six times the wanted short side.
_LARGE_PIXELS = 24_000_000
_REDUCIBLE = frozenset({"L", "LA", "RGB", "RGBA", "RGBX", "CMYK"})
_one_large = threading.Lock()

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {_UPRIGHT[value] for value in (5, 6, 7, 8)}  # these swap width and height


@dataclass(frozen=True, slots=True)
class Limits:
    """What one photo may cost: decoded pixels, and bytes of its file."""

    max_pixels: int = 180_000_000
    max_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photo. `width` and `height` are of the whole upright photo, also where `pixels` were decoded at a smaller scale."""

    pixels: RgbImage
    width: int
    height: int
    format: str
    facts: Facts


def read_bytes(path: str | os.PathLike[str], limits: Limits | None = None) -> bytes:
    """The file's bytes. Never blocks on a pipe or device: only regular files are opened.

    Raises:
        ImageVanished: no such file.
        ImageUnreadable: the system refuses it.
        ImageUnsupported: a folder, pipe, socket or device.
        ImageTooLarge: over `limits.max_bytes`.
        ImageCorrupt: it is empty.
    """
    limits = limits or Limits()
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageUnsupported(f"{path} is a {_kind(status.st_mode)}, not a photo. Name a file.")
        _check_bytes(status.st_size, path, limits)
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except FileNotFoundError as error:
        raise ImageVanished(f"{path} is not there any more. Index its folder again to bring the library up to date.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageUnreadable(f"{path} cannot be read: {reason}. Check its permissions and the disk.") from error
    _check_bytes(len(data), path, limits)  # it may have grown or shrunk meanwhile
    return data


def read_image(path: str | os.PathLike[str], limits: Limits | None = None, side: int | None = None) -> Photo:
    """`decode(read_bytes(path))`.

    Raises:
        ImageError: see `read_bytes` and `decode`.
    """
    return decode(read_bytes(path, limits), os.fspath(path), limits, side)


def decode(data: bytes, name: str, limits: Limits | None = None, side: int | None = None) -> Photo:
    """An upright RGB photo from the bytes of any supported format. Safe to call from several threads at once.

    EXIF orientation is applied, colour profiles are converted to sRGB, transparency is put on white; of an animation, the first frame.

    Args:
        data: the whole file.
        name: for messages, and to tell camera raw files from plain TIFF; the content decides everything else.
        limits: checked against the size in the header, before pixels are decoded.
        side: the fewest pixels needed on the short side. A JPEG may then be decoded at 1/2, 1/4 or 1/8 of its size,
            so that the short side of `pixels` is still at least three times that. So may any photo over 24 megapixels; others come whole.

    Raises:
        ImageUnsupported: not a photo format that we read.
        ImageTooLarge: over `limits.max_pixels`.
        ImageCorrupt: it is a photo, but damaged.
        MissingExtra: a camera raw file, without the extra `raw`.
    """
    return read_as(data, name, limits, lambda opened: _decode(opened, side))


def read_as(data: bytes, name: str, limits: Limits | None, reader: Callable[[ImageFile.ImageFile], T]) -> T:
    """What `reader` makes of a photo whose header was read and whose size is within the limits; of a camera raw file, its preview.

    Raises:
        ImageError, MissingExtra: as `decode` does; whatever `reader` raises is damage.
    """
    limits = limits or Limits()
    _check_bytes(len(data), name, limits)
    if is_raw(data, name):
        from ._raw import preview

        data = preview(data, name)
    try:
        with open_image(data) as opened:
            _check_pixels(opened.size, name, limits)
            return reader(opened)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        if is_photo(name):
            raise ImageCorrupt(f"{name} is not a photo inside, whatever its name says. Restore it from a backup or delete it.") from error
        raise ImageUnsupported(f"{name} is not in a photo format that Pellucid reads. Convert it to JPEG or PNG.") from error
    except Exception as error:  # damaged data makes codecs raise anything: SyntaxError, struct.error, KeyError, MemoryError, ...
        raise ImageCorrupt(
            f"{name} is damaged: {_reason(error)}. Restore it from a backup or save it again from a photo editor."
        ) from error


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """How to make a loaded picture upright, if it is not.

    Ask only after `image.load()`: some readers turn the picture while loading and take the orientation away; PNG may hold it after the pixels.
    """
    return _UPRIGHT.get(_orientation(image))


def _decode(opened: ImageFile.ImageFile, side: int | None) -> Photo:
    header_wh = opened.size
    reducible = opened.format in ("JPEG", "MPO")
    if reducible and side is not None:
        opened.draft(None, (DECODE_MARGIN * side, DECODE_MARGIN * side))
    large = opened.size[0] * opened.size[1] > _LARGE_PIXELS
    with _one_large if large else contextlib.nullcontext():
        opened.load()
        transpose = turn_of(opened)
        full_wh = header_wh if reducible else opened.size
        facts = read_facts(opened)
        factor = min(opened.size) // (2 * DECODE_MARGIN * side) if large and side is not None else 1
        picture = to_rgb(opened.reduce(factor) if factor > 1 and opened.mode in _REDUCIBLE else opened)
        if transpose is not None:
            picture = picture.transpose(transpose)
            full_wh = full_wh[::-1] if transpose in _SIDEWAYS else full_wh
    kind = FORMAT_OF_DECODER.get(opened.format or "", opened.format or "")
    return Photo(np.asarray(picture), *full_wh, kind, facts)


def _orientation(image: Image.Image) -> int:
    """1-8, or 1 where the EXIF block cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # metadata never costs the photo
        return 1


def _check_pixels(size_wh: tuple[int, int], name: str, limits: Limits) -> None:
    width, height = size_wh
    if width < 1 or height < 1:
        raise ImageCorrupt(f"{name} is damaged: it is {width}×{height} pixels. Restore it from a backup or delete it.")
    if width * height > limits.max_pixels:
        have, most = f"{width * height / 1e6:.0f}", f"{limits.max_pixels / 1e6:.0f}"
        if have == most:
            have, most = f"{width * height / 1e6:.6f}", f"{limits.max_pixels / 1e6:.6f}"
        raise ImageTooLarge(f"{name} has {have} MP; the limit is {most} MP. Raise it with --max-megapixels.")


def _check_bytes(count: int, name: str | PurePath, limits: Limits) -> None:
    if count == 0:
        raise ImageCorrupt(f"{name} is empty. Restore it from a backup or delete it.")
    if count > limits.max_bytes:
        raise ImageTooLarge(f"{name} has {count / 1e6:,.1f} MB; the limit is {limits.max_bytes / 1e6:,.1f} MB. Save it smaller.")


def _kind(mode: int) -> str:
    names = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return names.get(stat.S_IFMT(mode), "device")


def _reason(error: Exception) -> str:
    """The first line of what the codec said, short enough for a table row."""
    text = " ".join(str(error).split("\n", 1)[0].split()).rstrip(".") or type(error).__name__
    return text if len(text) <= 120 else text[:119] + "…"
