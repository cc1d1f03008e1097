"""Hits for a query, from the derived cache alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from preprocess import QueryError, RecipeMismatch, choose

from .derived import Derived, open_derived
from .encode import PLAIN
from .filter import matching_regions, matching_vectors, row_statement
from .query import WITHIN, Query, Term, Within, combine, encode_terms
from .recipes import index_command, recipes_of
from .schema import IMAGE_COLUMNS

if TYPE_CHECKING:
    from preprocess import Limits, RgbImage

    from .encode import Encoder, Vectors
    from .library import Library
    from .recipes import Coverage

Matched: TypeAlias = Literal["image", "region"]
_COLUMNS = ", ".join(f'"{column.name}"' for column in IMAGE_COLUMNS)


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
    """One photo that answers. `similarity` is a cosine in [-1, 1]; `z` is how many deviations it lies above the library's mean.

    `enhancer` says which version of the photo matched best: "none" for the photo as it is, or what dehazed it. `region` is its most similar region,
    none where it has none or where only photos were searched; `matched` says which of the two the hit is ranked by.
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

    @property
    def file(self) -> str:
        """The photo's full name."""
        return f"{self.root.rstrip('/')}/{self.path}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: similarity and place first, then the columns that have a value."""
        facts = {k: v for k, v in self.columns.items() if v is not None and k not in ("root", "path", "digest")}
        return {"similarity": round(self.similarity, 6), "z": round(self.z, 3), "file": self.file, "root": self.root, "path": self.path,
                "digest": self.digest, "enhancer": self.enhancer, "matched": self.matched,
                "region": self.region and self.region.as_dict()} | facts  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits, and how much of the library they were looked for in. `note` says what could not be found and what to do; none where all could. `within` says
    whether images, regions or both were searched."""

    hits: list[Hit]
    encoder: str
    coverage: Coverage
    note: str | None = None
    within: Within = "images"


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
        within, waiting = _within(library, derived, query, encoder), _waiting(derived)
        among = matching_vectors(derived.database, query.where) if query.where is not None else None
        regions = matching_regions(derived.database, query.where) if query.where is not None and within != "images" else None
        rows = encode_terms(query.terms, pictures, encoder)
        kinds = ["image" if at in pictures else "text" for at in range(len(query.terms))]
        vector = combine(rows, [term.weight for term in query.terms], kinds, derived.spread)
        hits = nearest_hits(
            derived, vector, query, among, typical_kind="image" if pictures else "text", within=within, regions_among=regions
        )
    finally:
        derived.close()
    note = None
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
    return Answer(hits, encoder.recipe.encoder, coverage, note, within)


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


def nearest_hits(
    derived: Derived, vector: Vectors, query: Query, among: Any = None, typical_kind: str = "text", within: Within = "images",
    regions_among: Any = None,
) -> list[Hit]:  # fmt: skip
    """The hits of one unit row, Float32["dim"]."""
    from .evidence import Evidence

    ranked = Evidence(derived, vector, typical_kind, regions_among=regions_among).ranked(query.k, among, within)
    names = [column.name for column in IMAGE_COLUMNS]
    statement = row_statement(_COLUMNS, query.where)
    hits: list[tuple[float, Hit]] = []
    for at, photo in enumerate(ranked.photos.tolist()):
        similarity, z, evidence = (float(column[at]) for column in (ranked.similarities, ranked.scores, ranked.evidence))
        if len(hits) >= query.k and round(evidence, 6) < round(hits[-1][0], 6):
            break
        region = _region(derived, int(ranked.regions[at]), float(ranked.region_similarities[at]), float(ranked.region_scores[at]))
        matched: Matched = "region" if within == "regions" or (region is not None and region.z > z) else "image"
        for row in derived.database.execute(statement, (photo,)):
            values = dict(zip(names, row, strict=True))
            hit = Hit(values["root"], values["path"], values["digest"], similarity, z, values, ranked.enhancers[at], region, matched)
            hits.append((evidence, hit))
    hits.sort(key=lambda pair: (-round(pair[0], 6), pair[1].path, pair[1].root))
    return [hit for _, hit in hits[: query.k]]


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
