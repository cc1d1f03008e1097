"""Keywords and regions into XMP sidecars, merged with what is there, and out again by run.

Only sidecars are written, never a photo. A sidecar's bytes are kept before each change, and a journal says which run wanted and added what; so a run
can be taken back exactly: the file gets the bytes that it would have without the run, or goes if there would be none. Where somebody else has changed
it since, only what the run added is taken out.
"""

from __future__ import annotations

import contextlib
import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from preprocess import InputError, LibraryDamaged

from .xmp_document import XmpDocument
from .xmp_file import read_sidecar, replace_sidecar
from .xmp_items import XmpItems
from .xmp_journal import XmpEvent, XmpJournal, adds_of, digest_of_bytes, key_of
from .xmp_markup import NEW_SIDECAR
from .xmp_tree import decoded

_TRIES = 5  # how often a sidecar is read again that another program has just written


_Other = tuple[bytes | None, XmpEvent]  # the bytes before it, to be backed up, and the event


@dataclass(frozen=True, slots=True)
class SidecarChange:
    """What is done, or would be, to one sidecar: its bytes `before` and `after`, None for no file, and what is added or taken out.

    `left_out` says why regions were not written, and is empty otherwise; `exact` whether `after` is what was there before a retracted run.
    """

    sidecar: Path
    before: bytes | None
    after: bytes | None
    items: XmpItems
    made: tuple[str, ...] = ()
    left_out: str = ""
    exact: bool = True

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


def plan_sidecar(sidecar: Path, wanted: XmpItems) -> SidecarChange:
    """What `write_sidecar` would do; nothing is written.

    Raises:
        InputError: the sidecar is a link or no file, or what is there cannot be understood.
    """
    return _merged(sidecar, read_sidecar(sidecar), wanted)


def write_sidecar(sidecar: Path, wanted: XmpItems, journal: XmpJournal, run: str) -> SidecarChange:
    """Add what is wanted and not there yet. A second time does nothing.

    Raises:
        InputError: as `plan_sidecar`; or the folder cannot be written, or another program keeps writing the file.
        StorageFull: the disk took no more; the sidecar is as it was.
    """
    if not run.strip():
        raise InputError("A run needs an id, by which it can be taken back.")
    for _ in range(_TRIES):
        change = plan_sidecar(sidecar, wanted)
        events, undone = _done(journal.events(sidecar), change.before)
        for event in undone:
            journal.call_off(event)
        if not change.changed and not _worth_noting(wanted, events, run):
            return change
        event = _event(journal.next_number(), run, change, wanted)
        journal.backup(change.before)
        journal.add(event)
        try:
            done = replace_sidecar(sidecar, change.before, change.after)
        except BaseException:
            # An interrupt may come when the file has its new bytes already: then the run must stay known, or nobody could take it back.
            with contextlib.suppress(InputError):
                if digest_of_bytes(read_sidecar(sidecar)) != event.after:
                    journal.call_off(event)
            raise
        if done:
            return change
        journal.call_off(event)
    raise InputError(f"{sidecar} is being written by another program. Close it, and run again.")


def plan_retract(sidecar: Path, journal: XmpJournal, run: str) -> SidecarChange:
    """What `retract_sidecar` would do; nothing is written."""
    return _retracted(sidecar, journal, run)[0]


def retract_sidecar(sidecar: Path, journal: XmpJournal, run: str) -> SidecarChange:
    """Take back what a run wrote into a sidecar; what later runs want as well stays. Where the backup is lost or damaged, only what the run added is taken out.

    Raises:
        InputError: what is there now cannot be understood, or the folder cannot be written.
        StorageFull: the disk took no more; the sidecar is as it was.
    """
    for _ in range(_TRIES):
        change, numbers, others = _retracted(sidecar, journal, run)
        if not numbers:
            return change
        for content, _ in others:
            journal.backup(content)
        if replace_sidecar(sidecar, change.before, change.after):
            journal.retract(numbers, sidecar, [event for _, event in others])
            return change
    raise InputError(f"{sidecar} is being written by another program. Close it, and run again.")


def _merged(sidecar: Path, before: bytes | None, wanted: XmpItems) -> SidecarChange:
    document = _understood(sidecar, NEW_SIDECAR if before is None else before)
    left_out = ""
    if wanted.areas and not document.takes_areas(wanted.size_wh):
        (w, h), (width, height) = document.size_wh() or (0, 0), wanted.size_wh
        left_out = f"{sidecar} has regions of a photo of {w}×{h} pixels, and this one has {width}×{height}: its regions are not written."
        wanted = replace(wanted, areas=())
    adds = wanted.minus(document.items())
    if not adds:
        return SidecarChange(sidecar, before, before, adds, (), left_out)
    after = document.added(adds)
    was, there = document.items(), _understood(sidecar, after).items()
    if adds.minus(there) or _lost(was, there):
        raise InputError(f"{sidecar} is written in a way that keywords cannot be added to safely. It is left as it is.")
    present = document.lists()
    made = tuple(kind for kind in ("subjects", "paths", "areas") if getattr(adds, kind) and kind not in present)
    return SidecarChange(sidecar, before, after, adds, made, left_out)


