"""The regions in the derived cache: a table of what is known of them, and a nearest index of their vectors.

Rows of `regions.faiss` are ordered by photo, then by the region's number, so that those of one photo lie together: `starts`, Int64["photo + 1"], says where.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .nearest import INDEXES, NearestIndex
from .schema import ASKED_REGION_COLUMNS, sql_columns

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from .encode import Vectors
    from .region_store import Annotated
    from .store import Store

INDEX, STARTS = "regions.faiss", "regions.npy"
_MOST = 1 << 24  # regions of one photo, in a key of photo and number
SAMPLE_PHOTOS = 2000
"""Photos whose best regions say how similar the best region of a photo of this library is to a query: 2,000 tell the mean to 2% of the deviation."""


class RegionIndex:
    """The regions' vectors of an open cache, and whose they are."""

    def __init__(self, folder: Path) -> None:
        self.nearest: NearestIndex = INDEXES["flat"]().read(folder / INDEX)
        self.starts: NDArray[np.int64] = np.load(folder / STARTS, mmap_mode="r")
        if int(self.starts[-1]) != len(self.nearest):
            raise ValueError("its regions and their index do not fit")

    @property
    def photos(self) -> NDArray[np.int64]:
        """Numbers of the photos that have regions."""
        return np.flatnonzero(np.diff(self.starts))

    def owners(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The photos of region rows."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def rows_of(self, photos: NDArray[np.int64]) -> NDArray[np.int64]:
        """Region rows of photos, together and in this order."""
        first = np.asarray(self.starts[photos])
        counts = np.asarray(self.starts[photos + 1]) - first
        ends = np.cumsum(counts)
        return np.repeat(first - (ends - counts), counts) + np.arange(int(ends[-1]) if len(ends) else 0)

    def best(
        self, vector: Vectors, photos: NDArray[np.int64], among: NDArray[np.int64] | None = None
    ) -> tuple[Vectors, NDArray[np.int64], NDArray[np.int64]]:
        """Of each of the photos, the similarity of its most similar region to a unit row, that region's row, -1 where it has none `among` the rows, and how
        many it has among them."""
        rows = self.rows_of(photos)
        owners = np.repeat(np.arange(len(photos)), np.asarray(self.starts[photos + 1]) - np.asarray(self.starts[photos]))
        if among is not None:
            kept = np.isin(rows, among)
            rows, owners = rows[kept], owners[kept]
        similarities = self.nearest.rows(rows) @ vector
        order = np.lexsort((rows, -similarities, owners))
        owner, first = np.unique(owners[order], return_index=True)
        most, best = np.zeros(len(photos), np.float32), np.full(len(photos), -1)
        most[owner], best[owner] = similarities[order[first]], rows[order[first]]
        return most, best, np.bincount(owners, minlength=len(photos))

    def null(self, vector: Vectors) -> tuple[float, float, int]:
        """Mean and deviation of the photos' best similarities to a unit row, over a sample of the photos, and how many that were."""
        photos = self.photos
        sample = photos[np.unique(np.linspace(0, len(photos) - 1, min(SAMPLE_PHOTOS, len(photos))).astype(np.int64))]
        best, _, _ = self.best(vector, sample)
        return float(best.mean()), float(best.std()), len(best)


def write_regions(store: Store, recipe_id: str, digests: list[str], database: sqlite3.Connection, folder: Path) -> None:
    """Add the regions of these photos, numbered by their place, to the rows of a cache, and write the index of their vectors if there are any."""
    current = store.regions.annotations()
    numbers = {digest: at for at, digest in enumerate(digests)}
    keys = _vector_keys(store, recipe_id, numbers, current)
    database.execute(f"CREATE TABLE regions (region INTEGER, photo INTEGER, {sql_columns(ASKED_REGION_COLUMNS)}, UNIQUE (photo, number))")
    insert = f"INSERT OR REPLACE INTO regions VALUES ({', '.join('?' * (len(ASKED_REGION_COLUMNS) + 2))})"  # noqa: S608 (only question marks)
    for batch in store.tables.batches("regions", columns=["digest", *(c.name for c in ASKED_REGION_COLUMNS)]):
        database.executemany(insert, _rows(batch.to_pylist(), numbers, current, keys))
    database.execute("CREATE INDEX regions_by_region ON regions (region)")
    # Holds all that most conditions ask for: 100,000 photos of 8 regions take half the time, and a fifth when the file is read for the first time.
    columns = "photo, label COLLATE NOCASE, number, x1, y1, x2, y2, area, confidence, region"
    database.execute(f"CREATE INDEX regions_by_photo ON regions ({columns})")
    if len(keys):
        np.save(folder / STARTS, np.searchsorted(keys, np.arange(len(digests) + 1, dtype=np.int64) * _MOST))
        _write_index(store, recipe_id, numbers, current, keys, folder)


def _rows(
    rows: list[dict[str, Any]], numbers: Mapping[str, int], current: Mapping[str, Annotated], keys: NDArray[np.int64]
) -> Iterator[tuple[Any, ...]]:  # fmt: skip
    for row in rows:
        photo = numbers.get(row["digest"])
        if photo is None or row["digest"] not in current or not current[row["digest"]].counts(row["maker"], row["number"]):
            continue
        key = photo * _MOST + row["number"]
        at = int(np.searchsorted(keys, key))
        yield at if at < len(keys) and keys[at] == key else None, photo, *(row[c.name] for c in ASKED_REGION_COLUMNS)


def _vector_keys(store: Store, recipe_id: str, numbers: Mapping[str, int], current: Mapping[str, Annotated]) -> NDArray[np.int64]:
    """Photo and number of every region that has a vector and counts, in one integer each, ascending and each once."""
    keys = [_places(*batch, numbers, current)[0] for batch in store.regions.key_batches(recipe_id)]
    return np.unique(np.concatenate(keys)) if keys else np.zeros(0, np.int64)


def _places(
    digests: list[str], makers: list[str], each: NDArray[np.int64], numbers: Mapping[str, int], current: Mapping[str, Annotated]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The keys of those rows that count, and which rows these are."""
    kept = [at for at, (digest, maker, number) in enumerate(zip(digests, makers, each.tolist(), strict=True)) if digest in numbers
            and digest in current and current[digest].counts(maker, number)]  # fmt: skip
    photos = np.array([numbers[digests[at]] for at in kept], np.int64)
    rows = np.array(kept, np.int64)
    return photos * _MOST + each[rows] if len(rows) else np.zeros(0, np.int64), rows


def _write_index(
    store: Store, recipe_id: str, numbers: Mapping[str, int], current: Mapping[str, Annotated], keys: NDArray[np.int64], folder: Path
) -> None:
    dim = int(store.library.file.recipes[recipe_id]["dim"])
    vectors = np.zeros((len(keys), dim), np.float16)
    for digests, makers, each, rows in store.regions.vector_batches(recipe_id, dim):
        places, kept = _places(digests, makers, each, numbers, current)
        vectors[np.searchsorted(keys, places)] = rows[kept]
    INDEXES["flat"]().write(vectors, folder / INDEX)
