"""A model's folder is made under a hidden name, and only one that is whole and checked gets its own name."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .errors import InputError, LibraryDamaged, WeightsError
from .storage import storage_errors, try_lock
from .weights import kind_of

_MADE = re.compile(r"\.(?P<name>.+)\.\d+\.(?P<kind>new|old)")


@contextlib.contextmanager
def staged(models: Path, name: str, *, replace: bool = False, kind: str = "encoder") -> Iterator[Path]:
    """A new empty folder that becomes `models/name` when the block ends well, and is gone when it does not.

    With `replace`, a model of that name and `kind` is kept until the new one takes its place, and is then removed.

    Raises:
        InputError: there is a model of that name and `replace` is not asked for, or it is of another kind.
        WeightsError: another process is adding this name, or the folder cannot be written.
        StorageFull: the disk took no more.
    """
    target, fresh, old = models / name, models / f".{name}.{os.getpid()}.new", models / f".{name}.{os.getpid()}.old"
    with writing_models(models), contextlib.ExitStack() as held:
        models.mkdir(parents=True, exist_ok=True)
        held.enter_context(_alone(models, name))
        sweep(models, name)
        _vacant(target, kind if replace else None)
        fresh.mkdir()
        try:
            yield fresh
            _vacant(target, kind if replace else None)
            _swap(fresh, target, old)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _vacant(target: Path, kind: str | None) -> None:
    """Refuse what must not be replaced: anything, or what is not of a kind."""
    if not target.exists():
        return
    if kind is None:
        raise InputError(f"There is a model named {target.name} already, in {target}. Replace it with --force, or give another --name.")
    if kind_of(target) != kind:
        raise InputError(
            f"The model named {target.name}, in {target}, is of the kind {kind_of(target)!r}, not {kind!r}. Give another --name."
        )


def _swap(fresh: Path, target: Path, old: Path) -> None:
    if target.exists():
        target.rename(old)
    try:
        fresh.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def sweep(models: Path, held: str = "") -> None:
    """Remove what killed runs have left; a model that was about to be replaced gets its name back. `held` is a name that we have locked.

    A run that goes on holds its name's lock, in another container too, where its process has another number.
    """
    for folder in sorted(models.glob(".*")):
        found = _MADE.fullmatch(folder.name)
        if not found or not folder.is_dir():
            continue
        name, kind = found["name"], found["kind"]
        with contextlib.suppress(WeightsError), contextlib.nullcontext() if name == held else _alone(models, name):
            target = models / name
            if kind == "old" and not target.exists():
                folder.rename(target)
            else:
                shutil.rmtree(folder, ignore_errors=True)


def remove_model(folder: Path) -> None:
    """Remove a model's folder, or the link to one; under a hidden name first, so that no half model is ever seen, and a kill leaves it to `sweep`.

    Raises:
        WeightsError: another process is adding or removing this name, or the folder cannot be removed.
    """
    try:
        with _alone(folder.parent, folder.name):
            if folder.is_symlink():
                folder.unlink()
            elif folder.exists():  # nobody else has removed it meanwhile
                doomed = folder.with_name(f".{folder.name}.{os.getpid()}.new")
                folder.rename(doomed)
                shutil.rmtree(doomed)
    except OSError as error:
        raise WeightsError(f"{folder} cannot be removed: {error.strerror or error}. Remove it by hand.") from error


@contextlib.contextmanager
def _alone(models: Path, name: str) -> Iterator[None]:
    """One process at a time adds or removes a name; the lock goes with the process, however that ends."""
    file = models / f".{name}.lock"
    with _locked(file, f"{name} in {models} is being added or removed") as handle:
        handle.seek(0)
        handle.truncate()
        handle.write(f"process {os.getpid()}")
        handle.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                file.unlink()


@contextlib.contextmanager
def _locked(file: Path, what: str) -> Iterator[IO[str]]:
    while True:
        with file.open("a+", encoding="utf-8") as handle:
            if not try_lock(handle):
                handle.seek(0)
                holder = handle.read().strip() or "another process"
                raise WeightsError(f"{what} by {holder}. Wait until it ends, or give another --name.")
            try:
                ours = os.path.samestat(os.fstat(handle.fileno()), file.stat())
            except FileNotFoundError:
                ours = False
            if ours:
                yield handle
                return
        # the one who held it has taken the file away between our opening and locking it


@contextlib.contextmanager
def writing_models(models: Path) -> Iterator[None]:
    """As `storage_errors`, with the remedy for models."""
    try:
        with storage_errors(models):
            yield
    except LibraryDamaged as error:
        cause = error.__cause__
        if not isinstance(cause, OSError):
            raise
        where = f"{models} cannot be written: {cause.strerror or cause}"
        raise WeightsError(f"{where}. Name another folder with the setting models (PELLUCID_MODELS).") from cause
