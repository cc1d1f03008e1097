"""What is asked: weighted terms of words and pictures, a condition, and how many hits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from preprocess import QueryError, choose

if TYPE_CHECKING:
    from preprocess import RgbImage

    from .derived import Spread
    from .encode import Encoder, Vectors

TYPICAL_DEVIATION = {"text": 0.10, "image": 0.15}
"""Deviation of a text's and of a picture's similarities over a library, measured with the built-in encoder on 1,000 ImageNet photos."""

Within = Literal["images", "regions", "both"]
WITHIN: tuple[Within, ...] = ("images", "regions", "both")

_WEIGHTED = re.compile(r"^([+-]?\d+(?:\.\d+)?|[+-]?\.\d+):(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Term:
    """One weighted part of a query: words, where a picture is, or one that is `given` beside the query."""

    text: str
    weight: float = 1.0
    kind: str = "text"  # text, file, url or given

    @classmethod
    def parse(cls, argument: str) -> Term:
        """A term as it is typed: `words`, `./picture.jpg`, `/picture.jpg`, `https://...`, each with `2:` to weigh or `-` to subtract.

        >>> Term.parse("2:red car"), Term.parse("-people")
        (Term(text='red car', weight=2.0, kind='text'), Term(text='people', weight=-1.0, kind='text'))

        Raises:
            QueryError: nothing is left after the weight, or the weight is zero.
        """
        text, weight = argument.strip(), 1.0
        weighted = _WEIGHTED.match(text)
        if weighted:
            weight, text = float(weighted.group(1)), weighted.group(2).strip()
        elif text.startswith("-"):
            weight, text = -1.0, text[1:].strip()
        if not text:
            raise QueryError(f"The term {argument!r} has no words. Example: pellucid search 'a dog on a beach'")
        if weight == 0 or not math.isfinite(weight):
            raise QueryError(f"The term {argument!r} has the weight {weight:g}; give one that counts, such as 2:{text}")
        if re.match(r"^https?://", text, re.IGNORECASE):
            return cls(text, weight, "url")
        if text.startswith(("./", "../", "/", "~/", ".\\", "..\\")) or re.match(r"^[A-Za-z]:[\\/]", text):
            return cls(text, weight, "file")
        _check_text(text, argument)
        return cls(text, weight)


@dataclass(frozen=True, slots=True)
class Query:
    """Terms, a condition on columns, how many hits are wanted, and whether `images`, `regions` or `both` are searched; none leaves it to the library.

    Photos with evidence of a thing in `without` are left out. `strictness` goes from 0, where every hit stays, to 100. `sort` is one of SORTS and orders the relevant hits;
    `diverse` chooses such as are unlike each other, `collapse` counts those that look the same as one.
    """

    terms: tuple[Term, ...]
    k: int = 10
    where: str | None = None
    within: str | None = None  # one of WITHIN
    without: tuple[str, ...] = ()
    strictness: int = 0
    sort: str = "relevance"
    diverse: bool = False
    collapse: bool = False

    def __post_init__(self) -> None:
        if not self.terms:
            more = " without: only leaves photos out." if self.without else ""
            raise QueryError(f"A search needs at least one term.{more} Example: pellucid search 'a dog on a beach'")
        if self.diverse and self.sort != "relevance":
            raise QueryError(f"--diverse chooses an order of its own; leave away --sort {self.sort}, or --diverse.")
        if self.k < 1:
            raise QueryError(f"-k is {self.k}; ask for at least one hit.")
        if self.within is not None:
            choose(dict.fromkeys(WITHIN), self.within, "thing to search in")

    @property
    def rearranged(self) -> bool:
        """Whether the hits are others than the first ones by relevance, or stand in another order."""
        return self.diverse or self.collapse or self.sort != "relevance"


def parse_terms(arguments: Sequence[str]) -> tuple[tuple[Term, ...], tuple[str, ...]]:
    """The terms, and what to leave out, from arguments as they are typed.

    >>> parse_terms(["a beach", "without:people"])
    ((Term(text='a beach', weight=1.0, kind='text'),), ('people',))

    Raises:
        QueryError: an argument says nothing.
    """
    without = tuple(words.strip() for argument in arguments if (words := _without(argument)) is not None)
    if not all(without):
        raise QueryError("without: says nothing. Example: pellucid search 'a beach' without:people")
    for words in without:
        _check_text(words, words)
    return tuple(Term.parse(argument) for argument in arguments if _without(argument) is None), without


def _check_text(words: str, argument: str) -> None:
    if not words.isascii() and any("\ud800" <= c <= "\udfff" for c in words):
        raise QueryError(f"The term {argument!r} is not UTF-8 text. Type it in a terminal that is set to UTF-8.")


def _without(argument: str) -> str | None:
    found = re.match(r"^\s*without:(.*)$", argument, re.IGNORECASE | re.DOTALL)
    return found.group(1) if found else None


def combine(vectors: Vectors, weights: Sequence[float], kinds: Sequence[str], spread: Spread) -> Vectors:
    """One query row, Float32["dim"], from the terms' unit rows, Float32["term dim"].

    Texts and pictures lie apart in the space and their similarities differ in scale, so raw sums would let the pictures decide. Each term is
    divided by the deviation of its similarities over the library: then the ranking is by the weighted sum of standard scores.

    Raises:
        QueryError: the terms cancel out.
    """
    import numpy as np

    if len(vectors) == 1 and weights[0] > 0:
        total = vectors[0]
    else:
        deviations = [spread.deviation(row, TYPICAL_DEVIATION[kind]) for row, kind in zip(vectors, kinds, strict=True)]
        scales = np.array(weights, np.float32) / np.array(deviations, np.float32)
        total = scales @ vectors / np.abs(scales).sum()
    length = float(np.linalg.norm(total))
    if length < 1e-4:
        raise QueryError("The terms say nothing, or cancel each other out. Add a term, or change a weight.")
    return np.asarray(total / length, dtype=np.float32)


def encode_terms(terms: Sequence[Term], pictures: Mapping[int, RgbImage | Vectors], encoder: Encoder) -> Vectors:
    """Unit rows of the terms in order, Float32["term dim"]; `pictures` holds those that are pictures, by position: their pixels, or a unit row by this encoder.

    Raises:
        QueryError: a row is of another encoder.
    """
    import numpy as np

    rows = np.zeros((len(terms), encoder.recipe.dim), np.float32)
    pixels = {at: np.asarray(picture, np.uint8) for at, picture in pictures.items() if picture.ndim == 3}
    for at, row in pictures.items():
        if at not in pixels:
            if row.shape != rows.shape[1:]:
                raise QueryError(
                    f"The vector of {terms[at].text!r} has the shape {row.shape}; this encoder's have {encoder.recipe.dim} numbers."
                )
            rows[at] = row
    texts = [at for at in range(len(terms)) if at not in pictures]
    if texts:
        rows[texts] = encoder.encode_texts([terms[at].text for at in texts])
    if pixels:
        rows[list(pixels)] = encoder.encode_images([encoder.prepare(picture) for picture in pixels.values()])
    return rows
