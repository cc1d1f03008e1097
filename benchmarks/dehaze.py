"""The dark channel dehazer against a plain implementation of the published method: processor time, memory and quality, in one run.

Run: `python benchmarks/dehaze.py [--pairs DIR | --made] [--json]` (extra `demo`). Pictures are scikit-image's, hazed by the atmospheric model over a plane with
relief, with sensor noise: 620×460, and 12 megapixels. Processor time of the process, best of several turns, in which the ways take turns. Memory: by how
much a fresh process grew at its peak, the result included. Quality: PSNR and SSIM over pairs; `DIR` has `clear/NAME.EXT` and `hazy/NAME_LEVEL.EXT` (the
layout of RESIDE SOTS), and without it the pairs are the made ones. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage import data
from skimage.metrics import structural_similarity

from preprocess import load_dehazer

cv2.setNumThreads(1)

SIZES_WH = {"620x460": (620, 460), "12 MP": (4000, 3000)}
LEAST_RATIO = {"620x460": 8.0, "12 MP": 10.0}
TURNS = {"620x460": 15, "12 MP": 3}
MOST_BYTES = 8  # of extra memory, per pixel and channel
MOST_LOSS_DB = 0.05  # of the preset `paper`
SHARED_PAIRS = Path(__file__).resolve().parents[2] / "shared" / "data" / "eval" / "sots-indoor"


def plain(pixels: np.ndarray) -> np.ndarray:
    """He, Sun, Tang 2011 with the guided filter of 2013, as the papers say it: floats of 64 bits, a whole sort, everything at full size.

    Erosion and box filters are OpenCV's, whose time hardly depends on the window, and loops are numpy's: what a careful first version looks like.
    """
    image = pixels.astype(np.float64) / 255
    window = np.ones((15, 15), np.uint8)
    dark = cv2.erode(np.min(image, axis=2), window)
    brightest = np.argsort(dark, axis=None)[-max(1, dark.size // 1000) :]
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) / 255.0
    light = np.maximum(image.reshape(-1, 3)[brightest[np.argmax(grey.reshape(-1)[brightest])]], 1 / 255)
    t = 1 - 0.95 * cv2.erode(np.min(image / light, axis=2), window)
    t = plain_guided_filter(grey, t, 60, 1e-4)
    t = np.maximum(t, 0.1)[:, :, None]
    scene = (image - light) / t + light
    return np.rint(np.clip(scene, 0, 1) * 255).astype(np.uint8)


def plain_guided_filter(guide: np.ndarray, source: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """Algorithm 1 of He, Sun, Tang 2013; at the edges, means over the part of the window that is inside, as in the authors' code."""

    def box(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, cv2.CV_64F, (2 * radius + 1, 2 * radius + 1), normalize=False, borderType=cv2.BORDER_CONSTANT)

    count = box(np.ones_like(guide))

    def mean(values: np.ndarray) -> np.ndarray:
        return box(values) / count

    mean_guide, mean_source = mean(guide), mean(source)
    variance = mean(guide * guide) - mean_guide * mean_guide
    covariance = mean(guide * source) - mean_guide * mean_source
    a = covariance / (variance + eps)
    b = mean_source - a * mean_guide
    return mean(a) * guide + mean(b)


def ways() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    return {"plain": plain, "paper": load_dehazer("dark-channel", "paper"), "default": load_dehazer("dark-channel", "default")}


