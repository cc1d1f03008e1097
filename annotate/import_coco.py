"""Annotations that come back from other tools as COCO's JSON: regions that a person has drawn or corrected."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from preprocess import InputError

from .export_run import pixels_of
from .export_shapes import fill
from .import_match import KnownPhoto, PhotoNames
from .masks import Mask, decode_mask, encode_mask, mask_box, rle_of
from .region import Annotation, Box, Region, Rle

_MOST_BYTES = 2 << 30  # a document needs about five times its size in memory
_OUTSIDE = 1.0  # pixels: tools round, and let corners slip over the border


@dataclass(frozen=True, slots=True)
class CocoImport:
    """`annotations` by the photos' own names. `unmatched` are file names of the document that are no known photo; `ambiguous` those that fit several,
    with the photos' names; `unopened` those without a size and without annotations: the tool never opened them, so that nobody has looked.
    """

    annotations: Mapping[str, Annotation]
    unmatched: tuple[str, ...]
    ambiguous: Mapping[str, tuple[str, ...]]
    unopened: tuple[str, ...] = ()


def read_coco(file: Path, photos: Iterable[KnownPhoto]) -> CocoImport:
    """The document's regions for the photos that it is about.

    An image is the photo with its `digest`, which our own export wrote, or else with its `file_name` (see `PhotoNames`). One without annotations gives
    an annotation without regions: a person has looked and found nothing. Polygons are filled as COCO's own mask API fills them, compressed and
    uncompressed runs are read, a crowd becomes one region, and a `bbox` that is missing, or off by a pixel at most,
    is that of the mask's pixels. All regions are `source`
    "human"; their confidence is the field `score`, 1 where there is none. The largest come first.

    Raises:
        InputError: the file cannot be read or is no COCO document, a field is missing or of the wrong type, an id is unknown or comes twice, a
            size is not the photo's, or a region lies more than a pixel outside of its photo. Nothing is given then.
    """
    document = _mapping(_load(file), f"{file}")
    labels = _labels(_list(document, "categories", f"{file}"))
    images = _unique(_list(document, "images", f"{file}"), "image")
    rows = _unique(_list(document, "annotations", f"{file}"), "annotation")
    found = _match(images, PhotoNames(photos), {row.get("image_id") for row in rows.values() if isinstance(row.get("image_id"), int)})
    regions: dict[int, list[Region]] = {image: [] for image in found.photos}
    for identity, row in rows.items():
        where = f"Annotation {identity}"
        image, label = _whole(row, "image_id", where), labels.get(_whole(row, "category_id", where))
        if image not in images:
            raise InputError(f"{where} is of image {image}, which is not listed. Export the document again, with its images.")
        if label is None:
            raise InputError(
                f"{where} has the category {row['category_id']}, which is not listed. Export the document again, with its categories."
            )
        if image in found.photos:
            regions[image].append(_region(row, label, found.photos[image].size_wh, where))
    annotations = {photo.name: human_annotation(photo.size_wh, regions[image]) for image, photo in found.photos.items()}
    return CocoImport(annotations, tuple(found.unmatched), found.ambiguous, tuple(found.unopened))


def human_annotation(size_wh: tuple[int, int], regions: Iterable[Region]) -> Annotation:
    """A person's regions, the largest first, with their area. The maker says which they are: `human-` and 12 digits of a hash of them."""
    whole = size_wh[0] * size_wh[1]
    measured = [replace(region, area=region.area if region.area is not None else pixels_of(region) / whole) for region in regions]
    ordered = sorted(measured, key=lambda region: -(region.area or 0))
    told = [(r.label, r.box_xyxy, r.confidence, r.mask and (r.mask.size_hw, r.mask.counts)) for r in ordered]
    return Annotation(size_wh, tuple(ordered), f"human-{hashlib.sha256(repr(told).encode()).hexdigest()[:12]}")


