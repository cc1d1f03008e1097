"""Which files are photos, and which decoders may ever see their bytes.

The extension only says which files are worth opening; the content decides how one is decoded. A JPEG named `.png` is read as a JPEG.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of photo file: its lower-case suffixes, and the names of Pillow's decoders for it."""

    suffixes: tuple[str, ...]
    decoders: tuple[str, ...]


FORMATS: Mapping[str, Format] = {
    "JPEG": Format((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), ("JPEG", "MPO")),
    "PNG": Format((".png", ".apng"), ("PNG",)),
    "WebP": Format((".webp",), ("WEBP",)),
    "TIFF": Format((".tif", ".tiff"), ("TIFF",)),
    "BMP": Format((".bmp", ".dib"), ("BMP", "DIB")),
    "GIF": Format((".gif",), ("GIF",)),
    "AVIF": Format((".avif",), ("AVIF",)),
    "HEIF": Format((".heic", ".heif", ".hif"), ("HEIF",)),
    "JPEG 2000": Format((".jp2", ".j2k", ".jpx", ".jpf", ".j2c"), ("JPEG2000",)),
    "PNM": Format((".ppm", ".pgm", ".pbm", ".pnm"), ("PPM",)),
}

_RAW = "3fr arw cr2 cr3 crw dcr dng erf iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f"
RAW_SUFFIXES = frozenset("." + ending for ending in _RAW.split())
PHOTO_SUFFIXES = frozenset(suffix for kind in FORMATS.values() for suffix in kind.suffixes) | RAW_SUFFIXES

# Everything else that Pillow knows (EPS by Ghostscript, PSD, ICNS, WMF by the system, ...) is never tried, whatever a file claims to be.
DECODERS = tuple(decoder for kind in FORMATS.values() for decoder in kind.decoders)
FORMAT_OF_DECODER: Mapping[str, str] = {decoder: name for name, kind in FORMATS.items() for decoder in kind.decoders}

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Sensor formats with a signature of their own: Fujifilm, Olympus (three), Panasonic, Minolta, Sigma, old Canon.
_RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"\0MRM", b"FOVb", b"II\x1a\0\0\0HEAPCCDR")


def is_photo(name: str) -> bool:
    """Whether a file of that name is worth opening, by its extension; upper and lower case are the same.

    >>> is_photo("Été/IMG_0001.JPG"), is_photo("notes.txt"), is_photo(".jpg")
    (True, False, False)
    """
    return _suffix(name) in PHOTO_SUFFIXES


def is_raw(data: bytes, name: str) -> bool:
    """Whether these bytes are a camera's raw file.

    Most raw formats are TIFF inside (DNG, NEF, ARW, PEF, SRW), and only their extension tells them from a plain TIFF,
    whose decoder would return the thumbnail of 160×120 that comes first in the file.
    """
    if data.startswith(_RAW_STARTS):
        return True
    if data[4:12] == b"ftypcrx ":  # Canon CR3
        return True
    if data.startswith(_TIFF_STARTS):
        return data[8:10] == b"CR" or _suffix(name) in RAW_SUFFIXES
    return False


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower()
