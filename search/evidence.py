"""What says that a photo answers a query: the photo as a whole, or its most similar region.

Regions are small and many, so their similarities lie elsewhere than those of photos, and the best of several is higher than any one. So both are
compared in standard scores: a photo's similarity against those of the library's photos, and that of its best region against those of the best regions of
other photos, for this very query. A search of both takes the better one, by a smooth maximum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .derived import Derived, steadied
from .encode import PLAIN
from .query import TYPICAL_DEVIATION, Within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Vectors

SHARPNESS = 2.0
"""Of the smooth maximum of both standard scores: at equal ones it adds log(2) / 2 = 0.35, since two that agree are more than one; far apart, it is the larger. With
the built-in encoder it finds as many small objects as the plain maximum, which loses a point on captions of whole scenes (docs/regions.md)."""

PRIOR_REGIONS = 2
"""Regions that the photo's own score counts for: the best of few says less than the best of many, so its score is drawn towards the photo's. Without this, photos
whose segmenter found little lose two points on captions."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Photos in columns, the best evidence first. `similarities` and `scores` are of the photo itself, by the better of its versions, `enhancers` what
    that version went through. `regions` are rows of the region index, -1 where a photo has none, with their own similarities and scores."""

    photos: NDArray[np.int64]
    similarities: Vectors
    scores: Vectors
    enhancers: list[str]
    evidence: Vectors
    regions: NDArray[np.int64]
    region_similarities: Vectors
    region_scores: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The nearest photos by the better of their versions. `least` is the similarity of the last row that was looked at; there may be `more`."""

    similarities: Vectors
    photos: NDArray[np.int64]
    enhancers: list[str]
    least: float
    more: bool


