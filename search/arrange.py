"""The hits that are relevant, in another order, or with fewer that look alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from preprocess import QueryError, choose

from .marks_cache import marks_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .derived import Derived
    from .encode import Vectors
    from .evidence import Ranked
    from .hit import Hit
    from .judging import Sentence
    from .query import Query

Sort = Literal["relevance", "date", "similarity", "quality"]
SORTS: tuple[Sort, ...] = ("relevance", "date", "similarity", "quality")
POOL = 200
"""Photos at least that are looked at before a choice among them cuts to -k."""
MOST_SORTED = 20_000
"""Photos at most that another order than by relevance is made of, the most relevant ones; 20,000 of 100,000 take 0.6 s of processor time, and 4 s where each has ten regions.
Up to some 250,000 photos fewer than that are relevant (the widest generic query takes 8%), unless --strictness 0 makes all of them so."""
NEARLY_EQUAL = 0.95
"""Cosine from which two photos count as one in results. With the built-in encoder no two of 250 photos of COCO, 150 of Flickr8k and 1,000 of ImageNet come nearer than
0.923; a blurred, sharpened or smaller copy of a photo lies at 0.97 to 0.999, one with another contrast at 0.957, one that is mirrored or turned mostly below."""
_PART = 512
BALANCE = 0.6
"""What relevance weighs against being unlike the hits before, in maximal marginal relevance."""


def relevant(judged: Callable[[int], tuple[Ranked, Sentence]], query: Query) -> tuple[Ranked, Sentence, int]:
    """What was ranked, what it comes to, and how many of it count: all that are relevant where another order is asked for, up to `MOST_SORTED`."""
    wide = _wide(query)
    ranked, sentence = judged(wide)
    while query.sort != "relevance" and wide < MOST_SORTED and more(ranked, sentence, wide):
        wide = min(4 * wide, MOST_SORTED)
        ranked, sentence = judged(wide)
    return ranked, sentence, wide


def more(ranked: Ranked, sentence: Sentence, wide: int) -> bool:
    """Whether photos behind the ones that count may be relevant too."""
    return sentence.verdict != "none" and len(ranked.photos) >= wide and sentence.stays(int(ranked.photos[wide - 1]))


def _wide(query: Query) -> int:
    """How many hits are looked at: more than are asked for, where some are chosen or put in another order."""
    return max(POOL, 5 * query.k) if query.rearranged else query.k


def chosen(derived: Derived, hits: Sequence[Hit], query: Query) -> list[Hit]:
    """At most `k` of the relevant hits: collapsed, then diverse or sorted, with their scores and tags."""
    hits = marked(derived, hits)
    if not query.rearranged:
        return hits[: query.k]
    if (query.collapse or query.diverse) and hits:
        vectors = _vectors(derived, hits)
        hits = collapse(hits, vectors) if query.collapse else hits
        hits = diverse(hits, vectors, query.k) if query.diverse else hits
    return arranged(hits, choose(dict(zip(SORTS, SORTS, strict=True)), query.sort, "order"))[: query.k]


def _vectors(derived: Derived, hits: Sequence[Hit]) -> dict[str, Vectors]:
    """The unit rows of the photos as they are, by digest."""
    found = {}
    for hit in hits:
        row = derived.database.execute("SELECT vector FROM images WHERE digest = ? LIMIT 1", (hit.digest,)).fetchone()
        found[hit.digest] = int(row[0])
    rows = derived.nearest.rows(np.array(list(found.values()), np.int64))
    return dict(zip(found, rows, strict=True))


def marked(derived: Derived, hits: Sequence[Hit]) -> list[Hit]:
    """The same with `quality`, `rating` and `tags` among their columns, where photos have them."""
    if not hits or not any(name == "marks" for _, name, _ in derived.database.execute("PRAGMA database_list")):
        return list(hits)
    marks = marks_of(derived.database, [hit.digest for hit in hits])
    out = []
    for hit in hits:
        own = marks.get(hit.digest)
        if own is None:
            out.append(hit)
            continue
        more: dict[str, Any] = {name: round(own.scores[name], 4) for name in ("quality", "rating") if name in own.scores}
        if own.tags:
            more["tags"] = [tag for tag, _ in own.tags]
        out.append(replace(hit, columns={**hit.columns, **more}))
    return out


def collapse(hits: Sequence[Hit], vectors: Mapping[str, Vectors]) -> list[Hit]:
    """Hits of which no two have nearly equal vectors: each later one is listed in `also` of the first that it is like. `vectors` are unit rows by digest."""
    if not hits:
        return []
    rows = np.array([vectors[hit.digest] for hit in hits])
    leaders: list[int] = []
    also: dict[int, list[str]] = {}
    for start in range(0, len(rows), _PART):  # in parts, so that thousands are compared by products of matrices
        part = rows[start : start + _PART]
        earlier = part @ rows[leaders].T if leaders else np.zeros((len(part), 0))
        inner, fresh = part @ part.T, list[int]()
        for at in range(len(part)):
            near = np.concatenate([earlier[at], inner[at, fresh]])
            if len(near) and near.max() >= NEARLY_EQUAL:
                also[leaders[int(near.argmax())]].append(hits[start + at].file)
                continue
            leaders.append(start + at)
            fresh.append(at)
            also[start + at] = []
    return [replace(hits[at], also=tuple(also[at])) for at in leaders]


def diverse(hits: Sequence[Hit], vectors: Mapping[str, Vectors], k: int) -> list[Hit]:
    """`k` hits that are relevant and unlike each other, in the order of choice: maximal marginal relevance.

    The next hit is the one with the largest `BALANCE · relevance - (1 - BALANCE) · likeness` (Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking", SIGIR 1998,
    equation 1). Relevance is the place between the least and the most similar hit, since similarities of words and of photos have different scales; likeness is the
    cosine with the most alike of the hits that were chosen.
    """
    if not hits:
        return []
    rows = np.array([vectors[hit.digest] for hit in hits])
    relevance = relevances(hits)
    chosen: list[int] = []
    likeness = np.zeros(len(hits))
    left = np.ones(len(hits), bool)
    while len(chosen) < min(k, len(hits)):
        gain = np.where(left, BALANCE * relevance - (1 - BALANCE) * likeness, -np.inf)
        at = int(gain.argmax())
        chosen.append(at)
        left[at] = False
        likeness = np.maximum(likeness, rows @ rows[at]) if len(chosen) > 1 else rows @ rows[at]
    return [hits[at] for at in chosen]


def relevances(hits: Sequence[Hit]) -> NDArray[np.float64]:
    """Of each hit, in [0, 1], by the standard score that it is ranked by."""
    scores = np.array([hit.region.z if hit.matched == "region" and hit.region is not None else hit.z for hit in hits])
    extent = float(scores.max() - scores.min())
    return (scores - scores.min()) / extent if extent > 0 else np.ones(len(hits))


def arranged(hits: Sequence[Hit], sort: Sort) -> list[Hit]:
    """Hits in another order: newest first, most similar first, or best first; those without a date or score last, as they came.

    Raises:
        QueryError: no hit has a score of its quality.
    """
    if sort == "relevance":
        return list(hits)
    if sort == "similarity":
        return sorted(hits, key=lambda hit: -hit.similarity)
    column = "taken_at"
    if sort == "quality":
        column = "rating" if any(hit.columns.get("rating") is not None for hit in hits) else "quality"
        if hits and all(hit.columns.get(column) is None for hit in hits):
            raise QueryError("No hit has a score of its quality. Score the photos: pellucid score")
    dated: list[tuple[Any, Hit]] = [(value, hit) for hit in hits if (value := hit.columns.get(column)) is not None]
    rest = [hit for hit in hits if hit.columns.get(column) is None]
    return [hit for _, hit in sorted(dated, key=lambda pair: pair[0], reverse=True)] + rest
