"""Haze laid over clear photos by the atmospheric scattering model, I = J·t + A·(1 - t) with t = exp(-β·depth)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

LIGHT = (-0.45, 1.26, 0.25)  # how the light follows from the brightest value and the median of the dark channel; found by dehaze_light.py


@dataclass(frozen=True)
class Pairs:
    """A batch: what is seen and what was there, Float32["photo 3 side side"]; light Float32["photo 3 1 1"]; t Float32["photo 1 side side"]."""

    hazy: np.ndarray
    clear: np.ndarray
    light: np.ndarray
    transmission: np.ndarray


class Photos:
    """The photos of dehaze_photos.py, in memory."""

    def __init__(self, work: Path) -> None:
        with np.load(work / "photos.npz") as all_:
            self.pixels, self.depths, self.sizes, self.held_out = (all_[name] for name in ("pixels", "depths", "sizes", "held_out"))
        self.begins = np.concatenate([[0], np.cumsum(self.sizes.prod(1))])

    def photo(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """UInt8["height width 3"] and UInt8["height width 2"], its two depth maps."""
        part = slice(self.begins[index], self.begins[index + 1])
        return self.pixels[part].reshape(*self.sizes[index], 3), self.depths[part].reshape(*self.sizes[index], 2)


def crop(photos: Photos, index: int, side: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Clear pixels Float32["side side 3"] and depth Float32["side side"] of a random place, mirrored at random, a little brighter or darker."""
    pixels, depths = photos.photo(index)
    share = np.float32(random.random())
    depth = depths.astype(np.float32) @ np.array([share, 1 - share], np.float32)  # a mix of both, so that no two are alike
    depth /= depth.max()
    short = [max(0, side - size) for size in pixels.shape[:2]]
    if any(short):
        pad = [(s // 2, s - s // 2) for s in short]
        pixels, depth = np.pad(pixels, [*pad, (0, 0)], "reflect"), np.pad(depth, pad, "reflect")
    y, x = (random.integers(0, size - side + 1) for size in pixels.shape[:2])
    pixels, depth = pixels[y : y + side, x : x + side], depth[y : y + side, x : x + side]
    if random.random() < 0.5:
        pixels, depth = pixels[:, ::-1], depth[:, ::-1]
    clear = (pixels.astype(np.float32) / 255) ** np.float32(random.uniform(0.85, 1.2))
    return clear, depth


def light_colour(random: np.random.Generator) -> np.ndarray:
    """Float32["3"]: the atmospheric light, about grey, within RESIDE's [0.7, 1.0] a channel."""
    return np.clip(random.uniform(0.7, 1.0) + random.normal(0, 0.025, 3), 0.7, 1.0).astype(np.float32)


def estimated_light(hazy: np.ndarray) -> np.ndarray:
    """Float32["3"] from Float32["height width 3"]: the same that preprocess/_learned_dehaze.py does with bytes."""
    dark = cv2.erode(hazy.min(2), np.ones((7, 7), np.uint8)).ravel()
    count = max(1, dark.size // 100)
    haziest = hazy.reshape(-1, 3)[np.argpartition(-dark, count - 1)[:count]].mean(0)
    offset, brightest, veil = LIGHT
    floor = 0.8 * haziest.mean() + 0.2 * dark.min()
    grey = max(offset + brightest * hazy.max() + veil * np.median(dark), floor)
    return np.clip(grey + 0.5 * (haziest - haziest.mean()), 0.3, 1).astype(np.float32)


def haze_pairs(photos: Photos, indices: np.ndarray, side: int, random: np.random.Generator, clear_share: float = 0.05) -> Pairs:
    """Pairs by RESIDE's parameters, β in [0.6, 1.8] and A in [0.7, 1.0]; a few with less or more haze, and `clear_share` of them with none."""
    made = []
    for index in indices:
        clear, depth = crop(photos, index, side, random)
        what = random.random()
        beta = random.uniform(0.6, 1.8)
        if what < clear_share:
            beta = random.uniform(0, 0.05)
        elif what < clear_share + 0.15:
            beta = random.choice((random.uniform(0.05, 0.6), random.uniform(1.8, 2.6)))
        made.append((clear, light_colour(random), np.exp(-beta * depth).astype(np.float32)))
    return mix(made)


def patch_pairs(photos: Photos, indices: np.ndarray, side: int, random: np.random.Generator) -> Pairs:
    """Pairs with one transmission in (0, 1) for the whole patch, as DehazeNet was published."""
    made = []
    for index in indices:
        clear, _ = crop(photos, index, side, random)
        made.append((clear, light_colour(random), np.full((side, side), random.uniform(0.02, 1), np.float32)))
    return mix(made)


def mix(made: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Pairs:
    """The model itself, rounded to 8 bits as a photo would be."""
    clear = np.stack([c for c, _, _ in made]).transpose(0, 3, 1, 2)
    light = np.stack([a for _, a, _ in made])[:, :, None, None]
    transmission = np.stack([t for _, _, t in made])[:, None]
    hazy = np.rint(255 * (clear * transmission + light * (1 - transmission))) / np.float32(255)
    return Pairs(hazy.astype(np.float32), np.ascontiguousarray(clear), light, transmission)
