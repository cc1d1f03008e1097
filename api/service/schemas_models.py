"""Pictures that are sent in: tags, scores, regions, vectors, without a library."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from .schemas import Asked, Box, Given

MOST_INPUTS = 256
"""Texts and pictures of one request for embeddings."""


def _no_tokens(given: Any) -> Any:
    """Numbers of tokens belong to one tokenizer: say so, where they would only be of another type."""
    if given in ([], ""):
        raise ValueError("there is nothing to embed; send one text or picture at least")
    first = given[0] if isinstance(given, list) else None
    if isinstance(first, int | list):
        raise ValueError(  # noqa: TRY004 (pydantic takes only this one for a fault of the request)
            "arrays of tokens are not understood, since every encoder has its own tokenizer; send texts, or pictures as data: URLs"
        )
    return given


_Text = Annotated[str, Field(min_length=1)]
EmbeddedInput = Annotated[
    _Text | Annotated[list[_Text], Field(min_length=1, max_length=MOST_INPUTS)],
    BeforeValidator(_no_tokens),
    Field(description="one text or picture, or several", examples=[["a dog on a beach"]]),
]


class LabelGiven(Given):
    """One of the labels that were asked for."""

    label: str
    probability: float = Field(ge=0, le=1, description="how likely the label is; what that means says `probabilities`")
    similarity: float = Field(description="cosine of picture and label, in [-1, 1]")


class ZeroShotGiven(Given):
    """Labels of a picture, the likeliest first."""

    encoder: str
    templates: str = Field(description="the sentences around the labels, by name and version")
    probabilities: Literal["softmax", "sigmoid"] = Field(
        description="softmax: the choice among all labels that were asked for, which sum to 1, so that one of them is likely even where none fits; "
        "sigmoid: of each label by itself, by encoders that learnt so (SigLIP), so that all may be unlikely. Neither was calibrated on photos: the "
        "precision of a library's tags was"
    )
    scale: float = Field(description="what the encoder learnt to multiply cosines by before either")
    asked: int = Field(description="how many labels were compared")
    labels: list[LabelGiven]


class ScoreGiven(Given):
    """Scores of a picture. Technical quality and aesthetics are separate axes."""

    mode: Literal["fast", "paper"]
    encoder: str = Field(description="by whose texts the axes were scored")
    scores: dict[str, float] = Field(description="value of each axis in [0, 1], and the rating of technical quality")
    measures: dict[str, float] = Field(
        description="classical measures: sharpness, exposure, clipping (highlights, shadows), noise, haze, ..."
    )
    note: str = Field(description="how to read the scores")


class SegmentRegion(Given):
    """A labelled part of a picture."""

    label: str
    box_xyxy: Box
    confidence: float = Field(ge=0, le=1)
    area: float = Field(ge=0, le=1, description="its share of the picture")
    polygons: list[list[float]] = Field(
        description="x, y, x, y, ... of closed lines around its mask, in pixels; by the even-odd rule, so that holes are lines too. Simplified to one "
        "pixel of the mask, which may be smaller than the picture"
    )


class SegmentGiven(Given):
    """Regions of a picture."""

    width: int
    height: int
    segmenter: str
    regions: list[SegmentRegion]


class EmbeddingsAsked(Asked):
    """As OpenAI's embeddings are asked for; pictures are `data:image/...;base64,...` strings."""

    input: EmbeddedInput
    model: str = Field("default", min_length=1, max_length=200, description="default, or the encoder's name")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, description="none, or the length that the encoder's vectors have: they are not shortened")
    user: str | None = Field(None, max_length=1_000, description="ignored")


class EmbeddingGiven(Given):
    """One unit vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str = Field(description="numbers, or little-endian float32 in base64")


class UsageGiven(Given):
    """What was embedded: words of texts, and one for each picture, since encoders count tokens in ways of their own."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsGiven(Given):
    """As OpenAI's embeddings are answered."""

    object: Literal["list"] = "list"
    data: list[EmbeddingGiven]
    model: str
    usage: UsageGiven
