"""Hits for a query, from the derived cache alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from preprocess import QueryError, RecipeMismatch, choose

from .arrange import chosen, marked, more, relevant
from .derived import Derived, open_derived
from .filter import matching_regions, matching_vectors, row_statement
from .hit import Answer, Hit, Matched, RegionHit
from .judging import judge, null_of
from .query import WITHIN, Query, Term, Within, combine, encode_terms
from .recipes import index_command, recipes_of
from .schema import IMAGE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from preprocess import Limits, RgbImage

    from .encode import Encoder, Vectors
    from .evidence import Evidence, Ranked
    from .judging import Sentence
    from .library import Library

_COLUMNS = ", ".join(f'images."{column.name}"' for column in IMAGE_COLUMNS)


def search(library: Library, query: Query, encoder: Encoder, *, limits: Limits | None = None, allow_private: bool = False) -> list[Hit]:
    """At most `query.k` hits, by falling similarity, equal ones by path; `answer` also says how complete the library's vectors are.

    Raises:
        RecipeMismatch: the library has no vectors by this encoder.
        QueryError, FilterError: the query is wrong.
        ImageError, FetchError: a picture term cannot be read.
    """
    return answer(library, query, encoder, limits=limits, allow_private=allow_private).hits


def answer(
    library: Library, query: Query, encoder: Encoder, *, limits: Limits | None = None, allow_private: bool = False,
    given: Mapping[int, RgbImage | Vectors] | None = None, derived: Derived | None = None,
) -> Answer:  # fmt: skip
    """The hits among the vectors that the library has by this encoder, whether or not it is the one that searches use by default.

    `given` holds the terms of the kind `given`, by position: pixels, or a unit row by this encoder. `derived` is an open cache of this encoder's recipe, which stays
    open; where there is none, the library's own is opened.

    Raises:
        RecipeMismatch: the library has no vectors by this encoder.
        QueryError, FilterError: the query is wrong.
        ImageError, FetchError: a picture term cannot be read.
    """
    check_recipe(library, encoder)
    given = given or {}
    pictures = {at: _given(term, given.get(at)) if term.kind == "given" else read_term(term, limits, allow_private, encoder.side)
                for at, term in enumerate(query.terms) if term.kind != "text"}  # fmt: skip
    own = derived is None
    if derived is None:
        derived = open_derived(library, encoder.recipe.id if library.file.recipes else None)
    try:
        coverage = derived.coverage
        if coverage.photos and not derived.spread.count:
            raise _mismatch(library, encoder, coverage.photos)
        within, waiting = _within(library, derived, query, encoder), _waiting(derived)
        among, regions, left_out = _among(derived, query, within)
        rows = encode_terms(query.terms, pictures, encoder)
        kinds = ["image" if at in pictures else "text" for at in range(len(query.terms))]
        vector = combine(rows, [term.weight for term in query.terms], kinds, derived.spread)
        evidence = _evidence(derived, vector, "image" if pictures else "text", regions)
        looked_at = derived.photos if among is None else len(among)

        def judged(wide: int) -> tuple[Ranked, Sentence]:
            ranked = evidence.ranked(wide, among, within)
            return ranked, judge(evidence, ranked, query, null, encoder, looked_at, within)

        null = null_of(derived, library, encoder)
        ranked, sentence, wide = relevant(judged, query)
        if query.sort != "relevance" and more(ranked, sentence, wide):
            cut = (
                f"More than {wide:,} photos are relevant: the {wide:,} most relevant were put in order. A higher --strictness leaves fewer."
            )
            left_out = f"{left_out} {cut}" if left_out else cut
        found = hits_of(derived, ranked, query, within, wide)
        hits = chosen(derived, sentence.judged(found), query)
        miss = None
        if found and sentence.verdict == "none":
            (miss,) = marked(derived, [replace(found[0][1], probability=sentence.probability, verdict="none")])
    finally:
        if own:
            derived.close()
    note = left_out
    if within != "images" and library.file.regions_maker is None:
        note = f"Not every photo was looked at for regions yet. To finish: {index_command(library, encoder.recipe.id)}"
    elif query.within != "images" and waiting:
        some = "The regions have" if within == "images" else "Some regions have"
        note = (
            f"{some} no vector by the encoder {encoder.recipe.encoder!r} yet, so they cannot be found. "
            f"To finish: {index_command(library, encoder.recipe.id)}"
        )
    if not coverage.complete:
        note = (
            f"{coverage.missing:,} of {coverage.photos:,} photos have no vector by the encoder {encoder.recipe.encoder!r} yet, so they "
            f"cannot be found. To finish: {index_command(library, encoder.recipe.id)}"
        )
    if left_out and note != left_out:
        note = f"{left_out} {note}"
    return Answer(hits, encoder.recipe.encoder, coverage, note, within, sentence.verdict, sentence.probability, miss, sentence.unusual)


def _among(derived: Derived, query: Query, within: Within) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None, str | None]:
    """The photos and the regions that may match, none where all may, and what there is to say of that."""
    among = matching_vectors(derived.database, query.where) if query.where is not None else None
    regions = matching_regions(derived.database, query.where) if query.where is not None and within != "images" else None
    if not query.without:
        return among, regions, None
    import numpy as np

    from .negatives import excluded

    out = excluded(derived.database, query.without)
    among = np.setdiff1d(np.arange(derived.photos) if among is None else among, out.photos)
    if derived.regions is not None and regions is None and query.where is None:
        return among, None, out.note
    return (
        among,
        regions if regions is None or derived.regions is None else regions[np.isin(derived.regions.owners(regions), among)],
        out.note,
    )


def _waiting(derived: Derived) -> bool:
    """Whether a region has no vector by this encoder: a person drew it, or it was found for another encoder."""
    return derived.database.execute("SELECT 1 FROM regions WHERE region IS NULL LIMIT 1").fetchone() is not None


def _within(library: Library, derived: Derived, query: Query, encoder: Encoder) -> Within:
    """What is searched: both where there are regions, unless the query says otherwise.

    Raises:
        QueryError: regions alone are asked for, and there are none.
    """
    if derived.regions is not None:
        return choose(dict(zip(WITHIN, WITHIN, strict=True)), query.within or "both", "thing to search in")
    if query.within == "regions":
        name = encoder.recipe.encoder
        if _waiting(derived):
            raise QueryError(f"No region has a vector by the encoder {name!r} yet. Make them: {index_command(library, encoder.recipe.id)}")
        raise QueryError(
            f"The library has no regions. Find them: {index_command(library, encoder.recipe.id)} --regions {library.file.regions_to_find}"
        )
    return "images"


def _evidence(derived: Derived, vector: Vectors, kind: str, regions_among: NDArray[np.int64] | None) -> Evidence:
    from .evidence import Evidence

    return Evidence(derived, vector, kind, regions_among=regions_among)


def hits_of(derived: Derived, ranked: Ranked, query: Query, within: Within, k: int) -> list[tuple[int, Hit]]:
    """At most k hits with their rows, the best evidence first, equal ones by path."""
    names = [column.name for column in IMAGE_COLUMNS]
    statement = row_statement(_COLUMNS, query.where)
    hits: list[tuple[float, int, Hit]] = []
    for at, photo in enumerate(ranked.photos.tolist()):
        similarity, z, evidence = (float(column[at]) for column in (ranked.similarities, ranked.scores, ranked.evidence))
        if len(hits) >= k and round(evidence, 6) < round(hits[-1][0], 6):
            break
        region = _region(derived, int(ranked.regions[at]), float(ranked.region_similarities[at]), float(ranked.region_scores[at]))
        matched: Matched = "region" if within == "regions" or (region is not None and region.z > z) else "image"
        for row in derived.database.execute(statement, (photo,)):
            values = dict(zip(names, row, strict=True))
            hit = Hit(values["root"], values["path"], values["digest"], similarity, z, values, ranked.enhancers[at], region, matched)
            hits.append((evidence, photo, hit))
    hits.sort(key=lambda entry: (-round(entry[0], 6), entry[2].path, entry[2].root))
    return [(photo, hit) for _, photo, hit in hits[:k]]


def _region(derived: Derived, row: int, similarity: float, z: float) -> RegionHit | None:
    if row < 0:
        return None
    found = derived.database.execute(
        "SELECT x1, y1, x2, y2, label, confidence, area, number FROM regions WHERE region = ?", (row,)
    ).fetchone()
    if found is None:  # a build has swept it while this cache was written; the next search has a newer one
        return None
    x1, y1, x2, y2, label, confidence, area, number = found
    return RegionHit((x1, y1, x2, y2), label, similarity, z, confidence, area, number)


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


def _given(term: Term, picture: RgbImage | Vectors | None) -> RgbImage | Vectors:
    if picture is None:
        raise QueryError(f"The term {term.text!r} is to be given with the query, and was not.")
    return picture


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
