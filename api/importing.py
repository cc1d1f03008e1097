"""`pellucid import`: regions that people drew or corrected in other tools."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from preprocess import InputError

from .options import JsonOption, LibraryOption

if TYPE_CHECKING:
    from annotate import Annotation, Region
    from search import Store

import_app = typer.Typer(help="Bring in regions that people drew or corrected in other tools.", no_args_is_help=True)

_SHOWN = 5  # names in a message
_Shape = tuple[str, tuple[float, ...], bytes]


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo of the document: its name and what it says of it."""

    name: str
    digest: str
    annotation: Annotation


def run_import_coco(file: Path, *, root: Path | None, unchanged: bool, dry_run: bool, library: Path | None) -> dict[str, Any]:
    """Give the photos of a COCO document the regions that it has for them; what was done.

    A photo of which the document says what the library has already is left as it is, unless `unchanged` ones are taken too.

    Raises:
        InputError: the document is wrong; it names photos that could be several, or none that the library has; or it says different things of copies of
            one photo. Nothing is changed then.
    """
    from search import Store

    from .wiring import open_library

    home = open_library(library)
    with contextlib.nullcontext() if dry_run else home.locked("import"):
        store = Store(home)
        photos, skipped = _read(file, store, root)
        taken = _taken(photos, store, unchanged)
        if not dry_run:
            store.regions.put(taken)
    return {
        "file": str(file), "library": str(home.folder), "dry_run": dry_run, "photos": len(taken),
        "regions": sum(len(annotation.regions) for annotation in taken.values()),
        "emptied": sum(1 for annotation in taken.values() if not annotation.regions),
        "unchanged": len({photo.digest for photo in photos}) - len(taken), **skipped,
    }  # fmt: skip


def _read(file: Path, store: Store, root: Path | None) -> tuple[list[_Photo], dict[str, Any]]:
    """What the document says of the library's photos, and what it has besides.

    Raises:
        InputError: see `run_import_coco`.
    """
    from annotate import read_coco

    from .library_photos import LibraryPhotos

    within = root.expanduser().resolve() if root is not None else None
    known = LibraryPhotos(store).known(within)
    if not known:
        raise InputError(f"The library has no photos{f' in {root}' if root is not None else ''}. `pellucid stats` lists its roots.")
    got = read_coco(file.expanduser(), known)
    if got.ambiguous:
        lines = [f"{name} could be {_listed(names)}" for name, names in got.ambiguous.items()]
        raise InputError(
            f"{len(lines):,} {'name fits' if len(lines) == 1 else 'names fit'} several photos, so nothing was imported: "
            f"{'; '.join(lines[:_SHOWN])}{'; ...' if len(lines) > _SHOWN else ''}. Write longer paths in file_name, or name the folder with --root."
        )
    digests = {photo.name: photo.digest for photo in known}
    if not got.annotations:
        named = _listed([*got.unmatched, *got.unopened])
        raise InputError(
            f"No image of {file} is a photo of the library{f': {named}' if named else ''}. Index the photos first, or name another --root."
        )
    photos = [_Photo(name, digests[name], annotation) for name, annotation in got.annotations.items()]
    return photos, {"empty": got.empty, "unmatched": list(got.unmatched), "unopened": list(got.unopened)}


def _taken(photos: Sequence[_Photo], store: Store, unchanged: bool) -> dict[str, Annotation]:
    """The annotations to keep, by digest.

    Raises:
        InputError: copies of one photo were changed in different ways.
    """
    from annotate import human_annotation

    groups: dict[str, list[_Photo]] = {}
    for photo in photos:
        groups.setdefault(photo.digest, []).append(photo)
    before = store.regions.regions(groups.keys())
    taken = {}
    for digest, copies in groups.items():
        size_wh = copies[0].annotation.size_wh
        own = _shapes(before.get(digest, ()), size_wh)
        told = [(photo, _shapes(photo.annotation.regions, size_wh)) for photo in copies]
        changed = {photo.annotation.maker: (photo, shapes) for photo, shapes in told if _counted(shapes) != _counted(own)}
        if len(changed) > 1:
            raise InputError(
                f"{_listed([photo.name for photo, _ in changed.values()])} are copies of one photo, but the document has different regions for them. "
                "Give them the same ones, or keep one of them in it."
            )
        if changed or unchanged:
            _, shapes = next(iter(changed.values()), told[0])
            taken[digest] = human_annotation(size_wh, _kept(shapes, dict(own)))
    return taken


def _shapes(regions: Sequence[Region], size_wh: tuple[int, int]) -> list[tuple[_Shape, Region]]:
    """The regions by what an export says of them, in which they are compared."""
    from annotate import as_written

    pairs = ((as_written(region, size_wh), region) for region in regions)
    return [(_shape(written), region) for written, region in pairs if written is not None]


def _shape(region: Region) -> _Shape:
    """Label, box to a thousandth of a pixel, which is more than subtracting and adding its left and top again changes, and mask."""
    return region.label, tuple(round(side, 3) for side in region.box_xyxy), region.mask.counts if region.mask is not None else b""


def _counted(shapes: Sequence[tuple[_Shape, Region]]) -> Counter[_Shape]:
    return Counter(shape for shape, _ in shapes)


def _kept(shapes: Sequence[tuple[_Shape, Region]], own: Mapping[_Shape, Region]) -> list[Region]:
    """A person's regions. Those that nobody touched keep what was measured of them."""
    return [replace(own.get(shape, region), source="human", confidence=region.confidence) for shape, region in shapes]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


@import_app.command("coco")
def import_coco(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A COCO JSON file, as CVAT, Label Studio, FiftyOne and `export coco` write it.")
    ],
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="Only photos in this folder; names may be relative to it.")
    ] = None,
    unchanged: Annotated[
        bool, typer.Option("--unchanged", help="Take regions that nobody changed as a person's too: no segmenter replaces them any more.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace regions by those of a COCO file, photo by photo, where it differs. They are a person's then, which no segmenter replaces."""
    from .output import print_json

    outcome = run_import_coco(file, root=root, unchanged=unchanged, dry_run=dry_run, library=library)
    print_json(outcome) if as_json else _summary(outcome)


def _summary(outcome: dict[str, Any]) -> None:
    import shlex

    from .exporting import many
    from .output import console, plain

    out = console()
    done, emptied = outcome["photos"], outcome["emptied"]
    out.print(f"{'Would do: ' if outcome['dry_run'] else ''}{many(done, 'photo')} with {many(outcome['regions'], 'region')} by a person.")
    if emptied:
        out.print(f"{many(emptied, 'photo')} of them {'has' if emptied == 1 else 'have'} no regions: nobody drew one, or all were deleted.")
    if outcome["unchanged"]:
        out.print(f"Unchanged: {many(outcome['unchanged'], 'photo')}.")
    if outcome["empty"]:
        out.print(f"Left out: {many(outcome['empty'], 'annotation')} without a pixel inside.")
    if outcome["unmatched"]:
        out.print(plain(f"Not photos of the library: {many(len(outcome['unmatched']), 'image')}, such as {_listed(outcome['unmatched'])}"))
    if outcome["unopened"]:
        out.print(plain(f"Never opened, and left alone: {many(len(outcome['unopened']), 'image')}, such as {_listed(outcome['unopened'])}"))
    if outcome["photos"] and not outcome["dry_run"]:
        out.print(plain(f"To find the new regions by search: pellucid index --library {shlex.quote(outcome['library'])}"))


__all__ = ["import_app", "run_import_coco"]