def _understood(sidecar: Path, data: bytes) -> XmpDocument:
    try:
        return XmpDocument(data)
    except InputError as error:
        raise InputError(f"{sidecar} {error}. It is left as it is.") from error


def _items_of(data: bytes | None) -> XmpItems:
    return XmpItems() if data is None else XmpDocument(data).items()


def _lost(was: XmpItems, there: XmpItems) -> XmpItems:
    """Exactly what is not there any more, of two equal ones the one."""
    subjects, paths = Counter(was.subjects) - Counter(there.subjects), Counter(was.paths) - Counter(there.paths)
    return XmpItems(tuple(subjects), tuple(paths), tuple(Counter(was.areas) - Counter(there.areas)), was.size_wh)


def _event(number: int, run: str, change: SidecarChange, wanted: XmpItems) -> XmpEvent:
    before, after = digest_of_bytes(change.before), digest_of_bytes(change.after)
    return XmpEvent(number, run, key_of(change.sidecar), before, after, wanted, change.items, change.made)


def _done(events: Sequence[XmpEvent], current: bytes | None) -> tuple[list[XmpEvent], list[XmpEvent]]:
    """Those that were done, and those at the end that were not: a kill came before the write, or somebody has put the backup back."""
    digest = digest_of_bytes(current)
    done = list(events)
    while done and done[-1].exact and done[-1].before == digest != done[-1].after:
        done.pop()
    return done, list(events[len(done) :])


def _worth_noting(wanted: XmpItems, events: Sequence[XmpEvent], run: str) -> bool:
    """Whether a write that changes nothing is to be noted: it wants what another run has added, which must then stay when that run goes."""
    if any(event.run == run and not wanted.minus(event.wants) for event in events):
        return False
    return any(event.adds.minus(wanted) != event.adds for event in events)


def _retracted(sidecar: Path, journal: XmpJournal, run: str) -> tuple[SidecarChange, list[int], list[_Other]]:
    """The change, the numbers of the events that end with it, and what becomes of the others."""
    current = read_sidecar(sidecar)
    digest = digest_of_bytes(current)
    events = journal.events(sidecar)
    ours = [event for event in events if event.run == run]
    numbers = [event.number for event in ours]
    if not ours:
        return SidecarChange(sidecar, current, current, XmpItems()), [], []
    chain, undone = _done(events, current)
    numbers = sorted({*numbers, *(event.number for event in undone)})
    events = tuple(chain)
    first = next((at for at, event in enumerate(chain) if event.run == run), len(chain))
    linked = all(one.after == two.before for one, two in zip(chain[first:], chain[first + 1 :], strict=False))
    if first == len(chain):
        return SidecarChange(sidecar, current, current, XmpItems()), numbers, []
    if linked and chain[-1].after == digest and all(event.exact for event in chain[first:]):
        try:
            content = journal.bytes_of(chain[first].before)
        except LibraryDamaged:  # its backup is gone, which must not keep the other sidecars from being put back
            return _taken_out(sidecar, current, events, run, journal.made(sidecar)), numbers, _passed_on(events, run)
        others: list[_Other] = []
        for event in chain[first:]:
            if event.run != run:
                change = _merged(sidecar, content, event.wants)
                others.append((content, _event(event.number, event.run, change, event.wants)))
                content = change.after
        return SidecarChange(sidecar, current, content, _lost(_items_of(current), _items_of(content))), numbers, others
    return _taken_out(sidecar, current, events, run, journal.made(sidecar)), numbers, _passed_on(events, run)


def _taken_out(sidecar: Path, current: bytes | None, events: Sequence[XmpEvent], run: str, made: frozenset[str]) -> SidecarChange:
    """What a run added, out of a file that somebody has changed since; what other runs want stays."""
    items = adds_of([event for event in events if event.run == run])
    for event in events:
        if event.run != run:
            items = items.minus(event.wants)
    if current is None:
        return SidecarChange(sidecar, None, None, items, exact=False)
    after = _understood(sidecar, current).without(items, made)
    return SidecarChange(sidecar, current, after, items, exact=False)


def _passed_on(events: Sequence[XmpEvent], run: str) -> list[_Other]:
    """The other runs' events, with what they wanted and the retracted run had added as theirs from now on."""
    adds = adds_of([event for event in events if event.run == run])
    others: list[_Other] = []
    for event in events:
        if event.run != run:
            theirs = adds.minus(adds.minus(event.wants))
            adds = adds.minus(theirs)
            others.append((None, replace(event, adds=event.adds.plus(theirs), exact=event.exact and not theirs)))
    return others