def _load(file: Path) -> Any:
    try:
        if (size := file.stat().st_size) > _MOST_BYTES:
            raise InputError(f"{file} has {size / 2**30:.1f} GiB; the limit is 2. Export it in parts.")
        return json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}. Name a COCO JSON file.") from error
    except (ValueError, RecursionError) as error:  # also text that is not Unicode, and whole numbers of thousands of digits
        raise InputError(f"{file} is no JSON document: {error}. Export it again as COCO.") from error


def _labels(rows: list[Any]) -> dict[int, str]:
    return {identity: _text(row, "name", f"Category {identity}") for identity, row in _unique(rows, "category").items()}


@dataclass(slots=True)
class _Found:
    photos: dict[int, KnownPhoto] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)
    ambiguous: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unopened: list[str] = field(default_factory=list)


def _match(images: Mapping[int, Mapping[str, Any]], names: PhotoNames, annotated: set[Any]) -> _Found:
    found = _Found()
    owners: dict[str, int] = {}
    for identity, row in images.items():
        where = f"Image {identity}"
        name = _text(row, "file_name", where)
        sized = row.get("width") is not None or row.get("height") is not None
        size = (_whole(row, "width", where), _whole(row, "height", where)) if sized else None
        fitting = names.find([name, *(row[key] for key in ("path",) if isinstance(row.get(key), str))], row.get("digest"))
        if not fitting:
            found.unmatched.append(name)
        elif len({photo.digest for photo in fitting}) > 1:
            found.ambiguous[name] = tuple(sorted(photo.name for photo in fitting))
        elif size is None and identity not in annotated:
            found.unopened.append(name)
        else:
            photo = next((photo for photo in fitting if photo.name not in owners), fitting[0])
            _check_photo(photo, size, where, owners)
            found.photos[identity], owners[photo.name] = photo, identity
    return found


def _check_photo(photo: KnownPhoto, size: tuple[int, int] | None, where: str, owners: Mapping[str, int]) -> None:
    if photo.name in owners:
        raise InputError(
            f"{where} and image {owners[photo.name]} are both {photo.name}. Merge them, or name them by their paths in file_name."
        )
    if size is not None and size != tuple(photo.size_wh):
        width, height = photo.size_wh
        raise InputError(
            f"{where} is {size[0]}×{size[1]}, but {photo.name} is {width}×{height}. Annotate the photo in its own size, upright as EXIF says."
        )


def _region(row: Mapping[str, Any], label: str, size_wh: tuple[int, int], where: str) -> Region:
    mask = _mask(row.get("segmentation"), size_wh, where)
    bbox = row.get("bbox")
    box = _box(bbox, size_wh, where) if bbox is not None and bbox != [] else None
    around = mask_box(mask) if mask is not None else None
    # Tools round, and Label Studio's boxes are a pixel wider than their masks; a box that is farther off was drawn so.
    if around is not None and (box is None or all(abs(a - b) <= _OUTSIDE for a, b in zip(around, box, strict=True))):
        box = around
    if box is None:
        raise InputError(f"{where} has neither a bbox nor a segmentation with pixels in it. Draw it, or remove it.")
    score = 1.0 if row.get("score") is None else _real(row["score"], f"The score of {where.lower()}")
    if not 0 <= score <= 1:
        raise InputError(f"The score of {where.lower()} is {score:g}, outside [0, 1]. Correct it, or leave it out.")
    return Region(box, label, score, mask, "human")


def _box(value: Any, size_wh: tuple[int, int], where: str) -> Box:
    if not isinstance(value, list) or len(value) != 4:
        raise InputError(
            f"The bbox of {where.lower()} must be a list of left, top, width and height, not {_short(value)}. Export it again."
        )
    x, y, width, height = (_real(number, f"The bbox of {where.lower()}") for number in value)
    (x1, x2), (y1, y2) = (
        (_inside(low, side, where), _inside(low + extent, side, where))
        for low, extent, side in ((x, width, size_wh[0]), (y, height, size_wh[1]))
    )
    if width <= 0 or height <= 0 or not (x1 < x2 and y1 < y2):
        raise InputError(f"The bbox {_short(value)} of {where.lower()} is empty. Draw it, or remove it.")
    return (x1, y1, x2, y2)


