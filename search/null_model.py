"""What a search finds in a library for want of an answer: the null model that verdicts are measured against.

Two things are known of every library. How the similarities of this very query lie over its photos: their median, and their scale, from the lower half,
which no answer reaches. And what a bank of generic queries finds there: the mean and the deviation, over the bank, of the `level` of the nearest photos.
For pictures, the bank are photos of the library itself, each without itself. That is measured once for each state of the library and kept in its cache.

The nearest of many is nearer than the nearest of few. So the same is also measured in parts of about `HIT_PHOTOS` photos: there single photos are judged, alike in a library of any size.
"""

from __future__ import annotations

import contextlib
import math
import os
import zipfile
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .query_bank import bank_hash
from .verdict import HIT_PHOTOS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Vectors
    from .query import Within
    from .verdict import Kind

FILE = "bank.npz"
TOP = 5
"""How many of the nearest photos count together. One alone is often a chance, and many miss what only one photo shows, so the first counts for half: over 13 sets of
queries with and without an answer, that told them apart best (area under the ROC curve 0.748; the first alone 0.740, the mean of five 0.747)."""
SAMPLE_PHOTOS = 50_000
"""Photos that the bank is asked of, evenly spread, where there are more: 418 queries of 512 numbers then take a second or so, however large the library. What
the others add is reckoned from how the nearest grow with the logarithm of the number."""
PICTURES = 400
"""Photos of the library that are asked for, evenly spread."""
SPREAD_PHOTOS = 2_000
"""Photos that give the median and the lower half of one query's similarities; 2,000 tell the median to 3% of the deviation."""
LOWER = (0.125, 0.375)
"""The quartiles of the lower half, as quantiles of the whole."""
NORMAL_LOWER = 0.8317
"""How many deviations of a normal distribution lie between them."""
LEAST = 1e-3
"""No scale of similarities is smaller: photos that are all alike say nothing of how far others would lie apart."""
_KINDS: dict[Kind, int] = {"words": 0, "picture": 1, "other": 2}


class Rows(Protocol):
    """What gives unit rows by their numbers: an index, or an array in memory."""

    def rows(self, numbers: NDArray[np.int64]) -> Vectors:
        """Float32["number dim"]."""
        ...


