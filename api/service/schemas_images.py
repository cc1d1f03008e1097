"""One photo, and the library as a whole."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .schemas import Asked, Box, Digest, Given, Page
from .schemas_jobs import Progress
from .schemas_search import HitGiven, PhotoGiven


class PlaceGiven(Given):
    """Where a photo lies; copies lie in several places."""

    root: str
    path: str
    there: bool = Field(description="whether the file is on disk now")


class TagGiven(Given):
    """A tag of a photo."""

    tag: str
    precision: float = Field(description="expected chance that it is right; 1 where a person said so")
    similarity: float | None = None
    z: float | None = None
    region: int | None = Field(None, description="number of the region that is the evidence; none: the whole photo")
    run: str | None = Field(None, description="the run that wrote it; none where a person said so")
    human: bool


class RegionGiven(Given):
    """A labelled part of a photo."""

    number: int
    label: str
    box_xyxy: Box
    confidence: float
    area: float
    maker: str
    human: bool
    polygons: list[list[float]] = Field(default_factory=list, description="x, y, x, y, ... of the outlines of its mask, in pixels")


class ImageGiven(PhotoGiven):
    """All that is known of a photo."""

    places: list[PlaceGiven]
    tags: list[TagGiven]
    rejected: list[str] = Field(description="tags that people said it has not")
    scores: dict[str, float] = Field(description="value of each axis in [0, 1]; classical measures begin with measured_")
    score_note: str | None = None
    regions: list[RegionGiven]
    dehazed: str | None = Field(None, description="the dehazer whose version can be found and previewed too")
    neighbours: list[HitGiven] = Field(description="the photos most similar to it")


class TagSaid(Asked):
    """What a person says of a tag."""

    verdict: Literal["confirmed", "rejected"]


class TagChanged(Given):
    """What a photo's tags are now that something was said of one."""

    digest: Digest
    tag: str = Field(description="as the tag is called: the name that photos or vocabularies have for what was written")
    said: Literal["confirmed", "rejected"] | None = Field(description="none: what was said was taken back")
    known: bool = Field(description="whether a photo or a vocabulary of this library has the tag; if not, it may be misspelt")
    tags: list[TagGiven] = Field(description="all tags of the photo now")
    rejected: list[str] = Field(description="tags that people said it has not")


class TagCount(Given):
    """A tag of the library and how many photos have it."""

    tag: str
    photos: int


class TagsGiven(Page):
    """Tags by falling count."""

    tags: list[TagCount]


class DoubtGiven(TagGiven):
    """A tag of a machine that nobody has confirmed or rejected yet."""

    digest: Digest


class ReviewGiven(Given):
    """The tags about which an answer tells most, first."""

    open: int = Field(description="how many there are in all")
    tags: list[DoubtGiven]


class RunGiven(Given):
    """A run of tagging."""

    run: str
    at: str = Field(description="when it was finished or begun, UTC, ISO 8601")
    state: Literal["running", "written", "retracted", "promoted"]
    encoder: str
    recipe: str
    vocabulary: str
    vocabulary_hash: str
    templates: str
    photos: int
    tags: int
    settings: dict[str, Any]
    stricter_than: str | None = Field(
        None, description="the earlier run that had asked for less precision, so that fewer tags are found now"
    )


class RunsGiven(Given):
    """All runs, the latest last."""

    runs: list[RunGiven]


class RunDiffGiven(Given):
    """Which tags the later run has and the earlier has not, and the other way round: digest -> tags."""

    earlier: str
    later: str
    added: dict[str, list[str]]
    removed: dict[str, list[str]]


class RunChanged(Given):
    """What came of taking a run back or adopting it."""

    run: str
    was: str
    did: Literal["retract", "promote"]
    tags: int


class Count(Given):
    """A value and how many photos have it."""

    value: str
    photos: int


class FacetsGiven(Given):
    """What can be filtered by, over all photos that meet a condition."""

    photos: int
    taken: tuple[str, str] | None
    cameras: list[Count]
    years: list[Count]
    formats: list[Count]
    tags: list[Count]
    regions: list[Count] = Field(description="labels of regions")
    haze: list[int] = Field(description="photos in each tenth from 0 to 1")
    quality: list[int] = Field(description="photos in each tenth from 0 to 1; those without a score are in none")
    scored: list[str] = Field(description="axes that photos have scores on")
    located: int = Field(description="photos with a place")


class PointGiven(Given):
    """Where a photo was taken."""

    digest: Digest
    latitude: float
    longitude: float


class MapGiven(Page):
    """Photos with a place."""

    note: str | None = Field(None, description="that the library changed since the first page")
    points: list[PointGiven]


class FrameGiven(PhotoGiven):
    """A photo of a group of duplicates."""

    likeness: str = Field(description="how it compares with the best: the same bytes, mirrored, 3 bits apart, ...")
    byte_size: int


class DuplicateGroupGiven(Given):
    """Photos that are the same or nearly so, the best first."""

    kind: Literal["exact", "near", "burst"]
    reason: str = Field(description="why the first is the best")
    spare_bytes: int
    frames: list[FrameGiven]


class DuplicatesGiven(Page):
    """Groups of duplicates. Nothing is ever deleted."""

    spare_bytes: int
    groups: list[DuplicateGroupGiven]
    notes: list[str]
    comparing: Progress | None = Field(None, description="how far the comparison is; none once it is done, and only then there are groups")


class StatsGiven(Given):
    """What the library holds and what this service may do."""

    photos: int
    roots: dict[str, int]
    failures: int
    encoder: str | None = Field(description="by which searches compare; none before the first index")
    regions: str | None
    dehaze: str | None
    tag_runs: int
    version: str
    scopes: list[str] = Field(description="what the caller may do: read, tag, admin")
    fetches_urls: bool
    upload_bytes: int
    allowed_roots: list[str] = Field(description="folders that index jobs may name, to those who may start them")
    facts: dict[str, Any] | None = Field(None, description="with ?full=true: all that `pellucid stats --json` says")
    library: str | None = Field(None, description="the library's folder, to those who may administer")
