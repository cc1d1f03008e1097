"""What `pellucid xmp` prints."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .exporting import many
from .library_tags import library_words
from .output import SHOWN_FAILURES, console, plain, print_json

if TYPE_CHECKING:
    from annotate import SidecarChange

    from .xmp_run import XmpReport


def report_written(report: XmpReport, library: Path | None, *, as_json: bool, err: bool = False) -> None:
    """What a run wrote, where it was left out, and how to take it back."""
    if as_json:
        if not err:
            print_json(report.as_dict())
        return
    out = console(stderr=err)
    done = report.new + report.merged
    if not report.interrupted and not done + report.unchanged + report.replaced + report.stale + len(report.left_out):
        out.print("These photos have no tags yet, and nothing was written. To give them some: pellucid tag")
        return
    areas = f" and {many(report.areas, 'region')}" if report.areas else ""
    out.print(
        f"Wrote {many(report.keywords, 'keyword')}{areas} into {many(done, 'sidecar')}, {report.new:,} of them new; "
        f"{report.unchanged:,} had all of theirs already."
    )
    if report.replaced:
        out.print(f"Took out {many(report.replaced, 'keyword')} of earlier runs.")
    if report.stale:
        runs = ", ".join(report.stale_runs[-3:])
        out.print(
            f"{many(report.stale, 'keyword')} of earlier runs in these sidecars {'is' if report.stale == 1 else 'are'} no longer wanted. "
            f"To take them out: pellucid xmp write --replace, or pellucid xmp retract RUN, of {plain(runs)}"
        )
    _left_out(report, err=err)
    if done or report.noted:
        out.print(f"To take it back: pellucid xmp retract {report.run}{library_words(library)}")
    if report.interrupted:
        out.print("Interrupted. Sidecars are whole; run the same command to go on.")


def report_retracted(report: XmpReport, *, as_json: bool, err: bool = False) -> None:
    """What was taken back, exactly or out of what somebody has changed since."""
    if as_json:
        if not err:
            print_json(report.as_dict())
        return
    out = console(stderr=err)
    done = report.removed + report.merged
    areas = f" and {many(report.areas, 'region')}" if report.areas else ""
    out.print(
        f"Took {many(report.keywords, 'keyword')}{areas} out of {many(done, 'sidecar')}, {report.removed:,} of which {'is' if report.removed == 1 else 'are'} "
        f"gone, as nothing else was in {'it' if report.removed == 1 else 'them'}."
    )
    if report.edited:
        out.print(f"{many(report.edited, 'sidecar')} had been changed since: only what the run added was taken out.")
    if report.unchanged:
        out.print(f"{many(report.unchanged, 'sidecar')} stayed: other runs want the same, or somebody has taken it out already.")
    _left_out(report, err=err)
    if report.interrupted:
        out.print("Interrupted. Sidecars are whole; run the same command to go on.")


def report_changes(changes: Iterable[SidecarChange], report: XmpReport, *, as_json: bool) -> None:
    """Unified diffs, as they are found; or all changes as JSON."""
    if as_json:
        rows = [_row(change) for change in changes]
        print_json(report.as_dict() | {"changes": rows})
        return
    for change in changes:
        sys.stdout.write("\n".join("\t".join(map(plain, line.split("\t"))) for line in change.diff().split("\n")))
    _left_out(report, err=True)
    if not report.new + report.merged + report.removed:
        sys.stderr.write("Nothing would change.\n")


def _row(change: SidecarChange) -> dict[str, Any]:
    becomes = "removed" if change.after is None else "new" if change.before is None else "changed"
    return {
        "sidecar": str(change.sidecar),
        "becomes": becomes,
        "exact": change.exact,
        **change.items.as_json(),
        "taken": change.taken.as_json(),
        "left_out": change.left_out,
        "diff": change.diff(),
    }


def _left_out(report: XmpReport, *, err: bool) -> None:
    out = console(stderr=err)
    if report.left_out:
        out.print(f"Left out, {len(report.left_out):,}:")
        for reason in list(report.left_out.values())[:SHOWN_FAILURES]:
            out.print(plain(f"  {reason}"))
        if len(report.left_out) > SHOWN_FAILURES:
            out.print(f"  ... and {len(report.left_out) - SHOWN_FAILURES:,} more: --json names them all")
