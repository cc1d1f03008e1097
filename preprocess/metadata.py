"""What an edited photo keeps of the original's metadata, true for upright pixels: EXIF, XMP, IPTC, resolution."""

from __future__ import annotations

import contextlib
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

_HEADER = b"Exif\0\0"
_ORIENTATION, _WIDTH, _HEIGHT = 0x0112, 0x0100, 0x0101
_EXIF_IFD, _GPS_IFD = int(ExifTags.IFD.Exif), int(ExifTags.IFD.GPSInfo)
_EXIF_WIDTH, _EXIF_HEIGHT = 0xA002, 0xA003
_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_MAKER_NOTE = 0x927C
_SHORT, _LONG = 3, 4

# What says something of the photo and not of how this one file lays out its pixels: description, maker, model, software, date, artist, host,
# rating, copyright, the Windows titles, and the two blocks below.
_DESCRIPTIVE = (0x010D, 0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298,
                *range(0x9C9B, 0x9CA0), _EXIF_IFD, _GPS_IFD)  # fmt: skip

# In an XMP packet: the orientation and size of the pixels, thumbnails, and what points to further pictures in the same file (gain maps,
# depth maps, the film of a moving photo), none of which is written again. Elements are cut by `find`: a lazy pattern over a hostile packet of
# openings without an end would take the square of its length.
_XMP_TRUTHS = (
    (re.compile(rb'(tiff:Orientation\s*=\s*["\'])\d+'), rb"\g<1>1"),
    (re.compile(rb"(<tiff:Orientation>\s*)\d+"), rb"\g<1>1"),
    (re.compile(rb"<(tiff:Image(?:Width|Length)|exif:Pixel[XY]Dimension)>[^<]*</\1\s*>"), b""),
    (re.compile(rb"\s(?:tiff:Image(?:Width|Length)|exif:Pixel[XY]Dimension|(?:GCamera|hdrgm|GDepth|GImage|HDRGainMap):\w+)"
                rb"\s*=\s*(?:\"[^\"]*\"|'[^']*')"), b""),
)  # fmt: skip
_XMP_ELEMENTS = (b"xmp:Thumbnails", b"Container:Directory", b"GContainer:Directory")
_XMP_NAMES = ("xmp", "XML:com.adobe.xmp")
_MAX_XMP = 1_000_000


@dataclass(frozen=True, slots=True)
class Metadata:
    """Blocks as they are written: `exif` with its `Exif` header, `xmp` a packet, `iptc` an IIM block; empty where the original has none."""

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    comment: bytes = b""
    dpi: tuple[float, float] | None = None


def read_metadata(image: Image.Image, upright_wh: tuple[int, int]) -> Metadata:
    """The metadata of a loaded image, changed to be true for its upright pixels. Never raises: metadata never costs the photo."""
    info = image.info
    found: dict[str, Any] = {}
    for name, read in (("exif", _exif), ("xmp", _xmp), ("iptc", _iptc), ("dpi", _dpi)):
        with contextlib.suppress(Exception):
            found[name] = read(image, upright_wh)
    comment = info.get("comment")
    return Metadata(**found, comment=comment if isinstance(comment, bytes) and len(comment) < 60_000 else b"")


def upright_exif(block: bytes, size_wh: tuple[int, int]) -> bytes:
    """The EXIF block with orientation 1, these pixel dimensions and no thumbnail; every other byte stays at its place.

    Bytes are changed in place because maker notes hold offsets from the start of the block: a block that is written anew breaks them.

    Raises:
        ValueError: it is not an EXIF block.
    """
    body = bytearray(re.sub(b"^(?:Exif\0\0){1,2}", b"", block))
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(body[:4]))
    if order is None:
        raise ValueError("no TIFF header")
    try:
        first = struct.unpack_from(order + "I", body, 4)[0]
        entries = dict(_entries(body, first, order))
        _put(body, entries, {_ORIENTATION: 1, _WIDTH: size_wh[0], _HEIGHT: size_wh[1]}, order)
        if _EXIF_IFD in entries:
            inner = dict(_entries(body, struct.unpack_from(order + "I", body, entries[_EXIF_IFD] + 8)[0], order))
            _put(body, inner, {_EXIF_WIDTH: size_wh[0], _EXIF_HEIGHT: size_wh[1]}, order)
        _cut_thumbnail(body, first, order)
    except struct.error as error:
        raise ValueError("the EXIF block is cut off") from error
    return _HEADER + bytes(body)


def writable_exif(block: bytes, maker_note: bool = True) -> Image.Exif:
    """The descriptive tags of a block as Pillow writes them anew: for a TIFF, whose first directory is that of the pixels too.

    Tags that Pillow cannot write are left out.
    """
    source = Image.Exif()
    source.load(block)
    return _descriptive(source, maker_note)


