"""Keywords and regions into XMP sidecars, merged with what is there, and out again by run.

Only sidecars are written, never a photo. A sidecar's bytes are kept before each change, and a journal says which run wanted and added what; so a run
can be taken back exactly: the file gets the bytes that it would have without the run, or goes if there would be none. Where somebody else has changed
it since, only what the run added is taken out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from preprocess import InputError

from .xmp_chain import done, event_for, retracted, worth_noting
from .xmp_change import SidecarChange, merged
from .xmp_event import digest_of_bytes
from .xmp_file import read_sidecar
from .xmp_items import XmpItems
from .xmp_journal import XmpJournal

_TRIES = 5  # how often a sidecar is read again that another program has just written
_NO_PHOTOS: Mapping[str, str] = {}


def plan_sidecar(sidecar: Path, wanted: XmpItems) -> SidecarChange:
    """What `write_sidecar` would do; nothing is written.

    Raises:
        InputError: the sidecar is a link or no file, or what is there cannot be understood.
    """
    return merged(sidecar, read_sidecar(sidecar), wanted)


def write_sidecar(sidecar: Path, wanted: XmpItems, journal: XmpJournal, run: str, photos: Mapping[str, str] = _NO_PHOTOS) -> SidecarChange:
    """Add what is wanted and not there yet. A second time does nothing.

    `photos` are the names and digests of those that the sidecar is of: by them it is known again when it was moved.

    Raises:
        InputError: as `plan_sidecar`; or the folder cannot be written, or another program keeps writing the file.
        StorageFull: the disk took no more; the sidecar is as it was.
    """
    if not run.strip():
        raise InputError("A run needs an id, by which it can be taken back.")
    for _ in range(_TRIES):
        change = merged(sidecar, journal.disk.read(sidecar), wanted)
        events, undone = done(journal.follow(sidecar, change.before, photos.values), change.before)
        for event in undone:
            journal.call_off(event)
        if not change.changed and not worth_noting(wanted, events, run):
            return change
        event = event_for(journal.next_number(), run, change, wanted, photos)
        journal.disk.keep(change.before)
        journal.add(event)
        try:
            written = journal.disk.replace(sidecar, change.before, change.after)
        except BaseException:
            # An interrupt may come when the file has its new bytes already: then the run must stay known, or nobody could take it back.
            with contextlib.suppress(InputError):
                if digest_of_bytes(journal.disk.read(sidecar)) != event.after:
                    journal.call_off(event)
            raise
        if written:
            return change
        journal.call_off(event)
    raise InputError(f"{sidecar} is being written by another program. Close it, and run again.")


def plan_retract(sidecar: Path, journal: XmpJournal, run: str) -> SidecarChange:
    """What `retract_sidecar` would do; nothing is written."""
    return retracted(sidecar, journal, run)[0]


def retract_sidecar(sidecar: Path, journal: XmpJournal, run: str) -> SidecarChange:
    """Take back what a run wrote into a sidecar; what later runs want as well stays. Where the backup is lost or damaged, only what the run added is taken out.

    Raises:
        InputError: what is there now cannot be understood, or the folder cannot be written.
        StorageFull: the disk took no more; the sidecar is as it was.
    """
    for _ in range(_TRIES):
        change, numbers, others = retracted(sidecar, journal, run)
        if not numbers:
            return change
        for content, _ in others:
            journal.disk.keep(content)
        if journal.disk.replace(sidecar, change.before, change.after):
            journal.retract(numbers, sidecar, [event for _, event in others], change.after)
            return change
    raise InputError(f"{sidecar} is being written by another program. Close it, and run again.")


__all__ = ["SidecarChange", "plan_retract", "plan_sidecar", "retract_sidecar", "write_sidecar"]
