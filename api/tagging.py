"""`pellucid tag`: words for the library's photos, each with the precision to be expected."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import EncoderOption, JsonOption, LibraryOption, ServerOption

_KEPT = 10  # files of words' vectors


def run_tag(
    *, vocabulary: str, templates: str, where: str | None, precision: float, most: int, dry_run: bool, library: Path | None, encoder: str | None,
    on_progress: Callable[[int, int], None],
) -> dict[str, Any]:  # fmt: skip
    """Tag with the settings; what was done.

    Raises:
        UnknownName: there is no such vocabulary or ensemble of templates.
        InputError: the vocabulary's file is none, or the precision or the number cannot be asked for.
        FilterError: the condition is wrong.
        RecipeMismatch: the library has no vectors by this encoder.
        StorageFull: the disk took no more; the same command goes on from there.
    """
    from search import (
        Library,
        Store,
        TagOptions,
        TagRequest,
        check_recipe,
        index_command,
        load_tagger,
        load_vocabulary,
        make_marks,
        run_tagging,
    )

    from .library_tags import files_by_digest
    from .settings import load_settings
    from .wiring import encoder_for

    words = load_vocabulary(vocabulary)
    options = TagOptions(precision, most)
    from preprocess import InputError

    if not vocabulary.isascii() and any("\ud800" <= letter <= "\udfff" for letter in vocabulary):
        raise InputError(f"The name of the vocabulary, {vocabulary!r}, is not UTF-8. Rename the file.")
    settings = load_settings(library=library, encoder=encoder)
    if settings.runtime == "auto":
        settings = settings.model_copy(
            update={"runtime": "onnx"}
        )  # importing torch takes longer than all the words by any text tower that is small
    home = Library(settings.library.expanduser())
    encoding = encoder_for(home, settings)
    check_recipe(home, encoding)
    tagger = load_tagger(encoding, words, templates, _kept(home.folder / "words"))
    named = vocabulary if not Path(vocabulary).is_file() or words.name == vocabulary else str(Path(vocabulary).resolve())
    with contextlib.nullcontext() if dry_run else home.locked("tag"):
        store = Store(home)
        report = run_tagging(store, tagger, TagRequest(named, encoding.recipe.encoder, where, dry_run), options, on_progress)
        if not dry_run and not report.interrupted:
            make_marks(store)  # here, so that the next search need not wait for it
    files = files_by_digest(store) if report.examples else {}
    return {
        "run": report.run or None, "dry_run": dry_run, "library": str(home.folder), "vocabulary": named, "words": len(words), "templates": tagger.ensemble,
        "encoder": encoding.recipe.encoder, "precision": precision, "most": most, "where": where, "photos": report.photos, "resumed": report.resumed,
        "missing": report.missing, "index": index_command(home, encoding), "tags": report.tags, "without": report.without, "labels": report.labels,
        "expected_precision": round(report.expected / report.tags, 4) if report.tags else None, "stricter_than": report.stricter_than,
        "by_tag": dict(sorted(report.by_tag.items(), key=lambda item: (-item[1], item[0]))), "seconds": report.seconds, "interrupted": report.interrupted,
        "examples": [
            {"file": files.get(digest), "tags": [{"tag": tag, "precision": value} for tag, value in tags]} for digest, tags in report.examples
        ],
    }  # fmt: skip


def _kept(folder: Path) -> Path:
    """The folder of words' vectors, with the latest files only: each edit of a vocabulary makes another one, of 2 MB."""
    files = sorted(folder.glob("tags-*.npz"), key=lambda file: file.stat().st_mtime_ns)
    for old in files[:-_KEPT]:
        old.unlink(missing_ok=True)
    return folder


def _list_vocabularies(wanted: bool) -> None:
    if wanted:
        from search import VOCABULARIES, load_vocabulary

        for name, meaning in VOCABULARIES.items():
            typer.echo(f"{name:<12}{len(load_vocabulary(name)):>6,} words: {meaning}")
        raise typer.Exit


def tag(
    vocabulary: Annotated[
        str,
        typer.Option("--vocabulary", metavar="NAME|FILE", help="Which words: one that ships, or a text or YAML file; --list names them."),
    ] = "photo",
    templates: Annotated[
        str, typer.Option("--templates", metavar="NAME", help="Sentences around the words; auto: those for the encoder's family.")
    ] = "auto",
    where: Annotated[str | None, typer.Option("--where", metavar="EXPR", help="Only photos that meet a condition.")] = None,
    precision: Annotated[float, typer.Option("--precision", metavar="P", help="Only tags that are right with at least this chance.")] = 0.5,
    most: Annotated[int, typer.Option("--most", metavar="N", help="At most so many tags a photo, the likeliest.")] = 20,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    library: LibraryOption = None,
    encoder: EncoderOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
    _list: Annotated[bool, typer.Option("--list", callback=_list_vocabularies, is_eager=True, help="Say which vocabularies ship.")] = False,
) -> None:
    """Tag the library's photos with words of a vocabulary. No photo is opened; a later run over the same photos replaces this one's tags."""
    from .output import count_bar, print_json
    from .remote_use import only_here, remote_of
    from .tag_output import tagged_lines

    if (client := remote_of(server, library)) is not None:
        from .remote_work import remote_tag

        only_here({"--encoder": encoder, "--templates": None if templates == "auto" else templates})
        remote_tag(
            client,
            {"vocabulary": vocabulary, "where": where, "precision": precision, "most": most, "dry_run": dry_run or None},
            as_json=as_json,
        )
        return
    with count_bar("tagging", not as_json) as move:
        outcome = run_tag(
            vocabulary=vocabulary, templates=templates, where=where, precision=precision, most=most, dry_run=dry_run, library=library, encoder=encoder,
            on_progress=move,
        )  # fmt: skip
    print_json(outcome) if as_json else tagged_lines(outcome, library)
    if outcome["interrupted"]:
        raise typer.Exit(130)


__all__ = ["run_tag", "tag"]
