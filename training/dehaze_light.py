"""Find how the atmospheric light follows from a hazy photo: `python dehaze_light.py --work WORK`. Prints LIGHT of dehaze_haze.py.

A linear fit on hazed training photos. Tried as well, and no better: percentiles of the brightest colour below 100, percentiles of grey, the
dark channel's own brightest 1 % (the rule of the dark channel prior), contrast, saturation, and the light where DehazeNet's transmission is least.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from dehaze_haze import LIGHT, Photos, estimated_light, light_colour

COUNT = 2400


def main() -> None:
    """Fit on two thirds, tell the error on the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    random, photos = np.random.default_rng(4), Photos(options.work)
    features, lights, haziest, shipped = [], [], [], []
    for index in random.choice(np.flatnonzero(~photos.held_out & (photos.sizes.min(1) >= 96)), COUNT, replace=False):
        pixels, depths = photos.photo(index)
        share = random.random()
        depth = depths @ np.array([share, 1 - share])
        light, t = light_colour(random), np.exp(-random.uniform(0.6, 1.8) * depth / depth.max())[..., None]
        hazy = (np.rint(255 * ((pixels / 255) ** random.uniform(0.85, 1.2) * t + light * (1 - t))) / 255).astype(np.float32)
        dark = cv2.erode(hazy.min(2), np.ones((7, 7), np.uint8))
        features.append((1, hazy.max(), np.median(dark)))
        haziest.append(hazy[dark >= np.quantile(dark, 0.99)].mean())
        lights.append(light.mean())
        shipped.append(estimated_light(hazy).mean())
    x, y = np.array(features), np.array(lights)
    fitted, rest = slice(0, COUNT * 2 // 3), slice(COUNT * 2 // 3, None)
    found = np.linalg.lstsq(x[fitted], y[fitted], rcond=None)[0]
    for name, guess in (
        ("fitted", x @ found),
        ("as shipped", np.array(shipped)),
        ("haziest 1 %", np.array(haziest)),
        ("always 0.85", np.full(COUNT, 0.85)),
    ):
        print(f"{name}: root mean square error {np.sqrt(np.square(guess - y)[rest].mean()):.4f}")
    print("offset, brightest, veil:", found.round(3), "shipped:", LIGHT)


if __name__ == "__main__":
    main()
