"""What every export is checked for: paths, sizes, boxes within the photo, masks of the photo's size."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from preprocess import InputError

from .export_run import AnnotatedPhoto, Run, check_text
from .masks import mask_box, resize_mask
from .region import Box, Region


def checked(
    photos: Iterable[AnnotatedPhoto], run: Run, check_name: Callable[[str, Run], object] = lambda _path, _run: None
) -> Iterator[AnnotatedPhoto]:
    """The same photos with masks of the photo's size, boxes clipped to the photo and without masks that are empty; regions wholly outside are left out,
    and so are photos whose name is not Unicode or not one for `check_name`; all is counted.

    Raises:
        InputError: a path leads out of the root or comes twice, a mask is damaged or not of its photo's shape, or every photo was left out.
    """
    seen: set[str] = set()
    for photo in photos:
        _check_path(photo.path)
        if photo.path in seen:
            raise InputError(f"{photo.path} comes twice. Merge its annotations into one before the export.")
        seen.add(photo.path)
        try:
            check_text(photo.path, "path")
            check_name(photo.path, run)
        except InputError as error:
            run.photos_left_out[photo.path.encode("utf-8", "backslashreplace").decode()] = str(error)
            continue
        width, height = (int(side) for side in photo.annotation.size_wh)
        if width < 1 or height < 1:
            raise InputError(f"{photo.path} is {width}×{height} pixels. Index the photo again: every photo has at least one pixel.")
        regions = tuple(as_written(region, (width, height), photo.path) for region in photo.annotation.regions)
        kept = tuple(region for region in regions if region is not None)
        run.photos += 1
        run.regions += len(kept)
        run.left_out += len(regions) - len(kept)
        yield replace(photo, annotation=replace(photo.annotation, size_wh=(width, height), regions=kept))
    if run.photos_left_out and not run.photos:
        reason = next(iter(run.photos_left_out.values()))
        raise InputError(f"No photo has a name that this format can hold; nothing was written. {reason}")


def full_size(region: Region, size_wh: tuple[int, int]) -> Region:
    """The region with its mask brought to the photo's size, and the box around that mask's pixels; itself where it has that size, without a mask that is empty.

    Raises:
        InputError: the mask is damaged, or its shape is not the photo's: sides may be off by a pixel of the mask, as rounding makes them.
    """
    if region.mask is None:
        return region
    (width, height), (mask_height, mask_width) = size_wh, region.mask.size_hw
    if abs(mask_width * height - mask_height * width) > max(width, height):
        raise InputError(
            f"A mask of {region.label!r} is {mask_width}×{mask_height}, which is not the shape of its photo of {width}×{height}. Segment it again."
        )
    mask = resize_mask(region.mask, (height, width))
    box = mask_box(mask)
    if box is None:
        return replace(region, mask=None)
    return region if mask is region.mask else replace(region, mask=mask, box_xyxy=box)


def as_written(region: Region, size_wh: tuple[int, int], path: str = "a photo") -> Region | None:
    """The region as exports write it: of its photo's size (see `full_size`), its box clipped to it; none where it lies outside of the photo.

    Raises:
        InputError: its label is not Unicode, or its mask is damaged or of another shape; `path` says where.
    """
    check_text(region.label, "label")
    try:
        region = full_size(region, size_wh)
    except InputError as error:
        raise InputError(f"The region {region.label!r} of {path} cannot be written. {error}") from error
    box = _clipped(region.box_xyxy, *size_wh)
    if box is None:
        return None
    return replace(region, box_xyxy=box, confidence=float(region.confidence))


def _clipped(box: Box, width: int, height: int) -> Box | None:
    x1, y1, x2, y2 = (float(value) for value in box)
    x1, y1, x2, y2 = max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 and all(map(math.isfinite, (x1, y1, x2, y2))) else None


def _check_path(path: str) -> None:
    parts = path.split("/")
    windows = os.name == "nt" and any(character in path for character in '\\:*?"<>|')
    if any(part in ("", ".", "..") for part in parts) or "\0" in path or windows:
        raise InputError(f"{path!r} is no path inside a root. Give paths such as holiday/beach.jpg, relative to the folder of the photos.")
