"""Whether a search has found what was asked for: strong, weak or none, with a calibrated probability.

    level       half the similarity of the nearest photo and half the mean of the nearest five
    unusual     (level - m) / d; m and d are mean and deviation of the levels of generic queries in so many photos
    P(answer)   1 / (1 + exp(-(a · unusual + b)))
    P(hit)      the same of the photo's own similarity, with m and d of at most `HIT_PHOTOS` photos

`m` and `d` are what the bank was measured to find in this library, drawn towards neutral values of the encoder's family, which count like so many photos. For a query
that is one picture, they are of photos of the library as queries; and for sums of terms, whose similarities have a scale of their own, all is in robust standard scores.
a and b were fitted by training/verdict_fit.py on photos and words that encoders are trained with, never on those that they are measured on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from preprocess import QueryError

if TYPE_CHECKING:
    from .encode import Encoder, Vectors
    from .null_model import NullModel
    from .query import Within

Verdict: TypeAlias = Literal["strong", "weak", "none"]
VERDICTS: tuple[Verdict, ...] = ("strong", "weak", "none")
STRICTNESS = 50
WEAK = 0.2
"""From which probability on a query is weak at the default strictness. At 0.25, 10% of COCO's and 17% of Flickr8k's captions whose photo is among the first ten are told that nothing matches; at
0.2, 6% and 9%: a wrong "nothing" is worse than a photo that is marked weak."""
NONE_GO, WEAK_GO = 50, 80
"""Above which strictness hits go that are none, and that are weak. At the default all hits of a query that has an answer stay, each with its verdict: of the captioned photos that the
built-in encoder has among its ten nearest, leaving out those that are none would lose 78% on COCO and 97% on Flickr8k."""


@dataclass(frozen=True, slots=True)
class Family:
    """Neutral values of encoders that were trained alike: the bank's mean level is `base + growth · ln(photos)`, its deviation `deviation`; they count like
    `weight` photos of the library. `measured` says whether they were measured, or are a prior from ranges of similarity that were published."""

    base: float
    growth: float
    deviation: float
    weight: float
    measured: bool = False


FAMILIES: dict[str, Family] = {
    "builtin": Family(0.179, 0.0303, 0.0466, 10_000, measured=True),
    "openai": Family(0.210, 0.0075, 0.0115, 100),
    "laion": Family(0.170, 0.0120, 0.0180, 100),
    "dfn": Family(0.170, 0.0120, 0.0180, 100),
    "siglip": Family(0.030, 0.0090, 0.0150, 100),
    "unknown": Family(0.0, 0.0300, 0.0500, 0),
}
"""By name. The built-in encoder's were measured by training/verdict_fit.py on 30 to 17,976 photos, and lie within 0.012 of those of four other sets, but for
photos of 64 pixels (0.06 lower). The others are priors only, that a hundred photos outweigh: matched pairs of pictures and words lie about 0.25 to 0.35 with
OpenAI's CLIP and unmatched ones about 0.15 to 0.2, LAION kept pairs from 0.28 on, and SigLIP's sigmoid passes one half near 0.11."""
PICTURE = Family(0.0, 0.0, 0.05, 0)
"""Of pictures: there is nothing neutral, since what counts is how alike the library's photos are."""
SCORE = Family(1.30, 0.307, 0.86, 2000, measured=True)
"""The same of robust standard scores, which have no unit; they serve all families."""


@dataclass(frozen=True, slots=True)
class Curve:
    """`1 / (1 + exp(-(slope · unusual + offset)))`."""

    slope: float
    offset: float

    def probability(self, unusual: Vectors) -> Vectors:
        """In (0, 1), of each value."""
        import numpy as np

        exponents = np.clip(self.slope * np.asarray(unusual, np.float64) + self.offset, -12, 12)
        return np.asarray(1 / (1 + np.exp(-exponents)), np.float32)


HIT_PHOTOS = 250
"""Among how many photos single ones are judged where there are more: what a photo shows does not depend on how many others there are. Fewer are judged among themselves, since among a handful less
similarity is enough: as if there were 250 they would be ranked no better (area under the ROC curve 0.87 to 0.93 both ways), and most that are right among tens of photos would be called none."""
Kind: TypeAlias = Literal["words", "picture", "other"]
CURVES: dict[Kind, tuple[Curve, Curve]] = {
    "words": (Curve(0.842, -0.602), Curve(1.301, -3.793)),
    "picture": (Curve(0.539, 0.195), Curve(0.896, -1.381)),
    "other": (Curve(0.490, -0.379), Curve(0.780, -1.986)),
}
"""Of the answer and of one hit; printed by training/verdict_fit.py."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How near something is, by how many deviations it lies above this query's mean over the library, how probable it is that it answers, and the verdict."""

    similarity: float
    z: float
    probability: float
    verdict: Verdict

    def as_dict(self) -> dict[str, float | str]:
        """For JSON."""
        return {
            "verdict": self.verdict,
            "probability": round(self.probability, 4),
            "similarity": round(self.similarity, 6),
            "z": round(self.z, 3),
        }


