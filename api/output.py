"""What the command line prints: hits, reports, figures."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from indexer import Report
    from search import Hit

SHOWN_FAILURES = 20


def console(stderr: bool = False) -> Console:
    """Where people read; colours only on a terminal."""
    from rich.console import Console

    out = Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False)  # a name may have [brackets]
    if not out.is_terminal:
        out.width = 240  # a pipe or file has no edge to fold long names at
    return out


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    import json

    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))  # of a name that is not UTF-8, JSON can hold escapes


def plain(text: str) -> str:
    """Text that cannot steer a terminal: control characters become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def hits_table(hits: Sequence[Hit], title: str | None = None) -> None:
    """Similarity, date and path of each hit, best first."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title and Text(plain(title)), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("similarity", justify="right")
    table.add_column("z", justify="right")
    table.add_column("taken")
    table.add_column("photo", overflow="fold")
    for hit in hits:
        taken = str(hit.columns.get("taken_at") or "")[:10]
        table.add_row(f"{hit.similarity:.3f}", f"{hit.z:+.1f}", taken, Text(plain(hit.file)))
    console().print(table)


def report_summary(report: Report) -> None:
    """What a build did, in a few lines, failures last."""
    out = console()
    words = {"new": report.new, "changed": report.changed, "moved": report.moved, "copied": report.copied, "unchanged": report.same + report.touched,
             "gone": report.gone, "made anew": report.reembedded}  # fmt: skip
    done = ", ".join(f"{count:,} {word}" for word, count in words.items() if count) or "nothing to do"
    out.print(f"{'Would do: ' if report.dry_run else ''}{done}; {report.found:,} photos found.")
    if report.passed.suffixes:
        kinds = sorted(report.passed.suffixes.items(), key=lambda item: (-item[1], item[0]))
        out.print(
            f"Left alone, not photos: {', '.join(f'{count} {plain(suffix)}' for suffix, count in kinds[:8])}{', ...' if len(kinds) > 8 else ''}"
        )
    if report.kept:
        out.print(f"Kept: {report.kept:,} photos that are still on disk but are excluded or could not be looked at.")
    _recipe_lines(report, out)
    for root, reason in report.missing_roots.items():
        out.print(f"{plain(root)} {reason}; nothing of it was forgotten. To forget it: pellucid forget {plain(root)}")
    for folder, reason in report.passed.unlisted.items():
        out.print(f"{plain(folder)} could not be listed: {reason}; nothing of it was forgotten.")
    failed = {**report.failed_before, **report.failed}
    if failed:
        out.print(f"{len(failed):,} {'file' if len(failed) == 1 else 'files'} could not be indexed:")
        for message in list(failed.values())[:SHOWN_FAILURES]:
            out.print(f"  {plain(message)}")
        if len(failed) > SHOWN_FAILURES:
            out.print(f"  ... and {len(failed) - SHOWN_FAILURES:,} more: pellucid doctor --failures")
    if report.interrupted:
        out.print("Interrupted. What was done is kept; run the same command to go on.")


def _recipe_lines(report: Report, out: Console) -> None:
    """How complete the vectors of this encoder are, and which encoder searches use."""
    if report.dry_run or not report.recipe:
        return
    name = plain(str(report.recipe["encoder"]))
    if report.without_vector:
        out.print(
            f"{report.without_vector:,} of {report.photos:,} photos have no vector by the encoder {name!r} yet. Make them reachable and run "
            f"the same command again."
        )
    elif report.switch is not None and not report.interrupted:
        out.print(f"The vectors by {name!r} are complete; switch with: {plain(report.switch)}")
    if report.switch is not None:
        out.print(f"Searches use the encoder {plain(str(report.searches_use))!r} until then.")
    if report.replaced:
        out.print(f"They replace those of {'an earlier version' if len(report.replaced) == 1 else 'earlier versions'} of it.")


@contextlib.contextmanager
def progress_bar(shown: bool) -> Iterator[Any]:
    """A function of the report that moves a bar with rate, time left and failures; on a terminal only."""
    out = console(stderr=True)
    if not shown or not out.is_terminal:
        yield lambda _report: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("indexing"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
               TextColumn("[red]{task.fields[failed]}"))  # fmt: skip
    with Progress(*columns, console=out, transient=True) as progress:
        task = progress.add_task("", total=None, rate="", failed="")
        start = progress.get_time()

        def move(report: Report) -> None:
            rate = report.done / max(progress.get_time() - start, 1e-6)
            failed = f"{len(report.failed)} failed" if report.failed else ""
            progress.update(task, total=report.total, completed=report.done, rate=f"{rate:,.0f} photos/s", failed=failed)

        yield move


@contextlib.contextmanager
def quiet_decoders() -> Iterator[None]:
    """Keep C libraries from writing to the terminal: libtiff prints a line for each odd tag. Python's own messages still arrive."""
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:
        yield
        return
    ours: TextIO = os.fdopen(os.dup(saved), "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    python_stderr, sys.stderr = sys.stderr, ours
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        ours.flush()
        os.dup2(saved, 2)
        os.close(sink)
        os.close(saved)
        sys.stderr = python_stderr
        ours.close()
