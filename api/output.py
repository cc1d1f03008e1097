"""What the command line prints: hits, reports, figures."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from indexer import Report

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


def report_summary(report: Report) -> None:
    """What a build did, in a few lines, failures last."""
    out = console()
    words = {"new": report.new, "changed": report.changed, "moved": report.moved, "copied": report.copied, "unchanged": report.same + report.touched,
             "gone": report.gone, "made anew": report.reembedded}  # fmt: skip
    done = ", ".join(f"{count:,} {word}" for word, count in words.items() if count) or "nothing to do"
    if report.interrupted:  # the counts are made in the end, so they are not known
        out.print(f"{report.found:,} {'photo' if report.found == 1 else 'photos'} found; the library has {report.photos:,} now.")
    else:
        out.print(f"{'Would do: ' if report.dry_run else ''}{done}; {report.found:,} {'photo' if report.found == 1 else 'photos'} found.")
    if report.passed.suffixes:
        kinds = sorted(report.passed.suffixes.items(), key=lambda item: (-item[1], item[0]))
        out.print(
            f"Left alone, not photos: {', '.join(f'{count} {plain(suffix)}' for suffix, count in kinds[:8])}{', ...' if len(kinds) > 8 else ''}"
        )
    if report.unhashed and not report.interrupted:
        again = "To be read once more" if report.dry_run else "Read once more"
        noun = "photo" if report.unhashed == 1 else "photos"
        out.print(f"{again} for perceptual hashes and measures, which an earlier Pellucid did not take: {report.unhashed:,} {noun}.")
    if report.regions_gone:
        out.print(
            f"{report.regions_gone:,} {'region' if report.regions_gone == 1 else 'regions'} that machines found went; what people drew stays."
        )
    if report.annotated:
        out.print(
            f"{report.regions:,} {'region' if report.regions == 1 else 'regions'} found in {report.annotated:,} {'photo' if report.annotated == 1 else 'photos'}."
        )
    if report.dehazed:
        out.print(f"{report.dehazed:,} {'photo' if report.dehazed == 1 else 'photos'} can be found through a dehazed version too.")
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
        remedy = "" if report.interrupted else " Make them reachable and run the same command again."
        out.print(f"{report.without_vector:,} of {report.photos:,} photos have no vector by the encoder {name!r} yet.{remedy}")
    elif report.switch is not None and not report.interrupted:
        out.print(f"The vectors by {name!r} are complete; switch with: {plain(report.switch)}")
    if report.switch is not None:
        out.print(f"Searches use the encoder {plain(str(report.searches_use))!r} until then.")
    if report.replaced:
        out.print(f"They replace those of {'an earlier version' if len(report.replaced) == 1 else 'earlier versions'} of it.")


def used_summary(outcome: dict[str, Any]) -> None:
    """What `models use` did."""
    out = console()
    name, was = outcome["encoder"], outcome["was"]
    change = "" if was in (None, name) else f", no longer {was!r}"
    out.print(plain(f"Searches in {outcome['library']} use the encoder {name!r}{change}."))
    if outcome["missing"]:
        out.print(f"{outcome['missing']:,} of {outcome['photos']:,} photos have no vector by it yet; every search will say so.")
    if outcome["setting"] is not None:
        out.print(plain(f"But the settings ask for {outcome['setting']!r}: take encoder out of pellucid.toml or PELLUCID_ENCODER."))


def removed_summary(outcome: dict[str, Any]) -> None:
    """What `models remove` did."""
    out = console()
    if outcome["recipes"]:
        out.print(
            plain(
                f"Removed {outcome['vectors']:,} vectors by {outcome['encoder']!r} from {outcome['library']}: {megabytes(outcome['vectors_bytes'])}."
            )
        )
    if outcome["folder"] is not None:
        out.print(plain(f"Removed {outcome['folder']}: {megabytes(outcome['model_bytes'])}."))


def comparison_summary(facts: dict[str, Any]) -> None:
    """Agreement of two encoders, and what the second would cost."""
    out = console()
    first, second = facts["encoders"]
    names = [plain(entry["encoder"]) for entry in facts["encoders"]]
    out.print(f"{facts['sample']:,} of {facts['photos']:,} photos compared; {len(facts['left_out']):,} left out.")
    for photo, reason in list(facts["left_out"].items())[:3]:
        out.print(f"  {plain(reason) or plain(photo)}")
    out.print(f"Of the 10 nearest neighbours, {names[0]} and {names[1]} share {facts['overlap']:.0%} on average.")
    for entry in facts["differ_most"]:
        out.print(f"  {plain(entry['photo'])}: {entry['overlap']:.0%}")
        for name, key in zip(names, ("first", "second"), strict=True):
            out.print(f"    {name}: {', '.join(plain(photo) for photo in entry[key])}")
    speed = facts["speed"]
    if not speed["left_to_embed"]:
        out.print(f"{names[1]}: every photo has a vector already.")
    elif speed["photos_per_s"]:
        out.print(
            f"{names[1]}: {speed['photos_per_s']:,.1f} photos/s here; {speed['left_to_embed']:,} photos to go, about "
            f"{_duration(speed['seconds_for_the_rest'])}."
        )
    for name, cost in zip(names, (first, second), strict=True):
        out.print(
            f"{name}: vectors {megabytes(cost['vectors_bytes'])}, index {megabytes(cost['index_bytes'])}, model {megabytes(cost['model_bytes'])} on "
            f"disk; about {megabytes(cost['memory_bytes'])} of memory in a search."
        )


def megabytes(count: float) -> str:
    """A number of bytes for people."""
    return f"{count / 1e6:,.1f} MB"


def _duration(seconds: float) -> str:
    """Rounded to what matters: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextlib.contextmanager
def count_bar(what: str, shown: bool) -> Iterator[Any]:
    """A function of how many are done of how many that moves a bar; on a terminal only."""
    out = console(stderr=True)
    if not shown or not out.is_terminal:
        yield lambda _done, _total: None
        return
    from rich.progress import Progress

    with Progress(console=out, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


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
