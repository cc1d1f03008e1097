"""What is written into an XMP sidecar: flat keywords, hierarchical keywords and named areas, in the form that the file keeps."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from preprocess import InputError

from .import_fields import list_in, mapping_of, real
from .region import Region

MAX_KEYWORD = 1000  # characters; Lightroom's own limit is 64 bytes in IPTC and none in XMP
_NO_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # XML 1.0, section 2.2: not even as a reference
_TYPES = {"pet": "Pet", "dog": "Pet", "cat": "Pet", "face": "Face", "barcode": "BarCode", "qr code": "BarCode"}
_SAME_AREA = 0.001  # of the photo: programs write areas with 4 to 15 digits, and back again as they please

# Where a point of the upright photo, x and y in [0, 1], lies in the stored one, for each value of EXIF's orientation.
_STORED: Mapping[int, Callable[[float, float], tuple[float, float]]] = {
    1: lambda x, y: (x, y),
    2: lambda x, y: (1 - x, y),
    3: lambda x, y: (1 - x, 1 - y),
    4: lambda x, y: (x, 1 - y),
    5: lambda x, y: (y, x),
    6: lambda x, y: (y, 1 - x),
    7: lambda x, y: (1 - y, 1 - x),
    8: lambda x, y: (1 - y, x),
}


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword by its levels, the widest first: `("animals", "dog")`. White space around a level is taken off.

    Raises:
        InputError: a level is empty, longer than 1,000 characters, or has a character that XML cannot hold.
    """

    levels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.levels:
            raise InputError("A keyword has no levels. Give it at least one word.")
        object.__setattr__(self, "levels", tuple(_plain(level) for level in self.levels))


@dataclass(frozen=True, slots=True)
class NamedArea:
    """A region as the Metadata Working Group writes it: the centre, width and height as shares of the stored photo.

    `kind` is one of its closed choice Face, Pet, Focus and BarCode, or empty: for anything else it has no word, and none is made up.
    """

    name: str
    kind: str
    x: float
    y: float
    w: float
    h: float

    def same(self, other: NamedArea) -> bool:
        """Whether both name the same thing at the same place, to a thousandth of the photo."""
        return fold(self.name) == fold(other.name) and all(abs(a - b) <= _SAME_AREA for a, b in zip(self.xywh, other.xywh, strict=True))

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """The centre's x and y, the width and the height."""
        return self.x, self.y, self.w, self.h


@dataclass(frozen=True, slots=True)
class XmpItems:
    """`subjects` go to `dc:subject`, `paths` (levels divided by `|`) to `lr:hierarchicalSubject`, `areas` to `mwg-rs:Regions`.

    `size_wh` is the stored photo's, in pixels, which the areas are shares of; without areas it means nothing.
    """

    subjects: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    areas: tuple[NamedArea, ...] = ()
    size_wh: tuple[int, int] = (0, 0)

    def __bool__(self) -> bool:
        return bool(self.subjects or self.paths or self.areas)

    def minus(self, other: XmpItems) -> XmpItems:
        """Those that `other` has not; upper and lower case are the same."""
        subjects, paths = {fold(text) for text in other.subjects}, {fold(text) for text in other.paths}
        return XmpItems(
            tuple(text for text in self.subjects if fold(text) not in subjects),
            tuple(text for text in self.paths if fold(text) not in paths),
            tuple(area for area in self.areas if not any(area.same(one) for one in other.areas)),
            self.size_wh,
        )

    def plus(self, other: XmpItems) -> XmpItems:
        """These, and those of `other` that are not among them."""
        more = other.minus(self)
        size_wh = self.size_wh if self.areas else other.size_wh
        return XmpItems(self.subjects + more.subjects, self.paths + more.paths, self.areas + more.areas, size_wh)

    def as_json(self) -> dict[str, Any]:
        """For the journal; `items_of` reads it."""
        areas = [[area.name, area.kind, *area.xywh] for area in self.areas]
        return {"subjects": list(self.subjects), "paths": list(self.paths), "areas": areas, "size_wh": list(self.size_wh)}


