"""Masks as polygons along the edges of their pixels, with holes and several parts, and back to the same pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from preprocess import InputError

from ._opencv import cv2
from .masks import Mask, encode_mask, pieces_of
from .region import Rle
from .rle_text import Runs

Ring: TypeAlias = NDArray[np.float64]
"""Corners of a closed line, Float64["corner 2"], x and y in pixels from the photo's top left corner; the first one is not repeated at the end."""


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """One part of a region: a closed outer line, and those of its holes. The middle of the top left pixel is at (0.5, 0.5).

    Inside is what has an odd number of lines between it and the outside (the even-odd rule), so that the sense in which lines run does not matter.
    """

    outer: Ring
    holes: tuple[Ring, ...] = ()

    def __post_init__(self) -> None:
        for ring in (self.outer, *self.holes):
            if ring.ndim != 2 or ring.shape[1:] != (2,) or len(ring) < 3 or not np.isfinite(ring).all():
                raise InputError(f"A polygon has at least 3 corners, pairs of finite x and y; this one has shape {ring.shape}.")


def polygons_of(rle: Rle) -> tuple[Polygon, ...]:
    """The mask's outlines along pixel edges, such that `mask_of` gives the same mask again.

    A part is what is 4-connected: pixels that only touch at a corner belong to two parts, and a hole that touches the outside at a
    corner stays a hole. So no line crosses or touches itself; two may share single corners. Outer lines run clockwise as seen on a screen,
    holes the other way; parts are ordered by their top, then their left. All corners are whole numbers.

    Raises:
        InputError: the encoding is damaged.
    """
    mask, xs, ys = _condensed(rle)
    if not mask.size:
        return ()
    parts = np.asarray(cv2.connectedComponents(mask.view(np.uint8), connectivity=4)[1])
    outer: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for ring in _rings(mask):
        part = int(parts[_pixel_inside(ring)])
        place = np.stack([xs[ring[:, 0].astype(np.int64)], ys[ring[:, 1].astype(np.int64)]], 1).astype(np.float64)
        if _doubled_area(ring) > 0:
            outer[part] = place
        else:
            holes.setdefault(part, []).append(place)
    polygons = [Polygon(ring, tuple(holes.get(part, ()))) for part, ring in outer.items()]
    return tuple(sorted(polygons, key=lambda polygon: (polygon.outer[:, 1].min(), *polygon.outer[0])))


def mask_of(polygons: Iterable[Polygon], size_hw: tuple[int, int]) -> Rle:
    """The pixels whose middle is inside any of the polygons, in a photo of `size_hw` pixels. What is outside of the photo is cut off.

    A middle that lies exactly on a line belongs to the part on its right or below it.

    Raises:
        InputError: a side is below 1.
    """
    if min(size_hw) < 1:
        raise InputError(f"A photo of {size_hw} pixels has no mask: height and width must be at least 1.")
    mask = np.zeros(size_hw, np.bool_)
    for polygon in polygons:
        rings = (polygon.outer, *polygon.holes)
        low = np.floor(np.min([ring.min(0) for ring in rings], 0)).clip(0, size_hw[::-1]).astype(int)
        high = np.ceil(np.max([ring.max(0) for ring in rings], 0)).clip(0, size_hw[::-1]).astype(int)
        if (low < high).all():
            mask[low[1] : high[1], low[0] : high[0]] |= _filled([ring - low for ring in rings], (high - low)[::-1])
    return encode_mask(mask)


def bridged(polygon: Polygon) -> Ring:
    """The polygon as one line without holes, for formats that know none: each hole hangs on a bridge of no width, walked there and back.

    By the even-odd rule, the pixels inside stay the same. Bridges are horizontal, from a hole's leftmost corner to the nearest line on its left.
    """
    line = polygon.outer
    for hole in sorted(polygon.holes, key=lambda ring: tuple(ring[np.lexsort((ring[:, 1], ring[:, 0]))[0]])):
        first = int(np.lexsort((hole[:, 1], hole[:, 0]))[0])
        loop = np.concatenate([hole[first:], hole[: first + 1]])
        at, landing = _nearest_on_left(line, loop[0])
        line = np.concatenate([line[: at + 1], [landing], loop, [landing], line[at + 1 :]])
    return line


