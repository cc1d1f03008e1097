"""Fit the logistic model of `preprocess/haze.py`, and report it on photos that it was not fitted on.

    python training/haze_gate.py --data DATA      # a minute; prints MODEL and BIAS for preprocess/haze.py, then the figures

Fitted on: photos with real haze (`haze-real`, labelled by eye in haze_real.tsv; the foggy ones of x-weather5-a), the hazy and clear rooms of `sots-indoor`,
ordinary photos of `train`, and copies of those hazed by the atmospheric model. Left out of the fit: `haze-outdoor` (and what is nearly a copy of one of its
photos among x-weather5-a), `retrieval-coco`, `retrieval-flickr`, `imagenet-samples`. `haze-real` and `sots-indoor` are reported cross-validated: each photo
by a model that saw neither it nor, of a room, any copy of it.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from preprocess.haze import haze_features

ORDINARY = {"coco-captions": 1500, "flickr-captions": 800, "x-intel-scenes6": 250, "x-sun-a": 120, "x-sun-b": 120, "x-sun-c": 120, "x-sun-d": 120,
            "x-conceptual-captions881": 400, "x-sports22": 150, "tiny-imagenet": 1200, "caltech101": 300, "x-corel1k": 150, "x-scene15": 150,
            "x-imagenette10": 250, "x-aid-aerial": 80, "food10": 100, "x-animals22": 200}  # fmt: skip
# How much each source weighs. Clear photos outweigh hazy ones by CLEAR_TO_HAZY, which is what a density of 0.5 refers to.
HAZY = {"haze-real": 1.0, "sots hazy": 0.5, "weather foggy": 1.0, "synthetic": 1.5}
CLEAR = {"ordinary": 3.0, "sots clear": 0.3, "weather sunny": 0.3, "weather sunrise": 0.1, "weather cloudy": 0.15, "haze-real little": 0.05}
CLEAR_TO_HAZY = 6.0
RIDGE = 30.0  # on standardised features, over the mean weight of a photo; cross-validated loss 0.170 at 3, 0.169 at 10, 0.171 here, 0.177 at 100
FOLDS = 8
WEATHER = {
    "foggy weather, fog and haze": "weather foggy",
    "sunny blue sky, sunshine": "weather sunny",
    "a sunrise or sunset": "weather sunrise",
    "cloudy sky": "weather cloudy",
}


@dataclass
class Photos:
    """Features of photos, where each is from, and which must stay in one fold."""

    rows: list[dict[str, float]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def add(self, source: str, group: str, pixels: np.ndarray, name: str = "") -> None:
        self.rows.append(haze_features(pixels))
        self.sources.append(source)
        self.groups.append(group)
        self.names.append(name or group)


def pixels_of(file: object) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB"))


def hazed(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A copy in haze: I = J·t + A·(1 - t), depth growing upwards with smooth hills, mean t in 0.15-0.65, A in 0.6-0.98, nearly grey."""
    height, width = pixels.shape[:2]
    hills = cv2.resize(random.normal(size=random.integers(2, 5, 2)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    hills = (hills - hills.mean()) / (hills.std() + 1e-6)
    depth = 1 + random.uniform(0, 0.9) * np.linspace(1, -1, height, dtype=np.float32)[:, None] + random.uniform(0, 0.35) * hills
    depth = np.maximum(depth, 0.05)
    t = random.uniform(0.15, 0.65) ** (depth / depth.mean())[..., None]
    light = (random.uniform(0.6, 0.98) * (1 + random.normal(0, 0.03, 3))).clip(0, 1) * 255
    return (pixels * t + light * (1 - t)).clip(0, 255).astype(np.uint8)


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    grey = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)
    grey -= grey.mean()
    return grey / (np.linalg.norm(grey) + 1e-6)


def fitted_on(data: Path, photos: Photos) -> None:
    labels = dict(line.split("\t")[:2] for line in (Path(__file__).parent / "haze_real.tsv").read_text().splitlines()[1:])
    seen = [pixels_of(file) for folder in ("haze-outdoor", "haze-real") for file in sorted((data / "eval" / folder).glob("*.jpg"))]
    seen = np.stack([np.rot90(view, turn).ravel() for p in seen for view in (thumbnail(p), thumbnail(p)[:, ::-1]) for turn in range(4)])
    for name, label in labels.items():
        photos.add("haze-real little" if label == "little" else "haze-real", name, pixels_of(data / "eval/haze-real" / name))
    for kind in ("hazy", "clear"):
        for file in sorted((data / "eval/sots-indoor" / kind).glob("*.webp")):
            photos.add(f"sots {kind}", file.stem[:4], pixels_of(file), file.name)
    dropped = 0
    for at, row in enumerate(pq.read_table(data / "train/x-weather5-a.parquet").to_pylist()):
        pixels = pixels_of(io.BytesIO(row["image"]))
        if row["label"] in WEATHER:
            if (seen @ thumbnail(pixels).ravel()).max() > 0.93:
                dropped += 1
                continue
            photos.add(WEATHER[row["label"]], f"weather {at}", pixels)
    print(f"{dropped} photos of x-weather5-a left out: nearly copies of held-out ones")
    random = np.random.default_rng(0)
    for name, count in ORDINARY.items():
        images = pq.read_table(data / f"train/{name}.parquet", columns=["image"])["image"]
        for at in random.permutation(len(images))[:count]:
            pixels = pixels_of(io.BytesIO(images[int(at)].as_py()))
            photos.add("ordinary", f"{name} {at}", pixels)
            if random.random() < 0.4:
                photos.add("synthetic", f"{name} {at}", hazed(pixels, random))


def held_out(data: Path, photos: Photos) -> None:
    with (data / "eval/haze-outdoor/weather.csv").open() as file:
        for row in csv.DictReader(file):
            photos.add(f"outdoor {row['weather']}", row["image"], pixels_of(data / "eval/haze-outdoor" / row["image"]))
    for folder in ("retrieval-coco", "retrieval-flickr", "imagenet-samples"):
        for file in sorted((data / "eval" / folder).glob("*.jpg")):
            photos.add(folder, file.name, pixels_of(file))


def logistic(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights and bias of a logistic model with a ridge, by Newton's method."""
    x = np.c_[x, np.ones(len(x))]
    beta, ridge = np.zeros(x.shape[1]), np.diag([RIDGE] * (x.shape[1] - 1) + [1e-6])
    for _ in range(12):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        curvature = (x * (weights * p * (1 - p) + 1e-9)[:, None]).T @ x + ridge
        beta += np.linalg.solve(curvature, x.T @ (weights * (y - p)) - ridge @ beta)
    return beta


def auc(hazy: np.ndarray, clear: np.ndarray) -> float:
    return float((hazy[:, None] > clear).mean() + 0.5 * (hazy[:, None] == clear).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--features", nargs="*", help="fit on these only")
    data = parser.parse_args().data
    photos = Photos()
    fitted_on(data, photos)
    held_out(data, photos)
    keys = parser.parse_args().features or list(photos.rows[0])
    x, source = np.array([[row[key] for key in keys] for row in photos.rows]), np.array(photos.sources)
    weights, y = np.zeros(len(source)), np.isin(source, list(HAZY)).astype(float)
    for name, share in HAZY.items():
        weights[source == name] = share / sum(HAZY.values()) / (source == name).sum()
    for name, share in CLEAR.items():
        weights[source == name] = CLEAR_TO_HAZY * share / sum(CLEAR.values()) / (source == name).sum()
    used = weights > 0
    mean = np.average(x[used], axis=0, weights=weights[used])
    spread = np.sqrt(np.average((x[used] - mean) ** 2, axis=0, weights=weights[used]))
    x = np.clip((x - mean) / spread, -4, 4)
    weights *= used.sum() / weights.sum()
    beta = logistic(x[used], y[used], weights[used])
    logits = x @ beta[:-1] + beta[-1]
    folds = np.array([zlib.crc32(group.encode()) % FOLDS for group in photos.groups])
    for fold in range(FOLDS):
        inside, outside = used & (folds == fold), used & (folds != fold)
        other = logistic(x[outside], y[outside], weights[outside])
        logits[inside] = x[inside] @ other[:-1] + other[-1]
    p = 1 / (1 + np.exp(-logits))
    loss = -np.average(np.log(np.where(y == 1, p, 1 - p)[used] + 1e-9), weights=weights[used])
    print(f"cross-validated loss {loss:.4f}\n\nMODEL: dict[str, tuple[float, float, float]] = {{")
    for key, row in zip(keys, zip(mean, spread, beta[:-1], strict=True), strict=True):
        print(f'    "{key}": ({row[0]:.4f}, {row[1]:.4f}, {row[2]:.4f}),')
    print(f"}}\nBIAS = {beta[-1]:.4f}\n")
    report(p, source, weights, y, used)


def report(p: np.ndarray, source: np.ndarray, weights: np.ndarray, y: np.ndarray, used: np.ndarray) -> None:
    hazy, clear = ("haze-real", "sots hazy", "outdoor foggy"), ("retrieval-coco", "sots clear", "imagenet-samples", "outdoor shine")
    all_hazy, all_clear = p[np.isin(source, hazy)], p[np.isin(source, clear)]
    print(f"AUC over all {auc(all_hazy, all_clear):.3f}; of the clear photos {(all_clear > 0.5).mean():.3f} are over 0.5")
    for name in hazy:
        print(
            f"{name:20} AUC {auc(p[source == name], all_clear):.3f}  over 0.5: {(p[source == name] > 0.5).mean():.3f} of {(source == name).sum()}"
        )
    for name in (*clear, "retrieval-flickr"):
        print(
            f"{name:20} AUC {auc(all_hazy, p[source == name]):.3f}  over 0.5: {(p[source == name] > 0.5).mean():.3f} of {(source == name).sum()}"
        )
    for name in ("outdoor cloudy", "outdoor rainy", "outdoor sunrise", *HAZY, *CLEAR):
        print(f"{name:20}            over 0.5: {(p[source == name] > 0.5).mean():.3f} of {(source == name).sum()}")
    print("calibration, cross-validated: densities in a band, and the weighted share that is hazy")
    for low, high in ((0, 0.05), (0.05, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 0.95), (0.95, 1)):
        band = used & (p >= low) & (p < high)
        if band.any():
            print(
                f"  {low:.2f}-{high:.2f}: mean {np.average(p[band], weights=weights[band]):.3f}, hazy {np.average(y[band], weights=weights[band]):.3f} ({band.sum()})"
            )


if __name__ == "__main__":
    main()
