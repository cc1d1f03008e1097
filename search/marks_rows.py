"""The rows of the cache of scores and tags, gathered from the store in columns: a million photos with ten tags each take 0.6 GB on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .schema import SCORE_COLUMNS
from .tag_layers import counted_rows
from .vocabulary import tag_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .store import Store

    Table = tuple[str, int, Iterator[Iterable[tuple[Any, ...]]]]

_PART = 50_000  # rows that are Python objects at a time
_BATCH = 8_192
_NAMES = tuple(column.name for column in SCORE_COLUMNS)


class Rows:
    """Photos and tags are numbered as they are met; `tables` gives the photos by digest."""

    def __init__(self) -> None:
        self.digests: dict[str, int] = {}
        self.keys: dict[str, int] = {}  # of tags
        self.names: list[str] = []  # of tags
        self.scores: dict[str, NDArray[np.float64]] = {}  # by axis, for each photo; NaN, or shorter, where there is none
        self.tagged = _Tagged.empty()

    @classmethod
    def read(cls, store: Store) -> Rows:
        """All that machines wrote and that counts in the store now."""
        rows = cls()
        rows._read_scores(store)
        rows._read_tags(store)
        return rows

    def _read_scores(self, store: Store) -> None:
        for batch in store.tables.batches("scores", _BATCH, columns=["digest", "axis", "value"]):
            photos = self._photos(batch["digest"])
            axes, values = batch["axis"].dictionary_encode(), batch["value"].to_numpy()
            which = axes.indices.to_numpy()
            for at, axis in enumerate(axes.dictionary.to_pylist()):
                column = self.scores.get(axis, np.zeros(0))
                if len(column) < len(self.digests):
                    column = self.scores[axis] = np.concatenate([column, np.full(len(self.digests), np.nan)])  # twice as long, so seldom
                column[photos[which == at]] = values[which == at]

    def _read_tags(self, store: Store) -> None:
        parts = [self.tagged]
        for batch in counted_rows(store.tables, ("digest", "run", "tag", "precision"), store.marks.runs()):
            tags = batch["tag"].dictionary_encode()
            numbers = np.array([self._tag(name) for name in tags.dictionary.to_pylist()], np.int32)
            if len(numbers):
                photos, which = self._photos(batch["digest"]), tags.indices.to_numpy()
                precision = batch["precision"].to_numpy().astype(np.float32)
                parts.append(_Tagged(photos, numbers[which], precision))
        self.tagged = _Tagged.joined(parts)

    def _photos(self, digests: Any) -> NDArray[np.int32]:
        found = digests.dictionary_encode()
        numbers = [self.digests.setdefault(digest, len(self.digests)) for digest in found.dictionary.to_pylist()]
        rows: NDArray[np.int32] = np.array(numbers, np.int32)[found.indices.to_numpy()]
        return rows

    def _tag(self, name: str) -> int:
        key = tag_key(name)
        if key not in self.keys:
            self.keys[key] = len(self.names)
            self.names.append(name)
        return self.keys[key]

    def tables(self) -> Iterator[Table]:
        """Tables, how many columns they have, and their rows in parts, in the order of their keys."""
        digests = sorted(self.digests)
        order = np.array([self.digests[digest] for digest in digests], np.int64)  # new number -> old
        columns = {axis: self._column(axis)[order] for axis in list(self.scores)}
        yield "photos", 2 + len(_NAMES), _photo_rows(digests, columns)
        yield "axes", 2, iter([[(axis, int(np.isfinite(column).sum())) for axis, column in sorted(columns.items())]])
        yield "extra", 3, (rows for axis in sorted(columns.keys() - set(_NAMES)) for rows in _extra_rows(axis, columns[axis]))
        yield "names", 3, iter([list(zip(range(len(self.names)), self.keys, self.names, strict=True))])
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        yield "tagged", 4, self.tagged.rows(rank)

    def _column(self, axis: str) -> NDArray[np.float64]:
        column = self.scores.pop(axis)[: len(self.digests)]  # not kept: with its copy, all would take twice the memory
        return np.concatenate([column, np.full(len(self.digests) - len(column), np.nan)])


class _Tagged:
    """Which photo has which tag: Int32["row"], Int32["row"], Float32["row"]."""

    def __init__(self, photos: NDArray[np.int32], tags: NDArray[np.int32], precision: NDArray[np.float32]) -> None:
        self.photos, self.tags, self.precision = photos, tags, precision

    @classmethod
    def empty(cls) -> _Tagged:
        return cls(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))

    @classmethod
    def joined(cls, parts: list[_Tagged]) -> _Tagged:
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("photos", "tags", "precision")))

    def rows(self, rank: NDArray[np.int64]) -> Iterator[Iterable[tuple[Any, ...]]]:
        """By the photos' ranks, then by tag; each pair once, where it is surest."""
        if not len(self.photos):
            return
        codes = (rank[self.photos] << 32) | self.tags
        order = np.lexsort((-self.precision, codes))
        first = np.append(True, np.diff(codes[order]) != 0)
        order = order[first]
        for at in range(0, len(order), _PART):
            part = order[at : at + _PART]
            columns = codes[part] >> 32, self.tags[part], self.precision[part].astype(np.float64).round(6), np.zeros(len(part), np.int64)
            yield zip(*(column.tolist() for column in columns), strict=True)


def _photo_rows(digests: list[str], columns: dict[str, NDArray[np.float64]]) -> Iterator[Iterable[tuple[Any, ...]]]:
    """SQLite takes a NaN for a null."""
    blank = np.full(_PART, np.nan)
    for at in range(0, len(digests), _PART):
        part = digests[at : at + _PART]
        values = ((columns[name][at : at + _PART] if name in columns else blank[: len(part)]).tolist() for name in _NAMES)
        yield zip(range(at, at + len(part)), part, *values, strict=True)


def _extra_rows(axis: str, column: NDArray[np.float64]) -> Iterator[Iterable[tuple[Any, ...]]]:
    (photos,) = np.nonzero(~np.isnan(column))
    for at in range(0, len(photos), _PART):
        part = photos[at : at + _PART]
        yield ((axis, photo, value) for photo, value in zip(part.tolist(), column[part].tolist(), strict=True))
