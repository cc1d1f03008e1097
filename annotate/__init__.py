"""Pixels to labelled regions."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .components import ClassMap, ComponentOptions, find_regions
    from .draw import DrawOptions, Plate, draw_regions, place_plates
    from .labels import NOTHING, Label, LabelSet
    from .masks import (
        Mask,
        decode_mask,
        encode_mask,
        encode_piece,
        intersection_over_union,
        mask_area,
        mask_box,
        resize_mask,
        rle_of,
        runs_of,
    )
    from .palette import Colour, colour_for, contrast_ratio
    from .polygons import Polygon, bridged, mask_of, polygons_of
    from .region import Annotation, Box, Region, Rle, Source

# Module -> names, imported when first used, as in `preprocess`. No such module may have the name of a function in it.
_HOMES = {
    "components": (
        "ClassMap",
        "ComponentOptions",
        "find_regions",
    ),
    "draw": (
        "DrawOptions",
        "Plate",
        "draw_regions",
        "place_plates",
    ),
    "labels": (
        "NOTHING",
        "Label",
        "LabelSet",
    ),
    "masks": (
        "Mask",
        "decode_mask",
        "encode_mask",
        "encode_piece",
        "intersection_over_union",
        "mask_area",
        "mask_box",
        "resize_mask",
        "rle_of",
        "runs_of",
    ),
    "palette": (
        "Colour",
        "colour_for",
        "contrast_ratio",
    ),
    "polygons": (
        "Polygon",
        "bridged",
        "mask_of",
        "polygons_of",
    ),
    "region": (
        "Annotation",
        "Box",
        "Region",
        "Rle",
        "Source",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "NOTHING", "Annotation", "Box", "ClassMap", "Colour", "ComponentOptions", "DrawOptions", "Label", "LabelSet", "Mask", "Plate", "Polygon",
    "Region", "Rle", "Source", "bridged", "colour_for", "contrast_ratio", "decode_mask", "draw_regions", "encode_mask", "encode_piece",
    "find_regions", "intersection_over_union", "mask_area", "mask_box", "mask_of", "place_plates", "polygons_of", "resize_mask", "rle_of",
    "runs_of",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
