"""How fast photos are indexed, by stage, beside the bounds of the same run: reading alone and encoding alone.

Run: `python benchmarks/index.py [--large 120] [--small 1200] [--photos FOLDER] [--json]` (extra `demo`). Photos of 12 megapixels and of 500
pixels are made from scikit-image's real ones, with sensor noise; `--photos` keeps them, and uses them again.

- read: bytes, digest, reduced decode, facts, haze density and the resize for the encoder, with the build's threads; no encoder. `plain` is the same without
  looking at haze.
- encode: prepared photos through `encode_images`, with the build's batches; nothing else runs.
- build: the whole of `indexer.build` into a new library on the same disk, store and derived cache included.

Start-up is left out: one small build runs first in the same process, so lancedb, onnxruntime and the decoders are loaded when the clock starts.
What each build does again (open the store, commit, compact, write the cache) is counted, and shown as seconds.
Reading and encoding both use every core. Side by side they cannot be as fast as the slower one alone: `shared cores` is 1 / (1/read + 1/encode),
what a build reaches that wastes no processor time and saves none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from indexer import Report, build
from indexer.stages import Loader, read
from indexer.walk import Found, Passed, WalkOptions, walk
from preprocess import DehazeRule, Limits, load_rule
from search import Encoder, Library, load_encoder

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "retina", "immunohistochemistry", "colorwheel")
TARGET = 0.70


@dataclass(frozen=True)
class Figures:
    """Photos a second by stage, and where the seconds of the build went."""

    photos: int
    megabytes: float
    plain: float
    read: float
    encode: float
    build: float
    build_seconds: dict[str, float]

    @property
    def slower(self) -> float:
        """The smaller of the two bounds."""
        return min(self.read, self.encode)

    @property
    def shared(self) -> float:
        """The bound of a build whose two stages share the cores."""
        return 1 / (1 / self.read + 1 / self.encode)


def made_photos(folder: Path, size_wh: tuple[int, int], count: int, distinct: int) -> None:
    """`count` JPEGs. `distinct` of them are encoded; the rest are those with another comment inside, so that every digest is new."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    width, height = size_wh
    noise = random.normal(0, 5, (height, width, 1)).astype(np.int8)
    encoded: list[bytes] = []
    for number in range(distinct):
        pixels = getattr(data, PHOTOS[number % len(PHOTOS)])()
        top, left = (int(random.integers(0, side // 4)) for side in pixels.shape[:2])
        photo = Image.fromarray(pixels[top:, left:, :3][:, :: 1 if number % 2 else -1].copy()).resize(size_wh, Image.Resampling.BICUBIC)
        grainy = np.asarray(photo, np.int16) + np.roll(noise, int(random.integers(0, height)), axis=0)
        file = folder / "made.jpg"
        Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(file, quality=88)
        encoded.append(file.read_bytes())
        file.unlink()
    for number in range(count):
        comment = f"photo {number}".encode()
        jpeg = encoded[number % distinct]
        (folder / f"{number:05}.jpg").write_bytes(jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:])


def reading(files: Sequence[Found], encoder: Encoder, threads: int, rule: DehazeRule | None) -> tuple[float, list[np.ndarray]]:
    """Photos a second of the reading stage as the build runs it, and what it prepared, dehazed versions too."""
    report = Report()
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        loader = Loader(encoder, Limits(), lambda _digest: (None, False), rule)
        loaded = list(read(files, loader, report, pool, ahead=4 * threads + encoder.batch_size))
        rate = len(files) / (time.perf_counter() - start)
    if report.failed or len(loaded) < len(files):
        raise SystemExit(f"Some photos could not be read: {report.failed}")
    return rate, [pixels for item in loaded for pixels in item.prepared.values()]


def encoding(prepared: Sequence[np.ndarray], encoder: Encoder) -> float:
    """Photos a second of the encoder alone."""
    start = time.perf_counter()
    for at in range(0, len(prepared), encoder.batch_size):
        encoder.encode_images(prepared[at : at + encoder.batch_size])
    return len(prepared) / (time.perf_counter() - start)


def measured(folder: Path, place: Path, repeats: int) -> Figures:
    """The best of some rounds for each stage; the stages take turns, so that a busy moment hits them alike."""
    threads = os.cpu_count() or 1
    files = list(walk(folder, WalkOptions(), Passed()))
    encoder = load_encoder()
    best = {"plain": 0.0, "read": 0.0, "encode": 0.0, "build": 0.0}
    seconds: dict[str, float] = {}
    for number in range(repeats):
        best["plain"] = max(best["plain"], reading(files, encoder, threads, None)[0])
        rate, prepared = reading(files, encoder, threads, load_rule("auto"))
        best["read"] = max(best["read"], rate)
        best["encode"] = max(best["encode"], encoding(prepared, encoder))
        del prepared
        start = time.perf_counter()
        report = build(Library(place / f"library {folder.name} {number}", create=True), [folder], load_encoder())
        whole = time.perf_counter() - start
        if report.new != len(files):
            raise SystemExit(f"The build took {report.new} of {len(files)} photos: {report.failed}")
        if len(files) / whole > best["build"]:
            best["build"] = len(files) / whole
            seconds = {"whole": whole, **report.seconds}
    megabytes = sum(file.byte_size for file in files) / 1e6
    return Figures(len(files), round(megabytes, 1), **best, build_seconds={name: round(value, 3) for name, value in seconds.items()})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--large", type=int, default=120, help="photos of 12 megapixels (40 of them encoded apart)")
    parser.add_argument("--small", type=int, default=1200, help="photos of 500 pixels (600 of them encoded apart)")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--photos", type=Path, help="where the made photos are kept")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        made_photos(place / "warm", (320, 240), 64, 8)
        build(Library(place / "warm library", create=True), [place / "warm"], load_encoder())
        for label, size_wh, count, distinct in (
            ("12 megapixels", (4032, 3024), options.large, 40),
            ("500 pixels", (500, 375), options.small, 600),
        ):
            folder = (options.photos or place) / label
            made_photos(folder, size_wh, count, min(count, distinct))
            results[label] = measured(folder, place, options.repeats)
    worst = min(figures.build / figures.slower for figures in results.values())
    if options.json:
        shown = {
            label: asdict(figures) | {"of_slower_bound": figures.build / figures.slower, "of_shared_cores": figures.build / figures.shared}
            for label, figures in results.items()
        }
        print(json.dumps({"cores": os.cpu_count(), "target": TARGET, "results": shown}, indent=1))
        return int(worst < TARGET)
    print(f"Photos a second on {os.cpu_count()} cores, start-up left out (a small build ran first), best of {options.repeats}")
    print(
        f"{'photos':24} {'plain':>8} {'read':>8} {'encode':>8} {'shared cores':>13} {'build':>8} {'of the slower bound':>20} {'of shared cores':>16}"
    )
    for label, figures in results.items():
        print(
            f"{f'{figures.photos:,} of {label}':24} {figures.plain:8.1f} {figures.read:8.1f} {figures.encode:8.1f} {figures.shared:13.1f} {figures.build:8.1f} "
            f"{figures.build / figures.slower:20.0%} {figures.build / figures.shared:16.0%}"
        )
    for label, figures in results.items():
        print(f"Seconds of the build, {label}: {', '.join(f'{name} {value:.2f}' for name, value in figures.build_seconds.items())}")
    print(f"Target: the build reaches {TARGET:.0%} of the slower bound: {'MISSED' if worst < TARGET else 'reached'}")
    return int(worst < TARGET)


if __name__ == "__main__":
    sys.exit(main())
