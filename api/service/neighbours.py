"""The photos that are most similar to one of the library, by their stored vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from search import Query, Term, answer

from .photo_rows import hit_given

if TYPE_CHECKING:
    from search import Derived, Encoder, Library

NEIGHBOURS = 12


def neighbours_of(derived: Derived, library: Library, encoder: Encoder, number: int) -> list[dict[str, Any]]:
    """At most twelve, the most similar first, without the photo itself and its copies; `number` is that of its vector.

    Nothing where the cache is not of this encoder, whose rows mean something else.
    """
    row = derived.nearest.rows(np.array([number]))[0]
    if row.shape != (encoder.recipe.dim,):
        return []
    term = Term("this photo", kind="given")
    copies = derived.database.execute("SELECT count(*) FROM images WHERE vector = ?", (number,)).fetchone()[0]
    (own,) = derived.database.execute("SELECT digest FROM images WHERE vector = ? LIMIT 1", (number,)).fetchone()
    query = Query((term,), NEIGHBOURS + copies, within="images")
    hits = answer(library, query, encoder, given={0: row}, derived=derived).hits
    return [hit_given(hit) for hit in hits if hit.digest != own][:NEIGHBOURS]
