"""Keywords that people gave a photo: in its XMP packet, in its IPTC block, or in a sidecar file beside it."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

MAX_TEXT = 200  # characters of one string from a file
_MAX_XMP_BYTES = 1_000_000
_MAX_KEYWORDS = 500

_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_LIST_ITEM = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
# Each keyword list, and what divides the levels of a hierarchy in it.
_KEYWORD_LISTS = {
    "{http://purl.org/dc/elements/1.1/}subject": None,
    "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject": "|",
    "{http://www.digikam.org/ns/1.0/}TagsList": "/",
}


def xmp_keywords(packet: bytes | str | None) -> tuple[str, ...]:
    """From `dc:subject`, `lr:hierarchicalSubject` and `digiKam:TagsList`; `Places|Rome` gives both words. Never raises."""
    root = _parse(packet) if packet else None
    return unique(_listed(root)) if root is not None else ()


def iptc_keywords(block: object) -> tuple[str, ...]:
    """From the data sets 2:25 of an IPTC-IIM block. Never raises.

    Each data set is the byte 0x1C, a record number, a data set number, a length of two bytes, and the value.
    """
    if not isinstance(block, bytes):
        return ()
    found, at = [], 0
    while at + 5 <= len(block) and block[at] == 0x1C:
        record, number, length = block[at + 1], block[at + 2], int.from_bytes(block[at + 3 : at + 5], "big")
        if length & 0x8000:  # an extended length: never used for keywords
            break
        if (record, number) == (2, 25):
            found.append(_decoded(block[at + 5 : at + 5 + length]))
        at += 5 + length
    return unique(found)


def sidecar_keywords(path: Path) -> tuple[str, ...]:
    """From `photo.jpg.xmp` (darktable, digiKam) and `photo.xmp` (Lightroom) beside `photo.jpg`. Never raises."""
    places = dict.fromkeys((path.with_name(path.name + ".xmp"), path.with_suffix(".xmp")) if path.name else ())
    return unique(word for place in places if place != path for word in xmp_keywords(_small_file(place)))


def unique(words: Iterable[str]) -> tuple[str, ...]:
    """Cleaned, without empty ones and repetitions; the order is kept, and of two spellings in upper and lower case the first."""
    kept: dict[str, str] = {}
    for word in words:
        text = clean(word)
        if text and len(kept) < _MAX_KEYWORDS:
            kept.setdefault(text.casefold(), text)
    return tuple(kept.values())


def clean(text: str) -> str:
    """Without control characters and surrogates, runs of white space as one space, at most `MAX_TEXT` characters."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * MAX_TEXT])
    return " ".join(printable.split())[:MAX_TEXT].rstrip()


def _parse(packet: bytes | str) -> ET.Element | None:
    """The XML tree, or None for anything damaged, oversize or hostile.

    An XML bomb needs a document type to declare its entities, so a packet with one is refused. The packet is decoded as UTF-8
    before that check and given to the parser as text: in an encoding of its own choice it could hide the words.
    """
    if len(packet) > _MAX_XMP_BYTES:
        return None
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else packet
    text = text.strip("\0\ufeff \t\r\n")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    try:
        return ET.fromstring(_XML_DECLARATION.sub("", text))  # noqa: S314  no document type, so no entities
    except (ET.ParseError, ValueError, RecursionError):
        return None


def _listed(root: ET.Element) -> Iterator[str]:
    for tag, divider in _KEYWORD_LISTS.items():
        for keywords in root.iter(tag):
            for item in keywords.iter(_LIST_ITEM):
                text = item.text or ""
                yield from text.split(divider) if divider else (text,)


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _small_file(path: Path) -> bytes | None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_XMP_BYTES:
            return None
        return path.read_bytes()
    except (OSError, ValueError):
        return None
