"""Parts of a photo that stand out, without a class: so that every photo has regions, whatever it shows.

A window stands out where the colours inside differ from those in a frame around it: the colour contrast of Alexe, Deselaers, Ferrari, "Measuring the
Objectness of Image Windows", TPAMI 2012, section 3.2. Windows of four sizes and five proportions are measured by integral histograms, the best that do
not repeat each other are kept, and the sides of each are moved to where it stands out most.

Of 194 objects pasted into scenes (benchmarks/composed.py), some box has an intersection over union above 0.5 with 91 %; for 13 windows of a plain grid it
is 30 %, and for 14 boxes of Felzenszwalb's segments 69 %, in three times the time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from preprocess import RgbImage

from ._opencv import cv2
from .measures import brought_down, measured, scaled_box
from .region import Annotation, Region

PART = "part"
"""The label of a proposal: it has no class."""

_SHORT = 64  # pixels of the short side at which windows are compared: at 96, all is as good and takes 1.7 times as long
_MOST = 14  # windows whose sides are moved; some then become one, and 10 are left of a usual photo
_AREAS, _ASPECTS = (0.05, 0.1, 0.2, 0.4), (0.5, 0.75, 1.0, 1.4, 2.0)  # shares of the photo; width by height
_STEP = 0.2  # of a window's side, from one to the next
_FRAME = 0.4  # of its width and height: how much wider and higher the frame around it is
_BY_AREA = 0.3  # exponent: without it, small windows win
_BY_FRAME = 0.5  # exponent of the share of the frame that lies within the photo: a narrow rest of it easily has other colours
_ALIKE, _SAME = 0.5, 0.6  # intersections over union above which the less contrasting window is left out, before and after sides are moved
_MOVES = (3, 2, 1)  # pixels, one after the other
_LEAST_SIDE = 4  # pixels
_LEAST_CONTRAST = 0.15  # grain and gradients have less
_TONES = 6, 4, 4  # steps of lightness and of the two colours
_COLOURS = 80  # the width of both colour axes of Lab, in 8-bit steps around grey, that is told apart

_Boxes = NDArray[np.intp]
"""Left, top, right and bottom, the latter two exclusive, Int["box 4"]."""
_Values = NDArray[np.float32]


class Proposals:
    """At most 14 boxes a photo, labelled "part", the largest first. Their confidence is the contrast: 1 where inside and frame have no colour in common."""

    id = "proposals-1"
    short = 256
    labels = (PART,)

    def __call__(self, pixels: RgbImage, size_wh: tuple[int, int]) -> Annotation:
        """See `RegionMaker`. A photo of one colour has none."""
        small = brought_down(pixels, self.short)
        height, width = small.shape[:2]
        tiny = brought_down(small, _SHORT)
        tiny_wh = tiny.shape[1], tiny.shape[0]
        found = [_part(box, contrast) for box, contrast in proposed(tiny)]
        regions = measured(small, [scaled_box(region, tiny_wh, (width, height)) for region in found])
        regions = tuple(sorted(regions, key=lambda region: -(region.area or 0)))
        return Annotation(size_wh, tuple(scaled_box(region, (width, height), size_wh) for region in regions), self.id)


def proposed(pixels: RgbImage) -> list[tuple[tuple[int, int, int, int], float]]:
    """Boxes in pixels, those that stand out most first, and their contrasts in [0, 1]; for small photos, such as 64 pixels on the short side."""
    windows = _Windows(pixels)
    boxes = windows.grid()
    if not len(boxes):
        return []
    boxes = _apart(boxes, windows.scores(boxes), _ALIKE)[:_MOST]
    for step in _MOVES:
        for side in range(4):
            boxes = windows.moved(boxes, side, step)
    boxes = _apart(boxes, windows.scores(boxes), _SAME)
    contrasts = windows.contrasts(boxes)[0]
    return [
        ((int(box[0]), int(box[1]), int(box[2]), int(box[3])), float(contrast))
        for box, contrast in zip(boxes, contrasts, strict=True)
        if contrast >= _LEAST_CONTRAST
    ]


class _Windows:
    """A photo's windows: how many pixels of each colour are in any of them, by one look at four corners."""

    def __init__(self, pixels: RgbImage) -> None:
        self.height, self.width = pixels.shape[:2]
        lab = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2LAB).astype(np.int32)
        light, green_red, blue_yellow = _TONES
        number = lab[..., 0] * light // 256
        for axis, steps in ((1, green_red), (2, blue_yellow)):
            number = number * steps + ((lab[..., axis] - 128 + _COLOURS // 2) * steps // _COLOURS).clip(0, steps - 1)
        there, colour = np.unique(number, return_inverse=True)
        each = colour.reshape(self.height, self.width, 1) == np.arange(len(there))
        self._sums = np.zeros((self.height + 1, self.width + 1, len(there)), np.float32)
        self._sums[1:, 1:] = each.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)

    def grid(self) -> _Boxes:
        """Windows of all sizes and proportions that fit, from edge to edge."""
        boxes = [np.zeros((0, 4), np.intp)]
        for area in _AREAS:
            for aspect in _ASPECTS:
                across = self.width * self.height * area
                wide, high = int((across * aspect) ** 0.5), int((across / aspect) ** 0.5)
                if _LEAST_SIDE <= wide < self.width and _LEAST_SIDE <= high < self.height:
                    left, top = np.meshgrid(_starts(self.width, wide), _starts(self.height, high))
                    boxes.append(np.stack([left, top, left + wide, top + high], -1).reshape(-1, 4))
        return np.concatenate(boxes)

    def contrasts(self, boxes: _Boxes) -> tuple[_Values, _Values]:
        """Half the chi-squared distance between the histograms of box and frame, in [0, 1], and the share of the frame that lies within the photo."""
        wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        across, down = (np.maximum(1, np.rint(side * _FRAME / 2)).astype(np.intp) for side in (wide, high))
        around = np.stack([boxes[:, 0] - across, boxes[:, 1] - down, boxes[:, 2] + across, boxes[:, 3] + down], 1)
        whole = (wide + 2 * across) * (high + 2 * down) - wide * high
        inside = self._counts(boxes)
        frame = self._counts(np.clip(around, 0, [self.width, self.height, self.width, self.height])) - inside
        there = frame.sum(1)
        a, b = inside / inside.sum(1, keepdims=True), frame / np.maximum(there, 1)[:, None]
        contrast = ((a - b) ** 2 / np.maximum(a + b, 1e-9)).sum(1) / 2
        return np.asarray(np.where(there > 0, contrast, 0).clip(0, 1), np.float32), np.asarray(there / whole, np.float32)

    def scores(self, boxes: _Boxes) -> _Values:
        """By how much each stands out, for its size."""
        contrasts, there = self.contrasts(boxes)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (self.width * self.height)
        return np.asarray(contrasts * there**_BY_FRAME * area**_BY_AREA, np.float32)

    def moved(self, boxes: _Boxes, side: int, step: int) -> _Boxes:
        """Each box, with one side moved in or out where it stands out more then."""
        tried = np.repeat(boxes[None], 3, 0)
        tried[1, :, side] -= step
        tried[2, :, side] += step
        tried = np.clip(tried, 0, [self.width, self.height, self.width, self.height])
        fits = np.all(tried[..., 2:] - tried[..., :2] >= _LEAST_SIDE, axis=-1, keepdims=True)
        tried = np.where(fits, tried, boxes[None])
        best = self.scores(tried.reshape(-1, 4)).reshape(3, -1).argmax(0)
        return np.asarray(tried[best, np.arange(len(boxes))], np.intp)

    def _counts(self, boxes: _Boxes) -> _Values:
        left, top, right, bottom = boxes.T
        sums = self._sums
        return np.asarray(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left], np.float32)


def _starts(length: int, window: int) -> _Boxes:
    """From the first place of a window to the last, evenly."""
    count = 1 + max(1, int(np.ceil((length - window) / (_STEP * window))))
    return np.rint(np.linspace(0, length - window, count)).astype(np.intp)


def _apart(boxes: _Boxes, scores: _Values, most: float) -> _Boxes:
    """The boxes by score, without those whose intersection over union with a better one is above `most` (non-maximum suppression)."""
    order = np.argsort(-scores, kind="stable")
    boxes, kept = boxes[order], list[int]()
    left = np.ones(len(boxes), np.bool_)
    while left.any() and len(kept) < _MOST:
        best = int(np.argmax(left))
        kept.append(best)
        left &= _overlaps(boxes[best], boxes) <= most
        left[best] = False
    return boxes[kept]


def _overlaps(box: _Boxes, boxes: _Boxes) -> _Values:
    shared = (np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])).clip(0).prod(1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return np.asarray(shared / ((box[2:] - box[:2]).prod() + area - shared), np.float32)


def _part(box: tuple[int, int, int, int], contrast: float) -> Region:
    left, top, right, bottom = box
    return Region((float(left), float(top), float(right), float(bottom)), PART, round(contrast, 4))
