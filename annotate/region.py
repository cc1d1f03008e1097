"""Labelled parts of a photo, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from preprocess import InputError

Box = tuple[float, float, float, float]
Source = Literal["machine", "human"]


@dataclass(frozen=True, slots=True)
class Rle:
    """A mask, run-length encoded as COCO does: column by column from the top left, `counts` of pixels alternately outside and inside.

    `counts` is COCO's compressed form, ASCII; `size_hw` the size of the photo in pixels.
    """

    size_hw: tuple[int, int]
    counts: bytes


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a photo. `box_xyxy` is in pixels of the upright photo, left, top, right, bottom, the latter two exclusive.

    `confidence` is in [0, 1]; `source` says who found it: what a person drew is never replaced by a machine. What was measured within the mask, or the
    box where there is none, may be unknown: `area`, the share of the photo in [0, 1]; `colour`, the mean red, green and blue of 0-255; `haze_depth`, the
    mean relative depth (see `preprocess.relative_depth`), 0 or more.
    """

    box_xyxy: Box
    label: str
    confidence: float = 1.0
    mask: Rle | None = None
    source: Source = "machine"
    area: float | None = None
    colour: tuple[int, int, int] | None = None
    haze_depth: float | None = None

    def __post_init__(self) -> None:
        x1, y1, x2, y2 = self.box_xyxy
        if not (x1 < x2 and y1 < y2):
            raise InputError(f"The box {self.box_xyxy} of {self.label!r} is empty: it must be left, top, right, bottom.")
        if not 0 <= self.confidence <= 1:
            raise InputError(f"The confidence {self.confidence} of {self.label!r} is outside [0, 1].")
        if not self.label:
            raise InputError(f"The region at {self.box_xyxy} has no label.")


@dataclass(frozen=True, slots=True)
class Annotation:
    """All regions of one photo by one maker. `size_wh` is the upright photo's; `maker` the id of the segmenter, or "human"."""

    size_wh: tuple[int, int]
    regions: tuple[Region, ...]
    maker: str
