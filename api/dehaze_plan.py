"""Which photos `pellucid dehaze` takes, and which files it makes of each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer import Passed, WalkOptions, walk
from preprocess import ImageVanished, InputError, PellucidError, edited_name

from .dehaze_report import DehazeOptions

MARKER = ".pellucid-dehazed"
"""The name of a file in an output folder that lies inside the folder of the photos."""


@dataclass(frozen=True, slots=True)
class Task:
    """One photo and the files to make of it: the photo itself, its depth and its comparison, where asked for."""

    source: Path
    out: Path
    depth: Path | None
    compare: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return tuple(self.named().values())

    def named(self) -> dict[str, Path]:
        """All of them by what they are."""
        return {name: file for name in ("out", "depth", "compare") if (file := getattr(self, name)) is not None}


class Plan:
    """The photos that `sources` name, files and folders with all below them, each with its files. A single file's copy has its own name, or the one that
    `names` gives it, a path below `out`.

    `failed` has what could not be looked at. `marked` says that `out` lies inside a folder of the photos and needs the marker.

    Raises:
        InputError: there is no such source, `out` is one itself or cannot be written to, or two photos would be written under one name.
    """

    def __init__(self, sources: Sequence[Path], options: DehazeOptions, names: Mapping[Path, str] | None = None) -> None:
        self.options, self.marked, self.names = options, False, names or {}
        self.failed: dict[str, PellucidError] = {}
        self._check_out()
        self.tasks = self._tasks(sources)

    def _check_out(self) -> None:
        """See that `out` can be written to, or made: said once and first, not for each photo after all the work.

        Raises:
            InputError: it cannot.
        """
        out = self.options.out
        place = next((folder for folder in (out, *out.parents) if os.path.lexists(folder)), out)
        if not os.path.isdir(place):  # noqa: PTH112 (Path.is_dir raises where a parent may not be read)
            raise InputError(f"{place} is not a folder. Name another --out.")
        if not os.access(place, os.W_OK | os.X_OK):
            raise InputError(f"{place} cannot be written to. Change its permissions, or name another --out.")

    def _tasks(self, sources: Sequence[Path]) -> list[Task]:
        """Every photo once, with its files.

        Raises:
            InputError: two photos would be written under one name.
        """
        owners: dict[Path, Path] = {}
        tasks = []
        for source, name in self._found(sources):
            out = self.options.out / Path(name).parent / edited_name(Path(name).name)
            task = Task(
                source,
                out,
                out.with_name(f"{out.name}.depth.png") if self.options.depth else None,
                out.with_name(f"{out.name}.compare.jpg") if self.options.compare else None,
            )
            if owners.get(out) == source:
                continue
            for file in task.files:
                if file in owners:
                    raise InputError(
                        f"{owners[file]} and {source} would both be written as {file}. Run them apart, each with its own --out."
                    )
                owners[file] = source
            tasks.append(task)
        return tasks

    def _found(self, sources: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """Each photo with its name below `out`."""
        out = self.options.out
        for source in (path.expanduser() for path in sources):
            if not source.is_dir():
                if not os.path.lexists(source):
                    raise InputError(f"There is no file or folder {source}. Check the name, or mount the disk it is on.")
                if not source.exists():
                    raise InputError(f"{source} is a broken link. Mount the disk that it points to, or delete it.")
                yield Path(os.path.abspath(source)), self.names.get(source, source.name)  # noqa: PTH100 (the link's own name, not its target's)
                continue
            if identity(source) == identity(out):
                raise InputError(f"{out} is the folder of the photos themselves, and originals are never written to. Name another --out.")
            self._own_folder(source)
            passed = Passed()
            for found in walk(source, self.options.walk, passed, [out]):
                yield found.file, found.path
            for (root, path), reason in passed.broken.items():
                self.failed[f"{root}/{path}"] = ImageVanished(f"{root}/{path} {reason}.")
            for folder, reason in passed.unlisted.items():
                self.failed[folder] = InputError(f"{folder} could not be listed: {reason}.")

    def _own_folder(self, source: Path) -> None:
        """See that `out`, where it lies inside the folder of photos, holds only what runs like this one wrote: a marker in it says so.

        A folder with photos of its own would be left out of the run, and with `force` they could be replaced by copies of others of their name.

        Raises:
            InputError: it has photos of its own.
        """
        out = self.options.out
        if not out.resolve().is_relative_to(source.resolve()) or (out / MARKER).is_file():
            return
        other = next(walk(out, WalkOptions(include_hidden=True), Passed()), None) if out.is_dir() else None
        if other is not None:
            raise InputError(f"{out} lies inside {source} and has photos of its own, such as {other.path}. Name a new folder with --out.")
        self.marked = True


def identity(path: Path) -> tuple[int, int] | None:
    """What a name stands for on disk, links followed; None where nothing is there."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
