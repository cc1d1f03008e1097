"""How fast regions are found and embedded, what share of a build that is, and how much memory it takes.

Run: `python benchmarks/segment.py [--large 40] [--small 300] [--json]` (extra `demo`). Photos are those of benchmarks/index.py.

- segment: maps alone, one thread, photos a second of processor time; `find` with components, measures and boxes, as a build runs the maker.
- builds: the same photos without regions, with the built-in segmenter, with proposals and with both, in turns; `share` is the part of the build's time
  that regions take.
- memory: peaks of fresh processes that index few and many photos of 12 megapixels with regions, and of one that segments 12 and 48 megapixels whole.

Exit code 1 where the peak grows by more than 15% from few to many photos.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from index import made_photos

MOST = 1.15
FEW, MANY = 40, 160
"""Photos whose builds are compared for memory; with 10 the pipeline is not yet full. Each is the median of three, as runs differ by a tenth."""
MAKERS = ("none", "builtin", "proposals", "builtin+proposals")


@dataclass(frozen=True)
class Alone:
    """Photos a second of processor time on one core, and regions a photo."""

    segment: float
    find: float
    regions: float


@dataclass(frozen=True)
class Built:
    """Photos a second of a whole build, and the share of its time that regions take."""

    build: float
    share: float
    regions: int


def alone(folder: Path, side: int) -> Alone:
    """The built-in segmenter on photos that were decoded as a build decodes them."""
    from annotate import SegmenterOptions, load_region_maker, load_segmenter
    from preprocess import read_image

    segmenter, maker = load_segmenter("builtin", SegmenterOptions(threads=1)), load_region_maker("builtin")
    if maker is None:
        raise SystemExit("There is no maker.")
    photos = [read_image(file, side=side) for file in sorted(folder.iterdir())[:20]]
    segmenter.segment(photos[0].pixels)
    maker(photos[0].pixels, (photos[0].width, photos[0].height))
    start = time.process_time()
    for photo in photos:
        segmenter.segment(photo.pixels)
    middle = time.process_time()
    found = [len(maker(photo.pixels, (photo.width, photo.height)).regions) for photo in photos]
    ends = time.process_time()
    return Alone(len(photos) / (middle - start), len(photos) / (ends - middle), sum(found) / len(found))


def builds(folder: Path, place: Path, repeats: int) -> dict[str, Built]:
    """Each kind of build, in turns; the best of some rounds."""
    from indexer import BuildOptions, build
    from search import Library, load_encoder

    best: dict[str, Built] = {}
    for number in range(repeats):
        for name in MAKERS:
            start = time.perf_counter()
            report = build(
                Library(place / f"{folder.name} {name} {number}", create=True), [folder], load_encoder(), BuildOptions(regions=name)
            )
            rate = report.found / (time.perf_counter() - start)
            if name not in best or rate > best[name].build:
                best[name] = Built(rate, 0.0, report.regions)
    return {name: replace(built, share=1 - built.build / best["none"].build) for name, built in best.items()}


def peak(what: str, *more: str) -> float:
    """Peak megabytes of a fresh process."""
    run = subprocess.run([sys.executable, __file__, "--child", what, *more], check=True, capture_output=True, text=True)
    return float(json.loads(run.stdout))


def child(what: str, more: list[str]) -> float:
    """What a fresh process does, and its peak."""
    from search._bench_child import peak_bytes

    if what == "index":
        from indexer import BuildOptions, build
        from search import Library, load_encoder

        build(Library(Path(more[1]), create=True), [Path(more[0])], load_encoder(), BuildOptions(regions="builtin"))
    else:
        from annotate import load_segmenter

        height, width = 3024 * int(more[0]), 4032 * int(more[0])
        load_segmenter("builtin").segment(np.broadcast_to(np.arange(width, dtype=np.uint8)[:, None], (height, width, 3)))
    return peak_bytes() / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--large", type=int, default=40, help="photos of 12 megapixels")
    parser.add_argument("--small", type=int, default=300, help="photos of 500 pixels")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options.child[0], options.child[1:])))
        return 0
    results: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for label, size_wh, count in (("12 megapixels", (4032, 3024), options.large), ("500 pixels", (500, 375), options.small)):
            folder = place / label
            made_photos(folder, size_wh, count, min(count, 40))
            results[label] = {
                "alone": asdict(alone(folder, 120)),
                "builds": {maker: asdict(built) for maker, built in builds(folder, place, options.repeats).items()},
            }
        for count in (FEW, MANY):
            made_photos(place / str(count), (4032, 3024), count, min(count, 40))
        memory = {
            **{
                f"{n} photos of 12 megapixels": float(
                    np.median([peak("index", str(place / str(n)), str(place / f"{n} in library {turn}")) for turn in range(3)])
                )
                for n in (FEW, MANY)
            },
            "12 megapixels, one map": peak("segment", "1"),
            "48 megapixels, one map": peak("segment", "2"),
        }
    few, many, *_ = memory.values()
    if options.json:
        print(json.dumps({"cores": os.cpu_count(), "results": results, "peak_mb": memory}, indent=1))
        return int(many / few > MOST)
    for label, figures in results.items():
        found = figures["alone"]
        print(
            f"{label}: {found['segment']:.1f} maps/s and {found['find']:.1f} photos/s with regions on one core, {found['regions']:.1f} regions a photo"
        )
        for maker, built in figures["builds"].items():
            print(
                f"  build, regions {maker:18} {built['build']:8.1f} photos/s, {built['share']:4.0%} of it for regions, {built['regions']:,} regions"
            )
    for label, megabytes in memory.items():
        print(f"peak, {label:28} {megabytes:6.0f} MB")
    print(f"Target: the peak of many is at most {MOST} times that of few: {many / few:.2f} {'MISSED' if many / few > MOST else 'reached'}")
    return int(many / few > MOST)


if __name__ == "__main__":
    sys.exit(main())