def made_pair(pixels: np.ndarray, size_wh: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A clear photo at this size, and the same in haze."""
    random = np.random.default_rng(seed)
    height = size_wh[1]
    clear = np.asarray(Image.fromarray(pixels).resize(size_wh, Image.Resampling.LANCZOS))
    plane = 0.4 / (0.25 + np.linspace(0, 1, height, dtype=np.float32))[:, None]
    relief = cv2.resize(random.normal(0, 0.25, (5, 7)).astype(np.float32), size_wh, interpolation=cv2.INTER_CUBIC)
    t = np.exp(-float(random.uniform(0.8, 1.6)) * np.clip(plane + relief * plane, 0.02, None))
    light = random.uniform(190, 245) + random.normal(0, 5, 3)
    hazy = np.empty_like(clear)
    for colour in range(3):  # one at a time: the 12-megapixel one should not need more memory than what is measured
        plane_of_colour = clear[..., colour] * t + light[colour] * (1 - t) + random.normal(0, 1.0, t.shape).astype(np.float32)
        hazy[..., colour] = np.rint(plane_of_colour.clip(0, 255))
    return clear, hazy


def made_pairs(size_wh: tuple[int, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for seed, photo in enumerate((data.astronaut, data.coffee, data.chelsea, data.rocket, data.stereo_motorcycle) * 2):
        pixels = photo()
        yield made_pair(pixels[0] if isinstance(pixels, tuple) else pixels, size_wh, seed)


def read_pairs(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for hazy in sorted((folder / "hazy").iterdir()):
        clear = folder / "clear" / (hazy.stem.split("_")[0] + hazy.suffix)
        yield np.asarray(Image.open(clear).convert("RGB")), np.asarray(Image.open(hazy).convert("RGB"))


def quality(pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Means of PSNR and SSIM over pairs, of the hazy pictures as they are and of each way."""
    found: dict[str, list[tuple[float, float]]] = {}
    for clear, hazy in pairs:
        for name, way in {"hazy": np.asarray, **ways()}.items():
            result = way(hazy)
            error = np.mean((clear.astype(np.float32) - result) ** 2)
            likeness = structural_similarity(
                clear, result, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            )
            found.setdefault(name, []).append((10 * np.log10(255**2 / error), likeness))
    return {
        name: {"pairs": len(rows), **dict(zip(("psnr", "ssim"), np.mean(rows, 0).tolist(), strict=True))} for name, rows in found.items()
    }


def seconds(hazy: np.ndarray, turns: int) -> dict[str, float]:
    best: dict[str, float] = {}
    for _ in range(turns):
        for name, way in ways().items():
            start = time.process_time()
            way(hazy)
            best[name] = min(best.get(name, 1e9), time.process_time() - start)
    return best


def memory_once(name: str) -> float:
    """What the child process does: bytes by which it grew at its peak, per pixel and channel."""
    from search._bench_child import peak_bytes

    _, small = made_pair(data.coffee(), SIZES_WH["620x460"], 0)
    ways()[name](small)  # what is loaded or kept once does not count
    hazy = np.tile(small, (7, 7, 1))[:3000, :4000].copy()
    before = resident_bytes() or peak_bytes()
    ways()[name](hazy)
    return (peak_bytes() - before) / hazy.size


def resident_bytes() -> int:
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmRSS"))


def memory() -> dict[str, float]:
    return {
        name: float(subprocess.run([sys.executable, __file__, "--child", name], check=True, capture_output=True, text=True).stdout)
        for name in ways()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=Path, default=SHARED_PAIRS if SHARED_PAIRS.is_dir() else None)
    parser.add_argument("--made", action="store_true", help="measure quality on the made pairs, whatever else is there")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(memory_once(options.child))
        return 0
    if options.made:
        options.pairs = None
    times = {size: seconds(made_pair(data.coffee(), wh, 0)[1], TURNS[size]) for size, wh in SIZES_WH.items()}
    grown = memory()
    figures = quality(read_pairs(options.pairs) if options.pairs else made_pairs(SIZES_WH["620x460"]))
    checks = {
        f"{size}: {name} takes at least {least:g}x less time than plain": times[size]["plain"] / times[size][name] >= least
        for size, least in LEAST_RATIO.items()
        for name in ("paper", "default")
    }
    checks |= {f"12 MP: {name} needs less than {MOST_BYTES} bytes": grown[name] < MOST_BYTES for name in ("paper", "default")}
    checks[f"PSNR of paper is at most {MOST_LOSS_DB} dB below plain"] = figures["paper"]["psnr"] >= figures["plain"]["psnr"] - MOST_LOSS_DB
    if options.json:
        print(json.dumps({"seconds": times, "bytes_per_pixel_and_channel": grown, "quality": figures, "checks": checks}, indent=1))
        return int(not all(checks.values()))
    print(f"{'processor time':16} {'plain ms':>10} {'paper ms':>10} {'default ms':>10} {'paper':>8} {'default':>8}")
    for size, of in times.items():
        ratios = "".join(f"{of['plain'] / of[name]:8.1f}x" for name in ("paper", "default"))
        print(f"{size:16} {of['plain'] * 1e3:10.1f} {of['paper'] * 1e3:10.1f} {of['default'] * 1e3:10.1f}{ratios}")
    print("\nmemory at 12 MP, bytes per pixel and channel: " + ", ".join(f"{name} {value:.1f}" for name, value in grown.items()))
    print(f"\n{figures['hazy']['pairs']:.0f} pairs{' (made)' if not options.pairs else '':9} {'PSNR dB':>10} {'SSIM':>10}")
    for name, row in figures.items():
        print(f"{name:18} {row['psnr']:9.2f} {row['ssim']:10.3f}")
    print()
    for text, passed in checks.items():
        print(f"{text}: {'pass' if passed else 'MISSED'}")
    return int(not all(checks.values()))


if __name__ == "__main__":
    sys.exit(main())
