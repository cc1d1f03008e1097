"""What is made of pictures that were sent: labels, scores, regions, vectors. All of it blocks, so routes call it in `workers`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .outlines import outlines
from .schemas_models import LabelGiven, ScoreGiven, SegmentGiven, SegmentRegion, ZeroShotGiven
from .uploads import decode_upload, photo_of_upload

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search import Encoder, Vectors

    from .held_models import Words
    from .state import Service


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """A picture that was sent, and what messages call it."""

    name: str
    data: bytes


def label(service: Service, sent: Sent, words: Words, encoder: Encoder, most: int) -> ZeroShotGiven:
    """The likeliest of some labels for a picture.

    Raises:
        ImageError: it is no picture.
    """
    from search import scale_of

    pixels = decode_upload(service, sent.data, sent.name, encoder.side)
    vector = encoder.encode_images([encoder.prepare(pixels)])[0]
    similar = words.rows @ vector
    scale, bias = scale_of(encoder), _bias(encoder)
    shares = likely(similar.astype(np.float64), scale, bias)
    order = np.argsort(-shares, kind="stable")[:most]
    found = [
        LabelGiven(label=words.labels[at], probability=float(shares[at]), similarity=float(np.clip(similar[at], -1, 1))) for at in order
    ]
    return ZeroShotGiven(
        encoder=encoder.recipe.encoder, templates=words.templates, probabilities="softmax" if bias is None else "sigmoid", scale=scale,
        asked=len(words.labels), labels=found,
    )  # fmt: skip


def _bias(encoder: Encoder) -> float | None:
    """What an encoder that was trained with a sigmoid adds before it; none for others, and where its files do not say."""
    from search import family_of

    bias = float(getattr(getattr(encoder, "model", None), "logit_bias", 0.0))
    return bias if bias and family_of(encoder) == "siglip" else None


def likely(similar: NDArray[np.float64], scale: float, bias: float | None) -> NDArray[np.float64]:
    """Probabilities of labels by their cosines, Float64["label"]: the softmax of scale · cosine; with a bias, the sigmoid of scale · cosine + bias of each.

    >>> likely(np.array([0.3, 0.3]), 100, None).tolist(), likely(np.array([0.1]), 100, -10).tolist()
    ([0.5, 0.5], [0.5])
    """
    logits = scale * similar
    if bias is not None:
        return np.asarray(0.5 * (1 + np.tanh(0.5 * (logits + bias))))
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def score(service: Service, sent: Sent, mode: str) -> ScoreGiven:
    """All scores and measures of a picture.

    Raises:
        ImageError: it is no picture.
        InputError: the model that the mode "paper" needs is not here.
    """
    from preprocess import DECODED_SIDE, measure

    from ..scoring import FAST_NOTE, NOTE

    models = service.models
    encoder, rater = models.encoder(), models.rater()
    if mode == "paper":
        scorer, called = models.paper(encoder)
        scores = dict(scorer.score(decode_upload(service, sent.data, sent.name, scorer.side)))
    else:
        axes, called = models.axes(encoder), encoder.recipe.encoder
        vector = encoder.encode_images([encoder.prepare(decode_upload(service, sent.data, sent.name, encoder.side))])
        scores = dict(zip(axes.names(), map(float, axes.scores(vector)[0]), strict=True))
    pixels = decode_upload(service, sent.data, sent.name, DECODED_SIDE)  # a measure is of the size that pixels were decoded at
    scores |= rater.score(pixels)
    note = NOTE if mode == "paper" else f"{NOTE} {FAST_NOTE}"
    rounded = {axis: round(value, 4) for axis, value in scores.items()}
    measures = {axis: round(value, 4) for axis, value in asdict(measure(pixels)).items()}
    return ScoreGiven(mode="paper" if mode == "paper" else "fast", encoder=called, scores=rounded, measures=measures, note=note)


def segment(service: Service, sent: Sent, segmenter: str) -> SegmentGiven:
    """The regions of a picture.

    Raises:
        ImageError: it is no picture.
        UnknownName: there is no such segmenter.
    """
    from preprocess import DECODE_MARGIN, reduced

    from ..drawing import MOST_PIXELS

    maker = service.models.region_maker(segmenter)
    photo = photo_of_upload(service, sent.data, sent.name, -(-maker.short // DECODE_MARGIN))
    size_wh = photo.width, photo.height
    found = maker(reduced(photo.pixels, maker.short, MOST_PIXELS), size_wh)
    regions = [
        SegmentRegion(
            label=region.label, box_xyxy=region.box_xyxy, confidence=region.confidence, area=region.area or 0.0,
            polygons=outlines(region.mask, size_wh),
        )
        for region in found.regions
    ]  # fmt: skip
    return SegmentGiven(width=photo.width, height=photo.height, segmenter=found.maker, regions=regions)


def segment_drawn(service: Service, sent: Sent, segmenter: str) -> bytes:
    """A PNG of the picture, at no less than 1080 pixels on the short side where it has them, with its regions drawn on it.

    Raises:
        ImageError: it is no picture.
        UnknownName: there is no such segmenter.
    """
    from annotate import draw_regions, resize_mask
    from preprocess import DECODE_MARGIN, png_bytes, reduced

    from ..drawing import DRAWN_SHORT, MOST_PIXELS

    maker = service.models.region_maker(segmenter)
    wanted = max(maker.short, DRAWN_SHORT)
    pixels = reduced(decode_upload(service, sent.data, sent.name, -(-wanted // DECODE_MARGIN)), wanted, MOST_PIXELS)
    height, width = pixels.shape[:2]
    found = maker(pixels, (width, height))
    regions = [replace(region, mask=region.mask and resize_mask(region.mask, (height, width))) for region in found.regions]
    return png_bytes(draw_regions(pixels, regions))


def embed(service: Service, encoder: Encoder, inputs: Sequence[str | Sent]) -> Vectors:
    """Unit rows of texts and of pictures, in their order, Float32["input dim"].

    Raises:
        ImageError: one is no picture.
    """
    pictures = [at for at, each in enumerate(inputs) if isinstance(each, Sent)]
    texts = [at for at, each in enumerate(inputs) if isinstance(each, str)]
    prepared = [encoder.prepare(decode_upload(service, each.data, each.name, encoder.side)) for each in inputs if isinstance(each, Sent)]
    rows = np.empty((len(inputs), encoder.recipe.dim), np.float32)
    if texts:
        rows[texts] = encoder.encode_texts([each for each in inputs if isinstance(each, str)])
    if pictures:
        rows[pictures] = encoder.encode_images(prepared)
    return rows
