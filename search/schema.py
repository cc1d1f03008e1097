"""The columns of a library: one table of names, types and meanings that the store, the cache, `--where` and the docs share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SCHEMA_VERSION = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the images table; `kind` is text, integer or real."""

    name: str
    kind: str
    meaning: str


def sql_columns(columns: Sequence[Column]) -> str:
    """The columns as SQLite declares them; their kinds are its types."""
    return ", ".join(f'"{column.name}" {column.kind.upper()}' for column in columns)


IMAGE_COLUMNS: tuple[Column, ...] = (
    Column("root", "text", "the indexed folder, absolute"),
    Column("path", "text", "where the photo is, relative to its root, with forward slashes"),
    Column("digest", "text", "sha256 of the file's bytes, hexadecimal"),
    Column("format", "text", "jpeg, png, webp, ..."),
    Column("width", "integer", "pixels, after orientation"),
    Column("height", "integer", "pixels, after orientation"),
    Column("byte_size", "integer", "bytes of the file"),
    Column("modified_ns", "integer", "modification time, nanoseconds since 1970"),
    Column("taken_at", "text", "when the photo was taken, ISO 8601, with the offset where the camera wrote one"),
    Column("camera", "text", "maker and model"),
    Column("lens", "text", "lens model"),
    Column("exposure_s", "real", "exposure time, seconds"),
    Column("f_number", "real", "aperture"),
    Column("iso", "integer", "sensitivity"),
    Column("focal_length_mm", "real", "focal length, millimetres"),
    Column("latitude", "real", "degrees, north is positive"),
    Column("longitude", "real", "degrees, east is positive"),
    Column("altitude_m", "real", "metres above the sea"),
    Column("keywords", "text", "existing XMP and IPTC keywords, joined by '; '"),
    Column("haze", "real", "haze density, from 0 (clear) to 1 (dense)"),
    Column("dehazed", "text", "the dehazer whose version of the photo can be found too; null where only the photo itself can"),
    Column("dehaze_rule", "text", "what decided that: none, auto or a dehazer, with its version"),
    Column("perceptual_hash", "text", "64 bits that similar pictures share, 16 hexadecimal digits; null where it was not made yet"),
)
FACT_COLUMNS = ("taken_at", "camera", "lens", "exposure_s", "f_number", "iso", "focal_length_mm", "latitude", "longitude", "altitude_m")

FAILURE_COLUMNS: tuple[Column, ...] = (
    Column("root", "text", "the indexed folder"),
    Column("path", "text", "the file that failed, relative to its root"),
    Column("byte_size", "integer", "bytes when it failed"),
    Column("modified_ns", "integer", "modification time when it failed"),
    Column("error", "text", "the error's class"),
    Column("message", "text", "what went wrong and the remedy"),
)

REGION_COLUMNS: tuple[Column, ...] = (
    Column("digest", "text", "the photo's digest"),
    Column("maker", "text", "what found it: the segmenter with its version, or human with a digest of what was drawn"),
    Column("number", "integer", "which of the photo's regions it is, from 0, the largest first"),
    Column("source", "text", "machine or human"),
    Column("label", "text", "what it shows"),
    Column("confidence", "real", "how sure its maker is, in [0, 1]"),
    Column("x1", "real", "left, in pixels of the upright photo"),
    Column("y1", "real", "top"),
    Column("x2", "real", "right, exclusive"),
    Column("y2", "real", "bottom, exclusive"),
    Column("area", "real", "share of the photo that it covers, in [0, 1]"),
    Column("colour", "text", "mean colour, as #rrggbb"),
    Column("haze_depth", "real", "mean relative depth by the haze, 0 or more"),
    Column("mask_height", "integer", "rows of its mask, which may be smaller than the photo; null where it is a box only"),
    Column("mask_width", "integer", "columns of its mask"),
    Column("mask", "text", "the mask, run-length encoded as COCO does"),
)
ASKED_REGION_COLUMNS: tuple[Column, ...] = tuple(column for column in REGION_COLUMNS if column.name not in ("digest", "mask"))
"""Those that the cache and `--where` have: with masks of 3 kB, the cache of a million regions would be 3 GB larger."""
ANNOTATION_COLUMNS: tuple[Column, ...] = (
    Column("digest", "text", "the photo's digest"),
    Column("maker", "text", "whose regions the photo has now"),
    Column("regions", "integer", "how many they are; 0 where none was found"),
)

