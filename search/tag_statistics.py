"""How similar each tag is to the photos of a library: what one photo's similarity is compared with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .derived import Spread

if TYPE_CHECKING:
    from .encode import Vectors

PRIOR_PHOTOS = 50
"""How many photos of all kinds a small library is thought to have besides its own: ten photos say little about how similar photos are to a tag."""


@dataclass(frozen=True, slots=True, eq=False)
class TaggerStatistics:
    """Of the similarities of each tag over a library of `count` photos: their `mean` and `deviation`, Float32["tag"]. Of those of the reference words: the mean
    of their means (`centre`), the deviation of these (`width`), and the median of their deviations (`unit`). `regions` are the same for vectors of regions."""

    count: int
    mean: Vectors
    deviation: Vectors
    centre: float
    width: float
    unit: float
    regions: TaggerStatistics | None = None


class SpreadSum:
    """Collects count, mean and covariance of unit rows that come in batches."""

    def __init__(self, dim: int) -> None:
        self.count = 0
        self._total, self._squares = np.zeros(dim), np.zeros((dim, dim))

    def add(self, vectors: Vectors) -> None:
        """Unit rows, Float32["row dim"] or Float16."""
        for at in range(0, len(vectors), 2048):  # short sums in float32 are exact enough: they are added up in float64
            part = np.asarray(vectors[at : at + 2048], np.float32)
            self._total += part.sum(0)
            self._squares += part.T @ part
        self.count += len(vectors)

    def spread(self) -> Spread:
        """Of all rows so far."""
        mean = self._total / max(self.count, 1)
        covariance = self._squares / max(self.count, 1) - np.outer(mean, mean)
        return Spread(self.count, mean.astype(np.float32), covariance.astype(np.float32))


def spread_of(batches: Iterable[Vectors], dim: int) -> Spread:
    """Of unit rows, batch by batch, at the memory of one."""
    sums = SpreadSum(dim)
    for batch in batches:
        sums.add(batch)
    return sums.spread()


def blended(own: Spread, prior: Spread, photos: int = PRIOR_PHOTOS) -> Spread:
    """The spread of the library's photos and of that many others that lie as `prior` does."""
    total = own.count + photos
    mean = (own.count * own.mean + photos * prior.mean) / total
    apart = own.mean - prior.mean
    covariance = (own.count * own.covariance + photos * prior.covariance) / total + own.count * photos / total**2 * np.outer(apart, apart)
    return Spread(own.count, mean.astype(np.float32), covariance.astype(np.float32))


def statistics_of(spread: Spread, tags: Vectors, references: Vectors, typical: float, prior: Spread | None = None) -> TaggerStatistics:
    """Exactly those of all similarities, out of the mean and covariance of the vectors: t·m and √(tᵀCt) for a unit row t.

    A small library is steadied by the encoder's own `prior`; where there is none, by the mean of the words' means and by a `typical` deviation.
    """
    if prior is not None:
        spread = blended(spread, prior)
    mean, deviation = _moments(spread, tags)
    known, widths = _moments(spread, references)
    if prior is None:
        share = spread.count / (spread.count + PRIOR_PHOTOS)
        mean = share * mean + (1 - share) * known.mean()
        deviation, widths = (np.sqrt(share * values**2 + (1 - share) * typical**2) for values in (deviation, widths))
        known = share * known + (1 - share) * known.mean()
    unit = float(np.median(widths))
    # Words differ in their means at least by a tenth of what photos differ by; photos that are all alike must not make z infinite.
    return TaggerStatistics(
        spread.count, mean.astype(np.float32), np.maximum(deviation, unit / 10).astype(np.float32), float(known.mean()),
        max(float(known.std()), unit / 10), unit,
    )  # fmt: skip


def _moments(spread: Spread, rows: Vectors) -> tuple[Vectors, Vectors]:
    variance = np.einsum("td,td->t", rows @ spread.covariance, rows)
    return rows @ spread.mean, np.sqrt(np.maximum(variance, 0))
