"""What a search answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .encode import PLAIN

if TYPE_CHECKING:
    from .query import Within
    from .recipes import Coverage
    from .verdict import Verdict

Matched: TypeAlias = Literal["image", "region"]


@dataclass(frozen=True, slots=True)
class RegionHit:
    """The region of a photo that is most similar to the query. `box_xyxy` is in pixels of the upright photo; `z` is how many deviations `similarity`
    lies above the best regions of the library's other photos; `number` is the region's own among the photo's."""

    box_xyxy: tuple[float, float, float, float]
    label: str
    similarity: float
    z: float
    confidence: float
    area: float
    number: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"label": self.label, "box_xyxy": [round(value, 1) for value in self.box_xyxy], "similarity": round(self.similarity, 6),
                "z": round(self.z, 3), "confidence": round(self.confidence, 4), "area": round(self.area, 4), "number": self.number}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hit:
    """One photo that answers. `similarity` is a cosine in [-1, 1]; `z` is how many deviations it lies above the library's mean; `probability` is how probable it is
    that the photo shows what was asked for, and `verdict` what that comes to.

    `enhancer` says which version of the photo matched best: "none" for the photo as it is, or what dehazed it. `region` is its most similar region,
    none where it has none or where only photos were searched; `matched` says which of the two the hit is ranked by. `also` names photos that look the same, where
    such were collapsed.
    """

    root: str
    path: str
    digest: str
    similarity: float
    z: float
    columns: dict[str, Any]
    enhancer: str = PLAIN
    region: RegionHit | None = None
    matched: Matched = "image"
    probability: float = 1.0
    verdict: Verdict = "strong"
    also: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The photo's full name."""
        return f"{self.root.rstrip('/')}/{self.path}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: similarity and place first, then the columns that have a value."""
        facts = {k: v for k, v in self.columns.items() if v is not None and k not in ("root", "path", "digest")}
        also = {"also": list(self.also)} if self.also else {}
        return {"similarity": round(self.similarity, 6), "z": round(self.z, 3), "file": self.file, "root": self.root, "path": self.path,
                "digest": self.digest, "verdict": self.verdict, "probability": round(self.probability, 4), "enhancer": self.enhancer,
                "matched": self.matched, "region": self.region and self.region.as_dict()} | also | facts  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits, and how much of the library they were looked for in. `note` says what could not be found and what to do; none where all could. `within` says
    whether images, regions or both were searched.

    `verdict` is of the whole query, and `probability` how probable it is that the library has an answer. Where the verdict is none there are no hits, and
    `nearest_miss` is the photo that came nearest; it is none where no photo could be looked at either. `unusual` says by how many deviations the nearest photos
    are nearer than those that generic queries find.
    """

    hits: list[Hit]
    encoder: str
    coverage: Coverage
    note: str | None = None
    within: Within = "images"
    verdict: Verdict = "none"
    probability: float = 0.0
    nearest_miss: Hit | None = None
    unusual: float = 0.0
