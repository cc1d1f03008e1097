"""The files of a derived cache, made from the store: written into a folder beside, then renamed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preprocess import LibraryDamaged, LibraryNotFound, StorageFull

from .derived import Derived, Spread
from .library import storage_errors
from .marks_cache import make_marks
from .nearest import INDEXES
from .recipes import coverage
from .region_cache import write_regions
from .schema import IMAGE_COLUMNS, sql_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .library import Library
    from .store import Store

PICTURES = "pictures"
"""The folder beside the caches that has thumbnails and previews: they hold for a photo's bytes, whatever the store's state."""


def make_derived(store: Store, recipe_id: str | None = None, cache: Path | None = None) -> Path:
    """Write the cache of a recipe, the current one where none is given, and remove stale ones of all; gives its folder.

    Raises:
        StorageFull, LibraryDamaged: it cannot be written.
    """
    library = store.library
    cache = cache or library.cache
    recipe = recipe_id or library.file.current
    if recipe is None:
        raise LibraryNotFound(f"{library.folder} has no photos yet. Index a folder first: pellucid index FOLDER")
    if cache == library.cache and library.marks_stamp() is not None:
        make_marks(store)
    final = cache / library.cache_of(recipe).name
    if (final / "spread.npz").is_file():
        return final
    fresh = cache / f"{final.name}.{os.getpid()}.{threading.get_ident()}.new"
    with storage_errors(library.folder):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            digests, vectors = store.vectors(recipe)
            used = set(store.images(["digest"])["digest"].to_pylist())
            keep = [at for at, digest in enumerate(digests) if digest in used]
            if len(keep) < len(digests):
                digests, vectors = [digests[at] for at in keep], vectors[keep]
            dim = int(library.file.recipes[recipe]["dim"])
            vectors = vectors.reshape(-1, dim)
            spread = Spread.of(vectors)
            versions, owners, makers, enhancers = _enhanced(store, recipe, digests, dim)
            INDEXES["flat"]().write(vectors, fresh / "nearest.faiss", *versions)
            with closing(sqlite3.connect(fresh / "rows.sqlite")) as database:
                database.execute("PRAGMA journal_mode = OFF")
                database.execute("PRAGMA synchronous = OFF")
                _write_rows(store, digests, database)
                write_regions(store, recipe, digests, database, fresh)
                database.commit()
            np.savez(fresh / "spread.npz", count=spread.count, mean=spread.mean, covariance=spread.covariance,
                     coverage=astuple(coverage(store, recipe)), owners=owners, makers=makers, enhancers=np.array(enhancers, np.str_))  # fmt: skip
            _write_null(library, recipe, fresh)
            for file in fresh.iterdir():
                with file.open("rb+") as written:
                    os.fsync(written.fileno())
            try:
                fresh.rename(final)
            except OSError:
                if not (final / "spread.npz").is_file():
                    raise
        except (sqlite3.Error, RuntimeError) as error:
            if "full" in str(error) or "space" in str(error) or shutil.disk_usage(cache).free < 1_000_000:
                raise StorageFull(f"The disk of {cache} is full. The store is kept; free some space and run again.") from error
            raise LibraryDamaged(f"The cache in {cache} cannot be written: {error}.") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    fresh_ones = {final.name} | {library.cache_of(other).name for other in library.file.recipes}
    for other in cache.iterdir():
        if other.name not in fresh_ones and other.name != PICTURES and not _young(other):
            shutil.rmtree(other, ignore_errors=True)
    return final


def _write_null(library: Library, recipe: str, folder: Path) -> None:
    """What generic queries find in this library, where their vectors are at hand; else the first search measures it, as it has the encoder."""
    from .null_shift import measure_null
    from .query_bank import kept_bank

    bank = kept_bank(library.cache, recipe)
    if bank is not None:
        with closing(Derived(folder)) as derived:
            measure_null(bank, derived).save(folder)


def _enhanced(
    store: Store, recipe: str, digests: list[str], dim: int
) -> tuple[list[NDArray[np.float16]], NDArray[np.int64], NDArray[np.int16], list[str]]:
    """Rows of the photos' dehazed versions that searches look at, Float16["version dim"], a part for each enhancer; the number of each one's photo; that of
    its enhancer; and the enhancers."""
    numbers = {digest: at for at, digest in enumerate(digests)}
    parts: list[NDArray[np.float16]] = []
    owners: list[int] = []
    enhancers = dict(sorted(store.library.file.enhanced(recipe).items()))
    for enhancer, other in enhancers.items():
        own, vectors = store.vectors(other)
        wanted = store.wanting(enhancer)
        keep = [at for at, digest in enumerate(own) if digest in wanted and digest in numbers]
        parts.append(vectors[keep].reshape(-1, dim))
        owners += [numbers[own[at]] for at in keep]
    makers = np.repeat(np.arange(len(parts), dtype=np.int16), [len(part) for part in parts])
    return parts, np.array(owners, np.int64), makers, list(enhancers)


def _young(folder: Path) -> bool:
    """Whether another process may still be writing or opening it."""
    import time

    try:
        return folder.name.endswith(".new") and time.time() - folder.stat().st_mtime < 600
    except OSError:
        return False


def _write_rows(store: Store, digests: list[str], database: sqlite3.Connection) -> None:
    numbers = {digest: at for at, digest in enumerate(digests)}
    columns = [c.name for c in IMAGE_COLUMNS]
    database.execute(f"CREATE TABLE images (vector INTEGER, {sql_columns(IMAGE_COLUMNS)})")
    insert = f"INSERT INTO images VALUES ({', '.join('?' * (len(columns) + 1))})"  # noqa: S608 (only question marks)
    for batch in store.tables.batches("images"):
        values = zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
        at = columns.index("digest")
        rows = ((numbers.get(row[at]), *row) for row in values)
        database.executemany(insert, (row for row in rows if row[0] is not None))
    # Both hold all that conditions on scores and tags need of a photo.
    database.execute("CREATE INDEX by_vector ON images (vector, digest)")
    database.execute("CREATE INDEX by_digest ON images (digest, vector)")
