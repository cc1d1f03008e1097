"""The vectors that a library has of its photos and their regions, some at a time, from its cache: no photo is opened, and memory stays small."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .filter import matching_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .derived import Derived
    from .encode import Vectors

AT_ONCE = 2048  # photos
_GAP = 100  # rows that are read with others rather than asking once more


@dataclass(frozen=True, slots=True, eq=False)
class PhotoRegions:
    """Regions of some photos: a unit row of each, Float32["region dim"], which of the photos it is of, Int64["region"], ascending, and its number among that
    photo's regions, Int64["region"]."""

    vectors: Vectors
    photo: NDArray[np.int64]
    number: NDArray[np.int64]


class LibraryVectors:
    """All photos of an open cache, or those that meet a condition, in the order of their digests.

    Raises:
        FilterError: the condition is wrong.
    """

    def __init__(self, derived: Derived, where: str | None = None) -> None:
        self._derived = derived
        every = np.arange(derived.photos, dtype=np.int64)
        self.numbers = every if where is None else matching_vectors(derived.database, where)
        self._digests = [""] * derived.photos
        for number, digest in derived.database.execute("SELECT vector, digest FROM images"):
            self._digests[number] = digest

    def __len__(self) -> int:
        """How many photos there are; copies are one."""
        return len(self.numbers)

    def digests(self, numbers: NDArray[np.int64]) -> list[str]:
        """Of photos by their numbers."""
        return [self._digests[number] for number in numbers.tolist()]

    def without(self, digests: set[str]) -> NDArray[np.int64]:
        """The numbers of those photos that are not among the digests."""
        if not digests:
            return self.numbers
        return np.array([number for number in self.numbers.tolist() if self._digests[number] not in digests], np.int64)

    def of(self, digests: Collection[str]) -> tuple[list[str], Vectors]:
        """Those of the digests that the library has a vector of, wherever the condition holds, and their unit rows, Float32["photo dim"]."""
        found = [(digest, number) for number, digest in enumerate(self._digests) if digest in digests] if digests else []
        return [digest for digest, _ in found], self._derived.nearest.rows(np.array([number for _, number in found], np.int64))

    def batches(self, numbers: NDArray[np.int64] | None = None, at_once: int = AT_ONCE) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """Numbers and unit rows, Float32["photo dim"]; of all photos where no numbers are given."""
        chosen = self.numbers if numbers is None else numbers
        for at in range(0, len(chosen), at_once):
            some = chosen[at : at + at_once]
            yield some, self._derived.nearest.rows(some)

    def regions(self, numbers: NDArray[np.int64]) -> PhotoRegions | None:
        """The regions of photos, by their numbers; none where the library has no vectors of regions."""
        index = self._derived.regions
        if index is None:
            return None
        rows = index.rows_of(numbers)
        counts = np.asarray(index.starts[numbers + 1]) - np.asarray(index.starts[numbers])
        return PhotoRegions(index.nearest.rows(rows), np.repeat(np.arange(len(numbers)), counts), self._region_numbers(rows))

    def _region_numbers(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """What regions are called among their photos', by their rows: mostly, but not where one lacks a vector, by how many come before."""
        known: dict[int, int] = {}
        ascending = np.sort(rows)
        for part in np.split(ascending, np.flatnonzero(np.diff(ascending) > _GAP) + 1) if len(rows) else []:
            ask = "SELECT region, number FROM regions WHERE region BETWEEN ? AND ?"
            known.update(self._derived.database.execute(ask, (int(part[0]), int(part[-1]))))
        return np.array([known[row] for row in rows.tolist()], np.int64)
