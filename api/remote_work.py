"""`pellucid index`, `tag` and `export` by a service: its jobs, and files that it sends."""

from __future__ import annotations

import secrets
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from preprocess import FetchError, InputError

if TYPE_CHECKING:
    from .client import Client
    from .exporting import ExportRequest

_MOST_FILES = 10_000_000


def remote_index(client: Client, roots: Sequence[Path], options: Mapping[str, Any], *, as_json: bool) -> None:
    """Have the service index folders of its own machine, and print what it did."""
    from .output import count_bar, print_json, report_summary

    with client, count_bar("indexing", not as_json) as move:
        outcome = done(client, {"kind": "index", "options": {"roots": [str(root) for root in roots], **_given(options)}}, move)
    print_json(outcome) if as_json else report_summary(report_of(outcome))


def remote_tag(client: Client, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Have the service tag photos, and print what it did."""
    from .output import count_bar, print_json
    from .tag_output import tagged_lines

    with client, count_bar("tagging", not as_json) as move:
        outcome = done(client, {"kind": "tag", "options": _given(options)}, move)
    print_json(outcome) if as_json else tagged_lines(outcome)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def done(client: Client, job: Mapping[str, Any], move: Callable[[int, int], None]) -> dict[str, Any]:
    """What came of a job, once it has ended; an interrupt asks it to stop, and it keeps what it did.

    Raises:
        InputError: the job cannot be asked for, failed, or was stopped.
    """
    from pydantic import ValidationError

    try:
        started = client.jobs.start(job, key=f"command-{secrets.token_hex(12)}")
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{first['loc'][-1]}: {first['msg']}.") from error
    try:
        return client.jobs.finish(started, lambda _stage, at, total: move(at, total)).outcome or {}
    except KeyboardInterrupt:
        client.close()  # the stream of events is in the middle of something
        client.jobs.cancel(started.id)
        raise


def report_of(outcome: Mapping[str, Any]) -> Any:
    """The report of a build, from what its JSON says."""
    from dataclasses import fields

    from indexer import Passed, Report

    known = {field.name for field in fields(Report)} - {"passed", "seconds"}
    passed = Passed(dict(outcome.get("other_files", {})), dict(outcome.get("skipped", {})), dict(outcome.get("unlisted_folders", {})))
    return Report(
        **{name: value for name, value in outcome.items() if name in known}, passed=passed, seconds=dict(outcome.get("seconds", {}))
    )


def remote_export(client: Client, request: ExportRequest, *, as_json: bool) -> None:
    """Fetch an export and write it as the command does: a file, or a folder; whole or not at all."""
    from annotate import check_free, load_exporter
    from preprocess import is_photo

    from .output import console, plain, print_json

    kind, destination = load_exporter(request.format).kind, request.destination.expanduser().absolute()
    if kind == "file" and is_photo(destination.name):
        raise InputError(
            f"{destination} has the name of a photo; an export is not written over one. Name it otherwise, such as regions.json."
        )
    check_free(destination, kind, force=request.force and kind == "file")  # what else lies in a folder is not known to be an earlier export
    place = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.new")
    place.mkdir(parents=True)
    try:
        archive = place / "export.zip"
        with client, client.export(request.format, request.where, all_photos=request.every or None) as answer, archive.open("wb") as out:
            for piece in answer.pieces():
                out.write(piece)
        files, size = unpacked(archive, place / "files")
        archive.unlink()
        made = place / "files" if kind == "folder" else next(entry for entry in (place / "files").rglob("*") if entry.is_file())
        made.replace(destination)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    outcome = {"format": request.format, "destination": str(destination), "files": files, "bytes": size}
    if as_json:
        print_json(outcome)
    else:
        console().print(plain(f"Wrote {files:,} {'file' if files == 1 else 'files'}, {size / 1e6:,.1f} MB, to {destination}."))


def unpacked(archive: Path, folder: Path) -> tuple[int, int]:
    """Unpack an archive into a new folder; how many files, and their bytes.

    Raises:
        FetchError: it is damaged, or a name in it leads out of the folder.
    """
    folder.mkdir()
    files = size = 0
    try:
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                name = PurePosixPath(entry.filename)
                if entry.is_dir():
                    continue
                if name.is_absolute() or ".." in name.parts or "\\" in entry.filename or ":" in entry.filename or files > _MOST_FILES:
                    raise FetchError(f"The export has a file called {entry.filename!r}, which is not written.")
                file = folder / name
                file.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(entry) as source, file.open("xb") as out:
                    shutil.copyfileobj(source, out)
                files, size = files + 1, size + entry.file_size
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise FetchError(f"The export that the service sent is damaged: {error}. Try again.") from error
    if not files:
        raise FetchError("The export that the service sent is empty. Try again.")
    return files, size
