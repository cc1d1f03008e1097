"""Searching: what is asked and what is answered."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from .schemas import Asked, Box, Digest, Given, Page, VerdictName


class TermAsked(Asked):
    """One weighted part of a query: exactly one of words, a photo of the library, an uploaded picture or an address."""

    text: str | None = Field(None, min_length=1, max_length=2_000, description="plain words")
    image: Digest | None = Field(None, description="a photo of the library")
    upload: str | None = Field(None, description="the name of a part of a multipart request that is a picture")
    url: str | None = Field(None, max_length=4_000, description="a picture's address; only where the service fetches addresses")
    weight: float = Field(1.0, ge=-100, le=100, allow_inf_nan=False, description="how much it counts; below zero it is subtracted")

    @model_validator(mode="after")
    def _one(self) -> TermAsked:
        if sum(value is not None for value in (self.text, self.image, self.upload, self.url)) != 1:
            raise ValueError("give exactly one of text, image, upload and url")
        if self.weight == 0:
            raise ValueError("a weight of 0 counts nothing; leave the term away")
        return self


class SearchAsked(Asked):
    """A query."""

    terms: list[TermAsked] = Field(min_length=1, max_length=32, examples=[[{"text": "a dog on a beach"}]])
    without: list[str] = Field(
        default_factory=list, max_length=32, description="leave photos out that have evidence of these", examples=[["people"]]
    )
    where: str | None = Field(None, max_length=4_000, description="a condition on columns", examples=["iso < 400 AND haze > 0.3"])
    within: Literal["images", "regions", "both"] | None = Field(
        None, alias="in", description="what is compared; unset: both where there are regions"
    )
    strictness: int = Field(50, ge=0, le=100, description="how sure a hit must be to stay; 0 keeps everything")
    sort: Literal["relevance", "date", "similarity", "quality"] = "relevance"
    diverse: bool = Field(False, description="choose hits that are unlike each other")
    collapse: bool = Field(False, description="count photos that look the same as one hit")
    limit: int = Field(50, ge=1, le=500, description="hits a page")
    cursor: str | None = Field(None, max_length=500, description="`next` of the page before")


class RegionHitGiven(Given):
    """The region of a photo that is most similar to the query."""

    label: str
    box_xyxy: Box
    similarity: float
    z: float
    confidence: float
    area: float = Field(description="its share of the photo")
    number: int = Field(description="its own among the photo's regions")


class PhotoGiven(Given):
    """A photo in a list."""

    digest: Digest
    root: str
    path: str
    width: int
    height: int
    taken_at: str | None = None
    facts: dict[str, Any] = Field(
        default_factory=dict, description="the other columns that have a value; `pellucid stats` and docs/columns.md name them"
    )


class HitGiven(PhotoGiven):
    """A photo that answers."""

    similarity: float = Field(description="cosine, in [-1, 1]; larger is closer")
    z: float = Field(description="how many deviations it lies above the library's mean")
    probability: float = Field(ge=0, le=1, description="that the photo shows what was asked for")
    verdict: VerdictName
    enhancer: str = Field(description="the version of the photo that matched: none, or what dehazed it")
    matched: Literal["image", "region"]
    region: RegionHitGiven | None = None
    also: list[str] = Field(default_factory=list, description="photos that look the same, where such are collapsed")


class SearchGiven(Page):
    """The answer: a verdict with its reason, and the hits."""

    total: int = Field(description="hits that are known: all of them on the last page, and at least so many before; 2,000 at most")
    verdict: VerdictName
    probability: float = Field(description="that the library has an answer")
    why: str | None = Field(description="the verdict in words")
    encoder: str
    within: Literal["images", "regions", "both"] = Field(serialization_alias="in", validation_alias="in")
    missing: int = Field(0, description="photos that have no vector by this encoder yet, and so cannot be found")
    note: str | None = Field(None, description="what could not be found, and the remedy")
    score_note: str | None = Field(None, description="how to read scores, where hits have some")
    hits: list[HitGiven]
    nearest_miss: HitGiven | None = Field(None, description="the photo that came nearest, where nothing matches")


class PhotosGiven(Page):
    """Photos of the library without a query, in an order."""

    state: str = Field(description="changes whenever the library does; as in `GET /v1/layout`")
    note: str | None = Field(None, description="that the library changed since the first page")
    photos: list[PhotoGiven]


class LayoutGiven(Given):
    """The shapes of all photos that `GET /v1/images` lists, in the same order, so that a page can lay them out before it has them."""

    total: int
    state: str = Field(description="changes whenever the library does")
    aspects: list[int] = Field(description="width / height of each photo in hundredths")
