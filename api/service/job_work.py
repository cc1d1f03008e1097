"""What each kind of job does, in the job's own process. It is what the command of that name does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..settings import load_settings
from .schemas_jobs import JobKind

if TYPE_CHECKING:
    from indexer import Report
    from search import Vocabulary

    from .job_child import Teller


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a job. `result` is a file in the folder that the job was given; `interrupted` says that the rest was left."""

    outcome: dict[str, Any]
    result: Path | None = None
    interrupted: bool = False


Work: TypeAlias = "Callable[[dict[str, Any], Path, Path, Teller], Made]"
"""Options, a folder for the result, the folder of what was sent in, and who is told."""


def _index(options: dict[str, Any], _place: Path, _uploads: Path, tell: Teller) -> Made:
    from ..wiring import run_index
    from .allowed import allowed_folder, allowed_roots

    settings = load_settings()
    allowed = allowed_roots(settings)
    roots = [allowed_folder(root, allowed) for root in options["roots"]]  # again: a link may lead elsewhere by now
    tell.progress("looking for photos", 0)

    def on_progress(report: Report) -> None:
        stage = "reading photos" if report.done < report.total else "writing the index"
        tell.progress(stage, report.done, report.total)

    given = {name: options[name] for name in ("dehaze", "regions") if options.get(name) is not None}
    report = run_index(roots, dry_run=options["dry_run"], on_progress=on_progress, on_note=tell.log, library=settings.library, **given)
    return Made(report.as_dict(), interrupted=report.interrupted)


def _tag(options: dict[str, Any], place: Path, _uploads: Path, tell: Teller) -> Made:
    from ..tagging import run_tag

    settings = load_settings()
    words = options["vocabulary"] if options["labels"] is None else str(labels_file(options["labels"], place.parent.parent))
    tell.progress("reading words", 0)
    outcome = run_tag(
        vocabulary=words, templates="auto", where=options["where"], precision=options["precision"], most=options["most"],
        dry_run=options["dry_run"], library=settings.library, encoder=None, on_progress=lambda done, total: tell.progress("tagging", done, total),
    )  # fmt: skip
    told = {name: value for name, value in outcome.items() if name != "library"}
    return Made(told | ({} if options["labels"] is None else {"vocabulary": "labels"}), interrupted=outcome["interrupted"])


def vocabulary_of(labels: list[str]) -> Vocabulary:
    """A vocabulary of words that a request named.

    Raises:
        InputError: one of them is no tag, such as one with a comma in it; or two are the same.
    """
    from search import Group, Tag, Vocabulary, form_of

    words = [" ".join(label.split()) for label in labels]
    return Vocabulary("labels", (Group("tags"),), tuple(Tag(word, form=form_of(word)) for word in words))


def labels_file(labels: list[str], folder: Path) -> Path:
    """Those words as a file that stays, by whose name the run of tags is known: the same words have the same file.

    Raises:
        InputError: as `vocabulary_of`.
    """
    from search import write_vocabulary

    words = vocabulary_of(labels)
    file = folder / "vocabularies" / f"labels-{words.hash}.yaml"
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        fresh = file.with_suffix(".new.yaml")
        write_vocabulary(words, fresh)
        fresh.replace(file)
    return file


def _score(options: dict[str, Any], _place: Path, _uploads: Path, tell: Teller) -> Made:
    from ..scoring import run_score

    settings = load_settings()
    tell.progress("scoring", 0)
    outcome = run_score(
        mode="fast", axes=options["axes"], pairs=None, where=options["where"], again=options["again"], library=settings.library, encoder=None,
        max_megapixels=None, on_progress=lambda done, total: tell.progress("scoring", done, total),
    )  # fmt: skip
    return Made({name: value for name, value in outcome.items() if name != "library"}, interrupted=outcome["interrupted"])


def _export(options: dict[str, Any], place: Path, _uploads: Path, tell: Teller) -> Made:
    from annotate import load_exporter

    from ..exporting import ExportRequest, run_export

    kind = load_exporter(options["format"]).kind
    name = file_name(options["format"]) if kind == "file" else options["format"]
    request = ExportRequest(options["format"], place / name, options["where"], options["all_photos"])
    outcome = run_export(request, load_settings().library, lambda done, total: tell.progress("exporting", done, total), own=place)
    archive = place / f"{options['format']}.zip"
    _packed(place / name, archive, tell)
    return Made({name: value for name, value in outcome.items() if name != "destination"}, archive)


def file_name(format_: str) -> str:
    """What the one file of a format is called inside an archive."""
    return {"coco": "coco.json", "coco-rle": "coco.json", "cvat": "annotations.xml"}.get(format_, f"photos.{format_}")


def _packed(source: Path, archive: Path, tell: Teller, *, compress: bool = True) -> None:
    """A zip of a file, or of all files below a folder; each is removed once it is in."""
    import zipfile

    files = [source] if source.is_file() else sorted(file for file in source.rglob("*") if file.is_file())
    base = source.parent if source.is_file() else source
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(archive, "w", method) as out:
        for done, file in enumerate(files):
            tell.progress("packing", done, len(files))
            out.write(file, file.relative_to(base).as_posix())
            file.unlink()


def _dehaze(options: dict[str, Any], place: Path, _uploads: Path, tell: Teller) -> Made:
    from indexer import WalkOptions
    from preprocess import ImageVanished, InputError
    from search import Store

    from ..dehaze_report import DehazeOptions
    from ..dehaze_run import Dehazing
    from ..library_photos import LibraryPhotos, matching_keys
    from ..wiring import limits_of, open_library

    settings = load_settings()
    home = open_library(settings.library)
    photos = LibraryPhotos(Store(home))
    matching = None if options["where"] is None else matching_keys(home, options["where"])
    chosen = {Path(*key): name for key, name in zip(photos.keys, photos.names, strict=True) if matching is None or key in matching}
    if not chosen:
        raise InputError("No photo meets the condition; nothing was dehazed.")
    there = {file: name for file, name in chosen.items() if file.is_file()}
    out = place / "dehazed"
    out.mkdir()
    asked = DehazeOptions(
        out,
        options["method"],
        jobs=settings.jobs,
        walk=WalkOptions(tuple(settings.exclude), settings.include_hidden),
        limits=limits_of(settings),
    )
    run = Dehazing(list(there), asked, names=there)
    report = run.run(lambda done, total: tell.progress("dehazing", done, total))
    for file in chosen.keys() - there.keys():
        report.failed[str(file)] = ImageVanished(f"{file} is not there any more. Index its folder again to bring the library up to date.")
    told = {name: value for name, value in report.as_dict().items() if name != "out"}
    told["photos"] = [
        {name: value for name, value in photo.items() if name in ("source", "haze", "method", "kept", "reason")} for photo in told["photos"]
    ]
    if report.interrupted:
        return Made(told, interrupted=True)
    archive = place / "dehazed.zip"
    _packed(out, archive, tell, compress=False)  # photos are compressed
    return Made(told, archive)


def _dataset(options: dict[str, Any], place: Path, uploads: Path, tell: Teller) -> Made:
    from .dataset_tagging import tag_dataset

    return tag_dataset(options, place, uploads, tell)


WORK: Mapping[JobKind, Work] = {
    "index": _index,
    "tag": _tag,
    "score": _score,
    "export": _export,
    "dehaze-batch": _dehaze,
    "dataset-tag": _dataset,
}
"""Kinds of jobs by name."""
