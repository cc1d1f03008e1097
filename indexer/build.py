"""Fill a library from folders: what changed is read, embedded and stored; the rest is left alone."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from annotate import PeopleKeywords
from preprocess import Limits, PellucidError, load_rule
from search import Library, Store, bank_vectors, make_derived

from .commit import Writer
from .encoding import Embedded, embed
from .inventory import Inventory
from .plan import Plan, plan
from .regions import RegionStage, load_region_maker
from .report import Report
from .roots import chosen_roots
from .stages import Loader, read
from .switch import describe, measure, settle
from .walk import Found, Passed, WalkOptions, walk

if TYPE_CHECKING:
    from search import Encoder, Key

COMMIT_PHOTOS, COMMIT_S = 1024, 20.0
"""A commit costs about 40 ms, so it is made after this many photos or seconds: that much is read again after a kill."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How a build walks, reads, dehazes and looks for regions. `jobs` 0 means one reading thread for each core; `dehaze` none the library's own rule,
    `auto` in a new one; `regions` none the library's own makers, `none` in a new one, and `models` is the folder of segmenters that were added."""

    walk: WalkOptions = field(default_factory=WalkOptions)
    limits: Limits = field(default_factory=Limits)
    jobs: int = 0
    dry_run: bool = False
    dehaze: str | None = None
    regions: str | None = None
    models: Path | None = None


def build(
    library: Library,
    roots: Sequence[Path],
    encoder: Encoder,
    options: BuildOptions | None = None,
    on_progress: Callable[[Report], None] = lambda _report: None,
) -> Report:
    """Bring the library up to date with its folders; no roots means all that it knows.

    What is committed stays, whatever ends the build; the next one goes on from there. An interrupt is reported, not raised.

    Raises:
        InputError: a root is not a folder.
        UnknownName: there is no such way to dehaze, or no such maker of regions.
        WeightsError: the files of an encoder or a segmenter are missing or damaged.
        LibraryBusy, LibraryError: the library cannot be written.
    """
    options = options or BuildOptions()
    if options.dry_run:
        return _Build(library, encoder, options, on_progress).run(roots)
    with library.locked("index"):
        return _Build(library, encoder, options, on_progress).run(roots)


