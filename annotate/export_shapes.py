"""Masks and polygons as other formats want them: one ring, and polygons filled as COCO fills them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .masks import Mask, decode_box, mask_box
from .polygons import Polygon, Ring, bridged, polygons_of
from .region import Box, Rle


def cut_out(mask: Rle) -> tuple[Mask, tuple[int, int, int, int]] | None:
    """The pixels in a mask's own box, and the box as whole numbers: left, top, right, bottom. None where nothing is inside."""
    box = mask_box(mask)
    if box is None:
        return None
    left, top, right, bottom = map(int, box)
    return decode_box(mask, (left, top, right, bottom)), (left, top, right, bottom)


def exact_ring(mask: Rle) -> npt.NDArray[np.int64] | None:
    """The one ring that is this mask, also when filled the way COCO does; none where the mask is empty, has holes or several parts.

    COCO draws borders five times as fine and rounds; lines along pixels stay where they are.
    """
    parts = polygons_of(mask)
    return parts[0].outer.astype(np.int64) if len(parts) == 1 and not parts[0].holes else None


def as_one_ring(parts: Sequence[Polygon]) -> Ring:
    """All parts and holes in one ring, joined by lines that are walked there and back and so enclose nothing."""
    rings = [bridged(part) for part in parts]
    if len(rings) == 1:
        return rings[0]
    home = rings[0][:1]
    return np.concatenate([rings[0], *(piece for ring in rings[1:] for piece in (home, ring, ring[:1]))])


def box_ring(box_xyxy: Box) -> Ring:
    """The corners of a box, clockwise from the top left."""
    x1, y1, x2, y2 = box_xyxy
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64)


def fill(corners_xy: Ring, size_hw: tuple[int, int]) -> Mask:
    """The pixels of a polygon as COCO's mask API defines them (`rleFrPoly`): its border drawn five times as fine, and the crossings of each
    column's middle counted. Corners must lie in the photo or near it: the border's length is memory.
    """
    height, width = size_hw
    points = np.trunc(5 * np.concatenate([corners_xy, corners_xy[:1]]) + 0.5).astype(np.int64)
    (xs, ys), (xe, ye) = points[:-1].T, points[1:].T
    dx, dy = abs(xe - xs), abs(ye - ys)
    flat = dx >= dy
    back = np.where(flat, xs > xe, ys > ye)
    x_from, x_to = np.where(back, xe, xs), np.where(back, xs, xe)
    y_from, y_to = np.where(back, ye, ys), np.where(back, ys, ye)
    length = np.maximum(dx, dy)
    slope = np.where(flat, y_to - y_from, x_to - x_from) / np.maximum(length, 1)
    edge = np.repeat(np.arange(length.size), length + 1)
    step = np.arange(edge.size) - np.repeat(np.cumsum(length + 1) - length - 1, length + 1)
    step = np.where(back[edge], length[edge] - step, step)
    across = np.trunc(np.where(flat, y_from, x_from)[edge] + slope[edge] * step + 0.5).astype(np.int64)
    u = np.where(flat[edge], step + x_from[edge], across)
    v = np.where(flat[edge], across, step + y_from[edge])
    moved = np.flatnonzero(u[1:] != u[:-1]) + 1
    column = np.where(u[moved] < u[moved - 1], u[moved], u[moved] - 1)
    row = np.minimum(v[moved], v[moved - 1])
    # (column + 0.5) / 5 - 0.5 must be a whole number: the middle of a pixel
    middle = (column - 2) % 5 == 0
    column, row = (column[middle] - 2) // 5, row[middle]
    kept = (column >= 0) & (column < width)
    column, row = column[kept], np.ceil(((row[kept] + 0.5) / 5 - 0.5).clip(0, height)).astype(np.int64)
    mask = np.zeros(size_hw, np.bool_)
    if column.size:
        # Each column is crossed an even number of times, so the box of the crossings is enough.
        left, right, top, bottom = column.min(), column.max() + 1, row.min(), row.max()
        deep = bottom - top + 1
        crossings = np.bincount((column - left) * deep + row - top, minlength=(right - left) * deep).reshape(-1, deep)
        mask[top:bottom, left:right] = (np.cumsum(crossings[:, :-1], axis=1, dtype=np.int32) % 2 == 1).T
    return mask
