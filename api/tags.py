"""`pellucid tags`: what is known of the tags of photos, what people say of them, and the runs that wrote them."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .options import JsonOption, LibraryOption, ServerOption

tags_app = typer.Typer(help="Look at tags, confirm or reject them, and take back or adopt what a run wrote.", no_args_is_help=True)

PhotoArgument = Annotated[Path, typer.Argument(metavar="PATH", help="A photo of the library.")]
TagsArgument = Annotated[list[str], typer.Argument(metavar="TAG", help="Tags, by name or synonym.")]
UndoOption = Annotated[bool, typer.Option("--undo", help="Take back what was said of these tags.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id or the beginning of it, or latest.")]


@tags_app.command()
def confirm(
    path: PhotoArgument, tags: TagsArgument, undo: UndoOption = False, library: LibraryOption = None, server: ServerOption = None, as_json: JsonOption = False
) -> None:  # fmt: skip
    """Say that a photo has these tags. No machine changes that, and the next run learns from it."""
    _say(path, tags, "confirmed", undo=undo, library=library, server=server, as_json=as_json)


@tags_app.command()
def reject(
    path: PhotoArgument, tags: TagsArgument, undo: UndoOption = False, library: LibraryOption = None, server: ServerOption = None, as_json: JsonOption = False
) -> None:  # fmt: skip
    """Say that a photo has not these tags. No machine changes that, and the next run learns from it."""
    _say(path, tags, "rejected", undo=undo, library=library, server=server, as_json=as_json)


@tags_app.command()
def show(path: PhotoArgument, library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """The tags that a photo has now, by whom, and those that people rejected."""
    from search import Store

    from .library_tags import digest_of_photo, tag_dict
    from .output import print_json
    from .tag_output import photo_table
    from .wiring import open_library

    store = Store(open_library(library))
    digest, file = digest_of_photo(store, path)
    tags = store.marks.tags([digest]).get(digest, ())
    rejected = sorted(tag for tag, said in store.marks.labels().items() if said.get(digest) == "rejected")
    if as_json:
        print_json({"file": file, "digest": digest, "tags": [tag_dict(tag) for tag in tags], "rejected": rejected})
    else:
        photo_table(file, tags, rejected)


@tags_app.command()
def review(
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 20,
    tag: Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Only this tag.")] = None,
    where: Annotated[str | None, typer.Option("--where", metavar="EXPR", help="Only photos that meet a condition.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the photos.")] = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """The tags about which the machine is least certain and nobody has said anything yet, the most uncertain first."""
    from .library_tags import doubts
    from .output import print_json, quiet_decoders
    from .tag_output import review_table
    from .wiring import open_library

    found, total = doubts(open_library(library), k, where, tag)
    if html is not None:
        from .tag_sheet import review_sheet
        from .wiring import write_text

        with quiet_decoders():
            page = review_sheet(found, total, library)
        write_text(html, page)
    if as_json:
        print_json({"open": total, "tags": [each.as_dict() for each in found]})
    else:
        review_table(found, total, tag)


@tags_app.command()
def vocabulary(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A vocabulary that ships; pellucid tag --list names them.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it: a .yaml, which must not be there yet.")],
) -> None:
    """Write a vocabulary that ships into a file, to be changed and given to `pellucid tag --vocabulary`."""
    from preprocess import InputError
    from search import load_vocabulary, write_vocabulary

    words = load_vocabulary(name)
    if os.path.lexists(file):
        raise InputError(f"{file} is there already. Name another file, or move this one away.")
    write_vocabulary(words, file)
    typer.echo(f"Wrote {len(words):,} words. To tag with them: pellucid tag --vocabulary {shlex.quote(str(file))}")


@tags_app.command()
def runs(library: LibraryOption = None, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """All runs of tagging, the latest last."""
    from .remote_use import remote_of

    if (client := remote_of(server, library)) is not None:
        from .remote_tags import remote_runs

        remote_runs(client, as_json=as_json)
        return
    from search import Store

    from .output import print_json
    from .tag_output import run_dict, runs_table
    from .wiring import open_library

    known = Store(open_library(library)).marks.runs()
    print_json({"runs": [run_dict(run) for run in known]}) if as_json else runs_table(known)


@tags_app.command()
def diff(
    earlier: Annotated[str, typer.Argument(metavar="A", help="A run: its id or the beginning of it, or latest.")],
    later: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which tags run B has and A has not, and which it has no longer, of the photos that it looked at."""
    from search import Store

    from .library_tags import files_by_digest
    from .output import print_json
    from .tag_output import diff_lines
    from .wiring import open_library

    store = Store(open_library(library))
    first, second = store.marks.run(earlier), store.marks.run(later)
    found = store.marks.diff(first.id, second.id)
    files = files_by_digest(store)
    named = {
        kind: {files[digest]: list(tags) for digest, tags in rows.items() if digest in files}
        for kind, rows in (("added", found.added), ("removed", found.removed))
    }
    if as_json:
        print_json({"earlier": first.id, "later": second.id, **named})
    else:
        diff_lines(first, second, named["added"], named["removed"])


@tags_app.command()
def retract(run: RunArgument, library: LibraryOption = None, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Take back what a run wrote. Tags that an earlier run had written come back, and what people said stays."""
    _change("retract", run, library, server, as_json=as_json)


@tags_app.command()
def promote(run: RunArgument, library: LibraryOption = None, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Make a run's tags people's own: no later run takes them back. Rejected ones stay rejected."""
    _change("promote", run, library, server, as_json=as_json)


def _say(path: Path, words: list[str], verdict: Any, *, undo: bool, library: Path | None, server: str | None, as_json: bool) -> None:
    from .remote_use import remote_of

    if (client := remote_of(server, library)) is not None:
        from .remote_tags import remote_say

        remote_say(client, path, words, verdict, undo=undo, as_json=as_json)
        return
    from search import Store

    from .library_tags import digest_of_photo, say_tags
    from .output import print_json
    from .tag_output import said_lines
    from .wiring import open_library

    home = open_library(library)
    with home.locked(f"tags {verdict}"):
        store = Store(home)
        digest, file = digest_of_photo(store, path)
        said = say_tags(store, digest, words, None if undo else verdict)
        now = [tag.tag for tag in store.marks.tags([digest]).get(digest, ())]
    names = list(dict.fromkeys(name for name, _ in said))
    own = [name for name, known in said if not known]
    outcome = {"file": file, "digest": digest, "said": None if undo else verdict, "tags": names, "not_in_vocabularies": own, "now": now}
    print_json(outcome) if as_json else said_lines(outcome)


def _change(what: Literal["retract", "promote"], run: str, library: Path | None, server: str | None, *, as_json: bool) -> None:
    from .remote_use import remote_of

    if (client := remote_of(server, library)) is not None:
        from .remote_tags import remote_change

        remote_change(client, what, run, as_json=as_json)
        return
    from search import Store

    from .output import print_json
    from .tag_output import changed_lines
    from .wiring import open_library

    home = open_library(library)
    with home.locked(f"tags {what}"):
        marks = Store(home).marks
        chosen = marks.run(run)
        count = marks.retract(chosen.id) if what == "retract" else marks.promote(chosen.id)
    outcome = {"run": chosen.id, "was": chosen.state, "did": what, "tags": count}
    print_json(outcome) if as_json else changed_lines(outcome)


__all__ = ["tags_app"]