def _nearest_on_left(line: Ring, point: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
    """After which corner of the line a bridge from the point lands, and where."""
    x, y = point
    ends = np.roll(line, -1, axis=0)
    (x1, y1), (x2, y2) = line.T, ends.T
    rise = y2 - y1
    share = np.divide(y - y1, rise, out=np.where(x2 > x1, 1.0, 0.0), where=rise != 0)
    across = np.where((np.minimum(y1, y2) <= y) & (y <= np.maximum(y1, y2)), x1 + share * (x2 - x1), -np.inf)
    across[across > x] = -np.inf
    at = int(np.argmax(across))
    if not np.isfinite(across[at]):
        raise InputError(f"The hole at ({x:g}, {y:g}) lies outside of its polygon. Make it a part of its own.")
    return at, np.array([across[at], y])


def _condensed(rle: Rle) -> tuple[Mask, Runs, Runs]:
    """The mask with equal neighbouring columns taken as one, and rows likewise as far as no run begins or ends between them; and where its columns and rows
    begin and end in pixels. A mask that was enlarged has as many pixels there as it had before: 35 times fewer than its photo of 12 megapixels.
    """
    column, top, bottom = pieces_of(rle)
    if not len(column):
        return np.zeros((0, 0), np.bool_), column, column
    numbers, begins, counts = np.unique(column, return_index=True, return_counts=True)
    alike = np.zeros(len(numbers), np.bool_)
    alike[1:] = (counts[1:] == counts[:-1]) & (np.diff(numbers) == 1)
    before = np.maximum(np.arange(len(column)) - np.repeat(counts, counts), 0)
    alike &= np.logical_and.reduceat((top == top[before]) & (bottom == bottom[before]), begins)
    kept = ~alike
    last = np.flatnonzero(np.append(kept[1:], True))  # of each stretch of equal columns
    xs = np.unique(np.concatenate([numbers[kept], numbers[last] + 1]))
    ys = np.unique(np.concatenate([top, bottom]))
    chosen = np.repeat(kept, counts)
    places = np.searchsorted(xs, column[chosen])
    steps = np.zeros((len(ys), len(xs) - 1), np.int8)
    steps[np.searchsorted(ys, top[chosen]), places] = 1
    steps[np.searchsorted(ys, bottom[chosen]), places] = -1
    return np.ascontiguousarray(np.cumsum(steps[:-1], 0, dtype=np.int8).view(np.bool_)), xs, ys


def _rings(mask: Mask) -> list[Ring]:
    """The closed lines around the pixels inside, which lie on their right: walked clockwise on a screen, holes the other way.

    A vertical piece of line goes up at the left of pixels inside, down at their right. Along each line of the grid, the ends of such pieces are
    joined in pairs from left to right. Where two pixels touch at a corner, two ends fall together; taking first the one that belongs to the
    pixel on the left keeps to that pixel, so that parts are 4-connected.
    """
    height, width = mask.shape
    columns = np.zeros((width + 2, height + 2), np.int8)  # with a frame that is outside
    columns[1:-1, 1:-1] = mask.T
    side = np.diff(columns, axis=0).ravel()  # of each pixel's left edge: 1 goes up, -1 down
    edge = np.flatnonzero(side[1:] != side[:-1]) + 1
    starts, ends = edge[side[edge] != 0], edge[side[edge - 1] != 0]
    up = side[starts] > 0
    x, top, bottom = starts // (height + 2), starts % (height + 2) - 1, ends % (height + 2) - 1
    # Both ends of each piece, in the order of y, x, and which pixel they belong to.
    places = (np.concatenate([top, bottom]) * (width + 1) + np.concatenate([x, x])) * 2 + np.concatenate([up, up])
    pairs = np.argsort(places).reshape(-1, 2)
    leaves = np.concatenate([~up, up])[pairs]  # at its top, a piece that goes down is left from; one that goes up arrives
    pieces = pairs % len(starts)
    following = np.empty(len(starts), np.int64)
    following[pieces[~leaves]] = pieces[leaves]
    corners = np.stack([np.stack([x, np.where(up, bottom, top)], 1), np.stack([x, np.where(up, top, bottom)], 1)], 1).astype(np.float64)
    return [ring for order in _cycles(following) for ring in _untouching(corners[order].reshape(-1, 2))]


def _cycles(following: NDArray[np.int64]) -> list[list[int]]:
    ahead, seen, cycles = following.tolist(), bytearray(len(following)), []
    for first in range(len(ahead)):
        if not seen[first]:
            cycle, at = [], first
            while not seen[at]:
                seen[at] = 1
                cycle.append(at)
                at = ahead[at]
            cycles.append(cycle)
    return cycles


def _untouching(ring: Ring) -> list[Ring]:
    """A line that comes to some corners twice, as several that do not."""
    keys = ring[:, 1] * (ring[:, 0].max() + 1) + ring[:, 0]
    if len(np.unique(keys)) == len(keys):
        return [ring]
    loops: list[list[int]] = []
    stack: list[int] = []
    places: dict[float, int] = {}
    for index, key in enumerate(keys.tolist()):
        if key in places:
            back = places[key]
            loops.append(stack[back:])
            for gone in stack[back:]:
                del places[keys[gone]]
            del stack[back:]
        places[key] = len(stack)
        stack.append(index)
    return [ring[loop] for loop in (*loops, stack)]


def _doubled_area(ring: Ring) -> float:
    (x1, y1), (x2, y2) = ring.T, np.roll(ring, -1, axis=0).T
    return float((x1 * y2 - x2 * y1).sum())


def _pixel_inside(ring: Ring) -> tuple[int, int]:
    """Row and column of a pixel on the right of the line, which runs along the grid."""
    for (x1, y1), (x2, y2) in pairwise(ring[:3].astype(int).tolist()):
        if x1 == x2:
            return (y2, x1) if y2 < y1 else (y1, x1 - 1)
    raise InputError("A line along pixels needs a vertical piece.")


def _filled(rings: Sequence[Ring], size_hw: NDArray[np.int64]) -> Mask:
    """Toggle each pixel where a line crosses its row's middle at or left of its own middle, and go on with that to the right."""
    height, width = map(int, size_hw)
    flat = np.zeros(height * (width + 1), np.uint8)
    begins, ends = np.concatenate(rings), np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    down = (begins[:, 1] < ends[:, 1])[:, None]
    (x1, y1), (x2, y2) = np.where(down, begins, ends).T, np.where(down, ends, begins).T  # so a bridge is the same there and back
    first, last = (np.ceil(y - 0.5).clip(0, height).astype(np.int64) for y in (y1, y2))
    rows = last - first
    piece = np.repeat(np.arange(len(rows)), rows)
    row = np.arange(len(piece)) - np.repeat(np.cumsum(rows) - rows, rows) + first[piece]
    across = x1[piece] + (row + 0.5 - y1[piece]) * ((x2 - x1)[piece] / (y2 - y1)[piece])
    column = np.ceil(across - 0.5).clip(0, width).astype(np.int64)
    np.bitwise_xor.at(flat, row * (width + 1) + column, 1)
    return np.bitwise_xor.accumulate(flat.reshape(height, width + 1), axis=1)[:, :width].view(np.bool_)
