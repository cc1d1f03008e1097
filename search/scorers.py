"""What scores a photo's pixels: CLIP-IQA as in its paper, and the rating; each with the size at which it must see photos, and what it is called in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess import DECODED_SIDE, InputError, Limits, decode

from .iqa import IQA, LOGIT_SCALE, PAIRS, Pair, load_axes

if TYPE_CHECKING:
    from preprocess import RgbImage

    from .encode import Encoder, EncoderOptions

RATING = "rating"
"""The axis of what people would rate a photo's quality; of pixels only."""
PAPER = "paper-"
"""What the sources of CLIP-IQA's scores at a photo's own size begin with."""


@dataclass(frozen=True, slots=True)
class PixelScorer:
    """Scores photos that were decoded for `side` (see `decode`): `score` gives values by axis, the same axes for every photo, UInt8["height width 3"]. `sources` says of each axis what
    made the values."""

    side: int
    score: Callable[[RgbImage], Mapping[str, float]]
    sources: Mapping[str, str] = field(default_factory=dict)


def scores_of(data: bytes, name: str, scorers: Sequence[PixelScorer], limits: Limits | None = None) -> dict[str, float]:
    """All scores of a photo's bytes; decoded once for each size that is asked for, since a measure of pixels is of the size that they were decoded at.

    Raises:
        ImageError: see `decode`.
    """
    pixels = {side: decode(data, name, limits, side).pixels for side in dict.fromkeys(scorer.side for scorer in scorers)}
    return {axis: float(value) for scorer in scorers for axis, value in scorer.score(pixels[scorer.side]).items()}


def rating_scorer(encoder: Encoder) -> PixelScorer:
    """The rating; by the vectors of the encoder that ships as well, where it is given.

    Raises:
        WeightsError: the rater's file is missing or damaged.
    """
    from .rating import load_rater

    rater = load_rater()
    name = f"rating-{rater.id}" if rater.knows(encoder) else f"rating-{rater.id}-pixels"
    return PixelScorer(DECODED_SIDE, lambda pixels: {RATING: rater.rate_photo(pixels, encoder)}, {RATING: name})


def iqa_scorer(encoder: Encoder, folder: Path, pairs: Sequence[Pair], options: EncoderOptions) -> PixelScorer:
    """CLIP-IQA by a model's folder that has its graph; `encoder` is that model, for the texts.

    Raises:
        WeightsError: the folder has no such graph, or it does not load.
    """
    from ._iqa import DECODED_SIDE as NATIVE_SIDE
    from ._iqa import IqaEncoder

    vectors, axes = IqaEncoder(folder, options), load_axes(encoder, pairs, LOGIT_SCALE)
    name = PAPER + sha256(f"{vectors.id} {encoder.recipe.weights}".encode()).hexdigest()[:12]

    def score(pixels: RgbImage) -> Mapping[str, float]:
        return dict(zip(axes.names(), map(float, axes.scores(vectors(pixels)[None])[0]), strict=True))

    return PixelScorer(NATIVE_SIDE, score, {pair.axis: source_of(name, pair) for pair in pairs})


def source_of(name: str, pair: Pair) -> str:
    """The source of an axis: a user's own pair may be other texts tomorrow, so it bears a digest of them.

    >>> source_of("fast-1", PAIRS["quality"]), source_of("fast-1", Pair("warm", "Warm photo.", "Cold photo."))
    ('fast-1', 'fast-1-0d011b')
    """
    if PAIRS.get(pair.axis) == pair:
        return name
    return f"{name}-{sha256(f'{pair.positive}|{pair.negative}'.encode()).hexdigest()[:6]}"


def iqa_folder(encoder: Encoder, models: Path | None) -> Path:
    """The folder of CLIP-IQA's graph: the encoder's own, or that of the one added model that has one.

    Raises:
        InputError: none has one, or several have, and the message says what to do.
    """
    from .encode import model_folders

    own = getattr(encoder, "folder", None)
    if own is not None and (own / IQA).is_file():
        return Path(own)
    found = [folder for folder in model_folders(models) if (folder / IQA).is_file()]
    if not found:
        raise InputError(
            "CLIP-IQA at a photo's own size needs a model that is not here. Add it: pellucid models add open_clip:RN50/openai --name rn50, then pellucid models iqa rn50. "
            "Without it there are the fast mode and, of pixels, the rating: pellucid score --mode paper --axes rating"
        )
    if len(found) > 1:
        raise InputError(
            f"Several models have CLIP-IQA's graph: {', '.join(folder.name for folder in found)}. Say which: --encoder {found[0].name}"
        )
    return found[0]