SCORE_COLUMNS: tuple[Column, ...] = (
    Column("quality", "real", "how good the photo is technically, in [0, 1], as CLIP-IQA sees it; says little of beauty"),
    Column("brightness", "real", "bright rather than dark, in [0, 1]"),
    Column("sharpness", "real", "sharp rather than blurry, in [0, 1]"),
    Column("noisiness", "real", "noisy rather than clean, in [0, 1]"),
    Column("colourfulness", "real", "colourful rather than dull, in [0, 1]"),
    Column("contrast", "real", "of high contrast rather than of low, in [0, 1]"),
    Column("aesthetic", "real", "beautiful rather than not, in [0, 1]; agrees weakly with people"),
    Column("happy", "real", "happy rather than sad, in [0, 1]"),
    Column("natural", "real", "natural rather than synthetic, in [0, 1]"),
    Column("new", "real", "new rather than old, in [0, 1]"),
    Column("scary", "real", "scary rather than peaceful, in [0, 1]"),
    Column("complex", "real", "complex rather than simple, in [0, 1]"),
    Column("rating", "real", "what people would rate its quality, from 0 (bad) to 1 (excellent), by a fit to their ratings"),
    Column("measured_sharpness", "real", "how sharp its sharpest parts are, in [0, 1]; measured on the pixels, as are all that follow"),
    Column("measured_brightness", "real", "mean luma, in [0, 1]"),
    Column("measured_exposure", "real", "how well it is exposed, in [0, 1]"),
    Column("measured_highlights", "real", "share of pixels that are clipped to white, in [0, 1]"),
    Column("measured_shadows", "real", "share of pixels that are clipped to black, in [0, 1]"),
    Column("measured_contrast", "real", "standard deviation of luma, in [0, 0.5]"),
    Column("measured_colourfulness", "real", "how colourful it is, from 0 to about 180"),
)
"""Axes that `--where` has as columns of a photo; null where it was not scored. Of any other axis there is `score('warm')`."""
SCORE_ROWS: tuple[Column, ...] = (
    Column("digest", "text", "the photo's digest"),
    Column("axis", "text", "what was scored: quality, a name of one's own, measured_sharpness, ..."),
    Column("value", "real", "the score"),
    Column("source", "text", "what scored it: measures-1, fast with a recipe, paper with weights"),
)

TAG_COLUMNS: tuple[Column, ...] = (
    Column("digest", "text", "the photo's digest"),
    Column("tag", "text", "the tag; null in the one row of a photo for which the run found none"),
    Column("run", "text", "the run that wrote it"),
    Column("precision", "real", "how likely it is right, in [0, 1]"),
    Column("similarity", "real", "cosine of the photo, or of the region, and the tag"),
    Column("z", "real", "deviations that it lies above the tag's mean over the library"),
    Column("region", "integer", "number of the region that is the evidence; null where it is the photo"),
)
TAG_RUN_COLUMNS: tuple[Column, ...] = (
    Column("run", "text", "the run's id: when it began, and four digits"),
    Column("at", "text", "when it was finished, ISO 8601 in UTC; when it began, while it is not"),
    Column("recipe", "text", "id of the recipe of the vectors that were looked at"),
    Column("encoder", "text", "the encoder's name"),
    Column("vocabulary", "text", "the vocabulary's name"),
    Column("vocabulary_hash", "text", "what the vocabulary said then"),
    Column("templates", "text", "the ensemble of templates"),
    Column("settings", "text", "the other settings, a JSON object"),
    Column("photos", "integer", "how many photos it looked at"),
    Column("tags", "integer", "how many tags it wrote"),
    Column("state", "text", "running, written, retracted or promoted"),
    Column("stricter_than", "text", "the earlier run that it was made to narrow; null where there is none"),
)
TAG_LABEL_COLUMNS: tuple[Column, ...] = (
    Column("digest", "text", "the photo's digest"),
    Column("tag", "text", "the tag"),
    Column("verdict", "text", "confirmed or rejected"),
    Column("at", "text", "when somebody said so, ISO 8601 in UTC"),
)
