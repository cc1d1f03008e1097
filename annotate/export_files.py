"""New files and folders, whole or not at all: written under a temporary name beside their place, then moved."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from preprocess import FULL, InputError, StorageFull, move_to_new, temporary_beside


@contextmanager
def whole_file(file: Path, *, force: bool) -> Iterator[Path]:
    """A temporary file's path to write to; it takes the name `file` when the block ends well and is removed otherwise.

    Raises:
        InputError: there is a file of that name and not `force`, there is a folder of that name, or the place cannot be written to.
        StorageFull: the disk took no more.
    """
    check_free(file, "file", force=force)
    with _errors(file):
        _make_folder(file.parent)
        fresh = temporary_beside(file)
        try:
            yield fresh
            with fresh.open("rb+") as stream:
                os.fsync(stream.fileno())
            if force:
                fresh.replace(file)
            else:
                move_to_new(fresh, file)
        finally:
            fresh.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path, *, force: bool) -> Iterator[Path]:
    """A temporary folder to fill; it takes the name `folder` when the block ends well and is removed otherwise.

    An empty folder of that name is used. With `force`, files are moved into one that is not, over those of the same name; others stay.

    Raises:
        InputError: there is such a folder that is not empty and not `force`, there is a file of that name, or the place cannot be written to.
        StorageFull: the disk took no more.
    """
    check_free(folder, "folder", force=force)
    with _errors(folder):
        _make_folder(folder.parent)
        fresh = temporary_beside(folder)
        fresh.mkdir()
        try:
            yield fresh
            if folder.is_dir() and any(folder.iterdir()):
                _refuse_existing(folder, force)
                _merge(fresh, folder)
            elif folder.is_symlink():
                _merge(fresh, folder)
            else:
                if folder.is_dir():
                    folder.rmdir()  # Windows does not rename onto an empty one
                fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def check_free(place: Path, kind: Literal["file", "folder"], *, force: bool) -> None:
    """See that `whole_file` or `whole_folder` would take this place, before any work is done for it.

    Raises:
        InputError: something is there and not `force`, or it is of the other kind.
    """
    with _errors(place):
        if kind == "file":
            _refuse_existing(place, force)
            if place.is_dir():
                raise InputError(f"{place} is a folder. Name a file.")
        elif place.is_dir():
            if any(place.iterdir()):
                _refuse_existing(place, force)
        elif os.path.lexists(place):
            raise InputError(f"{place} is a file, not a folder. Name another folder.")


def place_photo(source: Path | None, target: Path, how: Literal["none", "link", "copy"]) -> None:
    """Put a photo into an export as a symbolic link or a copy, or not; the original is only read.

    Raises:
        InputError: there is no such photo.
    """
    if how == "none":
        return
    if source is None or not source.is_file():
        raise InputError(
            f"There is no photo {source or target.name}. Mount the disk it is on, or index again if it was moved or deleted; or export without photos."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    if how == "link":
        target.symlink_to(source.resolve())
    else:
        shutil.copyfile(source, target)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{error.filename or folder} is a file, not a folder, or lies in one. Name another destination.") from error


def _refuse_existing(path: Path, force: bool) -> None:
    if not force and os.path.lexists(path):
        raise InputError(f"{path} exists already. Name another destination, or replace its files with --force.")


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise InputError(
            f"{error.filename or path} exists already. Name another destination, or replace its files with --force."
        ) from error
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull(f"{path} could not be written: {error.strerror}. Free some space and run the same command again.") from error
        hidden = error.filename is None or ".pellucid-" in str(error.filename)  # the temporary name, which nobody has given
        where = path if hidden else error.filename
        raise InputError(f"{where} cannot be used: {error.strerror or error}. Name a place that can be written to.") from error


def _merge(fresh: Path, folder: Path) -> None:
    for source in sorted(fresh.rglob("*")):
        target = folder / source.relative_to(fresh)
        if source.is_dir() and not source.is_symlink():
            target.mkdir(parents=True, exist_ok=True)
        else:
            source.replace(target)
