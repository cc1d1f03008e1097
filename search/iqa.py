"""CLIP-IQA: how a photo looks and feels, as the choice of an encoder between two opposite texts.

After Wang, Chan, Loy, "Exploring CLIP for Assessing the Look and Feel of Images", AAAI 2023. Of a photo's cosines s₁ and s₂ with the texts of a pair, the score is

    exp(λ s₁) / (exp(λ s₁) + exp(λ s₂))        (equation 2; λ = 100 in CLIP)

In the mode "paper" the vector is of the photo at its own size, by `iqa.onnx`; in the mode "fast" it is the one in the store, by any encoder, which saw a small square: it
knows little of noise and slight blur. Technical quality and beauty are axes of their own, and neither stands for the other: the paper reaches a rank correlation
of 0.695 with people's ratings of quality on KonIQ-10k, and CLIP's axes reach about 0.34 with ratings of beauty on AVA.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preprocess import InputError

if TYPE_CHECKING:
    from .encode import Encoder, Vectors

IQA = "iqa.onnx"
"""In a model's folder: the graph that sees photos at their own size."""

LOGIT_SCALE = 100.0
"""λ of CLIP, and of every encoder in the paper; taken where a model does not say its own."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Pair:
    """An axis: photos that are more like `positive` than like `negative` score above 0.5.

    Raises:
        InputError: the name is not one for a column, or a text is empty, or both are the same.
    """

    axis: str
    positive: str
    negative: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.axis):
            raise InputError(
                f"{self.axis!r} is no name for an axis: it begins with a small letter, and has up to 40 small letters, digits and underscores."
            )
        if not self.positive or not self.negative or self.positive == self.negative:
            raise InputError(f"The axis {self.axis} needs two different texts: {self.axis}: Warm photo. | Cold photo.")


TECHNICAL: Mapping[str, Pair] = {
    pair.axis: pair
    for pair in (
        Pair("quality", "Good photo.", "Bad photo."),
        Pair("brightness", "Bright photo.", "Dark photo."),
        Pair("sharpness", "Sharp photo.", "Blurry photo."),
        Pair("noisiness", "Noisy photo.", "Clean photo."),
        Pair("colourfulness", "Colorful photo.", "Dull photo."),
        Pair("contrast", "High contrast photo.", "Low contrast photo."),
    )
}
"""How a photo was taken: the pairs of the authors' own code, with its American spelling and its order: a noisy photo scores high in noisiness (torchmetrics' `noisiness`
is the other way round)."""

LOOK: Mapping[str, Pair] = {
    pair.axis: pair
    for pair in (
        Pair("aesthetic", "Aesthetic photo.", "Not aesthetic photo."),
        Pair("happy", "Happy photo.", "Sad photo."),
        Pair("natural", "Natural photo.", "Synthetic photo."),
        Pair("new", "New photo.", "Old photo."),
        Pair("scary", "Scary photo.", "Peaceful photo."),
        Pair("complex", "Complex photo.", "Simple photo."),
    )
}
"""What a photo feels like: the pairs that the authors use on AVA."""

PAIRS: Mapping[str, Pair] = {**TECHNICAL, **LOOK}


def parse_pairs(text: str, source: str = "the file of pairs") -> tuple[Pair, ...]:
    """Pairs from lines such as `warm: Warm photo. | Cold photo.`; empty lines and those that begin with # are skipped.

    Raises:
        InputError: a line is wrong, an axis is there twice or is one of `PAIRS`, or there are none.

    >>> parse_pairs("# of mine\\nwarm: Warm photo. | Cold photo.")
    (Pair(axis='warm', positive='Warm photo.', negative='Cold photo.'),)
    """
    pairs: dict[str, Pair] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        axis, colon, texts = line.partition(":")
        parts = [part.strip() for part in texts.split("|")]
        where = f"Line {number} of {source}"
        if not colon or len(parts) != 2:
            raise InputError(f"{where} is {line.strip()!r}, not an axis with two texts: warm: Warm photo. | Cold photo.")
        try:
            pair = Pair(axis.strip(), *parts)
        except InputError as error:
            raise InputError(f"{where} cannot be used. {error}") from error
        if pair.axis in PAIRS or pair.axis in pairs:
            raise InputError(f"{where} has the axis {pair.axis}, which is there already. Give it another name.")
        pairs[pair.axis] = pair
    if not pairs:
        raise InputError(f"There are no pairs in {source}. Write some: warm: Warm photo. | Cold photo.")
    return tuple(pairs.values())


def read_pairs(file: Path) -> tuple[Pair, ...]:
    """The pairs of a text file; see `parse_pairs`.

    Raises:
        InputError: it cannot be read, or a line of it is wrong.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read as text ({error}). Give a UTF-8 file of lines such as: warm: Warm photo. | Cold photo."
        ) from error
    return parse_pairs(text, str(file))


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """Pairs of texts in an encoder's space. `positive` and `negative` are unit rows, Float32["pair dim"], `scale` is what differences of cosines are multiplied by."""

    pairs: tuple[Pair, ...]
    positive: Vectors
    negative: Vectors
    scale: float = LOGIT_SCALE

    def scores(self, vectors: Vectors) -> Vectors:
        """Of unit rows, Float32["photo dim"]: in [0, 1], Float32["photo pair"]. The softmax over two is the logistic function of their difference."""
        logits = self.scale * (np.asarray(vectors, np.float32) @ (self.positive - self.negative).T)
        return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)  # the logistic function, without overflow

    def names(self) -> list[str]:
        """The axes in the order of the columns of `scores`."""
        return [pair.axis for pair in self.pairs]


def load_axes(encoder: Encoder, pairs: Iterable[Pair] = tuple(PAIRS.values()), scale: float | None = None) -> Axes:
    """The pairs' texts through an encoder's text tower, in one call; for the mode "paper", the tower of the folder that `iqa.onnx` lies in. `scale` is the encoder's own where it is
    not given: see `scale_of`.

    Raises:
        InputError: there are no pairs.
    """
    pairs = tuple(pairs)
    if not pairs:
        raise InputError(f"There are no axes to score. Known: {', '.join(PAIRS)}.")
    rows = encoder.encode_texts([text for pair in pairs for text in (pair.positive, pair.negative)])
    return Axes(pairs, rows[::2], rows[1::2], scale_of(encoder) if scale is None else scale)


def scale_of(encoder: Encoder) -> float:
    """What the encoder learnt to multiply cosines by, and so how far apart its cosines of different texts lie: 100 in CLIP, 35 in the one that ships, about 117 in SigLIP, whose
    bias falls out of a difference. `LOGIT_SCALE` where its files do not say, as those of ready-made graphs."""
    learnt = float(getattr(getattr(encoder, "model", None), "logit_scale", 0.0))
    return learnt if learnt > 1 else LOGIT_SCALE


def choose_pairs(axes: Sequence[str], more: Sequence[Pair] = ()) -> tuple[Pair, ...]:
    """The pairs of these axes, in this order; all where none is named. `more` are a user's own.

    Raises:
        UnknownName: there is no such axis.
    """
    from preprocess import choose

    known = {**PAIRS, **{pair.axis: pair for pair in more}}
    return tuple(choose(known, axis, "axis") for axis in axes) if axes else tuple(known.values())
