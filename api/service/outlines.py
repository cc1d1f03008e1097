"""Masks as lines that a page can draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from annotate import Rle

_WITHIN = 1.0  # pixels of the mask that a simplified line may lie beside the exact one: the steps along a slope are no farther
_LEAST = 3


def outlines(mask: Rle | None, size_wh: tuple[int, int]) -> list[list[float]]:
    """Closed lines around a mask, x, y, x, y, ... in pixels of a photo of `size_wh`, of which the mask may be a smaller picture.

    Inside is what has an odd number of lines between it and the outside, so that holes are lines too. A part that would vanish keeps its exact line.
    """
    from annotate import polygons_of
    from preprocess import cv2

    if mask is None:
        return []
    scale = np.array([size_wh[0] / mask.size_hw[1], size_wh[1] / mask.size_hw[0]])
    lines = []
    for polygon in polygons_of(mask):
        for ring in (polygon.outer, *polygon.holes):
            simple = cv2.approxPolyDP(ring.astype(np.float32), _WITHIN, True).reshape(-1, 2)
            kept = simple if len(simple) >= _LEAST else ring
            lines.append([round(float(value), 1) for value in (kept * scale).ravel()])
    return lines
