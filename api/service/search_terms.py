"""What a request asks for as a query: its words, its pictures as pixels, and photos of the library as their stored vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import QueryError
from search import Query, Term

from .photo_rows import number_of
from .uploads import decode_upload, picture_from_url, shown_name

if TYPE_CHECKING:
    from search import Derived

    from .schemas_search import SearchAsked, TermAsked
    from .state import Service


@dataclass(frozen=True, slots=True)
class Sent:
    """A picture that came with a request."""

    name: str
    data: bytes


@dataclass(slots=True)
class AskedTerms:
    """Terms in order, what those that are no words are, by position, and how people would say each."""

    terms: list[Term] = field(default_factory=list)
    given: dict[int, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def add(self, term: TermAsked, name: str, value: Any = None) -> None:
        """One more: words, or a picture with its pixels or its row."""
        sign = {1.0: "", -1.0: "-"}.get(term.weight, f"{term.weight:g}:")
        if value is not None:
            self.given[len(self.terms)] = value
        self.terms.append(Term(name, term.weight, "text" if value is None else "given"))
        self.said.append(sign + name)


def check_uploads(asked: SearchAsked, sent: Mapping[str, Sent]) -> None:
    """That each picture that came is named by a term, and the other way round.

    Raises:
        QueryError: one is not.
    """
    named = {term.upload for term in asked.terms if term.upload is not None}
    for name in sorted(named - sent.keys()):
        raise QueryError(
            f"A term names the upload {name!r}, and the request has no part of that name. Send the picture as a part called so."
        )
    for name in sorted(sent.keys() - named):
        raise QueryError(f'The request has a part {name!r} that no term names. Add a term: {{"upload": "{name}"}}')


def pictures_of(service: Service, asked: SearchAsked, sent: Mapping[str, Sent], side: int) -> dict[int, Any]:
    """Pixels of the terms that are uploads or addresses, by position, for an encoder that needs `side` pixels.

    Raises:
        ImageError, FetchError: one gives no picture.
    """
    pictures: dict[int, Any] = {}
    for at, term in enumerate(asked.terms):
        if term.upload is not None:
            picture = sent[term.upload]
            pictures[at] = decode_upload(service, picture.data, picture.name, side)
        elif term.url is not None:
            pictures[at] = decode_upload(service, picture_from_url(service, term.url), "The picture at that address", side)
    return pictures


def terms_of(asked: SearchAsked, sent: Mapping[str, Sent], pictures: Mapping[int, Any], derived: Derived) -> AskedTerms:
    """The terms of a query; photos of the library by the vectors of the open cache.

    Raises:
        QueryError: a term has no words, or names a photo that is not in the library.
    """
    found = AskedTerms()
    for at, term in enumerate(asked.terms):
        if term.text is not None:
            words = term.text.strip()
            if not words:
                raise QueryError("A term has no words. Give some, or leave the term away.")
            found.add(term, words)
        elif term.image is not None:
            number = number_of(derived.database, term.image)
            if number is None:
                raise QueryError(f"The library has no photo with the digest {term.image}, or no vector of it yet.")
            found.add(term, "this photo", derived.nearest.rows(np.array([number]))[0])
        else:
            found.add(term, shown_name(sent[term.upload].name) if term.upload is not None else "the picture at that address", pictures[at])
    return found


def query_of(asked: SearchAsked, terms: AskedTerms, k: int) -> Query:
    """The query, for so many hits."""
    return Query(
        tuple(terms.terms), k, asked.where, asked.within, tuple(asked.without), asked.strictness, asked.sort, asked.diverse, asked.collapse
    )
