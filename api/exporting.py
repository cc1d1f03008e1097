"""`pellucid export`: the library's photos and regions, as files that other tools read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from preprocess import InputError

from .options import JsonOption, LibraryOption, ServerOption

if TYPE_CHECKING:
    from annotate import AnnotatedPhoto, ExportOptions, Placing
    from search import Library

    from .library_photos import LibraryPhotos

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is exported, to where. `every` takes photos that were never looked at for regions too."""

    format: str
    destination: Path
    where: str | None = None
    every: bool = False
    labels: tuple[str, ...] | None = None
    place: Placing = "none"
    force: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """The photos of one export: all of the library's, the places of those that are written, the options for the exporter, and how many more
    meet the condition but were never looked at for regions."""

    photos: LibraryPhotos
    rows: list[int]
    options: ExportOptions
    unlooked: int
    looked: Mapping[str, Any]
    regions_to_find: str

    def stream(self, on_progress: Progress = lambda _done, _total: None) -> Iterator[AnnotatedPhoto]:
        """The photos with their regions, one after the other."""
        return _counted(self.photos.annotated(self.rows), len(self.rows), on_progress)


def choose_photos(request: ExportRequest, home: Library) -> Chosen:
    """Which photos an export has, before anything is written.

    Raises:
        UnknownName: there is no such format.
        InputError: no photo is left to export.
        FilterError: the condition is wrong.
    """
    from annotate import ExportOptions, load_exporter
    from search import Store

    from .library_photos import LibraryPhotos, labels_of

    load_exporter(request.format)
    store = Store(home)
    photos = LibraryPhotos(store)
    looked = store.regions.annotations()
    rows, unlooked = _chosen(photos.keys, [digest in looked for digest in photos.digests], home, request)
    served = photos.served() if request.format == "label-studio" else None
    labels = request.labels if request.labels is not None else labels_of(store, set(photos.digests))
    options = ExportOptions(labels, request.force, request.place, served)
    return Chosen(photos, rows, options, unlooked, looked, home.file.regions_to_find)


def run_export(request: ExportRequest, library: Path | None, on_progress: Progress, *, own: Path | None = None) -> dict[str, Any]:
    """Write the export, whole or not at all; what was written. `own` is a folder of the service's, in which an export may lie though the library does too.

    Raises:
        UnknownName: there is no such format.
        InputError: the destination exists, holds photos or is the library, or no photo is left to export.
        FilterError: the condition is wrong.
        StorageFull: the disk took no more.
    """
    from annotate import check_free, export_photos, load_exporter

    from .wiring import open_library

    kind = load_exporter(request.format).kind
    home = open_library(library)
    destination = Path(request.destination).expanduser().absolute()
    if own is None or destination.parent != own.absolute():
        _check_destination(destination, kind, [Path(root) for root in home.file.roots], home.folder)
    check_free(destination, kind, force=request.force)  # before the store is read, which takes seconds
    chosen = choose_photos(request, home)
    photos, looked, served = chosen.photos, chosen.looked, chosen.options.served
    told = export_photos(request.format, chosen.stream(on_progress), destination, chosen.options)
    written = [row for row in chosen.rows if photos.names[row] not in told.photos_left_out]
    return {
        "format": request.format, "destination": str(destination), "photos": told.photos, "regions": told.regions,
        "without_regions": sum(1 for row in written if photos.digests[row] not in looked or not looked[photos.digests[row]].regions),
        "not_looked_at": chosen.unlooked, "left_out": told.left_out, "labels": list(told.labels), "renamed": told.renamed, "roots": photos.roots,
        "photos_left_out": told.photos_left_out, "relabelled": told.relabelled,
        "served": str(served) if served is not None else None, "regions_to_find": chosen.regions_to_find,
    }  # fmt: skip


def _chosen(keys: Sequence[tuple[str, str]], looked: Sequence[bool], library: Library, request: ExportRequest) -> tuple[list[int], int]:
    """The places of the photos to export, and how many more meet the condition but were never looked at.

    Raises:
        InputError: there is none.
    """
    from .library_photos import matching_keys

    matching = matching_keys(library, request.where) if request.where is not None else None
    among = [at for at, key in enumerate(keys) if matching is None or key in matching]
    rows = among if request.every else [at for at in among if looked[at]]
    if rows:
        return rows, sum(1 for at in rows if not looked[at]) if request.every else len(among) - len(rows)
    if not among:
        raise InputError("No photo meets the condition; nothing was written." if keys else f"{library.folder} has no photos.")
    raise InputError(
        f"None of the {len(among):,} photos was looked at for regions yet. Find them: pellucid index --regions {library.file.regions_to_find}; "
        "or export photos without regions: --all-photos"
    )


def _counted(photos: Iterator[AnnotatedPhoto], total: int, on_progress: Progress) -> Iterator[AnnotatedPhoto]:
    for done, photo in enumerate(photos):
        on_progress(done, total)
        yield photo


