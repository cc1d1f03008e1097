"""The writes that led to a sidecar's bytes, and what the bytes would be without one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess import LibraryDamaged

from .xmp_change import SidecarChange, items_of_bytes, lost, merged, understood
from .xmp_event import XmpEvent, adds_of, digest_of_bytes, key_of
from .xmp_items import XmpItems

if TYPE_CHECKING:
    from .xmp_journal import XmpJournal

Other = tuple[bytes | None, XmpEvent]  # the bytes before it, to be backed up, and the event


def event_for(number: int, run: str, change: SidecarChange, wanted: XmpItems, photos: Mapping[str, str]) -> XmpEvent:
    """The note of a write, beside photos of these names and digests."""
    before, after = digest_of_bytes(change.before), digest_of_bytes(change.after)
    return XmpEvent(number, run, key_of(change.sidecar), before, after, wanted, change.items, change.made, photos=tuple(photos.items()))


def done(events: Sequence[XmpEvent], current: bytes | None) -> tuple[list[XmpEvent], list[XmpEvent]]:
    """Those that were done, and those at the end that were not: a kill came before the write, or somebody has put the backup back."""
    digest = digest_of_bytes(current)
    kept = list(events)
    while kept and kept[-1].exact and kept[-1].before == digest != kept[-1].after:
        kept.pop()
    return kept, list(events[len(kept) :])


def worth_noting(wanted: XmpItems, events: Sequence[XmpEvent], run: str) -> bool:
    """Whether a write that changes nothing is to be noted: it wants what another run has added, which must then stay when that run goes."""
    if any(event.run == run and not wanted.minus(event.wants) for event in events):
        return False
    return any(event.adds.minus(wanted) != event.adds for event in events)


def retracted(sidecar: Path, journal: XmpJournal, run: str) -> tuple[SidecarChange, list[int], list[Other]]:
    """The change, the numbers of the events that end with it, and what becomes of the others.

    Raises:
        InputError: what is there now cannot be understood.
    """
    current = journal.disk.read(sidecar)
    digest = digest_of_bytes(current)
    events = journal.events(sidecar)
    ours = [event for event in events if event.run == run]
    numbers = [event.number for event in ours]
    if not ours:
        return SidecarChange(sidecar, current, current, XmpItems()), [], []
    chain, undone = done(events, current)
    numbers = sorted({*numbers, *(event.number for event in undone)})
    events = tuple(chain)
    first = next((at for at, event in enumerate(chain) if event.run == run), len(chain))
    linked = all(one.after == two.before for one, two in zip(chain[first:], chain[first + 1 :], strict=False))
    if first == len(chain):
        return SidecarChange(sidecar, current, current, XmpItems()), numbers, []
    if linked and chain[-1].after == digest and all(event.exact for event in chain[first:]):
        try:
            content = journal.disk.kept(chain[first].before)
        except LibraryDamaged:  # its backup is gone, which must not keep the other sidecars from being put back
            return _taken_out(sidecar, current, events, run, journal.made(sidecar)), numbers, _passed_on(events, run)
        others: list[Other] = []
        for event in chain[first:]:
            if event.run != run:
                change = merged(sidecar, content, event.wants)
                others.append((content, event_for(event.number, event.run, change, event.wants, dict(event.photos))))
                content = change.after
        return SidecarChange(sidecar, current, content, lost(items_of_bytes(current), items_of_bytes(content))), numbers, others
    return _taken_out(sidecar, current, events, run, journal.made(sidecar)), numbers, _passed_on(events, run)


def _taken_out(sidecar: Path, current: bytes | None, events: Sequence[XmpEvent], run: str, made: frozenset[str]) -> SidecarChange:
    """What a run added, out of a file that somebody has changed since; what other runs want stays."""
    items = adds_of([event for event in events if event.run == run])
    for event in events:
        if event.run != run:
            items = items.minus(event.wants)
    if current is None:
        return SidecarChange(sidecar, None, None, items, exact=False)
    after = understood(sidecar, current).without(items, made)
    return SidecarChange(sidecar, current, after, items, exact=False)


def _passed_on(events: Sequence[XmpEvent], run: str) -> list[Other]:
    """The other runs' events, with what they wanted and the retracted run had added as theirs from now on."""
    adds = adds_of([event for event in events if event.run == run])
    others: list[Other] = []
    for event in events:
        if event.run != run:
            theirs = adds.minus(adds.minus(event.wants))
            adds = adds.minus(theirs)
            others.append((None, replace(event, adds=event.adds.plus(theirs), exact=event.exact and not theirs)))
    return others