class _Build:
    def __init__(self, library: Library, encoder: Encoder, options: BuildOptions, on_progress: Callable[[Report], None]) -> None:
        self.library, self.encoder, self.options, self.on_progress = library, encoder, options, on_progress
        self.report = Report(dry_run=options.dry_run)
        with self.report.timed("open"):
            self.store = Store(library)
            self.recipe = encoder.recipe
            self.dehaze = options.dehaze or library.file.dehaze or "auto"
            self.rule = load_rule(self.dehaze)
            self.regions = options.regions or library.file.regions or "none"
            self.stage = RegionStage(load_region_maker(self.regions, options.models), self.store, self.recipe, encoder)
            self.held = Inventory(self.store, self.recipe, self.rule, self.stage)
            self.writer = Writer(self.store, self.recipe, self.held, self.report)

    def run(self, roots: Sequence[Path]) -> Report:
        with self.report.timed("walk"):
            chosen = chosen_roots(self.library, roots)
            file = self.library.file
            if file.current not in (None, self.recipe.id) or (file.dehaze_rule, file.regions_maker or "none") != (
                self.rule.id,
                self.stage.id,
            ):
                chosen += [root for root in file.roots if root not in chosen]  # another recipe, rule or maker needs every photo again
            # Those of an older library need it too; a disk that is not mounted waits, without a word each time.
            unhashed = {root for root, _ in self.held.unhashed}
            added = [root for root in file.roots if root not in chosen and root in unhashed and Path(root).is_dir()]
            chosen += added
            todo = self._plan(chosen, added)
        self.report.total = len(todo.todo)
        self.report.unhashed = sum(file.key in self.held.unhashed for file in todo.reembed)
        if self.options.dry_run:
            self._count_dry(todo)
            return self.report
        self._register(chosen)
        self.store.register(self.recipe)
        if self.library.file.current is None:
            self.store.use(self.recipe)
        now = self.library.file
        seen = now.regions_maker if now.regions_maker == self.stage.id else None  # until all photos were looked at by this maker
        if (now.dehaze, now.regions, now.regions_maker) != (self.dehaze, self.regions, seen):
            self.library.write(replace(now, dehaze=self.dehaze, regions=self.regions, regions_maker=seen))
        describe(self.store, self.recipe, self.report)
        self.held.watch(file.key for file in todo.reembed)
        self.stage.follow(self.held.before(file.key for file in todo.changed))
        fresh: dict[Key, str] = {}
        try:
            self._fill(todo, fresh)
        except KeyboardInterrupt:
            self.report.interrupted = True
            measure(self.store, self.recipe, self.report)
            return self.report
        with self.report.timed("write"):
            self._finish(todo, fresh)
        return self.report

    def _plan(self, roots: Sequence[str], unnamed: Sequence[str]) -> Plan:
        """What to do in these roots; of the `unnamed` ones nobody spoke, so what is missing there waits until somebody does."""
        report, passed = self.report, self.report.passed
        visited: list[str] = []
        found: list[Found] = []
        every = {*self.library.file.roots, *roots}
        for root in roots:
            others = [Path(other) for other in every if other != root] + [self.library.folder]
            here = list(walk(Path(root), self.options.walk, passed, others)) if Path(root).is_dir() else []
            if not here and any(key[0] == root for key in self.held.known):
                report.missing_roots[root] = "is not there" if not Path(root).is_dir() else "has no photos now"
                continue
            visited.append(root)
            found += here
        report.found = len(found)
        seen = set(visited)
        known = {key: row for key, row in self.held.known.items() if key[0] in seen}
        out = plan(found, known, self.held.failures, self.held.complete(), lambda key: key[0] in unnamed or _still_there(key, passed))
        report.same, report.kept = out.same, len(out.kept)
        report.failed_before = {f"{f.root}/{f.path}": f.message for f in out.failed_before}
        for (root, path), reason in passed.broken.items():
            report.fail(Found(root, path, 0, 0), PellucidError(f"{root}/{path} {reason}."))
        there = {f.key for f in found} | set(passed.broken)
        failed_now = {(f.root, f.path) for f in out.failed_before} | set(passed.broken)
        healed = {f.key for f in found} - failed_now - {f.key for f in out.todo}
        self.stale = [key for key in self.held.failures if key[0] in visited and (key not in there or key in healed)]
        return out

    def _count_dry(self, todo: Plan) -> None:
        self.report.new, self.report.changed, self.report.gone = len(todo.new), len(todo.changed), len(todo.gone)
        self.report.reembedded = len(todo.reembed)

    def _register(self, roots: Iterable[str]) -> None:
        file = self.library.file
        for root in roots:
            file = file.with_root(root)
        if file != self.library.file:
            self.library.write(file)

    def _fill(self, todo: Plan, fresh: dict[Key, str]) -> None:
        threads = self.options.jobs or os.cpu_count() or 1
        pool = ThreadPoolExecutor(threads, thread_name_prefix="read")
        pending: list[Embedded] = []
        last = time.monotonic()
        try:
            keywords = PeopleKeywords(self.library.folder)
            loader = Loader(self.encoder, self.options.limits, self.held.judged, self.rule, self.stage, keywords)
            # Photos with regions wait with some ten crops each, so there are fewer of them.
            ahead = 4 * threads + self.encoder.batch_size // (1 if self.stage.maker is None else 16)
            loaded = read(todo.todo, loader, self.report, pool, ahead)
            for batch in embed(loaded, self.encoder, self.held.embedded, self.report, self.stage):
                pending.append(batch)
                self.on_progress(self.report)
                if sum(len(b.items) for b in pending) >= COMMIT_PHOTOS or time.monotonic() - last > COMMIT_S:
                    ready, pending, last = pending, [], time.monotonic()  # a commit that fails halfway is not tried again below
                    fresh.update(self.writer.commit(ready))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            fresh.update(self.writer.commit(pending))
            self.on_progress(self.report)

    def _finish(self, todo: Plan, fresh: dict[Key, str]) -> None:
        """Forget what is gone, count what happened, tidy, and write the cache."""
        report = self.report
        lost = Counter(self.held.known[key].digest for key in todo.gone)
        gone = set(todo.gone)
        before = {known.digest for key, known in self.held.known.items() if key not in gone}
        for file in todo.new:
            digest = fresh.get(file.key)
            if digest is None:
                continue
            if lost[digest] > 0:
                lost[digest] -= 1
                report.moved += 1
            elif digest in before:
                report.copied += 1
            else:
                report.new += 1
            before.add(digest)
        for file in todo.changed:
            if file.key in fresh:
                same_bytes = fresh[file.key] == self.held.known[file.key].digest
                report.touched, report.changed = report.touched + same_bytes, report.changed + (not same_bytes)
        report.reembedded = sum(file.key in fresh for file in todo.reembed)
        report.gone = len(todo.gone) - report.moved
        self.store.drop_images(todo.gone)
        self.store.clear_failures(self.stale)
        if self.rule.dehazer is None:
            self.store.forget_dehazed(self.rule.id)
        if self.stage.maker is None:
            report.regions_gone = self.store.regions.drop_machine()
        done = replace(self.library.file, dehaze_rule=self.rule.id, regions_maker=self.stage.id)
        if done != self.library.file:  # all roots were visited then; a build that was killed does so again
            self.library.write(done)
        settle(self.store, self.recipe, report)
        swept = self.store.sweep()  # always: a killed build may have left vectors whose photos it had already dropped
        if swept or fresh or todo.gone or report.failed or self.stale:
            self.store.compact()
        bank_vectors(self.encoder, self.library.cache)  # what verdicts are measured against; the first search would pay for it
        for recipe_id in dict.fromkeys((self.recipe.id, self.library.file.current)):
            make_derived(self.store, recipe_id)


def _still_there(key: Key, passed: Passed) -> bool:
    """Whether a known file is on disk, or might be: under a folder that could not be listed nothing is known to be gone."""
    file = Path(*key)
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return any(file.is_relative_to(folder) for folder in passed.unlisted)
    except OSError:
        return True
    return True
