"""What goes into an export and what comes out of it: photos with their regions, options, labels with numbers, counts."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from preprocess import InputError

from .masks import mask_area
from .region import Annotation, Box, Region

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class AnnotatedPhoto:
    """A photo and its regions. `path` is POSIX and relative to the photo's root; `annotation` knows the photo's size."""

    path: str
    annotation: Annotation


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`labels` fixes the classes and their order; without it they are numbered as they first come, so the same stream gives the same numbers.

    `force` replaces files that are there. `root` is the folder that the photos' paths are relative to; `place` says whether formats with a folder
    of photos (YOLO, VOC, FiftyOne) get them as symbolic links or copies, or not at all.
    """

    labels: tuple[str, ...] | None = None
    force: bool = False
    root: Path | None = None
    place: Literal["none", "link", "copy"] = "none"

    def __post_init__(self) -> None:
        if self.place != "none" and self.root is None:
            raise InputError(
                f"Photos cannot be placed by {self.place!r} without their root. Give the folder that their paths are relative to."
            )
        if self.labels is not None and len(set(self.labels)) != len(self.labels):
            raise InputError(f"A label comes twice in {', '.join(self.labels)}. Name each once.")


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote. `left_out` counts regions that lie wholly outside their photo.

    `renamed` has the photos whose files in the export could not carry their stem, because another photo's did: path -> name without its ending.
    """

    photos: int
    regions: int
    left_out: int
    labels: tuple[str, ...]
    renamed: dict[str, str]


class Labels:
    """Labels with their numbers from 0 on."""

    def __init__(self, fixed: tuple[str, ...] | None = None) -> None:
        self.fixed = fixed is not None
        self._numbers: dict[str, int] = {}
        for label in fixed or ():
            _check_text(label, "label")
            self._numbers[label] = len(self._numbers)

    def number(self, label: str) -> int:
        """The number of a label; a new one where it was not seen before.

        Raises:
            InputError: labels were given and this is none of them.
        """
        if label not in self._numbers:
            if self.fixed:
                raise InputError(
                    f"The label {label!r} is not among those given: {', '.join(self._numbers)}. Add it, or leave the labels out."
                )
            self._numbers[label] = len(self._numbers)
        return self._numbers[label]

    @property
    def names(self) -> tuple[str, ...]:
        """All labels in the order of their numbers."""
        return tuple(self._numbers)


@dataclass(slots=True)
class Run:
    """One export while it runs: options, labels, and what was counted. File names that were taken are kept, photos are not."""

    options: ExportOptions
    labels: Labels
    photos: int = 0
    regions: int = 0
    left_out: int = 0
    renamed: dict[str, str] = field(default_factory=dict)
    _stems: set[str] = field(default_factory=set)

    def stem(self, path: str) -> str:
        """The path without its ending, for formats that tell a photo's file by its stem; with its ending where another photo has that stem.

        Names that differ only in case count as the same, as they do on Windows and macOS.
        """
        short = str(PurePosixPath(path).with_suffix("")) if PurePosixPath(path).suffix else path
        tries = [short, path]
        name = next((name for name in tries if name.casefold() not in self._stems), None)
        number = 2
        while name is None:
            if (numbered := f"{path}-{number}").casefold() not in self._stems:
                name = numbered
            number += 1
        self._stems.add(name.casefold())
        if name != short:
            self.renamed[path] = name
        return name

    def photo_name(self, path: str) -> str:
        """The path under which a photo is placed, after `stem` was asked: its own, or one with the stem that it got."""
        return self.renamed[path] + PurePosixPath(path).suffix if path in self.renamed else path


@dataclass(frozen=True, slots=True)
class Exporter:
    """Writes one format. `kind` says whether the destination is a file or a folder; `write` gets a fresh temporary one, checked photos and the run."""

    kind: Literal["file", "folder"]
    write: Callable[[Iterator[AnnotatedPhoto], Path, Run], None]


def checked(photos: Iterable[AnnotatedPhoto], run: Run) -> Iterator[AnnotatedPhoto]:
    """The same photos with boxes clipped to the photo and without masks that are empty; regions wholly outside are left out, and all is counted.

    Raises:
        InputError: a path leads out of the root, comes twice or cannot be written as UTF-8, or a mask is damaged or not of its photo's size.
    """
    seen: set[str] = set()
    for photo in photos:
        _check_path(photo.path)
        if photo.path in seen:
            raise InputError(f"{photo.path} comes twice. Merge its annotations into one before the export.")
        seen.add(photo.path)
        width, height = photo.annotation.size_wh
        if width < 1 or height < 1:
            raise InputError(f"{photo.path} is {width}×{height} pixels. Index the photo again: every photo has at least one pixel.")
        regions = []
        for region in photo.annotation.regions:
            _check_text(region.label, "label")
            if region.mask is not None and tuple(region.mask.size_hw) != (height, width):
                mask_height, mask_width = region.mask.size_hw
                raise InputError(
                    f"A mask of {region.label!r} in {photo.path} is {mask_width}×{mask_height}; the photo {width}×{height}. Segment it again."
                )
            box = _clipped(region.box_xyxy, width, height)
            if box is None:
                run.left_out += 1
            else:
                mask = region.mask if _has_pixels(region, photo.path) else None
                regions.append(replace(region, box_xyxy=box, confidence=float(region.confidence), mask=mask))
        run.photos += 1
        run.regions += len(regions)
        yield AnnotatedPhoto(photo.path, replace(photo.annotation, size_wh=(int(width), int(height)), regions=tuple(regions)))


def number(value: float) -> int | float:
    """A whole number as such, so that files say 12 and not 12.0."""
    return int(value) if value == int(value) else value


def xywh(region: Region) -> list[int | float]:
    """Left, top, width and height in pixels."""
    x1, y1, x2, y2 = region.box_xyxy
    return [number(value) for value in (x1, y1, x2 - x1, y2 - y1)]


def xml_safe(text: str, kind: str) -> str:
    """The text.

    Raises:
        InputError: it has a control character, which XML cannot hold.
    """
    if bad := _NOT_XML.search(text):
        raise InputError(
            f"The {kind} {text!r} has the character {bad.group()!r}, which XML cannot hold. Rename it, or export as coco or jsonl."
        )
    return text


def one_line(text: str, kind: str) -> str:
    """The text.

    Raises:
        InputError: it has a line break, which a list of one name a line cannot hold.
    """
    if len(text.splitlines()) > 1 or text != text.strip("\r\n"):
        raise InputError(f"The {kind} {text!r} has a line break, which a list of names cannot hold. Rename it, or export as coco or jsonl.")
    return text


def _has_pixels(region: Region, path: str) -> bool:
    try:
        return region.mask is not None and mask_area(region.mask) > 0
    except InputError as error:
        raise InputError(f"The region {region.label!r} of {path} cannot be written. {error}") from error


def _clipped(box: Box, width: int, height: int) -> Box | None:
    x1, y1, x2, y2 = (float(value) for value in box)
    x1, y1, x2, y2 = max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 and all(map(math.isfinite, (x1, y1, x2, y2))) else None


def _check_path(path: str) -> None:
    _check_text(path, "path")
    parts = path.split("/")
    windows = os.name == "nt" and any(character in path for character in '\\:*?"<>|')
    if any(part in ("", ".", "..") for part in parts) or "\0" in path or windows:
        raise InputError(f"{path!r} is no path inside a root. Give paths such as holiday/beach.jpg, relative to the folder of the photos.")


def _check_text(text: str, kind: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"The {kind} {text!r} is not valid Unicode and no format can hold it. Rename it.") from error