@dataclass
class Evidence:
    """Ranks the photos of an open cache by one unit row, Float32["dim"]. `kind` is that of the query: text or image. `regions_among` holds the rows of
    regions that may match, where a condition leaves some out."""

    derived: Derived
    vector: Vectors
    kind: str = "text"
    sharpness: float = SHARPNESS
    regions_among: NDArray[np.int64] | None = None
    mean: float = field(init=False)
    deviation: float = field(init=False)

    def __post_init__(self) -> None:
        self.mean = float(self.vector @ self.derived.spread.mean)
        self.deviation = self.derived.spread.deviation(self.vector, TYPICAL_DEVIATION[self.kind])

    @cached_property
    def _null(self) -> tuple[float, float]:
        """Mean and deviation of the photos' best regions; a search of images alone does not need them, and they take longer than the rest of it."""
        if self.derived.regions is None:
            return 0.0, 1.0
        mean, deviation, count = self.derived.regions.null(self.vector)
        return mean, float(steadied(np.square(deviation), count, TYPICAL_DEVIATION[self.kind]))

    @property
    def region_mean(self) -> float:
        """Of the photos' best regions."""
        return self._null[0]

    @property
    def region_deviation(self) -> float:
        """Of the photos' best regions."""
        return self._null[1]

    def ranked(self, k: int, among: NDArray[np.int64] | None, within: Within) -> Ranked:
        """At least the k best photos, if there are so many, and all that are as good as the last of them; `among` holds numbers of photos."""
        if within == "images" or self.derived.regions is None:
            return self._by_images(k, among)
        wide = k + 32
        while True:
            photos, bound = self._candidates(wide, among, within)
            ranked = self._measured(photos, within)
            if bound == -np.inf or (len(photos) >= k and round(float(ranked.evidence[k - 1]), 6) > round(bound, 6)):
                return ranked
            wide *= 4

    def _by_images(self, k: int, among: NDArray[np.int64] | None) -> Ranked:
        # More than k, until no equal one is left out: equal similarities are ordered by path, not by digest.
        wide = k + 32
        found = nearest_photos(self.derived, self.vector, wide, among)
        while found.more and (len(found.photos) < k or round(found.least, 6) == round(float(found.similarities[k - 1]), 6)):
            wide *= 4
            found = nearest_photos(self.derived, self.vector, wide, among)
        scores = (found.similarities - self.mean) / self.deviation
        none = np.full(len(found.photos), -1)
        return Ranked(found.photos, found.similarities, scores, found.enhancers, scores, none, np.zeros_like(scores), np.zeros_like(scores))

    def _candidates(self, wide: int, among: NDArray[np.int64] | None, within: Within) -> tuple[NDArray[np.int64], float]:
        """Photos that are near, or have a region that is; and the evidence that any other photo has at most, -inf where there is none."""
        regions = self.derived.regions
        if regions is None:
            raise ValueError("there are no regions")
        rows_among = self.regions_among if self.regions_among is not None or among is None else regions.rows_of(among)
        similarities, rows = regions.nearest.search(self.vector[None], wide, rows_among)[0]
        more = len(rows) == wide
        of_region = (float(similarities[-1]) - self.region_mean) / self.region_deviation if len(rows) else -np.inf
        if within == "regions":
            return np.unique(regions.owners(rows)), of_region if more else -np.inf
        near = nearest_photos(self.derived, self.vector, wide, among)
        photos = np.unique(np.concatenate([regions.owners(rows), near.photos]))
        if not near.more:  # no photo is left
            return photos, -np.inf
        of_photo = (near.least - self.mean) / self.deviation
        return photos, float(self._better(of_photo, max(of_photo, of_region) if more else -np.inf))

    def _better(self, scores: Any, region_scores: Any) -> Any:
        return smooth_maximum(scores, region_scores, self.sharpness)

    def _measured(self, photos: NDArray[np.int64], within: Within) -> Ranked:
        """Both kinds of evidence of these photos, exactly."""
        regions = self.derived.regions
        if regions is None:
            raise ValueError("there are no regions")
        similarities, enhancers = self._similarities(photos)
        scores = (similarities - self.mean) / self.deviation
        best, rows, counts = regions.best(self.vector, photos, self.regions_among)
        region_scores = np.where(rows >= 0, (best - self.region_mean) / self.region_deviation, -np.inf).astype(np.float32)
        evidence = self._better(scores, drawn(scores, region_scores, counts)) if within == "both" else region_scores
        order = np.argsort(-evidence, kind="stable")
        names = [enhancers[at] for at in order.tolist()]
        return Ranked(
            photos[order], similarities[order], scores[order], names, evidence[order], rows[order], best[order], region_scores[order]
        )

    def _similarities(self, photos: NDArray[np.int64]) -> tuple[Vectors, list[str]]:
        """Of each photo, the similarity of the better of its versions, and what that went through."""
        derived = self.derived
        similarities = derived.nearest.rows(photos) @ self.vector
        enhancers = [PLAIN] * len(photos)
        versions = np.flatnonzero(np.isin(derived.owners, photos)) if len(derived.owners) else np.zeros(0, np.int64)
        if len(versions):
            place = {photo: at for at, photo in enumerate(photos.tolist())}
            dehazed = derived.nearest.rows(derived.photos + versions) @ self.vector
            for version, similarity in zip(versions.tolist(), dehazed.tolist(), strict=True):
                at = place[int(derived.owners[version])]
                if similarity > similarities[at]:
                    similarities[at], enhancers[at] = similarity, derived.enhancers[derived.makers[version]]
        return np.asarray(similarities, np.float32), enhancers


def smooth_maximum(scores: Any, others: Any, sharpness: float = SHARPNESS) -> Any:
    """log(exp(s·a) + exp(s·b)) / s."""
    return np.logaddexp(sharpness * scores, sharpness * others) / sharpness


def drawn(scores: Vectors, region_scores: Vectors, counts: NDArray[np.int64]) -> Vectors:
    """Scores of the photos' best regions, drawn towards the photos' own, the more the fewer regions there were; -inf stays, where there are none."""
    mixed = (counts * np.where(counts > 0, region_scores, 0) + PRIOR_REGIONS * scores) / (counts + PRIOR_REGIONS)
    return np.asarray(np.where(counts > 0, mixed, -np.inf), np.float32)


def nearest_photos(derived: Derived, vector: Vectors, wide: int, among: NDArray[np.int64] | None) -> Nearest:
    """Of the `wide` nearest rows, the first of each photo; `among` holds numbers of photos."""
    owners, count = derived.owners, derived.photos
    if among is not None and len(owners):
        among = np.concatenate([among, count + np.flatnonzero(np.isin(owners, among))])
    similarities, numbers = derived.nearest.search(vector[None], wide, among)[0]
    photos = np.where(numbers < count, numbers, owners[np.maximum(numbers - count, 0)]) if len(owners) else numbers
    first = np.sort(np.unique(photos, return_index=True)[1])
    enhancers = [PLAIN if number < count else derived.enhancers[derived.makers[number - count]] for number in numbers[first].tolist()]
    least = float(similarities[-1]) if len(similarities) else 0.0
    return Nearest(similarities[first], photos[first], enhancers, least, len(numbers) == wide)
