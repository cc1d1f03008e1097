"""New XML text that fits where it is put: prefixes that mean there what they should, and the line ends and indentation around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from .xmp_items import NamedArea
from .xmp_tree import RDF, Element, Name

DC = "http://purl.org/dc/elements/1.1/"
LR = "http://ns.adobe.com/lightroom/1.0/"
MWG = "http://www.metadataworkinggroup.com/schemas/regions/"
AREA = "http://ns.adobe.com/xmp/sType/Area#"
SIZE = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
SUBJECT: Name = (DC, "subject")
PATHS: Name = (LR, "hierarchicalSubject")
REGIONS: Name = (MWG, "Regions")
REGION_LIST: Name = (MWG, "RegionList")
APPLIED_TO: Name = (MWG, "AppliedToDimensions")

_PREFIXES = {RDF: "rdf", DC: "dc", LR: "lr", MWG: "mwg-rs", AREA: "stArea", SIZE: "stDim"}
_SPACE = b" \t\r\n"
_OUTERMOST = re.compile(r"^<[^\s/>]+")

Line = tuple[int, str]  # how deep, and what stands there

NEW_SIDECAR = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Pellucid">\n'
    f' <rdf:RDF xmlns:rdf="{RDF}">\n'
    '  <rdf:Description rdf:about=""/>\n'
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
    '<?xpacket end="w"?>\n'
).encode()


class Names:
    """Prefixes for namespaces at one place: those that hold there, and new ones for the others, which `declared` declares."""

    def __init__(self, scope: Mapping[str, str]) -> None:
        self._scope = scope
        self._known = {uri: prefix for prefix, uri in scope.items() if prefix}
        self._new: dict[str, str] = {}

    def __call__(self, name: Name) -> str:
        """A name as it is written here."""
        uri, local = name
        prefix = self._known.get(uri) or self._new.get(uri)
        if prefix is None:
            prefix = _PREFIXES[uri]
            while prefix in self._scope or prefix in self._new.values():
                prefix += "1"
            self._new[uri] = prefix
        return f"{prefix}:{local}"

    def declared(self, lines: list[Line]) -> list[Line]:
        """The lines, with the new prefixes declared by each outermost element."""
        new = "".join(f' xmlns:{prefix}="{uri}"' for uri, prefix in self._new.items())
        if not new:
            return lines
        return [(depth, line if depth else _OUTERMOST.sub(lambda tag: tag[0] + new, line)) for depth, line in lines]


def word_lines(words: Iterable[str], names: Names) -> list[Line]:
    """A list item for each keyword."""
    item = names((RDF, "li"))
    return [(0, f"<{item}>{escape(word)}</{item}>") for word in words]


def area_lines(areas: Sequence[NamedArea], names: Names) -> list[Line]:
    """A list item for each area, in the form that Lightroom writes."""
    lines: list[Line] = []
    item, description, box, name, kind = (
        names(one) for one in ((RDF, "li"), (RDF, "Description"), (MWG, "Area"), (MWG, "Name"), (MWG, "Type"))
    )
    for area in areas:
        labels = f" {name}={quoteattr(area.name)}" + (f" {kind}={quoteattr(area.kind)}" if area.kind else "")
        sides = "".join(f' {names((AREA, side))}="{number:.6f}"' for side, number in zip("xywh", area.xywh, strict=True))
        unit = f' {names((AREA, "unit"))}="normalized"'
        lines += [
            (0, f"<{item}>"),
            (1, f"<{description}{labels}>"),
            (2, f"<{box}{sides}{unit}/>"),
            (1, f"</{description}>"),
            (0, f"</{item}>"),
        ]
    return lines


def bag_lines(items: list[Line], names: Names) -> list[Line]:
    """An unordered list around items."""
    return element_lines((RDF, "Bag"), items, names)


def element_lines(name: Name, inner: list[Line], names: Names, attribute: Name | None = None, value: str = "") -> list[Line]:
    """An element, with one attribute or none, around what it holds."""
    tag = names(name)
    extra = f" {names(attribute)}={quoteattr(value)}" if attribute else ""
    return [(0, f"<{tag}{extra}>"), *((depth + 1, text) for depth, text in inner), (0, f"</{tag}>")]


def applied_to_line(size_wh: tuple[int, int], names: Names) -> Line:
    """The size of the photo that areas are shares of."""
    sides = "".join(f' {names((SIZE, side))}="{pixels}"' for side, pixels in zip("wh", size_wh, strict=True))
    unit = f' {names((SIZE, "unit"))}="pixel"'
    return 0, f"<{names(APPLIED_TO)}{sides}{unit}/>"


def gap_before(text: bytes, at: int) -> bytes:
    """The line end and the indentation right before a byte; empty where something else stands on its line."""
    start = at
    while start and text[start - 1] in _SPACE:
        start -= 1
    blank = text[start:at]
    newline = blank.rfind(b"\n")
    if newline < 0:
        return b""
    return blank[newline - 1 :] if newline and blank[newline - 1] == 0x0D else blank[newline:]


def appended(text: bytes, parent: Element, lines: list[Line]) -> tuple[int, int, bytes]:
    """Lines at the end of an element's content, as a splice: the bytes from, to, and what takes their place."""
    outer = gap_before(text, parent.start)
    gap = gap_before(text, parent.children[-1].start) if parent.children else outer and outer + b" "
    body = b"".join((gap + b" " * depth if gap else b"") + line.encode() for depth, line in lines)
    if parent.self_closed:
        return parent.end - 2, parent.end, b">" + body + outer + b"</" + parent.tag + b">"
    if parent.children:
        return parent.children[-1].end, parent.children[-1].end, body
    return parent.inside, parent.inside, body + (outer if parent.inside == parent.outside else b"")
