"""`pellucid xmp`: tags and regions into XMP sidecars beside the photos, and out again by run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from preprocess import PellucidError

from .options import JsonOption, LibraryOption

if TYPE_CHECKING:
    from .xmp_plan import XmpOptions

xmp_app = typer.Typer(
    help="Bring tags and regions into XMP sidecars, merged with what is there, and take them back by run. Photos are never written to.",
    no_args_is_help=True,
)

StyleOption = Annotated[
    str,
    typer.Option(
        "--style", metavar="adobe|darktable|both", help="IMG_1.xmp (Lightroom, Capture One), IMG_1.jpg.xmp (darktable, digiKam), or both."
    ),
]
PrefixOption = Annotated[
    str, typer.Option("--prefix", metavar="auto|", help="Levels above the hierarchical keywords of machines' tags.", show_default="none")
]
RegionsOption = Annotated[bool, typer.Option("--regions", help="The photos' regions too, as named areas (MWG regions).")]
WhereOption = Annotated[
    str | None, typer.Option("--where", metavar="EXPR", help="Only photos that meet a condition, such as tag('beach').")
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Take earlier runs back too, so that sidecars hold what is wanted now and no more.")
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id or the beginning of it, or latest.")]


@xmp_app.command()
def write(
    style: StyleOption = "adobe",
    prefix: PrefixOption = "",
    regions: RegionsOption = False,
    where: WhereOption = None,
    replace: ReplaceOption = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add the tags that photos have now to their sidecars: dc:subject and lr:hierarchicalSubject. What is there stays, and is backed up first."""
    from annotate import open_journal
    from search import Store, new_run_id

    from .output import count_bar
    from .wiring import open_library
    from .xmp_output import report_written
    from .xmp_plan import XmpPlan
    from .xmp_run import XmpReport
    from .xmp_run import write as write_plan

    home = open_library(library)
    report = XmpReport()
    with home.locked("xmp write"), open_journal(home.folder) as journal:
        plan = XmpPlan(Store(home), _options(style, prefix, where, regions=regions))
        try:
            with count_bar("writing", not as_json) as move:
                for _ in write_plan(plan, journal, new_run_id(), report, move, replace_earlier=replace):
                    pass
        except PellucidError:
            report_written(report, library, as_json=as_json, err=True)  # by which id to take back what was written before
            raise
    report_written(report, library, as_json=as_json)
    _end(report.interrupted)


@xmp_app.command()
def diff(
    style: StyleOption = "adobe",
    prefix: PrefixOption = "",
    regions: RegionsOption = False,
    where: WhereOption = None,
    replace: ReplaceOption = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """What `xmp write` would change, as unified diffs; nothing is written."""
    from annotate import XmpJournal
    from search import Store, new_run_id

    from .wiring import open_library
    from .xmp_output import report_changes
    from .xmp_plan import XmpPlan
    from .xmp_run import XmpReport
    from .xmp_run import write as write_plan

    home = open_library(library)
    report = XmpReport()
    plan = XmpPlan(Store(home), _options(style, prefix, where, regions=regions))
    changes = write_plan(plan, XmpJournal(home.folder, dry=True), new_run_id(), report, _silent, replace_earlier=replace)
    report_changes(changes, report, as_json=as_json)
    _end(report.interrupted)


@xmp_app.command()
def retract(
    run: RunArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would change, as unified diffs; write nothing.")] = False,
    forget_gone: Annotated[
        bool, typer.Option("--forget-gone", help="Forget the run also for sidecars that are gone for good together with their photos.")
    ] = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back what a run wrote: sidecars get the bytes that they would have without it. In those that somebody changed since, only its items go."""
    from annotate import XmpJournal, open_journal

    from .output import count_bar
    from .wiring import open_library
    from .xmp_output import report_changes, report_retracted
    from .xmp_run import XmpReport
    from .xmp_run import retract as retract_run

    home = open_library(library)
    report = XmpReport()
    if dry_run:
        changes = retract_run(XmpJournal(home.folder, dry=True), home, run, report, _silent, forget_gone=forget_gone)
        report_changes((change for change in changes if change.changed), report, as_json=as_json)
        _end(report.interrupted)
        return
    with home.locked("xmp retract"), open_journal(home.folder) as journal:
        try:
            with count_bar("taking back", not as_json) as move:
                for _ in retract_run(journal, home, run, report, move, forget_gone=forget_gone):
                    pass
        except PellucidError:
            if report.run:
                report_retracted(report, as_json=as_json, err=True)
            raise
    report_retracted(report, as_json=as_json)
    _end(report.interrupted)


@xmp_app.command()
def runs(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """The runs that have something in sidecars now, the oldest first."""
    from annotate import open_journal

    from .exporting import many
    from .output import console, plain, print_json
    from .wiring import open_library

    home = open_library(library)
    with open_journal(home.folder) as journal:
        known = dict(journal.runs())
    if as_json:
        print_json({"runs": [{"run": run, "sidecars": count} for run, count in known.items()]})
        return
    for run, count in known.items():
        console().print(f"{plain(run)}: {many(count, 'sidecar')}")
    if not known:
        sys.stderr.write("No run has anything in sidecars.\n")


def _options(style: str, prefix: str, where: str | None, *, regions: bool) -> XmpOptions:
    from .xmp_plan import XmpOptions

    return XmpOptions(style, prefix, regions, where)  # type: ignore[arg-type]


def _silent(_done: int, _total: int) -> None:
    """No progress."""


def _end(interrupted: bool) -> None:
    if interrupted:
        raise typer.Exit(130)


__all__ = ["xmp_app"]