@dataclass(frozen=True, slots=True)
class Shift:
    """How much higher levels are where regions are searched than in the same photos alone, and by what ratio they are spread wider."""

    mean: float = 0.0
    ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class NullModel:
    """Of `count` photos: mean and deviation, over the bank's queries, of the level of their nearest photos; of the robust standard score of that level; and of the
    level of the photos nearest to one of the library's own, that photo left out. `shifts` are those of words, pictures and other queries in photos and regions together,
    then of the same in regions alone; none where there are no regions. `part` is the same of parts of the library of about `HIT_PHOTOS` photos each, on the average; none where the
    library is no larger than one."""

    count: int
    top_mean: float
    top_deviation: float
    score_mean: float
    score_deviation: float
    picture_mean: float
    picture_deviation: float
    shifts: tuple[Shift, ...] = field(default=(), kw_only=True)
    part: NullModel | None = field(default=None, kw_only=True)

    @property
    def numbers(self) -> tuple[float, ...]:
        """The count, and the means and deviations."""
        return tuple(getattr(self, name) for name in self.__slots__[:7])

    def shift(self, within: Within, kind: Kind) -> Shift:
        """What is to be added where regions are searched."""
        if within == "images" or not self.shifts:
            return Shift()
        return self.shifts[_KINDS[kind] + (len(_KINDS) if within == "regions" else 0)]

    @classmethod
    def measure(cls, bank: Vectors, nearest: Rows, photos: int) -> NullModel:
        """What the bank's unit rows, Float32["query dim"], find among the first `photos` rows of an index."""
        if not photos:
            return cls(0, *[0.0] * 6)
        numbers = spread_numbers(photos, SAMPLE_PHOTOS)
        own = spread_numbers(len(numbers), PICTURES)
        asked = np.concatenate([bank, nearest.rows(numbers[own])])
        parts = max(1, round(len(numbers) / HIT_PHOTOS))
        top = min(TOP, max(len(numbers) - 1, 1))  # of a picture, since it does not find itself
        middle, scale = lower_half(bank @ sample_rows(nearest, photos).T)

        def figures(tops: Vectors) -> NDArray[np.float64]:
            levels, of_pictures = level(tops[: len(bank)]), level(tops[len(bank) :, :top])
            scores = (levels - middle) / np.maximum(scale, LEAST)
            kinds = (levels, scores, of_pictures if len(numbers) > 1 else np.zeros(1))
            return np.array([value for values in kinds for value in (values.mean(), values.std())], np.float64)

        tops, of_parts = np.zeros((len(asked), 0), np.float32), []
        for at in range(parts):
            similarities = asked @ nearest.rows(numbers[at::parts]).T
            itself = np.flatnonzero(own % parts == at)
            similarities[len(bank) + itself, own[itself] // parts] = -np.inf
            found = _largest(similarities)
            of_parts.append(figures(found))
            tops = _largest(np.concatenate([tops, found], axis=1))
        part = cls(round(len(numbers) / parts), *np.mean(of_parts, axis=0).tolist()) if parts > 1 else None
        return cls(len(numbers), *figures(tops).tolist(), part=part)

    def save(self, folder: Path) -> bool:
        """Put it into a cache, whole or not at all; whether it could be written."""
        fresh = folder / f"{FILE}.{os.getpid()}.new"
        try:
            with fresh.open("wb") as out:
                numbers = np.array([null.numbers for null in (self, self.part) if null is not None])
                shifts = np.array([astuple(shift) for shift in self.shifts])
                np.savez(out, nulls=numbers, shifts=shifts, bank=np.array(bank_hash()))
            fresh.replace(folder / FILE)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            return False
        return True

    @classmethod
    def load(cls, folder: Path) -> NullModel | None:
        """What a cache holds; none where it was not measured yet, or by another bank, or the file is damaged, so that it is measured anew."""
        try:
            with np.load(folder / FILE, allow_pickle=False) as file:
                if str(file["bank"]) != bank_hash():
                    return None
                nulls = file["nulls"].astype(float).tolist()
                shifts = tuple(Shift(float(mean), float(ratio)) for mean, ratio in file["shifts"].reshape(-1, 2))
            (whole, *parts) = [cls(int(count), *numbers) for count, *numbers in nulls]
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
            return None
        moved = [value for shift in shifts for value in astuple(shift)]
        finite = all(map(math.isfinite, (*moved, *(value for null in nulls for value in null))))
        if not finite or len(parts) > 1 or len(moved) not in (0, 4 * len(_KINDS)):
            return None
        return replace(whole, shifts=shifts, part=parts[0] if parts else None)


def level(similarities: Vectors) -> Vectors:
    """How near the nearest photos are, from their similarities, the largest first, Float32["... photo"]: half of the first one and half of the mean of `TOP`.

    >>> import numpy as np
    >>> float(level(np.array([0.5, 0.3, 0.3, 0.2, 0.2, 0.1])).round(3))
    0.4
    """
    return np.asarray((similarities[..., 0] + similarities[..., :TOP].mean(-1)) / 2)


def _largest(similarities: Vectors) -> Vectors:
    """The `TOP` largest of each row, or all there are, the largest first."""
    if similarities.shape[1] > TOP:
        similarities = -np.partition(-similarities, TOP - 1, axis=1)[:, :TOP]
    return np.asarray(-np.sort(-similarities, axis=1))


def spread_numbers(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` of the numbers below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def sample_rows(nearest: Rows, photos: int) -> Vectors:
    """Rows of photos, evenly spread over the library, Float32["photo dim"]."""
    return nearest.rows(spread_numbers(photos, SPREAD_PHOTOS))


def lower_half(similarities: Vectors) -> tuple[Vectors, Vectors]:
    """Median and scale of each row: the interquartile range of its lower half, as deviations of a normal distribution that has it.

    Photos that answer are in the upper half, as long as they are no more than half of the library, so they move neither.
    """
    low, high, middle = np.quantile(similarities, (*LOWER, 0.5), axis=-1)
    return middle.astype(np.float32), ((high - low) / NORMAL_LOWER).astype(np.float32)
