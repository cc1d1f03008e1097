"""Whether a search has found what was asked for: strong, weak or none, with a calibrated probability.

    level       half the similarity of the nearest photo and half the mean of the nearest five
    unusual     (level - m) / d; m and d are mean and deviation of the levels of generic queries in so many photos
    P(answer)   1 / (1 + exp(-(a · unusual + b)))
    P(hit)      the same of the photo's own similarity

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

Verdict: TypeAlias = Literal["strong", "weak", "none"]
VERDICTS: tuple[Verdict, ...] = ("strong", "weak", "none")
STRICTNESS = 50
NONE_GO, WEAK_GO = 50, 80
"""Above which strictness hits go that are none, and that are weak. At the default all hits of a query that has an answer stay, each with its verdict: of the captioned photos that the
built-in encoder has among its ten nearest, leaving out those that are none would lose two thirds."""


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


Kind: TypeAlias = Literal["words", "picture", "other"]
CURVES: dict[Kind, tuple[Curve, Curve]] = {
    "words": (Curve(0.842, -0.602), Curve(1.270, -3.199)),
    "picture": (Curve(0.539, 0.195), Curve(0.812, -1.220)),
    "other": (Curve(0.490, -0.379), Curve(0.765, -1.800)),
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
        (Cuts(weak=0.0, strong=0.35), Cuts(weak=0.25, strong=0.55), Cuts(weak=0.5, strong=0.75))

        Raises:
            QueryError: there is no such strictness.
        """
        if not 0 <= strictness <= 100:
            raise QueryError(f"--strictness is {strictness}; it goes from 0, which keeps everything, to 100. The default is {STRICTNESS}.")
        return cls(round(0.5 * strictness / 100, 4), round(0.35 + 0.4 * strictness / 100, 4))

    def of_hits(self) -> Cuts:
        """Those of single photos. Of the ten photos nearest to a query that has an answer about a third are right, so that one which is probable to a third is a good one.

        >>> Cuts.at(50).of_hits()
        Cuts(weak=0.1, strong=0.4125)
        """
        return Cuts(round(0.4 * self.weak, 4), round(0.75 * self.strong, 4))

    def verdict(self, probability: float) -> Verdict:
        """What a probability comes to."""
        return "strong" if probability >= self.strong else "weak" if probability >= self.weak else "none"


@dataclass(frozen=True, slots=True)
class Judge:
    """Turns similarities of one query into probabilities. `photos` is how many were looked at, `middle` and `scale` the median of this query's similarities
    over them and the robust deviation, which only queries of the kind "other" need."""

    null: NullModel
    family: str
    kind: Kind
    photos: int
    middle: float
    scale: float

    def unusual(self, similarities: Vectors) -> Vectors:
        """By how many of the bank's deviations similarities lie above what the bank's queries find in so many photos."""
        if self.kind == "words":
            mean, deviation = self._expected(FAMILIES[self.family], self.null.top_mean, self.null.top_deviation)
            return (similarities - mean) / deviation
        if self.kind == "picture":
            mean, deviation = self._expected(PICTURE, self.null.picture_mean, self.null.picture_deviation)
            return (similarities - mean) / deviation
        mean, deviation = self._expected(SCORE, self.null.score_mean, self.null.score_deviation)
        return ((similarities - self.middle) / self.scale - mean) / deviation

    def answer(self, level: Vectors) -> Vectors:
        """How probable it is that there is an answer, from the level of the nearest photos."""
        return CURVES[self.kind][0].probability(self.unusual(level))

    def hits(self, similarities: Vectors) -> Vectors:
        """How probable it is that photos answer, of each one's similarity."""
        return CURVES[self.kind][1].probability(self.unusual(similarities))

    def _expected(self, neutral: Family, mean: float, deviation: float) -> tuple[float, float]:
        """The bank's mean and deviation among `photos`: as measured in this library, drawn towards the neutral ones."""
        log = math.log(max(self.photos, 1))
        total = self.null.count + neutral.weight
        if not total:
            return neutral.base + neutral.growth * log, neutral.deviation
        share = self.null.count / total
        growth = neutral.growth if self.null.count else 0.0
        measured = mean + growth * (log - math.log(max(self.null.count, 1)))
        both = share * deviation**2 + (1 - share) * neutral.deviation**2
        return share * measured + (1 - share) * (neutral.base + neutral.growth * log), max(math.sqrt(both), 0.2 * neutral.deviation)


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
