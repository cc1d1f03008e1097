"""The gate: dehaze only what is hazy, and keep only what got better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .dehaze import HAZE_VERSION, Judged
from .haze import haze_density
from .improvement import refusal

if TYPE_CHECKING:
    from .dehaze import Dehazer
    from .image import RgbImage

HAZE_THRESHOLD = 0.5


class Gate:
    """A dehazer, and a rule of a build, that leaves clear photos as they are."""

    def __init__(self, dehazer: Dehazer, threshold: float = HAZE_THRESHOLD) -> None:
        self.dehazer, self.threshold = dehazer, threshold
        self.id = f"auto-{HAZE_VERSION}+{dehazer.id}"  # with another dehazer, photos that did not get better by this one are to be looked at again

    def __call__(self, pixels: RgbImage) -> RgbImage:
        """The dehazed picture where the gate keeps one, otherwise a copy of the picture."""
        kept = self.judge(pixels).pixels
        return pixels.copy() if kept is None else kept

    def judge(self, pixels: RgbImage) -> Judged:
        """Measure, dehaze above the threshold, and keep the result where it got better."""
        haze = haze_density(pixels)
        if haze < self.threshold:
            return Judged(haze, reason="clear")
        dehazed = self.dehazer(pixels)
        reason = refusal(pixels, dehazed)
        return Judged(haze, reason=reason) if reason else Judged(haze, dehazed, self.dehazer.id)
