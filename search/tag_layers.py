"""Which of the rows that runs of tagging wrote count now.

Runs with the same recipe and vocabulary lie over each other: of each photo, the one that was finished last among those that looked at it counts, and covers
what the earlier ones wrote, also where it found nothing. Runs that still run, or were retracted, are not there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ._lance import by_digest, quote
from .tag_runs import TagRun

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._lance import Tables

TABLE = "tags"
AT_ONCE = 65_536  # rows of a batch
_FEW = 2_000  # digests that are asked for one by one; more are picked from the whole table, which is read once


def rows_of(
    tables: Tables, columns: Sequence[str], runs: Collection[str], digests: Collection[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Rows that these runs wrote, for these photos or all, some at a time; `columns` have the digest first."""
    if not runs:
        return
    written = f"run IN ({', '.join(map(quote, sorted(runs)))})"
    few = digests is not None and len(digests) <= _FEW
    wheres = [f"{written} AND {where}" for where in by_digest(sorted(digests or ()), _FEW)] if few else [written]
    keys = None if digests is None or few else pa.array(sorted(digests), pa.string())
    for where in wheres:
        for batch in tables.batches(TABLE, AT_ONCE, where, columns):
            yield batch if keys is None else batch.filter(pc.is_in(batch["digest"], value_set=keys))


def counted_rows(
    tables: Tables, columns: Sequence[str], runs: Iterable[TagRun], digests: Collection[str] | None = None
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """Rows of tags that count, for these photos or all, some at a time; `columns` begin with the digest and the run."""
    active = sorted((run for run in runs if run.counts), key=lambda run: (run.at, run.id))
    order = {run.id: at for at, run in enumerate(active)}
    layers = {run.id: run.layer for run in active}
    several = {run.id for run in active if sum(other.layer == run.layer for other in active) > 1}
    latest: dict[tuple[tuple[str, str], str], int] = {}
    for batch in rows_of(tables, ["digest", "run"], several, digests):
        for digest, run in _pairs(batch)[0]:
            key = layers[run], digest
            latest[key] = max(latest.get(key, -1), order[run])
    for batch in rows_of(tables, columns, order, digests):
        kept = pc.is_valid(batch["tag"])
        if several:
            pairs, which = _pairs(batch)
            counts = np.array([latest.get((layers[run], digest), order[run]) == order[run] for digest, run in pairs], bool)
            kept = pc.and_(kept, pa.array(counts[which]))
        yield batch.filter(kept)


def _pairs(batch: Any) -> tuple[list[tuple[str, str]], NDArray[np.int64]]:
    """The pairs of digest and run in a batch, each once, and which of them each row has."""
    digests, runs = (batch[name].dictionary_encode() for name in ("digest", "run"))
    codes = digests.indices.to_numpy().astype(np.int64) * max(1, len(runs.dictionary)) + runs.indices.to_numpy()
    unique, which = np.unique(codes, return_inverse=True)
    names, ids = digests.dictionary.to_pylist(), runs.dictionary.to_pylist()
    return [(names[code // len(ids)], ids[code % len(ids)]) for code in unique.tolist()], which
