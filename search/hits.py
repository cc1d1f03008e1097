"""Hits for a query, from the derived cache alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from preprocess import QueryError, RecipeMismatch

from .derived import Derived, open_derived
from .encode import PLAIN
from .filter import matching_vectors
from .query import TYPICAL_DEVIATION, Query, Term, combine, encode_terms
from .recipes import index_command, recipes_of
from .schema import IMAGE_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from preprocess import Limits, RgbImage

    from .encode import Encoder, Vectors
    from .library import Library
    from .recipes import Coverage

_COLUMNS = ", ".join(f'"{column.name}"' for column in IMAGE_COLUMNS)


@dataclass(frozen=True, slots=True)
class Hit:
    """One photo that answers. `similarity` is a cosine in [-1, 1]; `z` is how many deviations it lies above the library's mean.

    `enhancer` says which version of the photo matched best: "none" for the photo as it is, or what dehazed it.
    """

    root: str
    path: str
    digest: str
    similarity: float
    z: float
    columns: dict[str, Any]
    enhancer: str = PLAIN

    @property
    def file(self) -> str:
        """The photo's full name."""
        return f"{self.root.rstrip('/')}/{self.path}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: similarity and place first, then the columns that have a value."""
        facts = {k: v for k, v in self.columns.items() if v is not None and k not in ("root", "path", "digest")}
        return {"similarity": round(self.similarity, 6), "z": round(self.z, 3), "file": self.file, "root": self.root, "path": self.path,
                "digest": self.digest, "enhancer": self.enhancer} | facts  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits, and how much of the library they were looked for in. `note` says what could not be found and what to do; none where all could."""

    hits: list[Hit]
    encoder: str
    coverage: Coverage
    note: str | None = None


def search(library: Library, query: Query, encoder: Encoder, *, limits: Limits | None = None, allow_private: bool = False) -> list[Hit]:
    """At most `query.k` hits, by falling similarity, equal ones by path; `answer` also says how complete the library's vectors are.

    Raises:
        RecipeMismatch: the library has no vectors by this encoder.
        QueryError, FilterError: the query is wrong.
        ImageError, FetchError: a picture term cannot be read.
    """
    return answer(library, query, encoder, limits=limits, allow_private=allow_private).hits


def answer(library: Library, query: Query, encoder: Encoder, *, limits: Limits | None = None, allow_private: bool = False) -> Answer:
    """The hits among the vectors that the library has by this encoder, whether or not it is the one that searches use by default.

    Raises:
        RecipeMismatch: the library has no vectors by this encoder.
        QueryError, FilterError: the query is wrong.
        ImageError, FetchError: a picture term cannot be read.
    """
    check_recipe(library, encoder)
    pictures = {at: read_term(term, limits, allow_private, encoder.side) for at, term in enumerate(query.terms) if term.kind != "text"}
    derived = open_derived(library, encoder.recipe.id if library.file.recipes else None)
    try:
        coverage = derived.coverage
        if coverage.photos and not derived.spread.count:
            raise _mismatch(library, encoder, coverage.photos)
        among = matching_vectors(derived.database, query.where) if query.where is not None else None
        rows = encode_terms(query.terms, pictures, encoder)
        kinds = ["image" if at in pictures else "text" for at in range(len(query.terms))]
        vector = combine(rows, [term.weight for term in query.terms], kinds, derived.spread)
        hits = nearest_hits(derived, vector, query, among, typical_kind="image" if pictures else "text")
    finally:
        derived.close()
    note = None
    if not coverage.complete:
        note = (
            f"{coverage.missing:,} of {coverage.photos:,} photos have no vector by the encoder {encoder.recipe.encoder!r} yet, so they "
            f"cannot be found. To finish: {index_command(library, encoder.recipe.id)}"
        )
    return Answer(hits, encoder.recipe.encoder, coverage, note)


def nearest_hits(derived: Derived, vector: Vectors, query: Query, among: Any = None, typical_kind: str = "text") -> list[Hit]:
    """The hits of one unit row, Float32["dim"]."""
    # More than k, until no equal one is left out: equal similarities are ordered by path, not by digest.
    wide = query.k + 32
    best = _best_versions(derived, vector, wide, among)
    while best.more and (len(best.photos) < query.k or round(best.least, 6) == round(float(best.similarities[query.k - 1]), 6)):
        wide *= 4
        best = _best_versions(derived, vector, wide, among)
    mean = float(vector @ derived.spread.mean)
    deviation = derived.spread.deviation(vector, TYPICAL_DEVIATION[typical_kind])
    hits = []
    names = [column.name for column in IMAGE_COLUMNS]
    condition = f" AND ({query.where}\n)" if query.where is not None else ""
    statement = f"SELECT {_COLUMNS} FROM images WHERE vector = ?{condition}"  # noqa: S608 (the condition passed `matching_vectors`)
    for similarity, number, enhancer in zip(best.similarities.tolist(), best.photos.tolist(), best.enhancers, strict=True):
        for row in derived.database.execute(statement, (number,)):
            values = dict(zip(names, row, strict=True))
            z = (similarity - mean) / deviation
            hits.append(Hit(values["root"], values["path"], values["digest"], similarity, z, values, enhancer))
    hits.sort(key=lambda hit: (-round(hit.similarity, 6), hit.path, hit.root))
    return hits[: query.k]


@dataclass(frozen=True, slots=True, eq=False)
class _Best:
    """The nearest photos by the better of their versions. `least` is the similarity of the last row that was looked at; there may be `more`."""

    similarities: Vectors
    photos: NDArray[np.int64]
    enhancers: list[str]
    least: float
    more: bool


def _best_versions(derived: Derived, vector: Vectors, wide: int, among: NDArray[np.int64] | None) -> _Best:
    """Of the `wide` nearest rows, the first of each photo; `among` holds numbers of photos."""
    import numpy as np

    owners, count = derived.owners, derived.photos
    if among is not None and len(owners):
        among = np.concatenate([among, count + np.flatnonzero(np.isin(owners, among))])
    similarities, numbers = derived.nearest.search(vector[None], wide, among)[0]
    photos = np.where(numbers < count, numbers, owners[np.maximum(numbers - count, 0)]) if len(owners) else numbers
    first = np.sort(np.unique(photos, return_index=True)[1])
    enhancers = [PLAIN if number < count else derived.enhancers[derived.makers[number - count]] for number in numbers[first].tolist()]
    least = float(similarities[-1]) if len(similarities) else 0.0
    return _Best(similarities[first], photos[first], enhancers, least, len(numbers) == wide)


def check_recipe(library: Library, encoder: Encoder) -> None:
    """Refuse to compare vectors of different makers.

    Raises:
        RecipeMismatch: the library has no vectors by this encoder; the message holds the command that makes them.
    """
    if library.file.recipes and encoder.recipe.id not in library.file.recipes:
        library.refresh()  # a build may have begun to make them since
        if encoder.recipe.id not in library.file.recipes:
            raise _mismatch(library, encoder)


def _mismatch(library: Library, encoder: Encoder, photos: int | None = None) -> RecipeMismatch:
    """What lacks, why, and the command. The count of photos is read from the store: this is no warm path."""
    if photos is None:
        from .store import Store

        photos = len(set(Store(library).images(["digest"])["digest"].to_pylist()))
    name = encoder.recipe.encoder
    past = [recipe_id for recipe_id in recipes_of(library.file, name) if recipe_id != encoder.recipe.id]
    why = f" Those by {name!r} ({', '.join(past)}) were made with other weights or in another precision." if past else ""
    return RecipeMismatch(
        f"{library.folder} has no vectors by the encoder {name!r} ({encoder.recipe.id}): all {photos:,} photos lack one.{why} "
        f"Make them: {index_command(library, encoder)}"
    )


def read_term(term: Term, limits: Limits | None, allow_private: bool, side: int) -> RgbImage:
    """The pixels of a picture term, decoded as a build decodes them for an encoder that needs `side` pixels.

    Raises:
        ImageError, FetchError, QueryError: the file or address gives no picture.
    """
    from pathlib import Path

    from preprocess import ImageVanished, Limits, decode, fetch, read_image

    limits = limits or Limits()
    if term.kind == "url":
        return decode(fetch(term.text, limits, allow_private=allow_private), term.text, limits, side).pixels
    try:
        return read_image(Path(term.text).expanduser(), limits, side).pixels
    except ImageVanished as error:
        raise QueryError(f"There is no picture at {term.text}. To search for these words, leave the './' or '/' away.") from error
