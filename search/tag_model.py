"""What tags are judged with before anything is known of a library: fitted coefficients, how often captions name a tag, and how vectors usually lie.

Made by training/tag_fit.py, on training data only.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import WeightsError

from .derived import Spread
from .vocabulary import Vocabulary, tag_key
from .vocabulary_file import load_vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE, NEGATIVES = "tags.json", "negatives.txt"
WEIGHTS = ("z", "frequency", "breadth", "spread", "negative", "kinds", "bias")
OTHERS = "others"
"""Families besides the encoder that ships. None of them was at hand: they have the coefficients of an encoder that finds 94 % of captions' photos among the first ten of
250, where the one that ships finds 48 %. See training/tag_fit.py."""
REFERENCES = 100  # tags that captions name most often: their similarities are the measure for all others
OWN_SHARE = 0.005
"""How many photos in a thousand a word that we know nothing of fits: five, as the 150th of the tags by frequency. Who lists it expects to use it."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Coefficients of a logistic regression: a tag's log odds are their products with these, added up.

    `z`: the similarity minus its mean over the library, by its deviation. `frequency`: the natural logarithm of the share of photos that the tag is expected to
    fit. `breadth`: its mean similarity among those of the reference words, in their deviations. `spread`: the logarithm of its deviation by theirs.
    `negative`: the logarithm of the pairwise softmax against the generic negatives. `kinds`: the largest z of what is a kind of it, 0 where nothing is.
    """

    z: float
    frequency: float
    breadth: float
    spread: float
    negative: float
    kinds: float
    bias: float


@dataclass(frozen=True, slots=True)
class Closed:
    """An exclusive group of which every photo has one: the softmax of slope · s/u + bias over its tags is the precision, whatever the other terms say."""

    tags: tuple[str, ...]
    slope: float
    biases: tuple[float, ...]


class TagModel:
    """The file's content, for a family of encoders (`templates.family_of`). `closed` are groups of which every photo has a tag.

    Raises:
        WeightsError: the file is damaged.
    """

    def __init__(self, facts: Mapping[str, Any], family: str = "builtin") -> None:
        try:
            own = facts["families"]["builtin" if family == "builtin" else OTHERS]
            self.weights = Weights(**{name: float(own["weights"][name]) for name in WEIGHTS})
            self.shares: dict[str, float] = {tag_key(name): float(share) for name, share in facts["shares"].items()}
            self.least = float(facts["least_share"])
            self.closed = tuple(Closed(tuple(row["tags"]), float(row["slope"]), tuple(map(float, row["biases"]))) for row in own["closed"])
            self._encoder, self._spread = str(facts["encoder"]), facts["spread"]
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"The coefficients of tags are damaged ({error}). Install Pellucid again.") from error
        if min(self.weights.z, self.weights.negative) <= 0 or self.weights.kinds < 0:
            raise WeightsError("The coefficients of tags are damaged (similar photos must not be less likely). Install Pellucid again.")

    def prior(self, weights: str) -> Spread | None:
        """How the vectors of the encoder with these weights lie over photos of all kinds; none for an encoder that it was not measured with."""
        if weights != self._encoder:
            return None
        dim, factors = int(self._spread["dim"]), _floats(self._spread["factors"])
        factors = factors.reshape(-1, dim)
        covariance = factors.T @ factors + np.diag(_floats(self._spread["rest"]))
        return Spread(int(self._spread["photos"]), _floats(self._spread["mean"]), covariance.astype(np.float32))

    def frequencies(self, vocabulary: Vocabulary) -> NDArray[np.float32]:
        """Natural logarithms of the share of photos that each tag is expected to fit, Float32["tag"]."""
        return np.log([self._share(tag.words) for tag in vocabulary]).astype(np.float32)

    def _share(self, words: tuple[str, ...]) -> float:
        for word in words:
            if (share := self.shares.get(tag_key(word))) is not None:
                return share
        for word in words:
            if (known := self._photo.find(word)) is not None:
                return self.shares.get(tag_key(known.name), self.least)
        return OWN_SHARE

    @cached_property
    def _photo(self) -> Vocabulary:
        return load_vocabulary("photo")

    @cached_property
    def references(self) -> tuple[str, ...]:
        """The words that captions name most often."""
        return tuple(sorted(self.shares, key=lambda word: (-self.shares[word], word))[:REFERENCES])


@cache
def load_tag_model(family: str = "builtin") -> TagModel:
    """The one that ships, for a family of encoders.

    Raises:
        WeightsError: its file is missing or damaged.
    """
    try:
        return TagModel(json.loads((resources.files("search") / "builtin" / FILE).read_text(encoding="utf-8")), family)
    except (OSError, ValueError) as error:
        raise WeightsError(f"The coefficients of tags cannot be read ({error}). Install Pellucid again.") from error


@cache
def generic_phrases() -> tuple[str, ...]:
    """The phrases that fit any photo."""
    text = (resources.files("search") / "builtin" / NEGATIVES).read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def spread_facts(spread: Spread, factors: int) -> dict[str, Any]:
    """A spread for the file: its covariance as that many principal axes, and what they leave of each variance."""
    values, axes = np.linalg.eigh(spread.covariance.astype(np.float64))
    kept = (axes[:, -factors:] * np.sqrt(np.maximum(values[-factors:], 0))).T
    rest = np.maximum(np.diag(spread.covariance) - np.square(kept).sum(0), 0)
    return {"photos": spread.count, "dim": len(spread.mean), "mean": _text(spread.mean), "factors": _text(kept), "rest": _text(rest)}


def _text(values: NDArray[np.floating]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, np.float16).tobytes()).decode("ascii")


def _floats(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), np.float16).astype(np.float32)
