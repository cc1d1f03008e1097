"""A rating of a photo's technical quality, near what people would give it, from classical measures, statistics of natural photos, and vectors of the encoder that ships.

It was fitted on 600 photos with mean opinion scores by training/quality_fit.py. How well it agrees with people on 250 others stands in docs/quality.md: enough to sort a library, not to judge
one photo. From the features x, standardised and weighed: Gaussian functions around centres, Σ wᵢ exp(-γ‖x - cᵢ‖²) + b, fitted to the least absolute error with a penalty on ‖f‖. From the
mean vector v of nine squares of the photo, seen pixel for pixel: u·v + a. The rating is the first, or with vectors, a mean of both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import RgbImage, WeightsError, measure, natural_statistics, working_copy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Encoder, Vectors

MEASURED = (
    "sharpness", "laplacian", "brightness", "exposure", "highlights", "shadows", "contrast", "colourfulness", "noise", "haze", "blockiness"
)  # fmt: skip
FEATURES = len(MEASURED) + 75
SQUARES = 3
"""On each side of the grid of squares whose vectors are used."""
_FARTHEST = 4.0  # spreads from the mean: what lies further out than nearly all photos of the fit says no more than that
_FORMAT = 2


@dataclass(frozen=True, slots=True, eq=False)
class Rater:
    """Rates photos. `centres` is Float32["centre feature"] in weighed standard scores, `importance` Float32["feature"] what these are weighed by, `weights` Float32["centre"], `map`
    Float32["dim"] for vectors of the encoder whose recipe has the weights `encoder`; `share` is what it counts of the whole. `id` names all of it."""

    mean: Vectors
    spread: Vectors
    importance: Vectors
    centres: Vectors
    weights: Vectors
    width: float
    bias: float
    map: Vectors
    map_bias: float
    share: float
    encoder: str
    id: str

    def rate(self, features: Vectors, vectors: Vectors | None = None) -> Vectors:
        """Of photos, from 0 (bad) to 1 (excellent), Float32["photo"], by their `features_of`, Float32["photo feature"]; `vectors` are means over squares (see `square_vectors`),
        Float32["photo dim"]."""
        given = np.clip((features - self.mean) / self.spread, -_FARTHEST, _FARTHEST) * self.importance
        rating = gaussians(given, self.centres, self.width) @ self.weights + self.bias
        if vectors is not None:
            rating = (1 - self.share) * rating + self.share * (vectors @ self.map + self.map_bias)
        return np.asarray(np.clip(rating, 0, 1), np.float32)

    def rate_photo(self, pixels: RgbImage, encoder: Encoder | None = None) -> float:
        """Of one photo, UInt8["height width 3"]; with an encoder that the map is not for, without vectors. Decode it for `preprocess.DECODED_SIDE`."""
        vectors = square_vectors(pixels, encoder)[None] if encoder is not None and self.knows(encoder) else None
        return float(self.rate(features_of(pixels)[None], vectors)[0])

    def knows(self, encoder: Encoder) -> bool:
        """Whether the map is for this encoder's vectors; where it is not, ratings come from the pixels alone."""
        return encoder.recipe.weights == self.encoder


def load_rater() -> Rater:
    """The rater that ships.

    Raises:
        WeightsError: its file is missing or damaged.
    """
    file = resources.files("search") / "builtin" / "quality.json"
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        return rater_of(facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{file} is missing or damaged ({error}). Install Pellucid again: pip install --force-reinstall pellucid"
        ) from error


def rater_of(facts: Mapping[str, Any]) -> Rater:
    """The rater that a JSON object describes.

    Raises:
        ValueError, KeyError: a field is missing or wrong.
    """
    if facts["format"] != _FORMAT or tuple(facts["measured"]) != MEASURED:
        raise ValueError(f"it is of format {facts['format']} with the measures {', '.join(facts['measured'])}")
    names = ("mean", "spread", "importance", "centres", "weights", "map")
    mean, spread, importance, centres, weights, map_ = (np.array(facts[name], np.float32) for name in names)
    if centres.shape != (len(weights), FEATURES) or any(len(row) != FEATURES for row in (mean, spread, importance)):
        raise ValueError(f"its centres have the shape {centres.shape}")
    width, bias, map_bias, share = (float(facts[name]) for name in ("width", "bias", "map_bias", "share"))
    name = sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    return Rater(mean, spread, importance, centres, weights, width, bias, map_, map_bias, share, str(facts["encoder"]), name)


def features_of(pixels: RgbImage) -> Vectors:
    """Of a photo, UInt8["height width 3"], Float32["feature"]: its measures, of which those that span several powers of ten as logarithms and shares as square roots, and the
    `natural_statistics` of its working copy."""
    measured = measure(pixels)
    values = {name: float(getattr(measured, name)) for name in MEASURED}
    for name, least in (("laplacian", 1.0), ("noise", 0.1), ("blockiness", 0.01)):
        values[name] = float(np.log(values[name] + least))
    for name in ("highlights", "shadows"):
        values[name] = float(np.sqrt(values[name]))
    return np.asarray(np.r_[list(values.values()), natural_statistics(working_copy(pixels))], np.float32)


def gaussians(rows: NDArray[np.floating], centres: NDArray[np.floating], width: float) -> Vectors:
    """exp(-width · squared distance), Float32["row centre"]."""
    squares = np.square(rows).sum(1)[:, None] + np.square(centres).sum(1) - 2 * rows @ centres.T
    return np.asarray(np.exp(-width * np.maximum(squares, 0)), np.float32)


def square_vectors(pixels: RgbImage, encoder: Encoder) -> Vectors:
    """The mean of an encoder's vectors of nine squares of its side, spread evenly over the photo's working copy, Float32["dim"]: seen pixel for pixel, since a whole photo
    squashed to that side has lost its fine detail. Smaller photos give fewer different ones."""
    crops = spread_out(working_copy(pixels), encoder.side, SQUARES)
    return np.asarray(encoder.encode_images([encoder.prepare(crop) for crop in crops]).mean(0), np.float32)


def spread_out(pixels: RgbImage, side: int, count: int) -> list[RgbImage]:
    """Squares of a side, `count` along each direction, spread evenly from edge to edge; fewer where they would be the same, smaller where the picture is."""
    sides = [min(side, length) for length in pixels.shape[:2]]
    downs, rights = (
        sorted({round(at * (length - part) / (count - 1)) for at in range(count)})
        for length, part in zip(pixels.shape[:2], sides, strict=True)
    )
    return [np.ascontiguousarray(pixels[down : down + sides[0], right : right + sides[1]]) for down in downs for right in rights]
