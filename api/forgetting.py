"""`pellucid forget`: photos erased from the library, and the proof that they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from preprocess import InputError, LibraryDamaged

from .options import JsonOption, LibraryOption

if TYPE_CHECKING:
    from search import Key, Library, Store


def run_forget(paths: Sequence[Path], folder: Path | None, *, absent: bool = False) -> dict[str, Any]:
    """Erase photos under the paths from the library, and prove it; with `absent`, also what people drew in photos that are gone, and said of their tags.

    Raises:
        InputError: a path matches nothing in the library.
    """
    from dataclasses import replace

    from search import Store

    from .wiring import open_library

    library = open_library(folder)
    with library.locked("forget"):
        store = Store(library)
        images, drawn = store.images(["root", "path", "digest"]), store.regions.annotations()
        here = set(images["digest"].to_pylist())
        left_over = {*store.regions.absent(here), *store.marks.absent(here)} if absent else set()
        said = store.marks.people.by_digest()
        keys = set(zip(images["root"].to_pylist(), images["path"].to_pylist(), strict=True)) | {(f.root, f.path) for f in store.failures()}
        doomed: set[Key] = set()
        for path in paths:
            place = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 (a link must not be followed: it may be gone)
            names = {place, place.resolve()}
            matched = {key for key in keys if any(Path(*key) == name or Path(*key).is_relative_to(name) for name in names)}
            if not matched and not {str(name) for name in names} & set(library.file.roots):
                raise InputError(f"Nothing of {path} is in {library.folder}. `pellucid stats` lists its roots.")
            doomed |= matched
        gone = {str(Path(os.path.abspath(path.expanduser()))) for path in paths} | {str(path.expanduser().resolve()) for path in paths}  # noqa: PTH100
        library.write(replace(library.file, roots=tuple(root for root in library.file.roots if root not in gone)))
        photos, digests = store.rewrite_without(doomed, absent=absent)
        _prove_forgotten(library, store, doomed, {*digests, *left_over})
    by_people = sum(drawn[digest].regions for digest in {*digests, *left_over} if digest in drawn and drawn[digest].human)
    return {
        "photos": photos,
        "vectors": digests,
        "regions_by_people": by_people,
        "tags_by_people": sum(len(said[digest]) for digest in {*digests, *left_over} if digest in said),
        "still_on_disk": [photo for photo in photos if Path(photo).exists()],
    }


def _prove_forgotten(library: Library, store: Store, doomed: set[Key], digests: set[str]) -> None:
    """Look for what was forgotten in the tables, in a fresh cache and in its nearest index.

    Raises:
        LibraryDamaged: something is left.
    """
    import shutil

    from search import marks_of, open_derived

    shutil.rmtree(library.cache, ignore_errors=True)
    images = store.images(["root", "path", "digest"])
    left = set(zip(images["root"].to_pylist(), images["path"].to_pylist(), strict=True)) & doomed
    left |= {("", digest) for recipe in library.file.recipes for digest in store.digests(recipe) & digests}
    left |= {("", digest) for marks in (store.regions, store.scores, store.marks) for digest in marks.left(digests)}
    for recipe in library.file.plain_recipes():
        derived = open_derived(library, recipe)
        try:
            rows = set(derived.database.execute("SELECT root, path FROM images"))
            vectors = derived.database.execute("SELECT count(DISTINCT vector) FROM images").fetchone()[0]
            left |= rows & doomed
            left |= {("", digest) for digest in marks_of(derived.database, sorted(digests))}
            if derived.photos != vectors:
                left.add(("", "a vector without a photo"))
        finally:
            derived.close()
    if left:
        raise LibraryDamaged(
            f"{len(left)} entries of what was forgotten are still in {library.folder}, such as {next(iter(left))[1]}. Try again."
        )


def forget(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Photos, folders or roots; they need not exist any more.")
    ] = None,
    absent: Annotated[
        bool, typer.Option("--absent", help="Also what people drew in photos that are gone from disk, and said of their tags.")
    ] = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase photos from the library, its older versions too, and prove that no search returns them. Files are not touched."""
    from .output import console, plain, print_json

    if not paths and not absent:
        raise InputError(
            "Name what to forget: pellucid forget PATH, or pellucid forget --absent for what people drew or said of photos that are gone."
        )
    outcome = run_forget(paths or [], library, absent=absent)
    if as_json:
        print_json(outcome)
        return
    out = console()
    counts = [(len(outcome["photos"]), "photo"), (len(outcome["vectors"]), "vector")]
    words = " and ".join(f"{count:,} {word if count == 1 else word + 's'}" for count, word in counts)
    drawn = outcome["regions_by_people"]
    more = f", and {drawn:,} {'region' if drawn == 1 else 'regions'} that people drew" if drawn else ""
    said = outcome["tags_by_people"]
    more += f", and what people said of {said:,} {'tag' if said == 1 else 'tags'}" if said else ""
    out.print(f"Forgot {words}{more}; checked that no search returns them.")
    if outcome["still_on_disk"]:
        name = plain(outcome["still_on_disk"][0])
        out.print(
            f"{len(outcome['still_on_disk']):,} of them are still on disk, such as {name}; the next index takes them again unless excluded."
        )


__all__ = ["forget", "run_forget"]