def items_of(value: Any, where: str) -> XmpItems:
    """What `XmpItems.as_json` has written.

    Raises:
        InputError: it is of another shape; `where` says in what.
    """
    row = mapping_of(value, where)
    areas = []
    for entry in list_in(row, "areas", where):
        if not isinstance(entry, list) or len(entry) != 6:
            raise InputError(f"{where} has an area of another shape than name, kind, x, y, w, h.")
        areas.append(NamedArea(str(entry[0]), str(entry[1]), *(real(number, where) for number in entry[2:])))
    width, height = (int(real(side, where)) for side in list_in(row, "size_wh", where))
    # A journal names the same few hundred keywords for each of many thousand sidecars: interned, they are in memory once.
    subjects, paths = (tuple(sys.intern(str(text)) for text in list_in(row, name, where)) for name in ("subjects", "paths"))
    return XmpItems(subjects, paths, tuple(areas), (width, height))


def keyword_items(keywords: Iterable[Keyword], prefix: str = "") -> XmpItems:
    """The last level of each keyword as a flat one, and its path where it has several levels, `prefix` among them.

    `prefix` holds the levels that all paths begin with, divided by `|`: `auto|` gives `auto|animals|dog`. A `|` within a level would make two
    of it and is written as `/`. Of two spellings in upper and lower case the first stays.

    >>> keyword_items([Keyword(("animals", "dog")), Keyword(("sea",))], prefix="auto|")
    XmpItems(subjects=('dog', 'sea'), paths=('auto|animals|dog', 'auto|sea'), areas=(), size_wh=(0, 0))
    """
    before = tuple(_plain(level) for level in prefix.split("|") if level.strip())
    given = [(before + word.levels, word.levels[-1]) for word in keywords]
    paths = ("|".join(level.replace("|", "/") for level in levels) for levels, _ in given if len(levels) > 1)
    return XmpItems(_once(last for _, last in given), _once(paths))


def area_items(regions: Sequence[Region], size_wh: tuple[int, int], orientation: int = 1) -> XmpItems:
    """Regions of an upright photo of `size_wh` pixels as named areas of the stored one; boxes are clipped to the photo.

    "Region metadata is applied to the stored image" (Guidelines for Handling Image Metadata 2.0, section 5.9): what EXIF's `orientation`, 1 to 8,
    turns when the photo is shown is turned back here.

    Raises:
        InputError: the orientation is none of these, or the size is not positive.
    """
    width, height = size_wh
    if orientation not in _STORED or width <= 0 or height <= 0:
        raise InputError(f"A photo of {width}×{height} pixels with orientation {orientation}: sizes are positive, orientations 1 to 8.")
    areas: list[NamedArea] = []
    for region in regions:
        x1, y1, x2, y2 = region.box_xyxy
        left, right, top, bottom = (min(max(v, 0.0), 1.0) for v in (x1 / width, x2 / width, y1 / height, y2 / height))
        if left >= right or top >= bottom:
            continue  # outside the photo
        place = _STORED[orientation]
        (ax, ay), (bx, by) = place(left, top), place(right, bottom)
        name = _plain(region.label)
        numbers = ((ax + bx) / 2, (ay + by) / 2, abs(bx - ax), abs(by - ay))
        area = NamedArea(name, _TYPES.get(name.casefold(), ""), *(round(number, 6) for number in numbers))
        if not any(area.same(one) for one in areas):
            areas.append(area)
    return XmpItems(areas=tuple(areas), size_wh=(width, height) if orientation < 5 else (height, width))


def fold(text: str) -> str:
    """The form in which two spellings are compared: composed characters, no white space around, no upper case."""
    return unicodedata.normalize("NFC", text).strip().casefold()


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    kept: dict[str, str] = {}
    for text in texts:
        kept.setdefault(fold(text), text)
    return tuple(kept.values())


def _plain(text: str) -> str:
    plain = " ".join(text.split())
    if not plain:
        raise InputError("A keyword or a level of one is empty. Take it out, or give it a word.")
    if len(plain) > MAX_KEYWORD:
        raise InputError(f"The keyword {plain[:40]!r}... has {len(plain):,} characters; at most {MAX_KEYWORD:,} are written. Shorten it.")
    if found := _NO_XML.search(plain):
        raise InputError(f"The keyword {plain[:60]!r} has the character U+{ord(found[0]):04X}, which XML cannot hold. Take it out.")
    return plain
