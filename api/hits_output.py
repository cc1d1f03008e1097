"""What a search answered, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .output import console, plain

if TYPE_CHECKING:
    from search import Answer, Hit, RegionHit

    from .wiring import SearchOptions

SCORES = ("quality", "rating")
"""Scores that stand among the columns of hits."""


def verdict_line(answer: Answer, terms: Sequence[str]) -> str:
    """The verdict on the whole query, with the reason, in one line."""
    asked, percent = " ".join(terms), _percent(answer.probability)
    if answer.verdict == "none":
        how = "no nearer than" if answer.unusual < 0 else "hardly nearer than" if answer.unusual < 1 else "not enough nearer than"
        return f"Nothing here matches {asked!r}: the best photos are {how} what unrelated queries find (probability {percent})."
    if answer.verdict == "weak":
        return f"Weak: there may be an answer to {asked!r} here (probability {percent}); the first hits are the likeliest."
    return f"Strong: there is an answer to {asked!r} here (probability {percent})."


def subtitle_of(answer: Answer, terms: Sequence[str]) -> str:
    """How many photos, and the verdict."""
    count = len(answer.hits)
    line = verdict_line(answer, terms)
    return (
        line
        if answer.verdict == "none" and answer.nearest_miss
        else f"{count} {'photo' if count == 1 else 'photos'}. {line if count else ''}".rstrip()
    )


def answer_dict(answer: Answer, terms: Sequence[str], options: SearchOptions) -> dict[str, Any]:
    """For JSON: what was asked, the verdict, and the hits; `nearest_miss` where there are none; `notes` on the scores that hits have."""
    return {
        "terms": list(terms),
        "where": options.where,
        "in": answer.within,
        "strictness": options.strictness,
        "sort": options.sort,
        "encoder": answer.encoder,
        "missing": answer.coverage.missing,
        "verdict": answer.verdict,
        "probability": round(answer.probability, 4),
        "why": verdict_line(answer, terms) if answer.hits or answer.nearest_miss else None,
        "hits": [hit.as_dict() for hit in answer.hits],
        "nearest_miss": answer.nearest_miss and answer.nearest_miss.as_dict(),
        "notes": score_notes([*answer.hits, *([answer.nearest_miss] if answer.nearest_miss else [])]),
    }


def score_notes(hits: Iterable[Hit]) -> list[str]:
    """What programs should know of the scores of these hits; nothing where none has any."""
    if not any(hit.columns.get(name) is not None for hit in hits for name in SCORES):
        return []
    from .scoring import NOTE

    return [NOTE]


def print_answer(answer: Answer, terms: Sequence[str]) -> None:
    """The table of hits and the verdict; where nothing matches, that, and apart from it the photo that came nearest."""
    if answer.nearest_miss is not None:
        console().print(plain(verdict_line(answer, terms)))
        hits_table([answer.nearest_miss], "The nearest miss:")
        return
    hits_table(answer.hits)
    console().print(plain(verdict_line(answer, terms)))


def _percent(probability: float) -> str:
    """Whole percents, but never 0% or 100%, which no search can know."""
    return f"{min(max(round(probability * 100), 1), 99)}%"


def hits_table(hits: Sequence[Hit], title: str | None = None) -> None:
    """Verdict, similarity, date and path of each hit, best first; beside the photo's own similarity its best region, in brackets where the photo as a whole matched better."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from search import PLAIN

    table = Table(title=title and Text(plain(title)), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("verdict")
    table.add_column("similarity", justify="right")
    table.add_column("z", justify="right")
    table.add_column("taken")
    several = any(hit.enhancer != PLAIN for hit in hits)  # most searches find no dehazed version
    if several:
        table.add_column("version")
    by_region = any(hit.region is not None for hit in hits)
    if by_region:
        table.add_column("best region")
    table.add_column("photo", overflow="fold")
    for hit in hits:
        taken = str(hit.columns.get("taken_at") or "")[:10]
        version = ["dehazed" if hit.enhancer != PLAIN else ""] if several else []
        words = _region_words(hit.region)
        region = [Text(words if hit.matched == "region" or not words else f"({words})")] if by_region else []
        more = f"  and {len(hit.also)} more that look the same" if hit.also else ""
        verdict = f"{hit.verdict} {_percent(hit.probability)}"
        table.add_row(verdict, f"{hit.similarity:.3f}", f"{hit.z:+.1f}", taken, *version, *region, Text(plain(hit.file) + more))
    console().print(table)


def _region_words(region: RegionHit | None) -> str:
    """Its label, similarity, z and box: `dog 0.312 +2.4 at 120,40 300×220`."""
    if region is None:
        return ""
    x1, y1, x2, y2 = (round(value) for value in region.box_xyxy)
    return f"{plain(region.label)} {region.similarity:.3f} {region.z:+.1f} at {x1},{y1} {x2 - x1}×{y2 - y1}"
