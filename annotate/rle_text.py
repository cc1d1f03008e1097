"""COCO's compressed run lengths: numbers as printable ASCII, and back.

From the fourth on, a length is written as its difference from the length two before; each number then takes 5 bits a character, least first, with a sixth
bit where more follow, plus 48.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from preprocess import InputError

from .region import Rle

Runs: TypeAlias = NDArray[np.int64]
"""Lengths in pixels, of runs alternately outside and inside."""

_FIRST = 48  # the character of 0
_MORE, _SIGN, _FIVE = 0x20, 0x10, 0x1F
_MOST_CHARACTERS = 8  # of a number: 40 bits with the sign, runs of up to 5·10¹¹ pixels


def compressed(runs: Runs) -> bytes:
    """The lengths as text."""
    numbers = runs.copy()
    numbers[3:] -= runs[1:-2]
    # As many characters as bits and a sign need, 5 each; the bits of x below 0 are those of ~x.
    lengths = np.ones(len(numbers), np.int64)
    magnitudes = np.where(numbers < 0, ~numbers, numbers) >> 4
    while magnitudes.any():
        lengths += magnitudes > 0
        magnitudes >>= 5
    starts = np.cumsum(lengths) - lengths
    text = np.empty(int(lengths.sum()), np.uint8)
    for place in range(int(lengths.max())):
        these = np.flatnonzero(lengths > place)
        more = np.where(lengths[these] > place + 1, _MORE, 0)
        text[starts[these] + place] = ((numbers[these] >> (5 * place)) & _FIVE | more) + _FIRST
    return text.tobytes()


def decompressed(rle: Rle) -> Runs:
    """The lengths that the text holds, whatever they are.

    Raises:
        InputError: it is no such text.
    """
    text = np.frombuffer(rle.counts, np.uint8).astype(np.int64) - _FIRST
    if not text.size or text.min() < 0 or text.max() >= 2 * _MORE or text[-1] & _MORE:
        raise damaged(rle, "its text is cut off, or has characters that do not belong there")
    ends = np.flatnonzero(text & _MORE == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MOST_CHARACTERS:
        raise damaged(rle, "a run in it is longer than any picture")
    places = np.arange(len(text)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((text & _FIVE) << (5 * places), starts)
    numbers -= np.where(text[ends] & _SIGN != 0, 1 << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])  # differences begin with the fourth number, so the first stands apart
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def damaged(rle: Rle, why: str) -> InputError:
    """The error that says so."""
    start = rle.counts[:24].decode("ascii", "backslashreplace")
    return InputError(f"The mask {start!r} of {rle.size_hw} pixels, height and width, is damaged: {why}. Make it again with encode_mask.")
