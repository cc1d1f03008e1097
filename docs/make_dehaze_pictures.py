"""Write docs/images/dehaze-*.jpg: what the dark channel prior gets wrong, and the same with the treatment. Run: `python docs/make_dehaze_pictures.py`.

The photos are those that scikit-image and scikit-learn carry (extra `demo`). The hazy sky of `china.jpg` is real; the motorcycle is hazed by the
atmospheric model with its depth as its stereo camera measured it, the others with a plane for depth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw
from skimage import data
from sklearn.datasets import load_sample_image

from preprocess.dark_channel import PRESETS, DarkChannel
from preprocess.depth import depth_heat_map, relative_depth

IMAGES = Path(__file__).parent / "images"
WIDTH = 330
MOST_BYTES = 60_000
DEFAULT, PAPER = PRESETS["default"], PRESETS["paper"]


def hazed(clear: Any, depth: Any, beta: float, light: Sequence[float], noise: float = 0.0) -> Any:
    """I = J · t + A · (1 - t) with t = exp(-beta · depth), and sensor noise of this standard deviation."""
    t = np.exp(-beta * depth)[..., None]
    random = np.random.default_rng(0)
    return np.rint((clear * t + np.array(light) * (1 - t) + random.normal(0, noise, clear.shape)).clip(0, 255)).astype(np.uint8)


def motorcycle() -> tuple[Any, Any]:
    """The left picture, and its depth in metres: focal length times base line over disparity (Middlebury 2014, half size)."""
    left, _, disparity = data.stereo_motorcycle()
    known = np.isfinite(disparity) & (disparity > 1)
    depth = np.where(known, 994.978 * 0.193 / (np.where(known, disparity, 1) + 31.086), 0).astype(np.float32)
    holes = (~known).astype(np.uint8)
    filled = cv2.inpaint(np.rint(depth * 20).clip(0, 255).astype(np.uint8), holes, 5, cv2.INPAINT_TELEA).astype(np.float32) / 20
    return left, np.where(known, depth, filled)


def sheet(name: str, panels: Sequence[tuple[str, Any]]) -> None:
    """Panels side by side, each with its caption, as one JPEG that is small enough for a page."""
    height = round(WIDTH * panels[0][1].shape[0] / panels[0][1].shape[1])
    page = Image.new("RGB", (WIDTH * len(panels) + 6 * (len(panels) - 1), height + 20), "white")
    for at, (caption, pixels) in enumerate(panels):
        page.paste(Image.fromarray(pixels).resize((WIDTH, height), Image.Resampling.LANCZOS), (at * (WIDTH + 6), 20))
        ImageDraw.Draw(page).text((at * (WIDTH + 6) + 4, 4), caption, fill="black")
    file = IMAGES / f"dehaze-{name}.jpg"
    for quality in (85, 75, 65, 55, 45):
        page.save(file, quality=quality, optimize=True, progressive=True)
        if file.stat().st_size < MOST_BYTES:
            return
    raise ValueError(f"{file} is {file.stat().st_size:,} bytes; the most is {MOST_BYTES:,}. Make WIDTH smaller.")


def compared(name: str, hazy: Any, off: dict[str, Any], before: str, after: str) -> None:
    """The hazy photo, the default preset with one option off, and the whole default preset."""
    without, treated = DarkChannel(replace(DEFAULT, **off)), DarkChannel(DEFAULT)
    sheet(name, [("hazy", hazy), (before, without(hazy)), (after, treated(hazy))])


def halo(hazy: Any, crop: Any) -> None:
    """The results and the transmissions without and with the guide, cut out of the whole."""
    panels = []
    for caption, options in (("no guide (eps = 1000)", replace(DEFAULT, eps=1e3)), (f"eps = {DEFAULT.eps}", DEFAULT)):
        dehazer = DarkChannel(options)
        t = np.rint(dehazer.estimate(hazy).transmission * 255).astype(np.uint8)
        panels += [(caption, dehazer(hazy)[crop]), ("its transmission", np.repeat(t[crop][..., None], 3, 2))]
    sheet("halo", panels)


def main() -> None:
    """Write them all."""
    IMAGES.mkdir(exist_ok=True)
    china = load_sample_image("china.jpg")
    bike, metres = motorcycle()
    hazy_bike = hazed(bike, metres, 0.35, (215, 220, 225))
    sheet("overview", [("hazy", hazy_bike), ("paper", DarkChannel(PAPER)(hazy_bike)), ("default", DarkChannel(DEFAULT)(hazy_bike)),
                       ("relative depth", depth_heat_map(relative_depth(hazy_bike)))])  # fmt: skip
    compared("sky", china, {"sky": 0.0}, "sky = 0", f"sky = {DEFAULT.sky}")
    halo(china, np.s_[0:210, 90:370])
    coffee = data.coffee()
    plane = np.linspace(2.0, 0.6, coffee.shape[0], dtype=np.float32)[:, None] * np.ones((1, coffee.shape[1]), np.float32)
    compared(
        "dark",
        hazed(coffee * 0.6, plane, 0.7, (170, 172, 175)),
        {"brightness": 0.0},
        "brightness = 0",
        f"brightness = {DEFAULT.brightness}",
    )
    noisy = hazed(bike, metres, 0.5, (215, 220, 225), 6.0)[150:350, 250:550]
    compared("noise", np.ascontiguousarray(noisy), {"max_noise": math.inf}, "max_noise = inf", f"max_noise = {DEFAULT.max_noise:g}")


if __name__ == "__main__":
    main()
