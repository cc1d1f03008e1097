"""Words, and vectors of them and of an example photo, to compare what one runtime makes of them with what another did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from preprocess import example_photos

if TYPE_CHECKING:
    from .encode import Encoder

EXAMPLE_TEXTS = (
    "a photo of a cat",
    "Two dogs run along a sandy beach at sunset.",
    "",
    "A red bicycle, leaning on a wall; 1999's winner!",
    "犬が浜辺にいる",
    "Ein Käsekuchen für Größenwahnsinnige",
    "\U0001f415\U0001f3d6️ summer &amp; sea",
    "an old photograph of people who stand on a platform and wait for a train that never comes, " * 8,
)
"""Short, empty, long, other scripts, signs: each finds another fault of a tokenizer or a text tower."""

_NUMBERS = 8  # of a vector that are kept: a hash of their rest would break at the last bit


def probe_vectors(encoder: Encoder) -> dict[str, list[float]]:
    """The first eight numbers of the vectors of one example photo and one text, under "image" and "text"."""
    photo = encoder.prepare(example_photos(1)[0])
    rows = {"image": encoder.encode_images([photo])[0], "text": encoder.encode_texts(EXAMPLE_TEXTS[1:2])[0]}
    return {kind: [round(float(number), 6) for number in row[:_NUMBERS]] for kind, row in rows.items()}


def probe_difference(encoder: Encoder, expected: dict[str, list[float]]) -> float:
    """The largest difference of `probe_vectors` from those of the day the model was made; a sound fp32 runtime stays below 0.001."""
    found = probe_vectors(encoder)
    return max(float(np.abs(np.subtract(found[kind], expected[kind])).max()) for kind in found)
