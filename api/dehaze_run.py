"""Dehaze photos into a folder: which, under which names, in threads, and what came of each."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer import Passed, WalkOptions, walk
from indexer.stages import map_ahead
from preprocess import (
    ImageError,
    ImageVanished,
    InputError,
    Original,
    PellucidError,
    StorageFull,
    decode_original,
    edited_name,
    encode_edited,
    jpeg_bytes,
    peek_size,
    png_bytes,
    read_bytes,
    side_by_side,
    write_whole,
)

from .dehaze_report import DehazeOptions, DehazeReport, Outcome

if TYPE_CHECKING:
    from preprocess import Judged

MARKER = ".pellucid-dehazed"
"""The name of a file in an output folder that lies inside the folder of the photos."""

_MOST_JOBS = 4  # each photo of 12 megapixels in work takes about 0.15 GB, with depth and comparison 0.3 GB
_LARGE_PIXELS = 24_000_000  # such photos wait for each other


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


class Dehazing:
    """One run over the photos that `sources` name: files, and folders with all below them."""

    def __init__(self, sources: Sequence[Path], options: DehazeOptions) -> None:
        from preprocess import Always, Gate, load_dehazer

        dehazer = load_dehazer(options.method, options.preset)
        self.rule = dehazer if isinstance(dehazer, Gate) else Always(dehazer)
        self.options, self.report = options, DehazeReport(options)
        self.one_large, self.lock, self.marked = threading.Lock(), threading.Lock(), False
        self.tasks = self._plan(sources)
        self.original_names = {os.path.realpath(task.source).casefold() for task in self.tasks}
        self.original_ids = {_identity(task.source) for task in self.tasks} - {None}
        self.written_ids: set[tuple[int, int] | None] = set()

    def run(self, on_progress: Callable[[int, int], None] = lambda _done, _total: None) -> DehazeReport:
        """Dehaze them all. A photo that fails is recorded and the rest goes on; an interrupt ends the run with whole files.

        Raises:
            StorageFull: the disk took no more.
        """
        if self.marked:
            write_whole(
                self.options.out / MARKER, b"Photos in this folder were made by pellucid dehaze from those around it.\n", force=True
            )
        threads = self.options.jobs or min(os.cpu_count() or 1, _MOST_JOBS)
        pool = ThreadPoolExecutor(threads, thread_name_prefix="dehaze")
        try:
            for done, (task, outcome) in enumerate(map_ahead(self._one, self.tasks, pool, threads), 1):
                if isinstance(outcome, StorageFull):
                    raise outcome
                if isinstance(outcome, PellucidError):
                    self.report.failed[str(task.source)] = outcome
                else:
                    self.report.outcomes.append(outcome)
                on_progress(done, len(self.tasks))
        except KeyboardInterrupt:
            self.report.interrupted = True
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return self.report

    def _plan(self, sources: Sequence[Path]) -> list[Task]:
        """Every photo once, with its files.

        Raises:
            InputError: there is no such source, `out` is one itself or no folder, or two photos would be written under one name.
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
        self.report.found = len(tasks) + len(self.report.failed)
        return tasks

    def _found(self, sources: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """Each photo with its name below `out`."""
        out = self.options.out
        if os.path.lexists(out) and not out.is_dir():
            raise InputError(f"{out} is not a folder. Name another --out.")
        for source in (path.expanduser() for path in sources):
            if not source.is_dir():
                if not os.path.lexists(source):
                    raise InputError(f"There is no file or folder {source}. Check the name, or mount the disk it is on.")
                yield Path(os.path.abspath(source)), source.name  # noqa: PTH100 (the link's own name, not its target's)
                continue
            if _identity(source) == _identity(out):
                raise InputError(f"{out} is the folder of the photos themselves, and originals are never written to. Name another --out.")
            self._own_folder(source)
            passed = Passed()
            for found in walk(source, self.options.walk, passed, [out]):
                yield found.file, found.path
            for (root, path), reason in passed.broken.items():
                self.report.failed[f"{root}/{path}"] = ImageVanished(f"{root}/{path} {reason}.")
            for folder, reason in passed.unlisted.items():
                self.report.failed[folder] = InputError(f"{folder} could not be listed: {reason}.")

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

    def _one(self, task: Task) -> tuple[Task, Outcome | PellucidError]:
        start = time.perf_counter()
        try:
            return task, self._dehaze(task, start)
        except PellucidError as error:
            return task, error
        except Exception as error:  # one strange photo must never end a run over a folder
            return task, ImageError(f"{task.source} could not be dehazed: {type(error).__name__}: {error}")

    def _dehaze(self, task: Task, start: float) -> Outcome:
        for file in task.files:
            self._spare_originals(file, task)
        wanted = {file for file in task.files if self.options.force or not os.path.lexists(file)}
        source = str(task.source)
        files: dict[str, Any] = {name: str(file) for name, file in task.named().items()}
        if not wanted:
            return Outcome(source, **files, reason="exists already")
        data = read_bytes(task.source, self.options.limits)
        width, height = peek_size(data, source, self.options.limits)
        with self.one_large if width * height > _LARGE_PIXELS else contextlib.nullcontext():
            original = decode_original(data, source, self.options.limits)
            judged = self.rule.judge(original.pixels)
            if judged.pixels is None:
                return Outcome(source, haze=judged.haze, kept=False, reason=judged.reason, seconds=_since(start))
            made = self._made(task, wanted, original, judged)
        for file, content in made.items():
            self._put(file, content)
        return Outcome(source, **files, haze=judged.haze, method=judged.enhancer, seconds=_since(start))

    def _made(self, task: Task, wanted: set[Path], original: Original, judged: Judged) -> dict[Path, bytes]:
        """The contents of the files; the photo last, so that where it is there, all of its files are."""
        from preprocess import depth_heat_map, relative_depth

        after = original.pixels if judged.pixels is None else judged.pixels
        photo = encode_edited(original, after, task.out.name)
        made: dict[Path, bytes] = {}
        if task.depth is not None or task.compare is not None:
            heat = depth_heat_map(relative_depth(original.pixels))
            if task.depth is not None:
                made[task.depth] = png_bytes(heat)
            if task.compare is not None:
                panels = [
                    (f"before · haze {judged.haze:.2f}", original.pixels),
                    (f"after · {judged.enhancer}", after),
                    ("relative depth", heat),
                ]
                made[task.compare] = jpeg_bytes(side_by_side(panels), b"" if original.grey else original.profile)
        made[task.out] = photo
        return {file: content for file, content in made.items() if file in wanted}

    def _put(self, file: Path, data: bytes) -> None:
        """Write one file, one at a time: names that differ only in case are one file on some disks, and `force` would replace it."""
        with self.lock:
            if _identity(file) in self.written_ids:
                raise InputError(
                    f"{file} is the name of the copy of another photo too, on this disk. Run them apart, each with its own --out."
                )
            write_whole(file, data, force=self.options.force)
            self.written_ids.add(_identity(file))

    def _spare_originals(self, file: Path, task: Task) -> None:
        """Refuse a name that is, by whatever way, one of the photos of this run.

        Raises:
            InputError: it is.
        """
        if os.path.realpath(file).casefold() in self.original_names or _identity(file) in self.original_ids:
            raise InputError(
                f"The copy of {task.source} would be written over a photo of this run, at {file}. Name another folder with --out."
            )


def _identity(path: Path) -> tuple[int, int] | None:
    """What a name stands for on disk, links followed; None where nothing is there."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)
