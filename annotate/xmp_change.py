"""What one sidecar's bytes become: with more items, or without some."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from preprocess import InputError

from .xmp_document import XmpDocument
from .xmp_items import XmpItems
from .xmp_markup import NEW_SIDECAR
from .xmp_tree import decoded

_NONE = XmpItems()


@dataclass(frozen=True, slots=True)
class SidecarChange:
    """What is done, or would be, to one sidecar: its bytes `before` and `after`, None for no file, and what is added or taken out.

    `left_out` says why regions were not written, and is empty otherwise; `exact` whether `after` is what was there before a retracted run. `taken` is what goes
    where items are added and others taken out in one.
    """

    sidecar: Path
    before: bytes | None
    after: bytes | None
    items: XmpItems
    made: tuple[str, ...] = ()
    left_out: str = ""
    exact: bool = True
    taken: XmpItems = _NONE

    @property
    def changed(self) -> bool:
        """Whether the file's bytes change."""
        return self.before != self.after

    def diff(self) -> str:
        """A unified diff of the two texts; empty where nothing changes."""
        old, new = (decoded(data).text.decode() if data is not None else "" for data in (self.before, self.after))
        was, becomes = (str(self.sidecar) if data is not None else "/dev/null" for data in (self.before, self.after))
        lines = difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), was, becomes)
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def merged(sidecar: Path, before: bytes | None, wanted: XmpItems) -> SidecarChange:
    """A sidecar's bytes with what is wanted and not there yet; of no file a new one.

    Raises:
        InputError: they cannot be understood, or cannot be added to without harm.
    """
    document = understood(sidecar, NEW_SIDECAR if before is None else before)
    left_out = ""
    if wanted.areas and not document.takes_areas(wanted.size_wh):
        (w, h), (width, height) = document.size_wh() or (0, 0), wanted.size_wh
        left_out = f"{sidecar} has regions of a photo of {w}×{h} pixels, and this one has {width}×{height}: its regions are not written."
        wanted = replace(wanted, areas=())
    adds = wanted.minus(document.items())
    if not adds:
        return SidecarChange(sidecar, before, before, adds, (), left_out)
    after = document.added(adds)
    was, there = document.items(), understood(sidecar, after).items()
    if adds.minus(there) or lost(was, there):
        raise InputError(f"{sidecar} is written in a way that keywords cannot be added to safely. It is left as it is.")
    present = document.lists()
    made = tuple(kind for kind in ("subjects", "paths", "areas") if getattr(adds, kind) and kind not in present)
    return SidecarChange(sidecar, before, after, adds, made, left_out)


def understood(sidecar: Path, data: bytes) -> XmpDocument:
    """A sidecar's bytes, understood.

    Raises:
        InputError: they cannot be; the message names the file.
    """
    try:
        return XmpDocument(data)
    except InputError as error:
        raise InputError(f"{sidecar} {error}. It is left as it is.") from error


def items_of_bytes(data: bytes | None) -> XmpItems:
    """All keywords and areas of a sidecar; none of no file."""
    return XmpItems() if data is None else XmpDocument(data).items()


def lost(was: XmpItems, there: XmpItems) -> XmpItems:
    """Exactly what is not there any more, of two equal ones the one."""
    subjects, paths = Counter(was.subjects) - Counter(there.subjects), Counter(was.paths) - Counter(there.paths)
    return XmpItems(tuple(subjects), tuple(paths), tuple(Counter(was.areas) - Counter(there.areas)), was.size_wh)
