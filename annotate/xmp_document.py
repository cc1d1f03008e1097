"""One XMP document: which keywords and areas it has, and the same bytes with some more or some fewer of them.

The parser only says where things are; an edit puts new bytes between the old ones. So everything that is not ours stays as it is written: other
namespaces, develop settings, history, comments, the packet's wrapper, the order and the quotes of attributes, line ends, the encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

from preprocess import InputError

from .xmp_items import NamedArea, XmpItems, fold
from .xmp_markup import (
    APPLIED_TO,
    PATHS,
    REGION_LIST,
    REGIONS,
    SIZE,
    SUBJECT,
    Line,
    Names,
    appended,
    applied_to_line,
    area_lines,
    bag_lines,
    element_lines,
    gap_before,
    word_lines,
)
from .xmp_structure import area_of, list_of, members_of, text_of
from .xmp_tree import RDF, Element, Name, decoded, parsed

KINDS: dict[str, Name] = {"subjects": SUBJECT, "paths": PATHS, "areas": REGIONS}
_ASPECT = 0.02  # sizes are rounded, and raw files have margins of some pixels
T = TypeVar("T")
Splice = tuple[int, int, bytes]
Put = Callable[[Element, list[Line]], None]


class XmpDocument:
    """The bytes of an XMP file, understood.

    Raises:
        InputError: they are no XMP, damaged, too large, or harmful; or one of our properties is there and is no list.
    """

    def __init__(self, data: bytes) -> None:
        self._encoded = decoded(data)
        self._text = self._encoded.text
        self._rdf = _only_rdf(parsed(self._text))
        self._descriptions = [child for child in self._rdf.children if child.name == (RDF, "Description")]
        for name in KINDS.values():
            if any(name in description.attributes for description in self._descriptions):
                raise InputError(f"has {name[1]} as an attribute, not as a list. Open it in the program that wrote it and save it again")
        self._lists = {kind: [list_of(place, kind) for place in self._found(name)] for kind, name in KINDS.items()}

    def items(self) -> XmpItems:
        """All keywords and areas of it. Areas in pixels or circles are not among them."""
        subjects, paths = (tuple(text for text, _ in self._words(kind)) for kind in ("subjects", "paths"))
        return XmpItems(subjects, paths, tuple(area for area, _ in self._areas()), self.size_wh() or (0, 0))

    def size_wh(self) -> tuple[int, int] | None:
        """The photo's size that its areas are shares of, where it says so."""
        for place in self._found(REGIONS):
            size = members_of(place).get(APPLIED_TO)
            if isinstance(size, Element):
                fields = members_of(size)
                try:
                    width, height = (round(float(text_of(fields.get((SIZE, side))))) for side in "wh")
                except (ValueError, OverflowError):
                    return None
                return (width, height) if width > 0 and height > 0 else None
        return None

    def takes_areas(self, size_wh: tuple[int, int]) -> bool:
        """Whether areas of a photo of this size can be put beside those that are there: not if these are of a cropped or turned one."""
        there = self.size_wh()
        return there is None or abs(there[0] * size_wh[1] / (there[1] * size_wh[0]) - 1) <= _ASPECT

    def lists(self) -> frozenset[str]:
        """Which of our three properties are there, if only as empty lists."""
        return frozenset(kind for kind, name in KINDS.items() if self._found(name))

    def added(self, items: XmpItems) -> bytes:
        """The file with these items too, at the end of the lists that are there, or in new ones."""
        blocks: dict[int, tuple[Element, list[Line]]] = {}

        def put(parent: Element, lines: list[Line]) -> None:
            blocks.setdefault(id(parent), (parent, []))[1].extend(lines)

        home = self._descriptions[0] if self._descriptions else self._rdf
        whole: list[Line] = []
        for kind, words in (("subjects", items.subjects), ("paths", items.paths)):
            if words:
                whole += self._put_words(kind, words, home, put)
        if items.areas:
            whole += self._put_areas(items, home, put)
        if whole and not self._descriptions:
            names = Names(self._rdf.prefixes)
            whole = names.declared(element_lines((RDF, "Description"), whole, names, (RDF, "about")))
        if whole:
            put(home, whole)
        return self._spliced(appended(self._text, parent, lines) for parent, lines in blocks.values())

    def without(self, items: XmpItems, made: Collection[str] = ()) -> bytes:
        """The file without these items. A list that is empty then goes too where it is one of `made`, names of `XmpItems`' fields."""
        gone: dict[str, list[Element]] = {
            "subjects": _matching(items.subjects, self._words("subjects"), lambda a, b: a.strip() == b.strip()),
            "paths": _matching(items.paths, self._words("paths"), lambda a, b: a.strip() == b.strip()),
            "areas": _matching(items.areas, self._areas(), NamedArea.same),
        }
        splices: list[Splice] = []
        for kind, elements in gone.items():
            going = set(elements)
            for place, (box, _) in zip(self._found(KINDS[kind]), self._lists[kind], strict=True):
                ours = [item for item in box.children if item in going] if box else []
                if box and ours and kind in made and len(ours) == len(box.children) and _nothing_else(place, kind):
                    splices.append(self._cut(place))
                else:
                    splices += [self._cut(item) for item in ours]
        return self._spliced(splices)

    def _found(self, name: Name) -> list[Element]:
        return [child for description in self._descriptions for child in description.children if child.name == name]

    def _words(self, kind: str) -> Iterator[tuple[str, Element]]:
        for box, _ in self._lists[kind]:
            for item in box.children if box else ():
                if item.name == (RDF, "li"):
                    yield item.text, item

    def _areas(self) -> Iterator[tuple[NamedArea, Element]]:
        for box, _ in self._lists["areas"]:
            for item in box.children if box else ():
                if (area := area_of(item)) is not None:
                    yield area, item

    def _put_words(self, kind: str, words: tuple[str, ...], home: Element, put: Put) -> list[Line]:
        """Put them into the list that is there; otherwise the lines of a new one."""
        for box, place in self._lists[kind]:
            names = Names((box or place).prefixes)
            lines = word_lines(words, names)
            put(box or place, names.declared(lines if box else bag_lines(lines, names)))
            return []
        names = Names(home.prefixes)
        return names.declared(element_lines(KINDS[kind], bag_lines(word_lines(words, names), names), names))

    def _put_areas(self, items: XmpItems, home: Element, put: Put) -> list[Line]:
        for box, place in self._lists["areas"]:
            names = Names((box or place).prefixes)
            lines = area_lines(items.areas, names)
            if box is None:
                lines = bag_lines(lines, names)
                if place.name != REGION_LIST:
                    size = [applied_to_line(items.size_wh, names)] if self.size_wh() is None else []
                    lines = size + element_lines(REGION_LIST, lines, names)
                if place.name == REGIONS and not place.children and not place.attributes:
                    lines = element_lines((RDF, "Description"), lines, names)
            put(box or place, names.declared(lines))
            return []
        names = Names(home.prefixes)
        listed = element_lines(REGION_LIST, bag_lines(area_lines(items.areas, names), names), names)
        inner = [applied_to_line(items.size_wh, names), *listed]
        return names.declared(element_lines(REGIONS, inner, names, (RDF, "parseType"), "Resource"))

    def _cut(self, element: Element) -> Splice:
        return element.start - len(gap_before(self._text, element.start)), element.end, b""

    def _spliced(self, splices: Iterable[Splice]) -> bytes:
        text = self._text
        pieces, at = [], 0
        for start, end, new in sorted(splices):
            pieces += [text[at:start], new]
            at = end
        return self._encoded.again(b"".join([*pieces, text[at:]]))


def _only_rdf(root: Element) -> Element:
    places = [root, *root.children]
    found = [place for place in places if place.name == (RDF, "RDF")]
    if len(found) != 1:
        raise InputError(f"is no XMP: it has {len(found) or 'no'} rdf:RDF {'elements' if found else 'element'} where one belongs")
    return found[0]


def _nothing_else(place: Element, kind: str) -> bool:
    return kind != "areas" or members_of(place).keys() <= {APPLIED_TO, REGION_LIST}


def _matching(wanted: Iterable[T], there: Iterable[tuple[T, Element]], same: Callable[[T, T], bool]) -> list[Element]:
    """One element for each wanted thing that is there; of two the last, which is where ours were put."""
    left: dict[str, list[tuple[T, Element]]] = {}
    for value, element in there:
        left.setdefault(_key(value), []).append((value, element))
    found = []
    for thing in wanted:
        same_name = left.get(_key(thing), [])
        for at in reversed(range(len(same_name))):
            if same(thing, same_name[at][0]):
                found.append(same_name.pop(at)[1])
                break
    return found


def _key(value: object) -> str:
    return fold(value.name if isinstance(value, NamedArea) else str(value))
