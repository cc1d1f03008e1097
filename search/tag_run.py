"""One run of tagging: the library's stored vectors through a tagger into the store. No photo is opened, and an interrupt loses nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .derived import open_derived
from .library_vectors import LibraryVectors
from .tag_calibration import learn
from .tag_layers import rows_of
from .tag_runs import TagRows, TagRun, new_run_id
from .tag_statistics import spread_of

if TYPE_CHECKING:
    from .derived import Derived, Spread
    from .store import Store
    from .tag_regions import TagColumns
    from .tagger import Tagger, TagOptions

Progress = Callable[[int, int], None]
AT_ONCE = 4096  # photos: with eight regions each and 512 numbers, 75 MB
WRITE_PHOTOS = 50_000
"""Photos between two writes, each of which is a version of the table; so much is looked at again after an interrupt."""
REGION_SAMPLE = 100_000  # regions, evenly spread, that say how all lie: their mean is known to 0.3% of the deviation
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class TagRequest:
    """Which photos get tags, and out of what: `vocabulary` is what people call it, by which it can be loaded again; `encoder` the name of what made the vectors.

    With `dry_run` nothing is written.
    """

    vocabulary: str
    encoder: str
    where: str | None = None
    dry_run: bool = False


@dataclass
class TagReport:
    """What a run did. `photos` were looked at, `resumed` of them by the interrupted run that this one went on with, and `without` of them got no tag; `missing`
    ones of the library lack a vector. `by_tag` counts the photos of each tag, and `expected` is the sum of all precisions."""

    run: str = ""
    dry_run: bool = False
    photos: int = 0
    total: int = 0
    resumed: int = 0
    missing: int = 0
    tags: int = 0
    without: int = 0
    expected: float = 0.0
    by_tag: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, tuple[tuple[str, float], ...]]] = field(default_factory=list)
    stricter_than: str | None = None
    labels: int = 0  # that the precisions were corrected by
    seconds: float = 0.0
    interrupted: bool = False


def run_tagging(
    store: Store, tagger: Tagger, request: TagRequest, options: TagOptions, on_progress: Progress = lambda _done, _total: None
) -> TagReport:  # fmt: skip
    """Tag the library's photos, or those that meet a condition; an interrupt is reported, not raised, and the same run goes on from there.

    The statistics are of the whole library, also where only some photos are tagged. What people said of tags so far corrects how likely they are. Writers must hold
    the library's lock.

    Raises:
        FilterError: the condition is wrong.
        StorageFull, LibraryDamaged: the store takes no more; the run goes on from there.
    """
    start = time.monotonic()
    derived = open_derived(store.library, tagger.recipe.id)
    try:
        run = _Tagging(store, tagger, request, options, derived)
        run.go(on_progress)
    finally:
        derived.close()
    run.report.seconds = round(time.monotonic() - start, 3)
    return run.report


class _Tagging:
    def __init__(self, store: Store, tagger: Tagger, request: TagRequest, options: TagOptions, derived: Derived) -> None:
        self.store, self.tagger, self.request, self.derived = store, tagger, request, derived
        self.vectors = LibraryVectors(derived, request.where)
        self.names = [tag.name for tag in tagger.vocabulary]
        self.statistics = tagger.statistics(derived.spread, self._region_spread())
        labels = store.marks.labels()
        digests, rows = self.vectors.of({digest for said in labels.values() for digest in said})
        calibration = learn(tagger, self.statistics, labels, digests, rows)
        self.options = replace(options, calibration=calibration)
        missing = derived.coverage.missing + derived.coverage.unreadable
        used = sum(curve.labels for curve in calibration.tags.values())
        self.report = TagReport(dry_run=request.dry_run, total=len(self.vectors), missing=missing, labels=used)
        self.settings: dict[str, Any] = {
            "precision": options.precision, "most": options.most, "where": request.where, "vectors": derived.folder.name,
            "calibration": calibration.as_dict() if used else None,
        }  # fmt: skip

    def go(self, on_progress: Progress) -> None:
        report = self.report
        todo = self.vectors.numbers
        if not report.total:
            return  # a run without photos would only stand in the list of runs
        if not self.request.dry_run:
            run = self._begun()
            report.run, report.stricter_than = run.id, run.stricter_than
            done = self.store.marks.looked_at(run.id)
            report.resumed = report.photos = len(done)
            self._count_stored(run.id)
            todo = self.vectors.without(done)
        waiting: list[tuple[Sequence[str], TagColumns]] = []
        try:
            for numbers, rows in self.vectors.batches(todo, AT_ONCE):
                found = self.tagger.columns(rows, self.statistics, self.options, self.vectors.regions(numbers))
                waiting.append((self.vectors.digests(numbers), found))
                self._count(*waiting[-1])
                on_progress(report.photos, report.total)
                if sum(len(digests) for digests, _ in waiting) >= WRITE_PHOTOS:
                    ready, waiting = waiting, []  # a write that fails halfway is not tried again below
                    self._write(ready)
        except KeyboardInterrupt:
            report.interrupted = True
        finally:
            self._write(waiting)
        if not self.request.dry_run and not report.interrupted:
            self.store.marks.finish(report.run)

    def _begun(self) -> TagRun:
        """The run that is to be written: an interrupted one of the same kind, or a new one. Interrupted ones of another kind are given up."""
        tagger, request, marks = self.tagger, self.request, self.store.marks
        fresh = TagRun(
            new_run_id(), tagger.recipe.id, request.encoder, request.vocabulary, tagger.vocabulary.hash, tagger.ensemble, self.settings,
        )  # fmt: skip
        before = [run for run in marks.runs() if run.layer == fresh.layer]
        for run in before:
            if run.state == "running":
                if replace(run, id=fresh.id, at=fresh.at, stricter_than=None) == fresh:
                    return run
                marks.retract(run.id)
        looser = [run for run in before if run.counts and run.settings.get("precision", 0) < self.options.precision]
        fresh = replace(fresh, stricter_than=looser[-1].id if looser else None)
        marks.begin(fresh)
        return fresh

    def _write(self, found: Sequence[tuple[Sequence[str], TagColumns]]) -> None:
        if not found or self.request.dry_run:
            return
        starts = np.cumsum([0, *(len(digests) for digests, _ in found)])
        photo = np.concatenate([columns.photo + start for (_, columns), start in zip(found, starts[:-1], strict=True)])
        tag, precision, similarity, z, region = (
            np.concatenate([getattr(columns, name) for _, columns in found]) for name in ("tag", "precision", "similarity", "z", "region")
        )
        digests = [digest for some, _ in found for digest in some]
        self.store.marks.put(self.report.run, TagRows(digests, self.names, photo, tag, precision, similarity, z, region))

    def _count(self, digests: Sequence[str], found: TagColumns) -> None:
        report = self.report
        report.photos += len(digests)
        report.tags += len(found)
        report.without += len(digests) - len(np.unique(found.photo))
        report.expected += float(found.precision.sum(dtype=np.float64))
        counts = np.bincount(found.tag, minlength=len(self.names))
        report.by_tag.update({self.names[at]: int(counts[at]) for at in np.flatnonzero(counts)})
        for photo in np.unique(found.photo)[: max(0, EXAMPLES - len(report.examples))].tolist():
            at = np.flatnonzero(found.photo == photo)
            tags = tuple(
                (self.names[tag], round(float(p), 4)) for tag, p in zip(found.tag[at].tolist(), found.precision[at].tolist(), strict=True)
            )
            report.examples.append((digests[photo], tags))

    def _count_stored(self, run_id: str) -> None:
        """Count what an interrupted run had written."""
        report = self.report
        tagged: set[str] = set()
        for batch in rows_of(self.store.tables, ["digest", "tag", "precision"], [run_id]):
            for digest, tag, precision in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if tag is not None:
                    report.tags += 1
                    report.expected += precision
                    report.by_tag[tag] += 1
                    tagged.add(digest)
        report.without = report.photos - len(tagged)

    def _region_spread(self) -> Spread | None:
        """How the regions' vectors lie, by a sample; none where the library has none."""
        index = self.derived.regions
        if index is None or not len(index.nearest):
            return None
        sample = np.unique(np.linspace(0, len(index.nearest) - 1, min(REGION_SAMPLE, len(index.nearest))).astype(np.int64))
        parts = (index.nearest.rows(sample[at : at + AT_ONCE]) for at in range(0, len(sample), AT_ONCE))
        return spread_of(parts, self.tagger.recipe.dim)
