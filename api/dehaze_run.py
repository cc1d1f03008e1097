"""Dehaze photos into a folder, in threads, and say what came of each."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.stages import map_ahead
from preprocess import (
    ImageError,
    InputError,
    Original,
    PellucidError,
    StorageFull,
    decode_original,
    encode_edited,
    jpeg_bytes,
    peek_size,
    png_bytes,
    read_bytes,
    side_by_side,
    write_whole,
)

from .dehaze_plan import MARKER, Plan, Task, identity
from .dehaze_report import DehazeOptions, DehazeReport, Outcome

if TYPE_CHECKING:
    from preprocess import Judged

_MOST_JOBS = 4  # each photo of 12 megapixels in work takes about 0.15 GB, with depth and comparison 0.3 GB
_LARGE_PIXELS = 24_000_000  # such photos wait for each other


class Dehazing:
    """One run over the photos that `sources` name: files, and folders with all below them. `names` are what copies of single files are called, see `Plan`."""

    def __init__(self, sources: Sequence[Path], options: DehazeOptions, names: Mapping[Path, str] | None = None) -> None:
        from preprocess import load_dehazer, rule_of

        self.rule = rule_of(load_dehazer(options.method, options.preset))
        plan = Plan(sources, options, names)
        self.options, self.tasks, self.marked = options, plan.tasks, plan.marked
        self.report = DehazeReport(options, found=len(plan.tasks) + len(plan.failed), failed=plan.failed)
        self.one_large, self.lock, self.stopped = threading.Lock(), threading.Lock(), threading.Event()
        self.original_names = {os.path.realpath(task.source).casefold() for task in self.tasks}
        self.original_ids = {identity(task.source) for task in self.tasks} - {None}
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
            self.stopped.set()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return self.report

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
            if self.stopped.is_set():  # while it waited for another large photo, which may have taken long
                return Outcome(source, kept=False, reason="interrupted")
            original = decode_original(data, source, self.options.limits)
            judged = self.rule.judge(original.pixels)
            if judged.pixels is None:
                return Outcome(source, haze=round(judged.haze, 4), kept=False, reason=judged.reason, seconds=_since(start))
            made = self._made(task, wanted, original, judged)
        put = [self._put(file, content) for file, content in made.items()]
        if not any(put):
            return Outcome(source, **files, reason="exists already")
        return Outcome(source, **files, haze=round(judged.haze, 4), method=judged.enhancer, seconds=_since(start))

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

    def _put(self, file: Path, data: bytes) -> bool:
        """Write one file, one at a time: names that differ only in case are one file on some disks, and `force` would replace it.

        False where another run has made it meanwhile.
        """
        with self.lock:
            if identity(file) in self.written_ids:
                raise InputError(
                    f"{file} is the name of the copy of another photo too, on this disk. Run them apart, each with its own --out."
                )
            try:
                write_whole(file, data, force=self.options.force)
            except InputError:
                if self.options.force or not os.path.lexists(file):
                    raise
                return False
            self.written_ids.add(identity(file))
            return True

    def _spare_originals(self, file: Path, task: Task) -> None:
        """Refuse a name that is, by whatever way, one of the photos of this run.

        Raises:
            InputError: it is.
        """
        if os.path.realpath(file).casefold() in self.original_names or identity(file) in self.original_ids:
            raise InputError(
                f"The copy of {task.source} would be written over a photo of this run, at {file}. Name another folder with --out."
            )


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)