def _exif(image: Image.Image, upright_wh: tuple[int, int]) -> bytes:
    block = image.info.get("exif")
    if isinstance(block, bytes) and len(block) > len(_HEADER):
        with contextlib.suppress(ValueError):
            return upright_exif(block, upright_wh)
    exif = _descriptive(image.getexif())  # of a TIFF, or out of a PNG's text
    return upright_exif(exif.tobytes(), upright_wh) if len(exif) else b""


def _descriptive(source: Image.Exif, maker_note: bool = True) -> Image.Exif:
    out = Image.Exif()
    out.endian = source.endian
    for tag in _DESCRIPTIVE:
        if tag in (_EXIF_IFD, _GPS_IFD):
            inner = {key: _bytes(value) for key, value in source.get_ifd(tag).items() if maker_note or key != _MAKER_NOTE}
            if inner.get(int(ExifTags.IFD.Interop)) is not None:
                inner[int(ExifTags.IFD.Interop)] = dict(source.get_ifd(ExifTags.IFD.Interop))
            inner = {key: value for key, value in inner.items() if _is_writable(tag, {key: value})}
            if inner:
                out.get_ifd(tag).update(inner)
                out[tag] = inner
        elif tag in source and _is_writable(tag, _bytes(source[tag])):
            out[tag] = _bytes(source[tag])
    return out


def _bytes(value: Any) -> Any:
    """Text as the bytes that it was in the file: Pillow reads Latin-1, whatever it is, and writes ASCII with question marks."""
    return value.encode("latin-1", "replace") if isinstance(value, str) and not value.isascii() else value


def _is_writable(tag: int, value: Any) -> bool:
    trial = Image.Exif()
    trial[tag] = value
    try:
        trial.tobytes()
    except Exception:  # a value of another type than its tag has
        return False
    return True


def _entries(body: bytearray, at: int, order: str) -> Iterator[tuple[int, int]]:
    """Each tag of a directory with the place of its 12 bytes.

    Raises:
        struct.error: it reaches beyond the block.
    """
    for index in range(struct.unpack_from(order + "H", body, at)[0]):
        place = at + 2 + 12 * index
        yield struct.unpack_from(order + "HHII", body, place)[0], place


def _put(body: bytearray, entries: dict[int, int], values: dict[int, int], order: str) -> None:
    """Overwrite numbers that are there."""
    for tag, value in values.items():
        if tag not in entries:
            continue
        if value < 65536:
            struct.pack_into(order + "HHIHH", body, entries[tag], tag, _SHORT, 1, value, 0)
        else:
            struct.pack_into(order + "HHII", body, entries[tag], tag, _LONG, 1, value)


def _cut_thumbnail(body: bytearray, first: int, order: str) -> None:
    """Take the second directory, which is that of the thumbnail, out of the chain, and its JPEG out of the bytes."""
    link = first + 2 + 12 * struct.unpack_from(order + "H", body, first)[0]
    second = struct.unpack_from(order + "I", body, link)[0] if link + 4 <= len(body) else 0
    if not second:
        return
    struct.pack_into(order + "I", body, link, 0)
    try:
        entries = dict(_entries(body, second, order))
        start, length = (struct.unpack_from(order + "I", body, entries[tag] + 8)[0] for tag in (_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH))
    except (struct.error, KeyError):
        return
    end = min(start + length, len(body))
    if body[start : start + 2] != b"\xff\xd8":
        return
    if end >= len(body) - 2:
        del body[start:]
    else:
        body[start:end] = bytes(end - start)


def _xmp(image: Image.Image, _size: tuple[int, int]) -> bytes:
    packet = next((image.info[name] for name in _XMP_NAMES if image.info.get(name)), b"")
    packet = packet.encode() if isinstance(packet, str) else bytes(packet)
    if len(packet) > _MAX_XMP:
        return b""
    for pattern, replacement in _XMP_TRUTHS:
        packet = pattern.sub(replacement, packet)
    for name in _XMP_ELEMENTS:
        while (start := packet.find(b"<" + name)) >= 0 and (end := packet.find(b"</" + name, start)) >= 0:
            packet = packet[:start] + packet[packet.find(b">", end) + 1 or len(packet) :]
    return packet


def _iptc(image: Image.Image, _size: tuple[int, int]) -> bytes:
    photoshop = image.info.get("photoshop")
    block = photoshop.get(0x0404) if isinstance(photoshop, dict) else getattr(image, "tag_v2", {}).get(33723)
    return block if isinstance(block, bytes) and len(block) < 60_000 else b""


def _dpi(image: Image.Image, _size: tuple[int, int]) -> tuple[float, float] | None:
    x, y = (float(value) for value in image.info.get("dpi", (0, 0)))
    return (x, y) if all(math.isfinite(value) and 1 <= value < 65536 for value in (x, y)) else None
