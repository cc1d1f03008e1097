"""The derived cache: the nearest index, the rows that are printed and filtered, and the spread of the vectors.

It lies in `cache/<recipe>-<stamp>/`, where the stamp names the store's state, so a stale one is simply not found, and recipes lie side by
side. It is made from the store in one rename and never needed for correctness. A search that finds it opens neither LanceDB nor any photo.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preprocess import LibraryDamaged, StorageFull

from .library import Library
from .marks_cache import attach_marks
from .nearest import INDEXES, NearestIndex
from .recipes import Coverage
from .region_cache import STARTS, RegionIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Vectors
    from .null_model import NullModel


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
        return float(steadied(np.maximum(vector @ self.covariance @ vector, 0), self.count, typical, weight))

    def of_similarities(self, rows: Vectors, typical: float) -> tuple[Vectors, Vectors]:
        """Mean and standard deviation of the similarities of each of many rows, Float32["query dim"]."""
        variances = np.einsum("qd,qd->q", rows @ self.covariance, rows)
        return rows @ self.mean, steadied(np.maximum(variances, 0), self.count, typical)


def steadied(variance: Vectors, count: int, typical: float, weight: int = 20) -> Vectors:
    """The deviation of `count` values with this variance, among which a `typical` deviation counts like `weight` more values."""
    return np.asarray(np.sqrt((count * variance + weight * typical**2) / (count + weight)))


class Derived:
    """An open cache of one recipe. `database` has the table `images`, whose column `vector` is the row number in `nearest`, and the table `regions`,
    whose column `photo` is that number, and `region` the row number in the index of `regions`, if any region has a vector.

    The rows of photos as they are come first in `nearest`. Behind them come those of dehazed versions: `owners`, Int64["version"], says whose each one
    is, by the number of the photo's own row, and `makers`, Int16["version"], what made it, by its number among the `enhancers`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place: tempfile.TemporaryDirectory[str] | None = None
        self.null: NullModel | None = None  # read or measured by the first search
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
                folder = _made(library, recipe_id)
            except (StorageFull, LibraryDamaged):
                break
        try:
            derived = Derived(folder)
        except LibraryDamaged:
            shutil.rmtree(folder, ignore_errors=True)  # unless another process has just replaced it by a newer one
        else:
            return _marked(library, derived)
    return _marked(library, _aside(library, recipe_id))


def _marked(library: Library, derived: Derived) -> Derived:
    """The same with the scores and tags of its photos attached."""
    attach_marks(library, derived.database)
    return derived


def _made(library: Library, recipe_id: str | None, cache: Path | None = None) -> Path:
    from .derived_files import make_derived  # only here: a search that finds its cache must not pay for importing the store
    from .store import Store

    return make_derived(Store(library), recipe_id, cache)


def _aside(library: Library, recipe_id: str | None) -> Derived:
    """A cache in a temporary folder, for a library that cannot be written."""
    place = tempfile.TemporaryDirectory(prefix="pellucid-", ignore_cleanup_errors=True)
    derived = Derived(_made(library, recipe_id, Path(place.name)))
    derived.place = place
    return derived
