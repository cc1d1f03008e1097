"""Masks of pixels and their run-length encoding, exactly, both ways.

The encoding is COCO's: pixels column by column from the top left, the lengths of runs alternately outside and inside, beginning with
outside (which may be 0 long).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preprocess import InputError

from ._opencv import cv2
from .region import Box, Rle
from .rle_text import Runs, compressed, damaged, decompressed

Mask: TypeAlias = NDArray[np.bool_]
"""Pixels inside: shape (height, width)."""

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
    return Rle(size_hw, compressed(runs))


def decode_mask(rle: Rle) -> Mask:
    """The pixels inside, Bool["height width"].

    Raises:
        InputError: the encoding is damaged, or not of a picture of its size.
    """
    return np.asarray(cv2.transpose(_decode_columns(rle)), np.uint8).view(np.bool_)


def decode_box(rle: Rle, box_xyxy: tuple[int, int, int, int]) -> Mask:
    """The pixels inside within a box of whole pixels of the photo, Bool["height width"] of the box; no more than its columns are decoded.

    Raises:
        InputError: the box does not lie within the photo, or the encoding is damaged.
    """
    left, top, right, bottom = box_xyxy
    height, width = rle.size_hw
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise InputError(f"The box {box_xyxy} does not lie within a mask of {rle.size_hw} pixels, height and width.")
    runs = runs_of(rle)
    ends = np.clip(np.cumsum(runs), left * height, right * height) - left * height
    columns = np.repeat((np.arange(len(runs)) % 2).astype(np.bool_), np.diff(ends, prepend=0)).reshape(right - left, height)
    return np.ascontiguousarray(columns[:, top:bottom].T)


def resize_mask(rle: Rle, size_hw: tuple[int, int]) -> Rle:
    """The mask for a picture of another size in pixels: each new pixel takes the old one at its middle (nearest neighbour).

    Small parts can vanish, and the mask with them. Nothing is decoded: of a mask with
    3,300 runs, 683×512, for a photo of 12 megapixels, that takes 1.5 ms instead of 37.

    Raises:
        InputError: a side is below 1, or the encoding is damaged.
    """
    if min(size_hw) < 1:
        raise InputError(f"A mask cannot be resized to {size_hw}: height and width must be at least 1 pixel.")
    if size_hw == rle.size_hw:
        return rle
    column, top, bottom = pieces_of(rle)
    new_top, new_bottom = (_first(rows, rle.size_hw[0], size_hw[0]) for rows in (top, bottom))
    # Each new column repeats the pieces of the old one at its middle.
    old = ((2 * np.arange(size_hw[1]) + 1) * rle.size_hw[1]) // (2 * size_hw[1])
    begins, counts = np.searchsorted(column, old), np.searchsorted(column, old, side="right")
    counts -= begins
    after = np.cumsum(counts)
    piece = np.repeat(begins - (after - counts), counts) + np.arange(int(after[-1]))
    start = np.repeat(np.arange(size_hw[1]) * size_hw[0], counts)
    edges = np.stack([start + new_top[piece], start + new_bottom[piece]], 1).ravel()
    return rle_of(np.diff(edges, prepend=0, append=size_hw[0] * size_hw[1]), size_hw)


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
    runs = decompressed(rle)
    if (
        min(rle.size_hw) < 1
        or runs.size == 0
        or runs.min() < 0
        or runs.max() > _MOST_PIXELS
        or int(runs.sum()) != rle.size_hw[0] * rle.size_hw[1]
    ):
        raise damaged(rle, "its runs do not fill the picture")
    return runs


def row_runs(mask: Mask) -> Runs:
    """Lengths of runs row by row, Int64["run"], alternately outside and inside; the first one may be 0 long. What CVAT and Label Studio count.

    >>> row_runs(np.array([[False, True], [True, True]])).tolist()
    [1, 3]
    """
    return _lengths(mask.ravel())


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
    return Rle((int(size_hw[0]), int(size_hw[1])), compressed(lengths.astype(np.int64)))


def _encode_columns(columns: NDArray[np.uint8]) -> Rle:
    """A mask of shape (width, height), of 0 and 1."""
    return Rle((columns.shape[1], columns.shape[0]), compressed(_lengths(columns.reshape(-1))))


def _lengths(flat: NDArray[np.uint8] | NDArray[np.bool_]) -> Runs:
    """Of runs alternately 0 and 1; the first may be 0 long."""
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    places: Runs = np.concatenate([[0, 0] if flat[0] else [0], edges, [flat.size]]).astype(np.int64)
    return places[1:] - places[:-1]


def pieces_of(rle: Rle) -> tuple[Runs, Runs, Runs]:
    """The runs inside, cut where a column ends: column, first row and last row, exclusive, of each."""
    height, ends = rle.size_hw[0], np.cumsum(runs_of(rle))
    first, last = ends[:-1:2], ends[1::2] - 1
    first, last = first[first <= last], last[first <= last]
    counts = last // height - first // height + 1
    after = np.cumsum(counts)
    begins = after - counts
    column = np.arange(int(counts.sum())) + np.repeat(first // height - begins, counts)
    top, bottom = np.zeros(len(column), np.int64), np.full(len(column), height)
    top[begins], bottom[after - 1] = first % height, last % height + 1
    return column, top, bottom


def _first(rows: Runs, old: int, new: int) -> Runs:
    """Of `new` rows, the first one whose middle lies at or below the upper edge of such a row of `old` ones."""
    return -((old - 2 * new * rows) // (2 * old))


def _decode_columns(rle: Rle) -> NDArray[np.uint8]:
    runs = runs_of(rle)
    return np.repeat((np.arange(len(runs)) % 2).astype(np.uint8), runs).reshape(rle.size_hw[::-1])
