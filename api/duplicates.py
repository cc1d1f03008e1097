"""`pellucid dups`: duplicates of photos, and which of each is the best. It never deletes, moves or writes to a photo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import JsonOption, LibraryOption

if TYPE_CHECKING:
    from search import Duplicates

SHOWN_GROUPS, SHOWN_FRAMES = 50, 20


def dups(
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="exact|near|burst", help="What to look for; may be repeated.", show_default="all three"),
    ] = None,
    where: Annotated[str | None, typer.Option("--where", metavar="EXPR", help="Only among photos that meet this condition.")] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Frames of a burst follow each other within so many.")] = 2.0,
    library: LibraryOption = None,
    as_json: JsonOption = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print the full names of all but the best of each group, one a line.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the pictures of the groups.")] = None,
) -> None:
    """Find duplicates: files with the same bytes, edited copies, frames of a burst; the best of each group first, and why. Nothing is deleted."""
    from .output import count_bar, plain, print_json

    if as_json and paths:
        raise typer.BadParameter("choose one of --json and --paths")
    with count_bar("comparing", not (as_json or paths)) as move:
        found, missing = run_dups(kind or (), where, seconds, library, move)
    for note in notes_of(found, missing):
        typer.echo(plain(note), err=True)
    if html is not None:
        _write_page(html, found)
    if as_json:
        print_json(as_facts(found, where, missing))
    elif paths:
        from search import spare_files

        sys.stdout.write("".join(f"{name}\n" for name in spare_files(found.groups)))
    else:
        _print_groups(found)


def run_dups(kinds: Any, where: str | None, seconds: float, folder: Path | None, move: Any) -> tuple[Duplicates, int]:
    """What was found, and how many photos have no vector yet.

    Raises:
        UnknownName: there is no such kind.
        LibraryNotFound: nothing was indexed.
        FilterError: the condition is wrong.
    """
    from preprocess import choose
    from search import KINDS, DuplicateOptions, find_duplicates, open_derived

    from .wiring import open_library

    known: dict[str, Any] = {name: name for name in KINDS}
    chosen = tuple(dict.fromkeys(choose(known, name, "kind of duplicates") for name in kinds)) or KINDS
    options = DuplicateOptions(chosen, seconds, where)
    derived = open_derived(open_library(folder))
    try:
        return find_duplicates(derived, options, move), derived.coverage.missing
    finally:
        derived.close()


def notes_of(found: Duplicates, missing: int) -> list[str]:
    """What was not looked at, and the remedy."""
    notes = []
    if missing:
        notes.append(f"{missing:,} photos have no vector yet and were not looked at. Make them: pellucid index")
    if found.unhashed:
        notes.append(
            f"{found.unhashed:,} photos have no perceptual hash yet, so no edited copies of them were found. Make them: pellucid index"
        )
    return notes


def as_facts(found: Duplicates, where: str | None, missing: int) -> dict[str, Any]:
    """For JSON."""
    from search import spare_files

    return {
        "photos": found.photos, "unhashed": found.unhashed, "missing": missing, "where": where, "spare_bytes": sum(spare_files(found.groups).values()),
        "groups": [group.as_dict() for group in found.groups],
    }  # fmt: skip


def _write_page(file: Path, found: Duplicates) -> None:
    from .duplicates_page import duplicates_page
    from .output import quiet_decoders
    from .wiring import write_text

    with quiet_decoders():
        page = duplicates_page(found)
    write_text(file, page)


def _print_groups(found: Duplicates) -> None:
    from search import KINDS, spare_files

    from .output import console, megabytes, plain

    out = console()
    if not found.groups:
        out.print(f"No duplicates among {found.photos:,} {'photo' if found.photos == 1 else 'photos'}.")
        return
    for group in found.groups[:SHOWN_GROUPS]:
        out.print(f"{group.kind}: {len(group.frames)} photos, {megabytes(group.spare_bytes)} beside the best")
        for at, (frame, like) in enumerate(zip(group.frames, group.likeness, strict=True)):
            if at == SHOWN_FRAMES:
                out.print(f"    ... and {len(group.frames) - at:,} more: --json has all")
                break
            words = f"best: {group.reason}" if at == 0 else likeness_words(like, group.kind)
            out.print(f"  {'*' if at == 0 else ' '} {plain(frame.file)}  {frame.width}×{frame.height}  {plain(words)}")
            for name in like.copies:
                out.print(f"      = {plain(name)}")
        out.print()
    if len(found.groups) > SHOWN_GROUPS:
        out.print(f"... and {len(found.groups) - SHOWN_GROUPS:,} more groups: --json has all.")
    counts = {kind: sum(group.kind == kind for group in found.groups) for kind in KINDS}
    words = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
    out.print(
        f"{len(found.groups):,} groups ({words}) among {found.photos:,} photos; {megabytes(sum(spare_files(found.groups).values()))} beside the best. Nothing was deleted."
    )


def likeness_words(like: Any, kind: str) -> str:
    """How a frame compares with the best: `mirrored, 3 bits apart, similarity 0.952`."""
    if kind == "exact":
        return "the same bytes"
    words = [like.turn] if like.turn else []
    if like.bits is not None:
        words.append(f"{like.bits} {'bit' if like.bits == 1 else 'bits'} apart")
    if like.seconds is not None:
        words.append(f"{like.seconds:+g} s")
    if like.similarity is not None:
        words.append(f"similarity {like.similarity:.3f}")
    return ", ".join(words)
