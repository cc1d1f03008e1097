"""The scores of a store's photos: one value for each photo and axis, whatever measured it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from preprocess import InputError

from ._lance import SCHEMAS, Tables, by_digest, quote

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TABLE = "scores"
_AT_ONCE = 65_536  # rows of a batch; with the 2,048 of other tables, a million rows take 3 times as long to read
_SWEPT_AT_ONCE = 8_192  # each build does it: 2 MB for 70,000 rows, where `_AT_ONCE` and Arrow's own sets take 13 MB, in the same time
_DIGESTS = 5_000  # in one condition: each deletion reads the whole table, whose rows are many and small


class ScoreStore:
    """The table `scores`, keyed by (digest, axis). Writers must hold the library's lock."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._known: dict[tuple[str, ...], set[str]] = {}

    def put(self, rows: Mapping[str, Mapping[str, float]], source: str) -> None:
        """Write scores, digest -> axis -> value, as one version; a photo's earlier score on the same axis, by whatever source, is replaced.

        Raises:
            InputError: a score is not a finite number, or an axis has no name.
        """
        axes = list(dict.fromkeys(axis for values in rows.values() for axis in values))
        columns = {axis: np.array([values.get(axis, np.nan) for values in rows.values()], np.float64) for axis in axes}
        for axis, column in columns.items():
            given = np.array([axis in values for values in rows.values()], bool)
            if not np.isfinite(column[given]).all():
                raise InputError(f"A score on the axis {axis!r} is not a finite number. Leave a photo out that has none.")
        self.put_columns(list(rows), columns, source)

    def put_columns(self, digests: Sequence[str], values: Mapping[str, NDArray[np.floating]], source: str) -> None:
        """As `put`, in columns: axis -> Float["photo"], where NaN is no score. For some ten thousand photos at a time.

        Raises:
            InputError: a score is infinite, a digest is there twice, a column is too short or long, or an axis has no name.
        """
        if len(set(digests)) != len(digests):
            raise InputError("A photo is twice among the scores that are to be written. Give each digest once.")
        for axis, column in values.items():
            if not axis or not axis.isprintable() or len(column) != len(digests) or np.isinf(column).any():
                raise InputError(f"The axis {axis!r} has {len(column)} values for {len(digests)} photos, or an infinite one, or no name.")
        matrix = np.array(list(values.values()), np.float64).reshape(len(values), len(digests)).T
        photo, number = np.nonzero(~np.isnan(matrix))  # photo by photo: the same digests lie together, and are quick to count
        if not len(photo):
            return
        fields = {
            "digest": pa.array(digests, pa.string()).take(pa.array(photo)),
            "axis": pa.array(list(values), pa.string()).take(pa.array(number)),
        }
        table = pa.table({**fields, "value": matrix[photo, number], "source": pa.repeat(source, len(photo))}, schema=SCHEMAS[_TABLE])
        known = self._digests(tuple(sorted(values)))
        if known.isdisjoint(digests):
            self.tables.append(_TABLE, table)
        else:
            self.tables.upsert(_TABLE, table, ("digest", "axis"))
        written = set(table["digest"].unique().to_pylist())
        for axes, held in self._known.items():
            if not set(axes).isdisjoint(values):
                held |= written

    def scored(self, source: str, axis: str | None = None) -> set[str]:
        """Digests that have a score from this source; on one axis, where it is given."""
        return self.tables.distinct(_TABLE, f"source = {quote(source)}" + (f" AND axis = {quote(axis)}" if axis is not None else ""))

    def axes(self) -> dict[str, int]:
        """Of each axis, by its name, how many photos have a score."""
        counts: dict[str, int] = {}
        for batch in self.tables.batches(_TABLE, _AT_ONCE, columns=["axis"]):
            for entry in batch["axis"].value_counts().to_pylist():
                counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
        return dict(sorted(counts.items()))

    def values(self, axis: str) -> dict[str, float]:
        """The scores on one axis, by digest."""
        found: dict[str, float] = {}
        for batch in self.tables.batches(_TABLE, _AT_ONCE, f"axis = {quote(axis)}", ["digest", "value"]):
            found.update(zip(batch["digest"].to_pylist(), batch["value"].to_pylist(), strict=True))
        return found

    def drop(self, *, source: str | None = None, axis: str | None = None) -> int:
        """Forget the scores from a source, on an axis, or those that are both; how many they were.

        Raises:
            InputError: neither is given.
        """
        if source is None and axis is None:
            raise InputError("Say which scores to drop: those of a source, on an axis, or both.")
        given = {"source": source, "axis": axis}
        where = " AND ".join(f"{name} = {quote(value)}" for name, value in given.items() if value is not None)
        return self._delete([where])

    # Housekeeping

    def sweep(self, digests: Collection[str]) -> int:
        """Delete the scores of photos that are not among these digests; how many they were."""
        gone: set[str] = set()
        for batch in self.tables.batches(_TABLE, _SWEPT_AT_ONCE, columns=["digest"]):
            gone.update(digest for digest in batch["digest"].to_pylist() if digest not in digests)
        return self._delete(list(by_digest(sorted(gone), _DIGESTS)))

    def without(self, digests: Collection[str]) -> None:
        """Erase the scores of these photos for good: the table is written anew, and older versions are dropped."""
        self._known.clear()
        self.tables.rewrite_without(_TABLE, digests)

    def left(self, digests: Collection[str]) -> set[str]:
        """Which of these digests the table still holds."""
        return {digest for digest in self.tables.distinct(_TABLE) if digest in digests}

    def _delete(self, wheres: Sequence[str]) -> int:
        if not wheres or _TABLE not in self.tables.names():
            return 0
        before = self.tables.count(_TABLE)
        self._known.clear()
        self.tables.delete(_TABLE, wheres)
        return before - self.tables.count(_TABLE)

    def _digests(self, axes: tuple[str, ...]) -> set[str]:
        """Those that have a score on any of these axes; read once, then kept up to date by what is put."""
        if axes not in self._known:
            self._known[axes] = self.tables.distinct(_TABLE, f"axis IN ({', '.join(map(quote, axes))})")
        return self._known[axes]
