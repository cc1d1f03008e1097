"""Pixels to labelled regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess import lazy_names

if TYPE_CHECKING:
    from .add import AddSegmenterOptions, add_segmenter
    from .components import ClassMap, ComponentOptions, find_regions
    from .crops import CONTEXTS, region_crops
    from .draw import DrawOptions, Plate, draw_regions, place_plates
    from .export import EXPORTERS, FORMATS, export_photos, load_exporter
    from .export_check import as_written
    from .export_files import check_free
    from .export_run import AnnotatedPhoto, Exported, Exporter, ExportOptions, PhotoFacts, Placing
    from .import_coco import CocoImport, human_annotation, read_coco
    from .import_match import KnownPhoto
    from .label_sets import LABEL_SETS, DataLabels, read_labels
    from .labels import NOTHING, Label, LabelSet
    from .makers import REGION_MAKERS, RegionMaker, RegionMakerOptions, load_region_maker
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
    from .measures import measured, scaled_box
    from .palette import Colour, colour_for, contrast_ratio
    from .polygons import Polygon, bridged, mask_of, polygons_of
    from .region import Annotation, Box, Region, Rle, Source
    from .segment import (
        SEGMENTERS,
        Segmenter,
        SegmenterFacts,
        SegmenterOptions,
        SegmentMap,
        builtin_folder,
        load_segmenter,
        open_segmenter,
        segmenter_folders,
    )
    from .segment_evaluation import MaskedPhoto, evaluate_segmentation, find_labels, find_masked_photos
    from .verify import find_segmenter_faults
    from .xmp import SidecarChange, plan_retract, plan_sidecar, retract_sidecar, write_sidecar
    from .xmp_file import SidecarStyle, sidecar_paths
    from .xmp_items import Keyword, NamedArea, XmpItems, area_items, keyword_items
    from .xmp_journal import XmpJournal, open_journal
    from .xmp_people import PeopleKeywords

# Module -> names, imported when first used, as in `preprocess`. No such module may have the name of a function in it.
_HOMES = {
    "add": (
        "AddSegmenterOptions",
        "add_segmenter",
    ),
    "components": (
        "ClassMap",
        "ComponentOptions",
        "find_regions",
    ),
    "crops": (
        "CONTEXTS",
        "region_crops",
    ),
    "draw": (
        "DrawOptions",
        "Plate",
        "draw_regions",
        "place_plates",
    ),
    "export": (
        "EXPORTERS",
        "FORMATS",
        "export_photos",
        "load_exporter",
    ),
    "export_check": ("as_written",),
    "export_files": ("check_free",),
    "export_run": (
        "AnnotatedPhoto",
        "ExportOptions",
        "Exported",
        "Exporter",
        "PhotoFacts",
        "Placing",
    ),
    "import_coco": (
        "CocoImport",
        "human_annotation",
        "read_coco",
    ),
    "import_match": ("KnownPhoto",),
    "label_sets": (
        "LABEL_SETS",
        "DataLabels",
        "read_labels",
    ),
    "labels": (
        "NOTHING",
        "Label",
        "LabelSet",
    ),
    "makers": (
        "REGION_MAKERS",
        "RegionMaker",
        "RegionMakerOptions",
        "load_region_maker",
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
    "measures": (
        "measured",
        "scaled_box",
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
    "segment": (
        "SEGMENTERS",
        "SegmentMap",
        "Segmenter",
        "SegmenterFacts",
        "SegmenterOptions",
        "builtin_folder",
        "load_segmenter",
        "open_segmenter",
        "segmenter_folders",
    ),
    "segment_evaluation": (
        "MaskedPhoto",
        "evaluate_segmentation",
        "find_labels",
        "find_masked_photos",
    ),
    "verify": ("find_segmenter_faults",),
    "xmp": (
        "SidecarChange",
        "plan_retract",
        "plan_sidecar",
        "retract_sidecar",
        "write_sidecar",
    ),
    "xmp_file": (
        "SidecarStyle",
        "sidecar_paths",
    ),
    "xmp_items": (
        "Keyword",
        "NamedArea",
        "XmpItems",
        "area_items",
        "keyword_items",
    ),
    "xmp_journal": (
        "XmpJournal",
        "open_journal",
    ),
    "xmp_people": ("PeopleKeywords",),
}
__all__ = [
    "CONTEXTS", "EXPORTERS", "FORMATS", "LABEL_SETS", "NOTHING", "REGION_MAKERS", "SEGMENTERS", "AddSegmenterOptions",
    "AnnotatedPhoto", "Annotation", "Box", "ClassMap", "CocoImport", "Colour", "ComponentOptions", "DataLabels", "DrawOptions",
    "ExportOptions", "Exported", "Exporter", "Keyword", "KnownPhoto", "Label", "LabelSet", "Mask", "MaskedPhoto", "NamedArea",
    "PeopleKeywords", "PhotoFacts", "Placing", "Plate", "Polygon", "Region", "RegionMaker", "RegionMakerOptions", "Rle",
    "SegmentMap", "Segmenter", "SegmenterFacts", "SegmenterOptions", "SidecarChange", "SidecarStyle", "Source", "XmpItems",
    "XmpJournal", "add_segmenter", "area_items", "as_written", "bridged", "builtin_folder", "check_free", "colour_for",
    "contrast_ratio", "decode_mask", "draw_regions", "encode_mask", "encode_piece", "evaluate_segmentation", "export_photos",
    "find_labels", "find_masked_photos", "find_regions", "find_segmenter_faults", "human_annotation", "intersection_over_union",
    "keyword_items", "load_exporter", "load_region_maker", "load_segmenter", "mask_area", "mask_box", "mask_of", "measured",
    "open_journal", "open_segmenter", "place_plates", "plan_retract", "plan_sidecar", "polygons_of", "read_coco", "read_labels",
    "region_crops", "resize_mask", "retract_sidecar", "rle_of", "runs_of", "scaled_box", "segmenter_folders", "sidecar_paths",
    "write_sidecar",
]  # fmt: skip


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
