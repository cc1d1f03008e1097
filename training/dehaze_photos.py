"""Gather clear photos, and a plausible depth for each: `python dehaze_photos.py --data DATA --work WORK`.

Writes WORK/photos.npz once: the photos' pixels end to end, two depth maps of each, their sizes, and which are held out. None of them is an
evaluation photo. The photos have no measured depth, so it is made up; see dehaze_depth.py.
"""

from __future__ import annotations

import argparse
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet
from dehaze_depth import depth_map, regions
from PIL import Image

SOURCES = {  # file -> how many photos at most; what is small, drawn, of a product on white, or about fog is left out
    "coco-captions": 1500, "flickr-captions": 700, "x-conceptual-captions881": 900, "quality": 600, "caltech101": 1200, "food10": 400,
    "x-scene15": 800, "x-sun-a": 500, "x-sun-b": 500, "x-sun-c": 500, "x-sun-d": 500, "x-intel-scenes6": 600, "x-corel1k": 600,
    "x-sports22": 400, "x-animals22": 300, "x-music-instruments": 200, "x-desk-objects8": 300, "x-grocery-store": 300,
}  # fmt: skip
FOLDERS = {"camvid/train/images": 120, "human/images": 200, "pets/images": 200}
SIDES = (96, 128, 192)  # larger photos come in at one of these short sides: what a network is shown of a photo is brought down, too
HELD_OUT = 24  # every so many-th photo is for validation only


def photos(data: Path) -> Iterator[np.ndarray]:
    """UInt8["height width 3"], each at most 192 pixels on its short side; the same ones in the same order at every call."""
    for name, most in SOURCES.items():
        rows = pyarrow.parquet.read_table(data / "train" / f"{name}.parquet", columns=["image"])["image"].to_pylist()
        for row in rows[:: max(1, len(rows) // most)][:most]:
            yield np.asarray(Image.open(io.BytesIO(row["bytes"] if isinstance(row, dict) else row)).convert("RGB"))
    for name, most in FOLDERS.items():
        files = sorted((data / "segmentation" / name).iterdir())
        for file in files[:: max(1, len(files) // most)][:most]:
            yield np.asarray(Image.open(file).convert("RGB"))


def clear(pixels: np.ndarray) -> bool:
    """Whether a photo has enough of everything to be called clear: something dark, colours, and no white background."""
    dark = cv2.erode(pixels.min(2), np.ones((5, 5), np.uint8))
    spread = np.percentile(pixels, 99) - np.percentile(pixels, 1)
    return bool(min(pixels.shape[:2]) >= 60 and np.percentile(dark, 25) < 60 and spread > 140 and (pixels.min(2) > 235).mean() < 0.2)


def main() -> None:
    """Gather, choose, invent depth, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.work.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    random = np.random.default_rng(options.seed)
    pixels, depths, sizes, seen = [], [], [], 0
    for photo in photos(options.data):
        seen += 1
        side = min(photo.shape[:2])
        if side > SIDES[0]:
            scale = min(1.0, random.choice(SIDES) / side)
            photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if not clear(photo):
            continue
        labels = regions(photo, random)
        both = np.stack([depth_map(labels, random) for _ in range(2)], 2)
        pixels.append(photo.reshape(-1, 3))
        depths.append(np.rint(both.reshape(-1, 2) * 255).astype(np.uint8))
        sizes.append(photo.shape[:2])
    held_out = np.arange(len(sizes)) % HELD_OUT == 0
    part = options.work / "photos.part.npz"
    np.savez(part, pixels=np.concatenate(pixels), depths=np.concatenate(depths), sizes=np.array(sizes), held_out=held_out)
    part.rename(options.work / "photos.npz")
    logging.info("%d photos of %d kept, %d of them held out", len(sizes), seen, held_out.sum())


if __name__ == "__main__":
    main()
