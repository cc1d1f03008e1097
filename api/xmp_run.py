"""Write what a plan wants into sidecars, or take a run back, and say what came of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from annotate import SidecarChange, XmpItems, retract_sidecar, write_sidecar
from preprocess import InputError
from search import ids_called

from .xmp_moved import find_moved, left_out_for

if TYPE_CHECKING:
    from annotate import XmpJournal
    from search import Library

    from .xmp_plan import Wanted, XmpPlan

Progress = Callable[[int, int], None]


@dataclass
class XmpReport:
    """What a run did, or would do. `stale` counts keywords by earlier runs that are no longer wanted, `replaced` those that were taken out; `edited` the sidecars that somebody had
    changed since, out of which only what the run had added was taken."""

    run: str = ""
    dry_run: bool = False
    photos: int = 0
    new: int = 0
    merged: int = 0
    unchanged: int = 0
    removed: int = 0
    edited: int = 0
    keywords: int = 0
    areas: int = 0
    replaced: int = 0
    stale: int = 0
    stale_runs: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False
    noted: int = 0
    """Sidecars in which the run has something, or wants what another has written."""

    def note(self, change: SidecarChange) -> None:
        """Count a change of one sidecar."""
        if change.left_out:
            self.left_out[str(change.sidecar)] = change.left_out
        if not change.changed:
            self.unchanged += 1
            return
        self.new += change.before is None
        self.removed += change.after is None
        self.merged += change.before is not None and change.after is not None
        self.edited += not change.exact
        self.keywords += _keywords(change.items)
        self.areas += len(change.items.areas)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


def write(
    plan: XmpPlan, journal: XmpJournal, run: str, report: XmpReport, on_progress: Progress, *, replace_earlier: bool = False
) -> Iterator[SidecarChange]:
    """Bring the tags of a plan's photos into their sidecars; each that changes. One that cannot be written is left out, and the rest goes on.

    With `replace_earlier`, what earlier runs wrote into these sidecars is taken back then, so that of ours they hold what is wanted now and no more. With a dry
    journal nothing is written, and the changes are those that would be.

    Raises:
        StorageFull, LibraryDamaged: the disk took no more, or the journal cannot be written; sidecars are whole, and those before are written.
    """
    report.run, report.photos, report.dry_run = "" if journal.dry else run, len(plan), journal.dry
    earlier: set[str] = set()
    try:
        for done, group in plan:
            for wanted in group:
                steps: list[SidecarChange] = []
                try:
                    steps.extend(_steps(wanted, journal, run, report, replace_earlier=replace_earlier))  # those before an error stay
                except InputError as error:
                    report.left_out[str(wanted.sidecar)] = str(error)
                else:
                    if not replace_earlier:
                        _stale(wanted, journal, earlier, report)
                if (change := _joined(steps)) is not None and change.changed:
                    yield change
            on_progress(done, len(plan))
    except KeyboardInterrupt:
        report.interrupted = True
    report.left_out |= plan.left_out
    report.noted = len(journal.sidecars(run))
    report.stale_runs = [name for name in journal.runs() if name in earlier]


def retract(
    journal: XmpJournal, library: Library, run: str, report: XmpReport, on_progress: Progress, *, forget_gone: bool = False
) -> Iterator[SidecarChange]:
    """Take back what a run wrote, sidecar by sidecar; with a dry journal, only say what would be done. The run is named by its id, the beginning of it, or "latest".

    Sidecars that are not where they were written are looked for in the library's folders. One that is not found together with its photo is left out, so that the
    run can still be taken back when the disk is mounted again; with `forget_gone`, the journal forgets it.

    Raises:
        InputError: the run has nothing in any sidecar; the message names those that have.
        StorageFull, LibraryDamaged: as `write`.
    """
    run = _run_called(journal, library, run)
    sidecars = journal.sidecars(run)
    if not all(map(os.path.lexists, sidecars)):
        find_moved(journal, library)
        sidecars = journal.sidecars(run)
    report.run, report.dry_run = run, journal.dry
    try:
        for done, sidecar in enumerate(sidecars):
            on_progress(done, len(sidecars))
            if not forget_gone and (fault := left_out_for(sidecar, journal)):
                report.left_out[str(sidecar)] = fault
                continue
            try:
                change = retract_sidecar(sidecar, journal, run)
            except InputError as error:
                report.left_out[str(sidecar)] = str(error)
                continue
            report.note(change)
            yield change
    except KeyboardInterrupt:
        report.interrupted = True


def _run_called(journal: XmpJournal, library: Library, run: str) -> str:
    """The id of a run that has something; one that has nothing any more may have left it in a copy that is not noted yet."""
    known = list(journal.runs())
    called = known[-1:] if run == "latest" else ids_called(known, run)
    if not called and (ever := ids_called(journal.runs_ever(), run)):
        find_moved(journal, library)
        known = list(journal.runs())
        called = [one for one in ever if one in known]
    if len(called) == 1:
        return called[0]
    there = f"Runs that have: {', '.join(known[-10:])}" if known else "No run has"
    raise InputError(f"The run {run!r} has nothing in any sidecar, or was taken back before. {there}.")


def _steps(wanted: Wanted, journal: XmpJournal, run: str, report: XmpReport, *, replace_earlier: bool) -> Iterator[SidecarChange]:
    """What is done to one sidecar, in its order."""
    if wanted.items:
        change = write_sidecar(wanted.sidecar, wanted.items, journal, run, wanted.photos)
        report.note(change)
        yield change
    if replace_earlier and wanted.partial:
        report.left_out[str(wanted.sidecar)] = (
            f"{wanted.sidecar} keeps what earlier runs wrote: it belongs to photos that were left out, too. Write them together."
        )
    elif replace_earlier:
        journal.follow(wanted.sidecar, journal.disk.read(wanted.sidecar), wanted.photos.values)
        for other in dict.fromkeys(event.run for event in journal.events(wanted.sidecar)):
            if other != run:
                change = retract_sidecar(wanted.sidecar, journal, other)
                report.replaced += _keywords(change.items)
                report.removed += change.changed and change.after is None
                yield replace(change, items=XmpItems(), taken=change.items)


def _joined(steps: Sequence[SidecarChange]) -> SidecarChange | None:
    """Steps as one change; none of none."""
    if not steps:
        return None
    added, taken = XmpItems(), XmpItems()
    for step in steps:
        added, taken = added.plus(step.items), taken.plus(step.taken)
    exact, left_out = all(step.exact for step in steps), "".join(step.left_out for step in steps)
    return replace(steps[0], after=steps[-1].after, items=added, taken=taken, exact=exact, left_out=left_out)


def _stale(wanted: Wanted, journal: XmpJournal, runs: set[str], report: XmpReport) -> None:
    """Count what earlier runs have in a sidecar that is not wanted now."""
    for event in journal.events(wanted.sidecar):
        left = event.adds.minus(wanted.items)
        if left.subjects or left.paths:
            report.stale += _keywords(left)
            runs.add(event.run)


def _keywords(items: XmpItems) -> int:
    """Keywords for people: a flat one and its path are one."""
    return max(len(items.subjects), len(items.paths))
