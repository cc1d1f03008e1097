"""Bytes on disk to clean RGB pixels."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .choose import choose
from .errors import (
    FetchError,
    FilterError,
    ImageCorrupt,
    ImageError,
    ImageTooLarge,
    ImageUnreadable,
    ImageUnsupported,
    ImageVanished,
    InputError,
    LibraryBusy,
    LibraryDamaged,
    LibraryError,
    LibraryNotFound,
    LibraryTooNew,
    MissingExtra,
    PellucidError,
    QueryError,
    RecipeMismatch,
    SettingsError,
    StorageFull,
    UnknownName,
    WeightsError,
)
from .lazy import lazy_names

# Builds of onnxruntime from 1.31 on tell their maker what they run, and keep an identifier of the machine for that. Only this, before it is imported anywhere, keeps them
# from both; it holds for the processes that are begun from here too.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from ._opencv import cv2
    from ._session import GraphOptions, open_session
    from ._torch_files import graph_errors, misfits, read_state, write_onnx
    from .atmosphere import add_haze
    from .build_measures import MEASURED, MEASURES_SOURCE, BuildMeasures, measure_for_build
    from .comparison import jpeg_bytes, png_bytes, side_by_side
    from .dehaze import DEHAZE_RULES, DEHAZED_SHORT, DEHAZERS, Dehazer, DehazeRule, Judged, load_dehazer, load_rule, rule_of
    from .dehaze_evaluation import PUBLISHED, PUBLISHED_ON, DehazeFigures, evaluate_dehazers, find_pairs
    from .depth import RegionDepth, depth_heat_map, region_depth, relative_depth
    from .facts import Facts, read_facts
    from .formats import PHOTO_SUFFIXES, RAW_SUFFIXES, is_photo
    from .gate import HAZE_THRESHOLD, Gate
    from .haze import haze_density
    from .haze_evaluation import evaluate_haze, find_sources
    from .image import DECODE_MARGIN, Limits, Photo, RgbImage, decode, read_bytes, read_image
    from .keywords import sidecar_keywords
    from .orientation import exif_orientation
    from .original import Original, decode_original, peek_size
    from .perceptual_hash import TURNS, Hashes, distances, hash_text, picture_hash, turns
    from .planes import normalised_planes
    from .probe_photos import example_photos, real_photos
    from .progress import Progress, no_progress
    from .quality import DECODED_SIDE, Measures, measure, working_copy
    from .remote import fetch
    from .resize import Fit, fit, reduced, squash
    from .save import edited_name, encode_edited, write_whole
    from .scene_statistics import natural_statistics
    from .staging import remove_model, staged, writing_models
    from .storage import FULL, move_to_new, storage_errors, temporary_beside, try_lock
    from .weights import (
        Fault,
        as_tuples,
        check_file,
        check_name,
        digest_of,
        file_faults,
        first_line,
        folders_of,
        kind_of,
        safe_name,
        write_weights_facts,
        wrong_files,
    )

# Module -> names, imported when first used: `pellucid --help` needs the errors and must not wait for numpy and Pillow. No such module may have
# the name of a function in it: importing `preprocess.fetch` would put the module where people expect the function.
_HOMES = {
    "_opencv": ("cv2",),
    "_session": (
        "GraphOptions",
        "open_session",
    ),
    "_torch_files": (
        "graph_errors",
        "misfits",
        "read_state",
        "write_onnx",
    ),
    "atmosphere": ("add_haze",),
    "build_measures": (
        "MEASURED",
        "MEASURES_SOURCE",
        "BuildMeasures",
        "measure_for_build",
    ),
    "comparison": (
        "jpeg_bytes",
        "png_bytes",
        "side_by_side",
    ),
    "dehaze": (
        "DEHAZED_PIXELS",
        "DEHAZED_SHORT",
        "DEHAZERS",
        "DEHAZE_RULES",
        "DehazeRule",
        "Dehazer",
        "Judged",
        "load_dehazer",
        "load_rule",
        "rule_of",
    ),
    "dehaze_evaluation": (
        "PUBLISHED",
        "PUBLISHED_ON",
        "DehazeFigures",
        "evaluate_dehazers",
        "find_pairs",
    ),
    "depth": (
        "RegionDepth",
        "depth_heat_map",
        "region_depth",
        "relative_depth",
    ),
    "facts": (
        "Facts",
        "read_facts",
    ),
    "formats": (
        "PHOTO_SUFFIXES",
        "RAW_SUFFIXES",
        "is_photo",
    ),
    "gate": (
        "HAZE_THRESHOLD",
        "Gate",
    ),
    "haze": ("haze_density",),
    "haze_evaluation": (
        "evaluate_haze",
        "find_sources",
    ),
    "image": (
        "DECODE_MARGIN",
        "Limits",
        "Photo",
        "RgbImage",
        "decode",
        "read_bytes",
        "read_image",
    ),
    "keywords": ("sidecar_keywords",),
    "orientation": ("exif_orientation",),
    "scene_statistics": ("natural_statistics",),
    "original": (
        "Original",
        "decode_original",
        "peek_size",
    ),
    "perceptual_hash": (
        "TURNS",
        "Hashes",
        "distances",
        "hash_text",
        "picture_hash",
        "turns",
    ),
    "planes": ("normalised_planes",),
    "probe_photos": (
        "example_photos",
        "real_photos",
    ),
    "progress": (
        "Progress",
        "no_progress",
    ),
    "quality": (
        "DECODED_SIDE",
        "Measures",
        "measure",
        "working_copy",
    ),
    "remote": ("fetch",),
    "resize": (
        "Fit",
        "fit",
        "reduced",
        "squash",
    ),
    "save": (
        "edited_name",
        "encode_edited",
        "write_whole",
    ),
    "staging": (
        "remove_model",
        "staged",
        "writing_models",
    ),
    "storage": (
        "FULL",
        "move_to_new",
        "storage_errors",
        "temporary_beside",
        "try_lock",
    ),
    "weights": (
        "Fault",
        "as_tuples",
        "check_file",
        "check_name",
        "digest_of",
        "file_faults",
        "first_line",
        "folders_of",
        "kind_of",
        "safe_name",
        "write_weights_facts",
        "wrong_files",
    ),
}
__all__ = [
    "DECODED_SIDE", "DECODE_MARGIN", "DEHAZED_PIXELS", "DEHAZED_SHORT", "DEHAZERS", "DEHAZE_RULES", "FULL", "HAZE_THRESHOLD",
    "MEASURED", "MEASURES_SOURCE", "PHOTO_SUFFIXES", "PUBLISHED", "PUBLISHED_ON", "RAW_SUFFIXES", "TURNS", "BuildMeasures",
    "DehazeFigures", "DehazeRule", "Dehazer", "Facts", "Fault", "FetchError", "FilterError", "Fit", "Gate", "GraphOptions",
    "Hashes", "ImageCorrupt", "ImageError", "ImageTooLarge", "ImageUnreadable", "ImageUnsupported", "ImageVanished", "InputError",
    "Judged", "LibraryBusy", "LibraryDamaged", "LibraryError", "LibraryNotFound", "LibraryTooNew", "Limits", "Measures",
    "MissingExtra", "Original", "PellucidError", "Photo", "Progress", "QueryError", "RecipeMismatch", "RegionDepth", "RgbImage",
    "SettingsError", "StorageFull", "UnknownName", "WeightsError", "add_haze", "as_tuples", "check_file", "check_name", "choose",
    "cv2", "decode", "decode_original", "depth_heat_map", "digest_of", "distances", "edited_name", "encode_edited",
    "evaluate_dehazers", "evaluate_haze", "example_photos", "exif_orientation", "fetch", "file_faults", "find_pairs",
    "find_sources", "first_line", "fit", "folders_of", "graph_errors", "hash_text", "haze_density", "is_photo", "jpeg_bytes",
    "kind_of", "lazy_names", "load_dehazer", "load_rule", "measure", "measure_for_build", "misfits", "move_to_new",
    "natural_statistics", "no_progress", "normalised_planes", "open_session", "peek_size", "picture_hash", "png_bytes",
    "read_bytes", "read_facts", "read_image", "read_state", "real_photos", "reduced", "region_depth", "relative_depth",
    "remove_model", "rule_of", "safe_name", "side_by_side", "sidecar_keywords", "squash", "staged", "storage_errors",
    "temporary_beside", "try_lock", "turns", "working_copy", "write_onnx", "write_weights_facts", "write_whole", "writing_models",
    "wrong_files",
]  # fmt: skip


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
