"""One page of what a search answers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search import Answer, answer, check_recipe

from ..hits_output import verdict_line
from ..scoring import NOTE
from .cursor import MOVED, Cursor, short_hash
from .photo_rows import as_json, hit_given
from .search_terms import Sent, pictures_of, query_of, terms_of

if TYPE_CHECKING:
    from .schemas_search import SearchAsked
    from .state import Service

MOST_HITS = 2_000
"""On all pages of a search: nobody looks at more, and they are held in memory from one page to the next."""
MOST_DIVERSE = 200
"""The same where hits are unlike each other: what comes later depends on how many are chosen, so all are chosen at once."""
_FIRST_DEPTH = 250


def search_page(service: Service, asked: SearchAsked, sent: Mapping[str, Sent], fetched: Mapping[int, Any]) -> bytes:
    """The page as JSON; `fetched` has the terms that are addresses. A search of words or of photos of the library opens no file once it is warm.

    Raises:
        QueryError, FilterError: the query is wrong, or the cursor is not of this query.
        RecipeMismatch: the library has no vectors by its encoder.
        ImageError: a picture cannot be read.
    """
    library = service.library()
    encoder = service.encoder(library)
    check_recipe(library, encoder)
    pictures = pictures_of(service, asked, sent, fetched, encoder)
    question = _question(asked, sent)
    with service.opened(library, encoder.recipe.id if library.file.recipes else None) as opened:
        terms = terms_of(asked, sent, pictures, opened.derived)
        state = short_hash(opened.state)
        cursor = Cursor.of(asked.cursor, question, state)

        def hits_to(depth: int) -> Answer:
            return answer(library, query_of(asked, terms, depth), encoder, given=terms.given, derived=opened.derived)

        most = MOST_DIVERSE if asked.diverse else MOST_HITS
        depth = _depth(cursor.at, asked.limit, most, asked.diverse)
        if cursor.at or asked.diverse:
            found: Answer = service.answers.get((opened.state, question, depth), lambda: hits_to(depth))
        else:
            found = hits_to(depth)
    return as_json(_given(asked, terms.said, found, cursor, cursor.state != state, most))


def _depth(at: int, limit: int, most: int, diverse: bool) -> int:
    """How many hits are looked for: one more than the first page shows; for later ones in steps that double, so that paging on costs no more than a few searches."""
    if diverse:
        return most
    if at == 0:
        return min(limit + 1, most)
    depth = _FIRST_DEPTH
    while depth < min(at + limit + 1, most):
        depth *= 2
    return min(depth, most)


def _question(asked: SearchAsked, sent: Mapping[str, Sent]) -> str:
    """A hash of what is asked, whatever page of it."""
    pictures = {name: hashlib.sha256(picture.data).hexdigest() for name, picture in sent.items()}
    return short_hash([asked.model_dump(exclude={"cursor", "limit"}), pictures])


def _given(asked: SearchAsked, said: list[str], found: Answer, cursor: Cursor, moved: bool, most: int) -> dict[str, Any]:
    """The fields of `SearchGiven`."""
    hits = found.hits[cursor.at : cursor.at + asked.limit]
    ends = cursor.at + len(hits)
    more = ends < len(found.hits)
    notes = [found.note] if found.note else []
    if moved:
        notes.append(MOVED)
    if ends >= most and hits:
        notes.append(f"A search gives its first {most:,} hits. Narrow it with `where`, or raise the strictness.")
    miss = found.nearest_miss if cursor.at == 0 else None
    shown = [*hits, *([miss] if miss is not None else [])]
    scored = any(name in hit.columns for hit in shown for name in ("quality", "rating"))
    return {
        "total": len(found.hits), "next": cursor.after(len(hits)).token() if more else None, "verdict": found.verdict,
        "probability": round(found.probability, 4), "why": verdict_line(found, said) if found.hits or found.nearest_miss else None,
        "encoder": found.encoder, "in": found.within, "missing": found.coverage.missing, "note": " ".join(notes) or None, "score_note": NOTE if scored else None,
        "hits": [hit_given(hit) for hit in hits], "nearest_miss": miss and hit_given(miss),
    }  # fmt: skip
