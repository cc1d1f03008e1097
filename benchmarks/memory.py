"""Peak memory of indexing 1,000 and 10,000 photos, and the time of a second run over the 10,000 unchanged ones.

Run: `python benchmarks/memory.py [--json]` (extra `demo`). Photos are JPEGs of 200 pixels with different bytes. Each build runs in a process of
its own, with the built-in encoder, into a library of its own. Peak: the most memory that was resident at once, as the system counts it.
Exit code 1 when the peak grows by more than 15%, or when the second run reads a photo.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FEW, MANY = 1_000, 10_000
MOST = 1.15


def made_photos(folder: Path, count: int) -> None:
    """Real photos, cut and encoded a hundred times; the rest are these with another comment inside, so that every digest is new."""
    import numpy as np
    from PIL import Image
    from skimage import data

    folder.mkdir()
    random = np.random.default_rng(0)
    sources = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    encoded = []
    for number in range(100):
        pixels = sources[number % len(sources)]
        top, left = (int(random.integers(0, side - 200)) for side in pixels.shape[:2])
        file = folder / "made.jpg"
        Image.fromarray(pixels[top : top + 150, left : left + 200]).save(file, quality=85)
        encoded.append(file.read_bytes())
        file.unlink()
    for number in range(count):
        comment = f"photo {number}".encode()
        jpeg = encoded[number % len(encoded)]
        place = folder / f"{number // 1000:02}"
        place.mkdir(exist_ok=True)
        (place / f"{number:05}.jpg").write_bytes(jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:])


def index_once(folder: Path, place: Path) -> dict[str, float]:
    """What the child process does and says."""
    from indexer import build
    from search import Library, load_encoder
    from search._bench_child import peak_bytes

    start = time.perf_counter()
    report = build(Library(place, create=True), [folder], load_encoder())
    return {
        "photos": report.found, "read": report.total, "failed": len(report.failed), "seconds": time.perf_counter() - start,
        "peak_mb": peak_bytes() / 1e6,
    }  # fmt: skip


def in_fresh_process(folder: Path, place: Path) -> dict[str, float]:
    """One build; its time with the start of the process."""
    start = time.perf_counter()
    run = subprocess.run([sys.executable, __file__, "--child", str(folder), str(place)], check=True, capture_output=True, text=True)
    return dict(json.loads(run.stdout)) | {"process_seconds": time.perf_counter() - start}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(index_once(*options.child)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        made_photos(place / "few", FEW)
        made_photos(place / "many", MANY)
        runs = {
            f"{FEW:,} photos, first run": in_fresh_process(place / "few", place / "library of few"),
            f"{MANY:,} photos, first run": in_fresh_process(place / "many", place / "library of many"),
            f"{MANY:,} photos, second run": in_fresh_process(place / "many", place / "library of many"),
        }
    few, many, again = runs.values()
    ratio = many["peak_mb"] / few["peak_mb"]
    failed = ratio > MOST or again["read"] > 0 or any(run["failed"] for run in runs.values())
    if options.json:
        print(json.dumps({"runs": runs, "peak_ratio": ratio, "most": MOST}, indent=1))
        return int(failed)
    print(f"{'each in a fresh process':28} {'photos read':>12} {'build s':>9} {'process s':>10} {'peak MB':>9}")
    for label, run in runs.items():
        print(f"{label:28} {run['read']:12,} {run['seconds']:9.2f} {run['process_seconds']:10.2f} {run['peak_mb']:9.0f}")
    print(f"Peak at {MANY:,} photos over that at {FEW:,}: {ratio:.3f}, at most {MOST}: {'MISSED' if ratio > MOST else 'pass'}")
    print(f"The second run read {again['read']:,.0f} photos: {'MISSED' if again['read'] else 'pass'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
