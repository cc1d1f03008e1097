"""RDF's forms of lists and structures in XMP: attributes or elements, with a description within or without."""

from __future__ import annotations

import math

from preprocess import InputError

from .xmp_items import NamedArea
from .xmp_markup import AREA, MWG, REGION_LIST
from .xmp_tree import RDF, Element, Name

_XML = "http://www.w3.org/XML/1998/namespace"
_LISTS = frozenset((RDF, kind) for kind in ("Bag", "Seq", "Alt"))


def inner_of(place: Element) -> Element:
    """Where the members of a structure stand: in it, or in the one `rdf:Description` within it."""
    only = place.children[0] if len(place.children) == 1 else None
    return only if only is not None and only.name == (RDF, "Description") else place


def members_of(place: Element) -> dict[Name, Element | str]:
    """The members of a structure, in whichever of RDF's forms: as attributes, as elements, or within a description."""
    found: dict[Name, Element | str] = {}
    inner = inner_of(place)
    for element in dict.fromkeys((place, inner)):
        found.update({name: value for name, value in element.attributes.items() if name[0] not in (RDF, _XML)})
    return {**found, **{child.name: child for child in inner.children}}


def text_of(member: Element | str | None) -> str:
    """A simple member's value; empty where there is none."""
    return member.text if isinstance(member, Element) else member or ""


def list_of(place: Element, kind: str) -> tuple[Element | None, Element]:
    """The list in a property of one of our kinds, or none; and the element to put one into.

    Raises:
        InputError: it is no list; the message goes on from the file's name.
    """
    if kind == "areas":
        listed = members_of(place).get(REGION_LIST)
        if not isinstance(listed, Element):
            return None, inner_of(place)
        place = listed
    boxes = [child for child in place.children if child.name in _LISTS]
    if boxes:
        return boxes[0], place
    if place.children or place.text.strip() or place.attributes:
        raise InputError(f"has {place.name[1]} in a form that is no list. Open it in the program that wrote it and save it again")
    return None, place


def area_of(item: Element) -> NamedArea | None:
    """The area that an item of a region list names; None for one in pixels, and for what is no region."""
    fields = members_of(item)
    box = fields.get((MWG, "Area"))
    if not isinstance(box, Element):
        return None
    sides = members_of(box)
    if text_of(sides.get((AREA, "unit"))) not in ("normalized", ""):
        return None
    try:
        x, y, w, h = (float(text_of(sides.get((AREA, side)))) for side in "xywh")
    except ValueError:
        return None
    if not all(math.isfinite(side) for side in (x, y, w, h)):
        return None
    return NamedArea(text_of(fields.get((MWG, "Name"))), text_of(fields.get((MWG, "Type"))), x, y, w, h)