def _check_destination(destination: Path, kind: str, roots: Sequence[Path], library: Path) -> None:
    """Refuse what could replace photos or the library, or would be indexed as photos.

    Raises:
        InputError: it could.
    """
    from preprocess import is_photo

    place = destination.resolve()
    if place.is_relative_to(library.resolve()):
        raise InputError(f"{destination} lies in the library {library}. Name another destination.")
    if kind == "file" and is_photo(destination.name):
        raise InputError(
            f"{destination} has the name of a photo; an export is not written over one. Name it otherwise, such as regions.json."
        )
    for root in roots if kind == "folder" else ():
        if place.is_relative_to(root) or root.is_relative_to(place):
            inside = "lies in" if place.is_relative_to(root) else "holds"
            raise InputError(f"{destination} {inside} the folder of photos {root}, which is only read. Name another folder.")


def _list_formats(wanted: bool) -> None:
    if wanted:
        from annotate import FORMATS

        for name, meaning in FORMATS.items():
            typer.echo(f"{name:<15}{meaning}")
        raise typer.Exit


def export(
    format: Annotated[str, typer.Argument(metavar="FORMAT", help="coco, yolo, voc, cvat, csv, ...; --list says what each is.")],  # noqa: A002
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="A new file or folder, as the format has it.")],
    where: Annotated[
        str | None, typer.Option("--where", metavar="EXPR", help="Only photos that meet a condition, such as region.label = 'dog'.")
    ] = None,
    every: Annotated[bool, typer.Option("--all-photos", help="Photos that were never looked at for regions too.")] = False,
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="A,B,...", help="All labels, in the order of their numbers.", show_default="alphabetical"),
    ] = None,
    copy: Annotated[bool, typer.Option("--copy-photos", help="Put copies of the photos into YOLO, VOC and FiftyOne folders.")] = False,
    link: Annotated[bool, typer.Option("--link-photos", help="Put links to the photos there.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files of the destination that are there.")] = False,
    library: LibraryOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
    _list: Annotated[bool, typer.Option("--list", callback=_list_formats, is_eager=True, help="Say what each format is.")] = False,
) -> None:
    """Write photos and their regions for other tools. All regions of a photo are written, and photos in which none was found too."""
    from .output import count_bar, print_json
    from .remote_use import only_here, remote_of

    if copy and link:
        raise typer.BadParameter("choose one of --copy-photos and --link-photos")
    named = None if labels is None else tuple(label.strip() for label in labels.split(",") if label.strip())
    request = ExportRequest(format, destination, where, every, named, "copy" if copy else "link" if link else "none", force)
    if (client := remote_of(server, library)) is not None:
        from .remote_work import remote_export

        only_here({"--labels": labels, "--copy-photos": copy, "--link-photos": link})
        remote_export(client, request, as_json=as_json)
        return
    with count_bar("exporting", not as_json) as move:
        outcome = run_export(request, library, move)
    print_json(outcome) if as_json else _summary(outcome)


def _summary(outcome: dict[str, Any]) -> None:
    from .output import SHOWN_FAILURES, console, plain

    out = console()
    written, without, unlooked = outcome["photos"], outcome["without_regions"], outcome["not_looked_at"]
    counts = f"{many(written, 'photo')} with {many(outcome['regions'], 'region')} of {many(len(outcome['labels']), 'label')}"
    out.print(f"Wrote {counts} to {plain(outcome['destination'])}.")
    if without:
        out.print(f"{many(without, 'photo')} of them {'has' if without == 1 else 'have'} no regions.")
    if unlooked:
        out.print(
            f"{many(unlooked, 'photo')} {'was' if unlooked == 1 else 'were'} never looked at for regions: pellucid index --regions {plain(outcome['regions_to_find'])}"
        )
    if outcome["left_out"]:
        out.print(f"Left out: {many(outcome['left_out'], 'region')} outside of the photo.")
    if odd := outcome["photos_left_out"]:
        out.print(f"Left out: {many(len(odd), 'photo')} whose {'name' if len(odd) == 1 else 'names'} the format cannot hold:")
        for reason in list(odd.values())[:SHOWN_FAILURES]:
            out.print(plain(f"  {reason}"))
        if len(odd) > SHOWN_FAILURES:
            out.print(f"  ... and {len(odd) - SHOWN_FAILURES:,} more: --json names them all")
    if outcome["relabelled"]:
        label, name = next(iter(outcome["relabelled"].items()))
        out.print(plain(f"Labels that the format writes in another way: {len(outcome['relabelled']):,}, such as {label!r} as {name!r}."))
    if len(outcome["roots"]) > 1:
        out.print("Photos of several roots: each photo's name begins with that of its root.")
    if outcome["renamed"]:
        path, stem = next(iter(outcome["renamed"].items()))
        count = many(len(outcome["renamed"]), "photo")
        out.print(plain(f"Another photo has the same name but for its ending: {count}, such as {path}, whose files are {stem}.*"))
    if outcome["served"] is not None:
        out.print(f"For Label Studio, set LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={plain(outcome['served'])}")


def many(count: int, what: str) -> str:
    """`1 photo`, `2,000 photos`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


__all__ = ["Chosen", "ExportRequest", "choose_photos", "export", "many", "run_export"]
