"""Parts of a photo that stand out, without a class: so that every photo has regions, whatever it shows."""

from __future__ import annotations

from preprocess import RgbImage

from .makers import RegionMakerOptions
from .measures import brought_down, measured, scaled_box
from .region import Annotation, Region

PART = "part"
"""The label of a proposal: it has no class."""
_SHORT = 256


class Proposals:
    """Overlapping windows at two scales."""

    short = _SHORT

    def __init__(self, options: RegionMakerOptions | None = None) -> None:
        self.options = options or RegionMakerOptions()
        self.id = "proposals-1"

    def __call__(self, pixels: RgbImage, size_wh: tuple[int, int]) -> Annotation:
        """See `RegionMaker`."""
        small = brought_down(pixels, self.short)
        height, width = small.shape[:2]
        boxes = []
        for grid in (2, 3):
            wide, high = max(1, 2 * width // (grid + 1)), max(1, 2 * height // (grid + 1))
            for row in range(grid):
                for column in range(grid):
                    left, top = column * (width - wide) // max(1, grid - 1), row * (height - high) // max(1, grid - 1)
                    boxes.append((left, top, left + wide, top + high))
        regions = [Region((float(a), float(b), float(c), float(d)), PART) for a, b, c, d in dict.fromkeys(boxes)]
        small_wh = width, height
        return Annotation(size_wh, tuple(scaled_box(region, small_wh, size_wh) for region in measured(small, regions)), self.id)
