"""What goes into an export and what comes out of it: photos with their regions, options, labels with numbers, counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from preprocess import InputError

from .masks import mask_area
from .region import Annotation, Region

_MOST_BYTES = 255  # of a file's name, on all common disks
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What is known of a photo besides its regions; every one may be unknown. `digest` is the sha256 of its file, `haze` its density in [0, 1]."""

    root: str | None = None
    digest: str | None = None
    taken_at: str | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    keywords: str | None = None
    haze: float | None = None


@dataclass(frozen=True, slots=True)
class AnnotatedPhoto:
    """A photo and its regions. `path` is POSIX and relative, its name in the export; `annotation` knows the photo's size. `file` is where the photo lies,
    for formats that link, copy or name it."""

    path: str
    annotation: Annotation
    file: Path | None = None
    facts: PhotoFacts = PhotoFacts()


Placing: TypeAlias = Literal["none", "link", "copy"]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`labels` fixes the classes and their order; without it they are numbered as they first come, so the same stream gives the same numbers.

    `force` replaces files that are there. `place` says whether formats with a folder of photos (YOLO, VOC, FiftyOne) get them as symbolic links or
    copies, or not at all. `served` is the folder that Label Studio serves files from; without it, photos are named by their paths alone.
    """

    labels: tuple[str, ...] | None = None
    force: bool = False
    place: Placing = "none"
    served: Path | None = None

    def __post_init__(self) -> None:
        if self.labels is not None and len(set(self.labels)) != len(self.labels):
            raise InputError(f"A label comes twice in {', '.join(self.labels)}. Name each once.")


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote. `left_out` counts regions that lie wholly outside their photo.

    `renamed` has the photos whose files in the export could not carry their stem, because another photo's did: path -> name without its ending.
    `photos_left_out` has those whose names the format cannot hold: path -> why. `relabelled` has labels that it had to write in another way.
    """

    photos: int
    regions: int
    left_out: int
    labels: tuple[str, ...]
    renamed: dict[str, str]
    photos_left_out: dict[str, str] = field(default_factory=dict)
    relabelled: dict[str, str] = field(default_factory=dict)


class Labels:
    """Labels with their numbers from 0 on."""

    def __init__(self, fixed: tuple[str, ...] | None = None) -> None:
        self.fixed = fixed is not None
        self._numbers: dict[str, int] = {}
        for label in fixed or ():
            check_text(label, "label")
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
    photos_left_out: dict[str, str] = field(default_factory=dict)
    relabelled: dict[str, str] = field(default_factory=dict)
    _stems: set[str] = field(default_factory=set)

    def stem(self, path: str) -> str:
        """The path without its ending, for formats that tell a photo's file by its stem; with its ending where another photo has that stem.

        Names that differ only in case count as the same, as they do on Windows and macOS.
        """
        name = self.free_stem(path)
        self._stems.add(name.casefold())
        if name != _without_ending(path):
            self.renamed[path] = name
        return name

    def free_stem(self, path: str) -> str:
        """What `stem` would give, without taking it."""
        tries = [_without_ending(path), path]
        name = next((name for name in tries if name.casefold() not in self._stems), None)
        number = 2
        while name is None:
            if (numbered := f"{path}-{number}").casefold() not in self._stems:
                name = numbered
            number += 1
        return name

    def photo_name(self, path: str) -> str:
        """The path under which a photo is placed, after `stem` was asked: its own, or one with the stem that it got."""
        return self.renamed[path] + PurePosixPath(path).suffix if path in self.renamed else path


@dataclass(frozen=True, slots=True)
class Exporter:
    """Writes one format. `kind` says whether the destination is a file or a folder; `write` gets a fresh temporary one, checked photos and the run.

    `check_name` raises InputError where the format cannot hold a photo's path: that photo is left out.
    """

    kind: Literal["file", "folder"]
    write: Callable[[Iterator[AnnotatedPhoto], Path, Run], None]
    check_name: Callable[[str, Run], object] = lambda _path, _run: None


def number(value: float) -> int | float:
    """A whole number as such, so that files say 12 and not 12.0."""
    return int(value) if value == int(value) else value


def xywh(region: Region) -> list[int | float]:
    """Left, top, width and height in pixels."""
    x1, y1, x2, y2 = region.box_xyxy
    return [number(value) for value in (x1, y1, x2 - x1, y2 - y1)]


def pixels_of(region: Region) -> int | float:
    """Pixels of the mask, or of the box where there is none."""
    if region.mask is not None:
        return mask_area(region.mask)
    x1, y1, x2, y2 = region.box_xyxy
    return number((x2 - x1) * (y2 - y1))


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


def check_stem(path: str, run: Run) -> None:
    """See that files can be called by the stem that the path would get, which is longer than its own where another photo has that.

    Raises:
        InputError: they cannot.
    """
    longest = PurePosixPath(run.free_stem(path)).name + max(PurePosixPath(path).suffix, ".txt", key=len)
    if len(longest.encode()) > _MOST_BYTES:
        raise InputError(
            f"The path {path!r} would need a file called {longest!r}, with more than {_MOST_BYTES} bytes. Rename it, or export as coco or jsonl."
        )


def check_text(text: str, kind: str) -> None:
    """See that it is Unicode.

    Raises:
        InputError: it is not.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"The {kind} {text!r} is not valid Unicode and no format can hold it. Rename it.") from error


def _without_ending(path: str) -> str:
    return str(PurePosixPath(path).with_suffix("")) if PurePosixPath(path).suffix else path
