"""What a request asks for as a query: its words, its pictures as pixels, and photos of the library as their stored vectors."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import FetchError, QueryError
from search import Query, Term, check_recipe

from .photo_rows import number_of
from .uploads import FETCH_S, decode_upload, picture_from_url, shown_name

if TYPE_CHECKING:
    from search import Derived, Encoder

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


MOST_PICTURES = 8


def check_pictures(asked: SearchAsked, sent: Mapping[str, Sent]) -> None:
    """That each picture that came is named by a term, and the other way round, and that there are not too many.

    Raises:
        QueryError: one is not, or there are.
    """
    pictures = sum(term.upload is not None or term.url is not None for term in asked.terms)
    if pictures > MOST_PICTURES:
        raise QueryError(f"The query has {pictures} pictures, and at most {MOST_PICTURES} are looked at. Leave some away.")
    named = {term.upload for term in asked.terms if term.upload is not None}
    for name in sorted(named - sent.keys()):
        raise QueryError(
            f"A term names the upload {name!r}, and the request has no part of that name. Send the picture as a part called so."
        )
    for name in sorted(sent.keys() - named):
        raise QueryError(f'The request has a part {name!r} that no term names. Add a term: {{"upload": "{name}"}}')


def fetched_pictures(service: Service, asked: SearchAsked) -> dict[int, Any]:
    """The terms that are addresses, by position, ready for the encoder. It takes `FETCH_S` seconds at most, in which nothing is computed, so call it in `fetchers`.

    Raises:
        ImageError, FetchError: one gives no picture, or all together take too long.
    """
    encoder = encoder_of(service)
    until, pictures = time.monotonic() + FETCH_S, {}
    for at, term in enumerate(asked.terms):
        if term.url is None:
            continue
        left = until - time.monotonic()
        if left <= 0:
            raise FetchError(f"The pictures at the addresses did not come within {FETCH_S:g} seconds. Send the pictures themselves.")
        data = picture_from_url(service, term.url, left)
        pictures[at] = encoder.prepare(decode_upload(service, data, "The picture at that address", encoder.side))
    return pictures


def encoder_of(service: Service) -> Encoder:
    """The encoder of the library's vectors.

    Raises:
        LibraryNotFound: nothing was indexed yet. RecipeMismatch: the library has no vectors by it.
    """
    library = service.library()
    encoder = service.encoder(library)
    check_recipe(library, encoder)
    return encoder


def pictures_of(
    service: Service, asked: SearchAsked, sent: Mapping[str, Sent], fetched: Mapping[int, Any], encoder: Encoder
) -> dict[int, Any]:
    """Unit rows of the terms that are pictures, by position. Each is made ready for the encoder, which takes little room, before the next is decoded.

    Raises:
        ImageError: one gives no picture.
    """
    prepared = dict(fetched)
    for at, term in enumerate(asked.terms):
        if term.upload is not None:
            picture = sent[term.upload]
            prepared[at] = encoder.prepare(decode_upload(service, picture.data, picture.name, encoder.side))
    if not prepared:
        return {}
    return dict(zip(prepared, encoder.encode_images(list(prepared.values())), strict=True))


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
