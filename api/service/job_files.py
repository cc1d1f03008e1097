"""The files of a library's jobs: what was sent in, what is being made, and what was made."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import IO, TYPE_CHECKING

from preprocess import storage_errors, try_lock
from search import Library

if TYPE_CHECKING:
    from .job import Job


class JobFiles:
    """Paths below `service/` in the library's folder. Making one touches nothing."""

    def __init__(self, library: Path) -> None:
        self.library, self.folder = library, library / "service"
        self.database = self.folder / "jobs.sqlite"
        self.results, self.uploads = self.folder / "results", self.folder / "uploads"

    def make(self) -> None:
        """Make the folders.

        Raises:
            StorageFull, LibraryDamaged: they cannot be made.
        """
        with storage_errors(self.folder):
            self.uploads.mkdir(parents=True, exist_ok=True)
            self.results.mkdir(exist_ok=True)
            (self.library / "lock").touch()  # so that an index job may make a library of this folder

    def hold(self) -> IO[str] | None:
        """An open file that says that this service runs the jobs, until it is closed; none where another one does."""
        with storage_errors(self.folder):
            held = (self.folder / "jobs.lock").open("a+", encoding="utf-8")
        if try_lock(held):
            return held
        held.close()
        return None

    def holder(self) -> str | None:
        """Who writes to the library now, or none."""
        if not (self.library / "library.json").is_file() or not Library(self.library).busy():
            return None
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return (self.library / "lock").read_text(encoding="utf-8").strip() or "another process"
        return "another process"

    def part(self, job: Job) -> Path:
        """The folder in which a job makes its result."""
        return self.results / f"{job.id}.part"

    def result(self, job: Job) -> Path | None:
        """The file that a job made, while it is kept."""
        file = None if job.result is None else self.results / job.result
        return file if file is not None and file.is_file() else None

    def sweep(self, results: Collection[str], uploads: Collection[str]) -> None:
        """Remove what no job has any more, such as after a kill.

        Raises:
            LibraryDamaged: the folders cannot be looked into.
        """
        with storage_errors(self.folder):
            entries = [*self.results.iterdir(), *self.uploads.iterdir()]
        for entry in entries:
            if entry.name not in results and entry.name not in uploads:
                remove(entry)

    def tidy(self, job: Job) -> None:
        """Remove what was sent in for a job that has ended."""
        if job.ended and (upload := job.options.get("upload")):
            remove(self.uploads / Path(str(upload)).name)


def remove(path: Path) -> None:
    """Remove a file or folder of ours, where it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
