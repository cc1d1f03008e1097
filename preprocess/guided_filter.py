"""The guided filter: a rough map made to follow the edges of a picture. Fast: fitted on a reduced copy, applied to the whole one.

He, Sun, Tang, "Guided Image Filtering", ECCV 2010 and TPAMI 2013; He, Sun, "Fast Guided Filter", arXiv 1505.00996, 2015.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._opencv import cv2

Grey: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]

_STRIP_PIXELS = 32_768  # a plane of float32 takes 128 KB then, and the five or so that are in use stay in a core's cache


def strips(height: int, width: int) -> Iterator[tuple[int, int]]:
    """First and last row (exclusive) of strips whose planes fit in cache together.

    >>> list(strips(20, 4096))
    [(0, 8), (8, 16), (16, 20)]
    """
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def reduced(values: NDArray[Any], step: int) -> NDArray[Any]:
    """Means of cells of `step` × `step`, same dtype; the cells at the right and lower edge may be smaller.

    `values` has shape (height, width) or (height, width, 3), the result (⌈height / step⌉, ⌈width / step⌉) and the same channels.
    """
    if step == 1:
        return values
    height, width = values.shape[:2]
    out = np.empty((-(-height // step), -(-width // step), *values.shape[2:]), values.dtype)
    # Whole cells at once, by OpenCV's path for whole factors; then the rests, so that no padded copy is needed.
    for rows, cell_rows in _parts(height, step):
        for columns, cell_columns in _parts(width, step):
            cells = out[cell_rows, cell_columns]
            means = cv2.resize(values[rows, columns], cells.shape[1::-1], interpolation=cv2.INTER_AREA)
            out[cell_rows, cell_columns] = means.reshape(cells.shape)
    return out


def _parts(length: int, step: int) -> Iterator[tuple[slice, slice]]:
    """The whole cells of one side, and what is left over: slices of pixels and of cells."""
    whole = length // step
    if whole:
        yield slice(0, whole * step), slice(0, whole)
    if length % step:
        yield slice(whole * step, length), slice(whole, whole + 1)


def box_mean(values: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Means over squares of 2 · radius + 1, Float32["height width"]; at the edges over the part that is inside, as in the authors' code.

    A running sum: the time does not depend on the radius.
    """
    height, width = values.shape
    sums = cv2.boxFilter(
        values, -1, (2 * min(radius, width) + 1, 2 * min(radius, height) + 1), normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    means = np.asarray(sums, np.float32)
    means *= np.float32(1) / _inside(height, radius)[:, None]
    means *= np.float32(1) / _inside(width, radius)
    return means


def _inside(length: int, radius: int) -> NDArray[np.float32]:
    """How many of the 2 · radius + 1 places around each one exist."""
    at = np.arange(length)
    return np.asarray(np.minimum(at + radius, length - 1) - np.maximum(at - radius, 0) + 1, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class GuidedFilter:
    """The linear model of each cell, already averaged over the windows that cover it: q = slope · guide + offset (Eq. 8 of the 2013 paper).

    `slope` and `offset` are Float32["cells_high cells_wide"]; the guide is grey in [0, 255], and a cell is `step` × `step` of its pixels.
    """

    slope: NDArray[np.float32]
    offset: NDArray[np.float32]
    step: int

    def cells(self, guide: Grey) -> NDArray[np.float32]:
        """The filtered map on the reduced copy that it was fitted on."""
        return np.asarray(self.slope * guide + self.offset, np.float32)

    def rows(self, guide: NDArray[np.uint8]) -> FilteredRows:
        """The filtered map at the size of the whole `guide`, to be asked for in strips of its rows."""
        return FilteredRows(self, guide.shape[1])


class FilteredRows:
    """Slope and offset interpolated bilinearly between the centres of cells (algorithm 2 of the 2015 paper), a strip of rows at a time."""

    def __init__(self, model: GuidedFilter, width: int) -> None:
        self._step = model.step
        self._lines = [self._widened(plane, width) for plane in (model.slope, model.offset)]
        self._cells_high = model.slope.shape[0]

    def _widened(self, plane: NDArray[np.float32], width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The plane at full width, and what each row must add to become the next one."""
        if self._step > 1:
            whole = (plane.shape[1] * self._step, plane.shape[0])
            plane = np.ascontiguousarray(cv2.resize(plane, whole, interpolation=cv2.INTER_LINEAR)[:, :width])
        return plane, np.diff(plane, axis=0, append=plane[-1:]) if self._step > 1 else plane

    def filtered(self, guide: NDArray[np.uint8], top: int) -> NDArray[np.float32]:
        """Float32["rows width"] for the guide's rows from `top` on: slope · guide + offset."""
        rows = guide.shape[0]
        if self._step == 1:
            (slope, _), (offset, _) = self._lines
            out = np.multiply(slope[top : top + rows], guide)
            out += offset[top : top + rows]
            return out
        place = ((np.arange(top, top + rows, dtype=np.float32) + 0.5) / self._step - 0.5).clip(0, self._cells_high - 1)
        cell = place.astype(np.intp)
        part = (place - cell).astype(np.float32)[:, None]
        slope, offset = (self._between(*line, cell, part) for line in self._lines)
        slope *= guide
        slope += offset
        return slope

    @staticmethod
    def _between(
        plane: NDArray[np.float32], steps: NDArray[np.float32], cell: NDArray[np.intp], part: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        out = steps.take(cell, 0)
        out *= part
        out += plane.take(cell, 0)
        return out


def fit_guided_filter(guide: Grey, source: NDArray[np.float32], radius: int, eps: float, step: int = 1) -> GuidedFilter:
    """Fit `source` as a linear function of `guide` in every window (Eq. 5 and 6), and average the windows' models (Eq. 8).

    Args:
        guide: grey in [0, 255], ["height width"], reduced already where `step` is above 1.
        source: the map, Float32["height width"].
        radius: of the window, in pixels of `guide`.
        eps: how much variance of the guide, as a fraction of white squared, counts as flat; there the map is smoothed instead.
        step: how many pixels of the whole picture one pixel of `guide` stands for.
    """
    grey = guide.astype(np.float32)
    grey *= np.float32(1 / 255)
    mean_guide, mean_source = box_mean(grey, radius), box_mean(source, radius)
    covariance = box_mean(grey * source, radius) - mean_guide * mean_source
    # A variance is never negative; that of a constant may come out so, by rounding.
    variance = (box_mean(grey * grey, radius) - mean_guide * mean_guide).clip(np.float32(0))
    slope: NDArray[np.float32] = np.divide(covariance, variance + np.float32(eps), dtype=np.float32)
    offset = mean_source - slope * mean_guide
    return GuidedFilter(box_mean(slope, radius) * np.float32(1 / 255), box_mean(offset, radius), step)


def guided_filter(guide: NDArray[np.uint8], source: NDArray[np.float32], radius: int, eps: float, step: int = 1) -> NDArray[np.float32]:
    """`source` with the edges of `guide`: Float32["height width"] from 8-bit grey and a map of the same size.

    With `step` 1 it is the filter of the 2013 paper; above, the fast one, fitted on means of cells of `step` × `step`, with a window of
    `radius` / `step`. `radius` is in pixels of `guide`, `eps` a fraction of white squared.
    """
    model = fit_guided_filter(reduced(guide, step), reduced(source, step), max(1, round(radius / step)), eps, step)
    rows = model.rows(guide)
    return np.concatenate([rows.filtered(guide[top:bottom], top) for top, bottom in strips(*guide.shape)])
