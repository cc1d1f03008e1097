"""The verdicts of one search: the null model of its library, and what it says of what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .null_model import LEAST, TOP, NullModel, level, lower_half, sample_rows
from .verdict import NONE_GO, WEAK_GO, Cuts, Judge, Kind, Verdict, null_family

if TYPE_CHECKING:
    from .derived import Derived
    from .encode import Encoder, Vectors
    from .evidence import Evidence, Ranked
    from .hit import Hit
    from .library import Library
    from .query import Query, Within


@dataclass(frozen=True, slots=True)
class Sentence:
    """What was judged of a query: of the whole, and of each photo that was ranked, by its row."""

    probability: float
    unusual: float
    verdict: Verdict
    hits: dict[int, float]
    cuts: Cuts
    staying: tuple[Verdict, ...]

    def stays(self, row: int) -> bool:
        """Whether the hits of a photo that was ranked are shown."""
        return self._verdict(row) in self.staying

    def _verdict(self, row: int) -> Verdict:
        return self.cuts.of_hits().verdict(self.hits[row])

    def judged(self, hits: Sequence[tuple[int, Hit]]) -> list[Hit]:
        """The hits of an answered query with their verdicts, given with their rows and the best first. Where there is an answer, the first is at least weak, and so are those as probable as it is, such as its copies.

        Those that are none stay only where they come last, by relevance, and the strictness is no more than `NONE_GO`; weak ones up to `WEAK_GO`.
        """
        if self.verdict == "none":
            return []
        kept = []
        best = self.hits[hits[0][0]] if hits else 1.0
        for row, hit in hits:
            verdict, first = self._verdict(row), self.hits[row] >= best
            if first and verdict == "none":
                verdict = "weak"
            if first or verdict in self.staying:
                kept.append(replace(hit, probability=self.hits[row], verdict=verdict))
        return kept


def null_of(derived: Derived, library: Library, encoder: Encoder) -> NullModel:
    """The null model of an open cache, read once; measured now where it was not yet, and kept."""
    if derived.null is not None:
        return derived.null
    null = NullModel.load(derived.folder)
    if null is None:
        from .null_shift import measure_null
        from .query_bank import bank_vectors

        null = measure_null(bank_vectors(encoder, library.cache), derived)
        null.save(derived.folder)
    derived.null = null
    return null


def judge(
    evidence: Evidence, ranked: Ranked, query: Query, null: NullModel, encoder: Encoder, photos: int, within: Within = "images"
) -> Sentence:
    """What the ranked photos come to; `photos` is how many were looked at.

    Where photos and regions are searched, a photo that its region speaks for counts with the similarity that would give the whole photo as high a standard score, so
    that all are measured alike. Where regions alone are, their similarities count as they are. What generic queries find so is measured in the same way, by `null_shift`.
    """
    cuts = Cuts.at(query.strictness)
    if not len(ranked.photos):
        return Sentence(0.0, 0.0, "none", {}, cuts, ())
    kind = _kind(query)
    middle, scale = 0.0, 1.0
    if kind == "other":
        found = lower_half(sample_rows(evidence.derived.nearest, evidence.derived.photos) @ evidence.vector)
        middle, scale = float(found[0]), max(float(found[1]), LEAST)
    similar: Vectors = np.asarray(evidence.mean + ranked.evidence * evidence.deviation, np.float32)
    regions = evidence.derived.regions
    if within == "regions" and regions is not None:
        if kind != "other":
            similar = ranked.region_similarities
        if evidence.regions_among is not None:  # of a library with as many regions in each photo as this one has
            photos = round(evidence.derived.photos * len(evidence.regions_among) / max(len(regions.nearest), 1))
    judge_ = Judge(null, null_family(encoder), kind, photos, middle, scale, within)
    missing = max(0, TOP - len(similar))  # of few photos the nearest is no better for having no others behind it
    near = level(np.pad(similar, (0, missing), constant_values=min(evidence.mean, float(similar.min()))))
    of_hits = judge_.hits(similar)
    probability = max(float(judge_.answer(near)), float(of_hits.max()))  # an answer is no less probable than that one photo is it
    hits = dict(zip(ranked.photos.tolist(), of_hits.tolist(), strict=True))
    return Sentence(probability, float(judge_.unusual(near)), cuts.verdict(probability), hits, cuts, _staying(query))


def _staying(query: Query) -> tuple[Verdict, ...]:
    """Verdicts of the hits that are shown."""
    if query.strictness > WEAK_GO:
        return ("strong",)
    mixed = query.sort != "relevance" or query.diverse
    return ("strong", "weak") if mixed or query.strictness > NONE_GO else ("strong", "weak", "none")


def _kind(query: Query) -> Kind:
    """How similarities of this query are to be read."""
    if len(query.terms) > 1 or query.terms[0].weight < 0:
        return "other"
    return "words" if query.terms[0].kind == "text" else "picture"