def _inside(value: float, side: int, where: str) -> float:
    if not -_OUTSIDE <= value <= side + _OUTSIDE:
        raise InputError(
            f"{where} reaches to {value:g} on a side of {side} pixels: it lies outside of the photo. Correct it, or annotate the photo in its own size."
        )
    return min(max(value, 0.0), float(side))


def _mask(value: Any, size_wh: tuple[int, int], where: str) -> Rle | None:
    if value is None or value == [] or value == {}:
        return None
    if isinstance(value, dict):
        mask = _decoded(value, size_wh, where)
    elif isinstance(value, list):
        mask = _filled(value if isinstance(value[0], list) else [value], size_wh, where)
    else:
        raise InputError(f"The segmentation of {where.lower()} must be polygons or runs, not {_short(value)}. Export it again as COCO.")
    if not mask.any():
        raise InputError(f"The segmentation of {where.lower()} has no pixel inside. Draw it, or remove it.")
    return encode_mask(mask)


def _filled(polygons: list[Any], size_wh: tuple[int, int], where: str) -> Mask:
    width, height = size_wh
    mask = np.zeros((height, width), np.bool_)
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise InputError(
                f"A polygon of {where.lower()} must be a list of x and y of at least 3 corners, not {_short(polygon)}. Draw it again."
            )
        numbers = [_real(number, f"A polygon of {where.lower()}") for number in polygon]
        corners = [_inside(number, width if at % 2 == 0 else height, where) for at, number in enumerate(numbers)]
        mask |= fill(np.array(corners, np.float64).reshape(-1, 2), (height, width))
    return mask


def _decoded(value: dict[str, Any], size_wh: tuple[int, int], where: str) -> Mask:
    width, height = size_wh
    if value.get("size") != [height, width]:
        raise InputError(
            f"The runs of {where.lower()} are of size {_short(value.get('size'))}, the photo {[height, width]}. Export it again."
        )
    counts = value.get("counts")
    try:
        if isinstance(counts, str):
            return decode_mask(Rle((height, width), counts.encode("ascii")))
        runs = counts if isinstance(counts, list) and all(type(run) is int and run >= 0 for run in counts) else []
        if sum(runs) == width * height:
            return decode_mask(rle_of(runs, (height, width)))
    except (InputError, UnicodeEncodeError) as error:
        raise InputError(f"The runs of {where.lower()} are damaged: {error}") from error
    raise InputError(
        f"The runs of {where.lower()}, {_short(counts)}, do not fill its photo of {width}×{height} pixels. Export it again as COCO."
    )


def _unique(rows: list[Any], kind: str) -> dict[int, Mapping[str, Any]]:
    found: dict[int, Mapping[str, Any]] = {}
    for at, value in enumerate(rows):
        row = _mapping(value, f"{kind.capitalize()} number {at + 1}")
        identity = _whole(row, "id", f"{kind.capitalize()} number {at + 1}")
        if identity in found:
            raise InputError(f"The {kind} id {identity} comes twice. Export the document again, with ids of their own.")
        found[identity] = row
    return found


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be a JSON object, not {_short(value)}. Export it again as COCO for object detection.")
    return value


def _list(document: Mapping[str, Any], name: str, where: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list):
        raise InputError(f"{where} must have a list of {name}, not {_short(value)}. Export it again as COCO for object detection.")
    return value


def _whole(row: Mapping[str, Any], name: str, where: str) -> int:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{where} must have a whole number as {name}, not {_short(value)}. Correct it, or export it again.")
    return value


def _real(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15 or not math.isfinite(value):
        raise InputError(f"{where} must have finite numbers, not {_short(value)}. Correct it, or export it again.")
    return float(value)


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise InputError(f"{where} must have a text as {name}, not {_short(value)}. Correct it, or export it again.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where} has a {name} that is not valid Unicode: {_short(value)}. Correct it.") from error
    return value


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits; a list thousands deep
        return f"such a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
