"""Annotations that come back from other tools as COCO's JSON: regions that a person has drawn or corrected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from preprocess import InputError

from .export_run import pixels_of
from .export_shapes import fill
from .import_fields import list_in, mapping_of, real, short, text_in, whole_in
from .import_match import KnownPhoto, PhotoNames
from .masks import encode_piece, mask_box, rle_of, runs_of
from .region import Annotation, Box, Region, Rle

_MOST_BYTES = 2 << 30  # a document needs about five times its size in memory
_OUTSIDE = 1.0  # pixels: tools round, and let corners slip over the border


@dataclass(frozen=True, slots=True)
class CocoImport:
    """`annotations` by the photos' own names. `unmatched` are file names of the document that are no known photo; `ambiguous` those that fit several,
    with the photos' names; `unopened` those without a size and without annotations: the tool never opened them, so that nobody has looked. `empty`
    counts annotations of known photos that have no pixel inside, as specks of a brush make them; they are left out.
    """

    annotations: Mapping[str, Annotation]
    unmatched: tuple[str, ...]
    ambiguous: Mapping[str, tuple[str, ...]]
    unopened: tuple[str, ...] = ()
    empty: int = 0


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
    document = mapping_of(_load(file), f"{file}")
    labels = _labels(list_in(document, "categories", f"{file}"))
    images = _unique(list_in(document, "images", f"{file}"), "image")
    rows = _unique(list_in(document, "annotations", f"{file}"), "annotation")
    found = _match(images, PhotoNames(photos), {row.get("image_id") for row in rows.values() if isinstance(row.get("image_id"), int)})
    regions: dict[int, list[Region]] = {image: [] for image in found.photos}
    empty = 0
    for identity, row in rows.items():
        where = f"Annotation {identity}"
        image, label = whole_in(row, "image_id", where), labels.get(whole_in(row, "category_id", where))
        if image not in images:
            raise InputError(f"{where} is of image {image}, which is not listed. Export the document again, with its images.")
        if label is None:
            raise InputError(
                f"{where} has the category {row['category_id']}, which is not listed. Export the document again, with its categories."
            )
        if image in found.photos:
            region = _region(row, label, found.photos[image].size_wh, where)
            empty += region is None
            regions[image] += [region] if region is not None else []
    annotations = {photo.name: human_annotation(photo.size_wh, regions[image]) for image, photo in found.photos.items()}
    return CocoImport(annotations, tuple(found.unmatched), found.ambiguous, tuple(found.unopened), empty)


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
    return {identity: text_in(row, "name", f"Category {identity}") for identity, row in _unique(rows, "category").items()}


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
        name = text_in(row, "file_name", where)
        sized = row.get("width") is not None or row.get("height") is not None
        size = (whole_in(row, "width", where), whole_in(row, "height", where)) if sized else None
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


def _region(row: Mapping[str, Any], label: str, size_wh: tuple[int, int], where: str) -> Region | None:
    """The region; none where there is no pixel inside."""
    mask = _mask(row.get("segmentation"), size_wh, where)
    bbox = row.get("bbox")
    box = _box(bbox, size_wh, where) if bbox is not None and bbox != [] else None
    around = mask_box(mask) if mask is not None else None
    if mask is not None and around is None:
        return None
    # Tools round, and Label Studio's boxes are a pixel wider than their masks; a box that is farther off was drawn so.
    if around is not None and (box is None or all(abs(a - b) <= _OUTSIDE for a, b in zip(around, box, strict=True))):
        box = around
    if box is None:
        raise InputError(f"{where} has neither a bbox nor a segmentation. Draw it, or remove it.")
    score = 1.0 if row.get("score") is None else real(row["score"], f"The score of {where.lower()}")
    if not 0 <= score <= 1:
        raise InputError(f"The score of {where.lower()} is {score:g}, outside [0, 1]. Correct it, or leave it out.")
    return Region(box, label, score, mask, "human")


def _box(value: Any, size_wh: tuple[int, int], where: str) -> Box:
    if not isinstance(value, list) or len(value) != 4:
        raise InputError(f"The bbox of {where.lower()} must be a list of left, top, width and height, not {short(value)}. Export it again.")
    x, y, width, height = (real(number, f"The bbox of {where.lower()}") for number in value)
    (x1, x2), (y1, y2) = (
        (_inside(low, side, where), _inside(low + extent, side, where))
        for low, extent, side in ((x, width, size_wh[0]), (y, height, size_wh[1]))
    )
    if width <= 0 or height <= 0 or not (x1 < x2 and y1 < y2):
        raise InputError(f"The bbox {short(value)} of {where.lower()} is empty. Draw it, or remove it.")
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
        return _decoded(value, size_wh, where)
    if isinstance(value, list):
        return _filled(value if isinstance(value[0], list) else [value], size_wh, where)
    raise InputError(f"The segmentation of {where.lower()} must be polygons or runs, not {short(value)}. Export it again as COCO.")


def _filled(polygons: list[Any], size_wh: tuple[int, int], where: str) -> Rle:
    rings = []
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise InputError(
                f"A polygon of {where.lower()} must be a list of x and y of at least 3 corners, not {short(polygon)}. Draw it again."
            )
        numbers = [real(number, f"A polygon of {where.lower()}") for number in polygon]
        corners = [_inside(number, size_wh[at % 2], where) for at, number in enumerate(numbers)]
        rings.append(np.array(corners, np.float64).reshape(-1, 2))
    # Moved by whole pixels, a ring fills the same pixels: their own part of the photo is enough, with a pixel around it.
    low = np.clip(np.floor(np.min([ring.min(0) for ring in rings], 0)) - 1, 0, np.array(size_wh) - 1).astype(int)
    high = np.clip(np.ceil(np.max([ring.max(0) for ring in rings], 0)) + 1, 1, size_wh).astype(int)
    left, top, (width, height) = int(low[0]), int(low[1]), (high - low).tolist()
    piece = np.logical_or.reduce([fill(ring - low, (height, width)) for ring in rings])
    return encode_piece(piece, (left, top), (size_wh[1], size_wh[0]))


def _decoded(value: dict[str, Any], size_wh: tuple[int, int], where: str) -> Rle:
    width, height = size_wh
    if value.get("size") != [height, width]:
        raise InputError(
            f"The runs of {where.lower()} are of size {short(value.get('size'))}, the photo {[height, width]}. Export it again."
        )
    counts = value.get("counts")
    try:
        if isinstance(counts, str):
            return rle_of(runs_of(Rle((height, width), counts.encode("ascii"))), (height, width))
        runs = counts if isinstance(counts, list) and all(type(run) is int and run >= 0 for run in counts) else []
        if sum(runs) == width * height:
            return rle_of(runs, (height, width))
    except (InputError, UnicodeEncodeError) as error:
        raise InputError(f"The runs of {where.lower()} are damaged: {error}") from error
    raise InputError(
        f"The runs of {where.lower()}, {short(counts)}, do not fill its photo of {width}×{height} pixels. Export it again as COCO."
    )


def _unique(rows: list[Any], kind: str) -> dict[int, Mapping[str, Any]]:
    found: dict[int, Mapping[str, Any]] = {}
    for at, value in enumerate(rows):
        row = mapping_of(value, f"{kind.capitalize()} number {at + 1}")
        identity = whole_in(row, "id", f"{kind.capitalize()} number {at + 1}")
        if identity in found:
            raise InputError(f"The {kind} id {identity} comes twice. Export the document again, with ids of their own.")
        found[identity] = row
    return found