@dataclass(frozen=True, slots=True)
class Cuts:
    """From which probability on something is weak, and from which it is strong."""

    weak: float
    strong: float

    @classmethod
    def at(cls, strictness: int) -> Cuts:
        """Those of a strictness from 0, where every query is at least weak, to 100.

        >>> Cuts.at(0), Cuts.at(50), Cuts.at(100)
        (Cuts(weak=0.0, strong=0.35), Cuts(weak=0.2, strong=0.55), Cuts(weak=0.5, strong=0.75))

        Raises:
            QueryError: there is no such strictness.
        """
        if not 0 <= strictness <= 100:
            raise QueryError(f"--strictness is {strictness}; it goes from 0, which keeps everything, to 100. The default is {STRICTNESS}.")
        weak = 0.004 * strictness if strictness <= STRICTNESS else WEAK + 0.006 * (strictness - STRICTNESS)
        return cls(round(weak, 4), round(0.35 + 0.4 * strictness / 100, 4))

    def of_hits(self) -> Cuts:
        """Those of single photos, which are less probable than that there is an answer at all. Of 250 to 13,000 photos of classes, those that are weak or strong at the default
        strictness hold 60% to 73% of what is right, and 20% to 40% of them are right; those that are strong 33% to 45%, and 36% to 75%.

        >>> Cuts.at(50).of_hits()
        Cuts(weak=0.15, strong=0.4125)
        """
        return Cuts(round(0.75 * self.weak, 4), round(0.75 * self.strong, 4))

    def verdict(self, probability: float) -> Verdict:
        """What a probability comes to."""
        return "strong" if probability >= self.strong else "weak" if probability >= self.weak else "none"


@dataclass(frozen=True, slots=True)
class Judge:
    """Turns similarities of one query into probabilities. `photos` is how many were looked at, `middle` and `scale` the median of this query's similarities
    over them and the robust deviation, which only queries of the kind "other" need; `within` says what was searched."""

    null: NullModel
    family: str
    kind: Kind
    photos: int
    middle: float
    scale: float
    within: Within = "images"

    def unusual(self, similarities: Vectors) -> Vectors:
        """By how many of the bank's deviations similarities lie above what the bank's queries find in so many photos."""
        return self._unusual(similarities, self.null, self.photos)

    def unusual_alone(self, similarities: Vectors) -> Vectors:
        """The same of single photos: above what the bank's queries find in `HIT_PHOTOS` photos, or in all of fewer."""
        return self._unusual(similarities, self.null.part or self.null, min(self.photos, HIT_PHOTOS))

    def answer(self, level: Vectors) -> Vectors:
        """How probable it is that there is an answer, from the level of the nearest photos."""
        return CURVES[self.kind][0].probability(self.unusual(level))

    def hits(self, similarities: Vectors) -> Vectors:
        """How probable it is that photos answer, of each one's similarity."""
        return CURVES[self.kind][1].probability(self.unusual_alone(similarities))

    def _unusual(self, similarities: Vectors, found: NullModel, photos: int) -> Vectors:
        """Over what the bank found in a library or part of it, reckoned for so many photos."""
        if self.kind == "words":
            mean, deviation = self._expected(FAMILIES[self.family], found.top_mean, found.top_deviation, found.count, photos)
            return (similarities - mean) / deviation
        if self.kind == "picture":
            mean, deviation = self._expected(PICTURE, found.picture_mean, found.picture_deviation, found.count, photos)
            return (similarities - mean) / deviation
        mean, deviation = self._expected(SCORE, found.score_mean, found.score_deviation, found.count, photos)
        return ((similarities - self.middle) / self.scale - mean) / deviation

    def _expected(self, neutral: Family, mean: float, deviation: float, count: int, photos: int) -> tuple[float, float]:
        """The bank's mean and deviation among `photos`: as measured in `count` photos of this library, drawn towards the neutral ones."""
        log = math.log(max(photos, 1))
        shift = self.null.shift(self.within, self.kind)
        total = self.null.count + neutral.weight
        if not total:
            return neutral.base + neutral.growth * log + shift.mean, neutral.deviation * shift.ratio
        share = self.null.count / total
        growth = neutral.growth if self.null.count else 0.0
        measured = mean + growth * (log - math.log(max(count, 1)))
        both = share * deviation**2 + (1 - share) * neutral.deviation**2
        expected = share * measured + (1 - share) * (neutral.base + neutral.growth * log)
        return expected + shift.mean, max(math.sqrt(both), 0.2 * neutral.deviation) * shift.ratio


def null_family(encoder: Encoder) -> str:
    """The family in `FAMILIES` whose neutral values fit an encoder best, told by its name, where it came from and its architecture."""
    if encoder.recipe.encoder == "builtin":
        return "builtin"
    model = getattr(encoder, "model", None)
    if model is None:
        return "unknown"
    text = " ".join((encoder.recipe.encoder, str(getattr(model, "source", "")), str(getattr(model, "arch", "")))).lower()
    for family, words in _NAMES.items():
        if any(word in text for word in words):
            return family
    return "unknown"


_NAMES = {"siglip": ("siglip", "webli"), "dfn": ("dfn", "mobileclip"), "laion": ("laion", "datacomp", "commonpool"), "openai": ("openai",)}
