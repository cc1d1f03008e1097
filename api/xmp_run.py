"""Write what a plan wants into sidecars, or take a run back, and say what came of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotate import SidecarChange, plan_retract, plan_sidecar, retract_sidecar, write_sidecar
from preprocess import InputError
from search import ids_called

if TYPE_CHECKING:
    from annotate import XmpItems, XmpJournal

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


def write(plan: XmpPlan, journal: XmpJournal, run: str, report: XmpReport, on_progress: Progress, *, replace: bool = False) -> None:
    """Bring the tags of a plan's photos into their sidecars. One that cannot be written is left out, and the rest goes on.

    With `replace`, what earlier runs wrote into these sidecars is taken back then, so that of ours they hold what is wanted now and no more.

    Raises:
        StorageFull, LibraryDamaged: the disk took no more, or the journal cannot be written; sidecars are whole, and those before are written.
    """
    report.run, report.photos = run, len(plan)
    earlier: set[str] = set()
    try:
        for done, group in plan:
            for wanted in group:
                try:
                    if wanted.items:
                        report.note(write_sidecar(wanted.sidecar, wanted.items, journal, run))
                    if replace and wanted.partial:
                        report.left_out[str(wanted.sidecar)] = (
                            f"{wanted.sidecar} keeps what earlier runs wrote: it belongs to photos that were left out, too. Write them together."
                        )
                    elif replace:
                        _replace(wanted, journal, run, report)
                    else:
                        _stale(wanted, journal, earlier, report)
                except InputError as error:
                    report.left_out[str(wanted.sidecar)] = str(error)
            on_progress(done, len(plan))
    except KeyboardInterrupt:
        report.interrupted = True
    report.left_out |= plan.left_out
    report.noted = len(journal.sidecars(run))
    report.stale_runs = [name for name in journal.runs() if name in earlier]


def planned(plan: XmpPlan, report: XmpReport) -> Iterator[SidecarChange]:
    """What `write` would change; nothing is written."""
    report.dry_run, report.photos = True, len(plan)
    for _, group in plan:
        for wanted in group:
            if wanted.items:
                try:
                    change = plan_sidecar(wanted.sidecar, wanted.items)
                except InputError as error:
                    report.left_out[str(wanted.sidecar)] = str(error)
                    continue
                report.note(change)
                if change.changed:
                    yield change
    report.left_out |= plan.left_out


def retract(journal: XmpJournal, run: str, report: XmpReport, on_progress: Progress, *, dry_run: bool = False) -> Iterator[SidecarChange]:
    """Take back what a run wrote, sidecar by sidecar; with `dry_run`, only say what would be done. The run is named by its id, the beginning of it, or "latest".

    A sidecar that is not there because its folder is not is left out, so that the run can still be taken back when the disk is mounted again.

    Raises:
        InputError: the run has nothing in any sidecar; the message names those that have.
        StorageFull, LibraryDamaged: as `write`.
    """
    known = list(journal.runs())
    called = known[-1:] if run == "latest" else ids_called(known, run)
    run = called[0] if len(called) == 1 else run
    sidecars = journal.sidecars(run)
    if not sidecars:
        there = f"Runs that have: {', '.join(known[-10:])}" if known else "No run has"
        raise InputError(f"The run {run!r} has nothing in any sidecar, or was taken back before. {there}.")
    report.run, report.dry_run = run, dry_run
    try:
        for done, sidecar in enumerate(sidecars):
            on_progress(done, len(sidecars))
            if fault := _unreachable(sidecar):
                report.left_out[str(sidecar)] = fault
                continue
            try:
                change = plan_retract(sidecar, journal, run) if dry_run else retract_sidecar(sidecar, journal, run)
            except InputError as error:
                report.left_out[str(sidecar)] = str(error)
                continue
            report.note(change)
            yield change
    except KeyboardInterrupt:
        report.interrupted = True


def _unreachable(sidecar: Path) -> str | None:
    """Why a sidecar that is not there may still come back: a disk that is not mounted leaves no folder, or an empty one."""
    if os.path.lexists(sidecar):
        return None
    try:
        with os.scandir(sidecar.parent) as entries:
            if next(entries, None) is not None:
                return None
        reason = "is empty"
    except OSError as error:
        reason = f"cannot be looked at: {error.strerror or error}"
    return f"{sidecar.parent} {reason}, so {sidecar.name} was left out. Mount its disk and run the same command again."


def _replace(wanted: Wanted, journal: XmpJournal, run: str, report: XmpReport) -> None:
    """Take earlier runs back in one sidecar."""
    for other in dict.fromkeys(event.run for event in journal.events(wanted.sidecar)):
        if other != run:
            change = retract_sidecar(wanted.sidecar, journal, other)
            report.replaced += _keywords(change.items)
            report.removed += change.changed and change.after is None


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
