"""What a segmenter says of every pixel, as regions: connected parts of a class, cleaned of holes and crumbs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from preprocess import InputError

from ._opencv import cv2
from .labels import NOTHING, LabelSet
from .masks import Mask, decode_mask, encode_mask, encode_piece
from .region import Region, Rle

ClassMap: TypeAlias = NDArray[np.uint8]
"""Ids of labels, shape (height, width); 255 where there is none."""

_Confidence: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ComponentOptions:
    """Which connected parts of a class become regions.

    `connectivity` 8 joins pixels that touch at a corner, 4 does not; holes are connected the other way round, as a line cannot be crossed by another.
    Shares are of the photo's pixels, in [0, 1]: parts smaller than `crumb_share` are left out, holes smaller than `hole_share` are filled, but never
    with pixels of another region. At most `max_regions` are kept, the largest.
    """

    connectivity: Literal[4, 8] = 8
    crumb_share: float = 0.001
    hole_share: float = 0.001
    max_regions: int = 64

    def __post_init__(self) -> None:
        if self.connectivity not in (4, 8):
            raise InputError(f"The connectivity is {self.connectivity}; a pixel has 4 or 8 neighbours.")
        for name, share in (("crumb_share", self.crumb_share), ("hole_share", self.hole_share)):
            if not 0 <= share <= 1:
                raise InputError(f"{name} is {share}; it is a share of the photo, from 0 to 1.")
        if self.max_regions < 1:
            raise InputError(f"max_regions is {self.max_regions}; it must be at least 1.")


@dataclass(frozen=True, slots=True)
class _Part:
    """A connected part of class `number`: its pixels within a window whose top left is at (`top`, `left`), encoded so that many take little memory."""

    number: int
    top: int
    left: int
    shape: Rle
    area: int

    @property
    def inside(self) -> Mask:
        return decode_mask(self.shape)

    @property
    def window(self) -> tuple[slice, slice]:
        height, width = self.shape.size_hw
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def find_regions(
    classes: ClassMap, confidence: _Confidence, labels: LabelSet, options: ComponentOptions | None = None
) -> tuple[Region, ...]:
    """The regions of a photo, no two of which share a pixel; largest first, then by id, top and left.

    A region's confidence is the mean over the pixels of its class; holes that were filled do not count, and neither do they for the order.

    Args:
        classes: UInt8["height width"], ids of `labels`, 255 where there is none.
        confidence: of the same shape: floats in [0, 1], or UInt8 in steps of 1/255.
        labels: what the ids mean.
        options: which parts to keep.

    Raises:
        InputError: the maps have other shapes or types, an id has no label, or a confidence is outside [0, 1].
    """
    options = options or ComponentOptions()
    _check(classes, confidence)
    least, most = options.crumb_share * classes.size, options.hole_share * classes.size
    # By pieces: bincount makes 8 bytes of every pixel.
    counts = np.sum(
        [np.bincount(piece, minlength=NOTHING + 1) for piece in np.array_split(classes.ravel(), 1 + classes.size // 100_000)], 0
    )
    names = {int(number): labels.numbered(int(number)).name for number in np.flatnonzero(counts[:NOTHING])}
    parts = [part for number in names if counts[number] >= least for part in _parts(classes, number, least, options)]
    parts = sorted(parts, key=lambda part: (-part.area, part.number, part.top, part.left))[: options.max_regions]
    taken = np.zeros(classes.shape, np.bool_)
    for part in parts:
        taken[part.window] |= part.inside
    regions = []
    for part in parts:
        inside = part.inside
        filled = inside | (_holes(inside, most, options.connectivity) & ~taken[part.window])
        taken[part.window] |= filled
        box = (float(part.left), float(part.top), float(part.left + inside.shape[1]), float(part.top + inside.shape[0]))
        mask = encode_piece(filled, (part.left, part.top), (classes.shape[0], classes.shape[1]))
        regions.append(Region(box, names[part.number], _mean(confidence[part.window][inside]), mask))
    return tuple(regions)


def _check(classes: ClassMap, confidence: _Confidence) -> None:
    if classes.dtype != np.uint8 or classes.ndim != 2 or not classes.size:
        raise InputError(f"A class map is uint8 and of shape (height, width), not {classes.dtype} of {classes.shape}.")
    if confidence.shape != classes.shape:
        raise InputError(f"The confidences have shape {confidence.shape}, the classes {classes.shape}. Give one for each pixel.")
    if confidence.dtype != np.uint8 and not (confidence.dtype.kind == "f" and 0 <= confidence.min() <= confidence.max() <= 1):
        raise InputError("Confidences are floats in [0, 1], or uint8 in steps of 1/255; some are not. Apply softmax first.")


def _parts(classes: ClassMap, number: int, least: float, options: ComponentOptions) -> list[_Part]:
    """Of one class, the largest parts that are no crumbs; never more than can be kept."""
    this = (classes == number).view(np.uint8)
    left, top, width, height = cv2.boundingRect(this)
    cut = np.ascontiguousarray(this[top : top + height, left : left + width])
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(cut, connectivity=options.connectivity)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    # By area, then top and left: so that it does not depend on how OpenCV numbers them which of equal ones are kept.
    order = np.lexsort((statistics[1:, cv2.CC_STAT_LEFT], statistics[1:, cv2.CC_STAT_TOP], -areas.astype(np.int64)))
    kept = []
    for at in order[: options.max_regions].tolist():
        if areas[at] < least:
            break
        x, y, width, height, area = map(int, statistics[at + 1])
        kept.append(_Part(number, top + y, left + x, encode_mask(parts[y : y + height, x : x + width] == at + 1), area))
    return kept


def _holes(inside: Mask, most: float, connectivity: int) -> Mask:
    """What lies outside but is enclosed, where that is less than `most` pixels. `inside` touches all four borders of its window."""
    outside = np.pad(~inside, 1, constant_values=True).view(np.uint8)
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(outside, connectivity=12 - connectivity)
    small = statistics[:, cv2.CC_STAT_AREA] < most
    small[0] = small[parts[0, 0]] = False  # the part itself, and what is around it
    if count == 2 or not small.any():
        return np.zeros_like(inside)
    return np.asarray(small[parts[1:-1, 1:-1]], np.bool_)


def _mean(confidence: _Confidence) -> float:
    mean = float(confidence.mean(dtype=np.float64)) / (255 if confidence.dtype == np.uint8 else 1)
    return min(1.0, mean)
