"""What a search of regions finds more than one of photos, for want of an answer: how far the levels of generic queries in the same photos lie apart.

The better of two kinds of evidence is higher than one of them, whether or not there is an answer, and parts of photos lie elsewhere than whole ones. What is expected of photos comes from many of
them and from neutral values; the difference is one of pairs, so a sample tells it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .derived import steadied
from .evidence import drawn, smooth_maximum
from .null_model import LEAST, PICTURES, TOP, NullModel, Shift, level, lower_half, spread_numbers
from .query import TYPICAL_DEVIATION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .derived import Derived
    from .encode import Vectors
    from .region_cache import RegionIndex

SHIFT_PHOTOS = 2_000
"""Photos that are asked with their regions, evenly spread, where there are more: with ten regions each, of 256 numbers, that takes 0.4 s of a core, however large the library. The shift hardly
changes with their number: of words 0.016 to 0.019 over 25 to 200 photos of COCO."""
_PART = 128  # photos whose regions are read at a time


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What queries find in a sample of photos, Float32["query photo"], -inf where there is nothing: in photos, in photos or their regions, in regions alone as they are
    (`bare`), and in regions alone in the place of photos with the same standard score (`placed`)."""

    images: Vectors
    both: Vectors
    bare: Vectors
    placed: Vectors

    def without(self, photos: NDArray[np.int64]) -> Found:
        """The same where each query does not see one of the photos, by its place in the sample."""
        parts = [values.copy() for values in (self.images, self.both, self.bare, self.placed)]
        for values in parts:
            values[np.arange(len(photos)), photos] = -np.inf
        return Found(*parts)


def measure_null(bank: Vectors, derived: Derived) -> NullModel:
    """What the bank's unit rows, Float32["query dim"], find in an open cache: in its photos, and in its regions if it has any."""
    return replace(NullModel.measure(bank, derived.nearest, derived.photos), shifts=measure_shifts(bank, derived))


def measure_shifts(bank: Vectors, derived: Derived) -> tuple[Shift, ...]:
    """Where both are searched, of words, pictures and other queries; then the same where regions alone are. None where there are no regions to tell it."""
    if derived.regions is None or derived.photos <= TOP:
        return ()
    sample = spread_numbers(derived.photos, SHIFT_PHOTOS)
    if not np.diff(derived.regions.starts)[sample].any():
        return ()
    asked = spread_numbers(len(sample), PICTURES)
    words = _found(derived, derived.regions, bank, sample, "text")
    pictures = _found(derived, derived.regions, derived.nearest.rows(sample[asked]), sample, "image").without(asked)
    middle, scale = lower_half(words.images)
    unit = np.maximum(scale, LEAST)

    def scores(values: Vectors) -> Vectors:
        return np.asarray((_levels(values) - middle) / unit)

    return (
        _shift(_levels(words.both), _levels(words.images)),
        _shift(_levels(pictures.both), _levels(pictures.images)),
        _shift(scores(words.both), scores(words.images)),
        _shift(_levels(words.bare), _levels(words.images)),
        _shift(_levels(pictures.bare), _levels(pictures.images)),
        _shift(scores(words.placed), scores(words.images)),
    )


def _found(derived: Derived, regions: RegionIndex, rows: Vectors, sample: NDArray[np.int64], kind: str) -> Found:
    """As `Evidence` measures it, of many queries at once."""
    images = rows @ derived.nearest.rows(sample).T
    counts = np.diff(regions.starts)[sample]
    bare = np.full(images.shape, -np.inf, np.float32)
    having = np.flatnonzero(counts)
    for at in range(0, len(having), _PART):
        part = having[at : at + _PART]
        similarities = rows @ regions.nearest.rows(regions.rows_of(sample[part])).T
        bare[:, part] = np.maximum.reduceat(similarities, np.cumsum(counts[part]) - counts[part], axis=1)
    mean, deviation = (values[:, None] for values in derived.spread.of_similarities(rows, TYPICAL_DEVIATION[kind]))
    best = bare[:, having]
    of_regions = steadied(best.var(1), len(having), TYPICAL_DEVIATION[kind])[:, None]
    region_scores = (bare - best.mean(1, keepdims=True)) / of_regions
    scores = (images - mean) / deviation
    both = smooth_maximum(scores, drawn(scores, region_scores, counts))
    return Found(images, mean + both * deviation, bare, mean + region_scores * deviation)


def _levels(values: Vectors) -> Vectors:
    """The level of the nearest of each row; where there are fewer than `TOP`, the last of them stands for those that lack."""
    top = -np.sort(-values, axis=1)[:, :TOP]
    last = np.where(np.isfinite(top), top, np.inf).min(1, keepdims=True)
    top = np.where(np.isfinite(top), top, last)
    return level(top[np.isfinite(last[:, 0])])


def _shift(levels: Vectors, of_images: Vectors) -> Shift:
    deviation = float(of_images.std())
    ratio = float(levels.std()) / deviation if deviation > LEAST else 1.0
    return Shift(float(levels.mean() - of_images.mean()), min(max(ratio, 0.5), 2.0))
