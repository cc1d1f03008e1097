"""The derived cache: the nearest index, the rows that are printed and filtered, and the spread of the vectors.

It lies in `cache/<recipe>-<stamp>/`, where the stamp names the store's state, so a stale one is simply not found, and recipes lie side by
side. It is made from the store in one rename and never needed for correctness. A search that finds it opens neither LanceDB nor any photo.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
import zipfile
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preprocess import LibraryDamaged, LibraryNotFound, StorageFull

from .library import Library, storage_errors
from .marks_cache import attach_marks, make_marks
from .nearest import INDEXES, NearestIndex
from .recipes import Coverage, coverage
from .region_cache import STARTS, RegionIndex, write_regions
from .schema import IMAGE_COLUMNS, sql_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Vectors
    from .store import Store


@dataclass(frozen=True, slots=True)
class Spread:
    """How a library's vectors lie: their count, mean, Float32["dim"], and covariance, Float32["dim dim"]."""

    count: int
    mean: Vectors
    covariance: Vectors

    @classmethod
    def of(cls, vectors: NDArray[np.floating]) -> Spread:
        """The spread of unit rows, computed in parts."""
        count, dim = vectors.shape
        total, squares = np.zeros(dim), np.zeros((dim, dim))
        for at in range(0, count, 2048):
            part = np.asarray(vectors[at : at + 2048], dtype=np.float32)
            total += part.sum(0)
            squares += part.T @ part
        mean = total / max(count, 1)
        return cls(count, mean.astype(np.float32), (squares / max(count, 1) - np.outer(mean, mean)).astype(np.float32))

    def deviation(self, vector: Vectors, typical: float, weight: int = 20) -> float:
        """Standard deviation of the similarities of `vector` over the library.

        A small library says little about it, so a `typical` value counts like `weight` more photos.
        """
        return steadied(max(0.0, float(vector @ self.covariance @ vector)), self.count, typical, weight)


def steadied(variance: float, count: int, typical: float, weight: int = 20) -> float:
    """The deviation of `count` values with this variance, among which a `typical` deviation counts like `weight` more values."""
    return float(np.sqrt((count * variance + weight * typical**2) / (count + weight)))


class Derived:
    """An open cache of one recipe. `database` has the table `images`, whose column `vector` is the row number in `nearest`, and the table `regions`,
    whose column `photo` is that number, and `region` the row number in the index of `regions`, if any region has a vector.

    The rows of photos as they are come first in `nearest`. Behind them come those of dehazed versions: `owners`, Int64["version"], says whose each one
    is, by the number of the photo's own row, and `makers`, Int16["version"], what made it, by its number among the `enhancers`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place: tempfile.TemporaryDirectory[str] | None = None
        try:
            self.database = sqlite3.connect(f"{(folder / 'rows.sqlite').as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
            rows = self.database.execute("SELECT max(vector) FROM images").fetchone()[0]
            self.nearest: NearestIndex = INDEXES["flat"]().read(folder / "nearest.faiss")
            self.regions = RegionIndex(folder) if (folder / STARTS).is_file() else None
            with np.load(folder / "spread.npz") as spread:
                self.owners, self.makers = spread["owners"], spread["makers"]
                self.enhancers = [str(name) for name in spread["enhancers"]]
                if rows is not None and rows >= self.photos:
                    raise ValueError("its rows and its index do not fit")
                if self.regions is not None and len(self.regions.starts) != self.photos + 1:
                    raise ValueError("its regions and its photos do not fit")
                self.spread = Spread(int(spread["count"]), spread["mean"], spread["covariance"])
                self.coverage = Coverage(*(int(number) for number in spread["coverage"]))
        except (sqlite3.Error, OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
            raise LibraryDamaged(f"The cache {folder} does not open ({error}). Rebuild it: pellucid compact") from error

    @property
    def photos(self) -> int:
        """How many rows of `nearest` are of photos as they are."""
        return len(self.nearest) - len(self.owners)

    def close(self) -> None:
        """Let the database go."""
        self.database.close()
        if self.place is not None:
            self.place.cleanup()


def open_derived(library: Library, recipe_id: str | None = None) -> Derived:
    """The cache of a recipe in the store's present state; made first where it is missing, and made anew where it is damaged.

    Raises:
        LibraryNotFound: the library has no vectors yet.
    """
    for _ in range(2):
        folder = library.cache_of(recipe_id)
        if not (folder / "spread.npz").is_file():
            try:
                folder = make_derived(_store(library), recipe_id)
            except (StorageFull, LibraryDamaged):
                break
        try:
            derived = Derived(folder)
        except LibraryDamaged:
            shutil.rmtree(folder, ignore_errors=True)  # unless another process has just replaced it by a newer one
        else:
            return _marked(library, derived)
    return _marked(library, _aside(_store(library), recipe_id))


def _marked(library: Library, derived: Derived) -> Derived:
    """The same with the scores and tags of its photos attached."""
    attach_marks(library, derived.database)
    return derived


def _store(library: Library) -> Store:
    from .store import Store  # only here: a search that finds its cache must not pay for importing it

    return Store(library)


def _aside(store: Store, recipe_id: str | None) -> Derived:
    """A cache in a temporary folder, for a library that cannot be written."""
    place = tempfile.TemporaryDirectory(prefix="pellucid-", ignore_cleanup_errors=True)
    derived = Derived(make_derived(store, recipe_id, Path(place.name)))
    derived.place = place
    return derived


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
            _write_null(library, recipe, fresh, len(digests))
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
        if other.name not in fresh_ones and not _young(other):
            shutil.rmtree(other, ignore_errors=True)
    return final


def _write_null(library: Library, recipe: str, folder: Path, photos: int) -> None:
    """What generic queries find in this library, where their vectors are at hand; else the first search measures it, as it has the encoder."""
    from .null_model import NullModel
    from .query_bank import kept_bank

    bank = kept_bank(library.cache, recipe)
    if bank is not None:
        NullModel.measure(bank, INDEXES["flat"]().read(folder / "nearest.faiss"), photos).save(folder)


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
