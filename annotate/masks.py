"""Masks of pixels and their run-length encoding, exactly, both ways.

The encoding is COCO's: pixels column by column from the top left, the lengths of runs alternately outside and inside, beginning with
outside (which may be 0 long). In the compressed form, from the fourth on, a length is written as its difference from the length two before; each
number then takes 5 bits a character, least first, with a sixth bit where more follow, plus 48, which makes it printable ASCII.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preprocess import InputError

from ._opencv import cv2
from .region import Box, Rle

Mask: TypeAlias = NDArray[np.bool_]
"""Pixels inside: shape (height, width)."""

Runs: TypeAlias = NDArray[np.int64]
"""Lengths in pixels, of runs alternately outside and inside."""

_FIRST = 48  # the character of 0
_MORE, _SIGN, _FIVE = 0x20, 0x10, 0x1F
_MOST_CHARACTERS = 8  # of a number: 40 bits with the sign, runs of up to 5·10¹¹ pixels
_MOST_PIXELS = 1 << 38


def encode_mask(mask: Mask) -> Rle:
    """The mask, Bool["height width"], run-length encoded.

    >>> encode_mask(np.array([[False, True], [True, True]]))
    Rle(size_hw=(2, 2), counts=b'13')

    Raises:
        InputError: the mask is not boolean, has not two dimensions, or has no pixel.
    """
    if mask.dtype != np.bool_ or mask.ndim != 2 or not mask.size:
        raise InputError(
            f"A mask is boolean and of shape (height, width), not {mask.dtype} of {mask.shape}. Compare with a value, as in `map == 3`."
        )
    # Of 12 megapixels, OpenCV makes columns of rows in 2 ms, numpy in 8.
    return _encode_columns(np.asarray(cv2.transpose(np.ascontiguousarray(mask).view(np.uint8)), np.uint8))


def encode_piece(piece: Mask, corner_xy: tuple[int, int], size_hw: tuple[int, int]) -> Rle:
    """The mask of a picture of `size_hw` pixels that is empty but for a piece, Bool["height width"], whose top left pixel is at `corner_xy`.

    Raises:
        InputError: the piece is no mask, or does not lie within the picture.
    """
    (left, top), (height, width) = corner_xy, piece.shape
    if left < 0 or top < 0 or left + width > size_hw[1] or top + height > size_hw[0]:
        raise InputError(f"A piece of {piece.shape} pixels at {corner_xy} does not lie within a picture of {size_hw}, height and width.")
    strip = np.zeros((size_hw[0], width), np.bool_)
    strip[top : top + height] = piece
    runs = runs_of(encode_mask(strip))
    outside = (size_hw[1] - left - width) * size_hw[0]
    if len(runs) % 2:
        runs[-1] += outside
    elif outside:
        runs = np.append(runs, outside)
    runs[0] += left * size_hw[0]
    return Rle(size_hw, _compressed(runs))


def decode_mask(rle: Rle) -> Mask:
    """The pixels inside, Bool["height width"].

    Raises:
        InputError: the encoding is damaged, or not of a picture of its size.
    """
    return np.asarray(cv2.transpose(_decode_columns(rle)), np.uint8).view(np.bool_)


def resize_mask(rle: Rle, size_hw: tuple[int, int]) -> Rle:
    """The mask for a picture of another size in pixels: each new pixel takes the old one at its middle (nearest neighbour).

    Small parts can vanish, and the mask with them.

    Raises:
        InputError: a side is below 1, or the encoding is damaged.
    """
    if min(size_hw) < 1:
        raise InputError(f"A mask cannot be resized to {size_hw}: height and width must be at least 1 pixel.")
    if size_hw == rle.size_hw:
        return rle
    rows, columns = (((2 * np.arange(new) + 1) * old) // (2 * new) for new, old in zip(size_hw, rle.size_hw, strict=True))
    return _encode_columns(_decode_columns(rle)[columns[:, None], rows])


def mask_area(rle: Rle) -> int:
    """How many pixels are inside."""
    return int(runs_of(rle)[1::2].sum())


def mask_box(rle: Rle) -> Box | None:
    """The smallest box around the pixels inside, `box_xyxy` with right and bottom exclusive; none where there are none. Nothing is decoded."""
    height, ends = rle.size_hw[0], np.cumsum(runs_of(rle))
    first, last = ends[:-1:2], ends[1::2] - 1
    some = first <= last
    if not some.any():
        return None
    first, last = first[some], last[some]
    left, right = int(first[0] // height), int(last[-1] // height) + 1
    if (first // height != last // height).any():  # a run that goes on in the next column has touched the bottom and the top
        return (left, 0, right, height)
    return (left, int((first % height).min()), right, int((last % height).max()) + 1)


def intersection_over_union(a: Rle, b: Rle) -> float:
    """How far two masks agree, in [0, 1]: shared pixels by pixels of either; 0 where both are empty. Nothing is decoded.

    Raises:
        InputError: the masks are of pictures of different sizes, or an encoding is damaged.
    """
    if a.size_hw != b.size_hw:
        raise InputError(
            f"The masks are of {a.size_hw} and {b.size_hw} pixels, height and width. Bring one to the other's size with resize_mask."
        )
    ends_a, ends_b = np.cumsum(runs_of(a)), np.cumsum(runs_of(b))
    edges = np.concatenate([ends_a, ends_b])
    order = np.argsort(edges, kind="stable")  # of two sorted halves: merged in linear time
    lengths = np.diff(edges[order], append=edges[order[-1]])
    # After an odd number of its ends, a mask is inside. Where several fall on one place, what lies between them is 0 long.
    of_a = order < len(ends_a)
    inside_a, inside_b = np.cumsum(of_a) % 2 == 1, np.cumsum(~of_a) % 2 == 1
    union = int(lengths[inside_a | inside_b].sum())
    return int(lengths[inside_a & inside_b].sum()) / union if union else 0.0


def runs_of(rle: Rle) -> Runs:
    """The lengths of the runs, Int64["run"]: COCO's uncompressed `counts`.

    >>> runs_of(Rle((2, 2), b"13")).tolist()
    [1, 3]

    Raises:
        InputError: the encoding is damaged, or not of a picture of its size.
    """
    runs = _decompressed(rle)
    if (
        min(rle.size_hw) < 1
        or runs.size == 0
        or runs.min() < 0
        or runs.max() > _MOST_PIXELS
        or int(runs.sum()) != rle.size_hw[0] * rle.size_hw[1]
    ):
        raise _damaged(rle, "its runs do not fill the picture")
    return runs


def rle_of(runs: ArrayLike, size_hw: tuple[int, int]) -> Rle:
    """Runs of pixels alternately outside and inside, column by column, as an encoded mask; `size_hw` is the picture's in pixels.

    Empty runs are kept only at the beginning, as COCO's own encoder does, so that masks with the same pixels are equal.

    Raises:
        InputError: the runs are not whole numbers of at least 0 that together fill the picture.
    """
    lengths = np.asarray(runs)
    if (
        lengths.ndim != 1
        or lengths.dtype.kind not in "iu"
        or min(size_hw) < 1
        or (lengths < 0).any()
        or int(lengths.sum()) != size_hw[0] * size_hw[1]
    ):
        raise InputError(
            f"The runs of a mask of {size_hw} pixels, height and width, are whole numbers of at least 0 that add up to height × width."
        )
    if not (lengths[1:] > 0).all():
        inside = np.arange(len(lengths)) % 2 == 1
        lengths, inside = lengths[lengths > 0], inside[lengths > 0]
        new = np.flatnonzero(np.concatenate([[True], inside[1:] != inside[:-1]]))
        lengths = np.concatenate([[0] * int(inside[0]), np.add.reduceat(lengths, new)])
    return Rle((int(size_hw[0]), int(size_hw[1])), _compressed(lengths.astype(np.int64)))


def _encode_columns(columns: NDArray[np.uint8]) -> Rle:
    """A mask of shape (width, height), of 0 and 1."""
    flat = columns.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    begin = [0, 0] if flat[0] else [0]
    places: Runs = np.concatenate([begin, edges, [flat.size]]).astype(np.int64)
    return Rle((columns.shape[1], columns.shape[0]), _compressed(places[1:] - places[:-1]))


def _decode_columns(rle: Rle) -> NDArray[np.uint8]:
    runs = runs_of(rle)
    return np.repeat((np.arange(len(runs)) % 2).astype(np.uint8), runs).reshape(rle.size_hw[::-1])


def _compressed(runs: Runs) -> bytes:
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


def _decompressed(rle: Rle) -> Runs:
    text = np.frombuffer(rle.counts, np.uint8).astype(np.int64) - _FIRST
    if not text.size or text.min() < 0 or text.max() >= 2 * _MORE or text[-1] & _MORE:
        raise _damaged(rle, "its text is cut off, or has characters that do not belong there")
    ends = np.flatnonzero(text & _MORE == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MOST_CHARACTERS:
        raise _damaged(rle, "a run in it is longer than any picture")
    places = np.arange(len(text)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((text & _FIVE) << (5 * places), starts)
    numbers -= np.where(text[ends] & _SIGN != 0, 1 << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])  # differences begin with the fourth number, so the first stands apart
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _damaged(rle: Rle, why: str) -> InputError:
    start = rle.counts[:24].decode("ascii", "backslashreplace")
    return InputError(f"The mask {start!r} of {rle.size_hw} pixels, height and width, is damaged: {why}. Make it again with encode_mask.")
