"""How long a search takes in a large library with regions: 100,000 photos with ten regions each, from the shell and step by step.

Run: `python benchmarks/region_search.py [--photos 100000] [--regions 10] [--repeats 5] [--keep DIR] [--json]`. The library holds made-up photos and vectors of the built-in encoder's size,
written through the store: directions that photos crowd around, so that queries have answers. Each search is a fresh process, warm disk; the first one, which measures what generic queries
find there, is told apart. `sorted` is `--strictness 0 --sort date`, where every photo is relevant. `--keep` writes the library there, and takes it from there if it was made before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORDS = "two dogs on a beach at sunset"
CROWDS, SPREAD = 300, 1.0
PART = 10_000
WAYS = {
    "images": ("--in", "images"),
    "regions": ("--in", "regions"),
    "both": ("--in", "both"),
    "sorted, images": ("--in", "images", "--strictness", "0", "--sort", "date"),
    "sorted, both": ("--in", "both", "--strictness", "0", "--sort", "date"),
}


def made_library(folder: Path, photos: int, regions: int) -> None:
    """A library of made-up rows."""
    import numpy as np

    from annotate import Annotation, Region
    from search import EncoderOptions, Library, Store, bank_vectors, image_row, load_encoder, make_derived, normalize

    encoder, random = load_encoder("builtin", EncoderOptions(threads=1)), np.random.default_rng(0)
    crowds = bank_vectors(encoder)[:CROWDS]

    def rows(count: int) -> Any:
        noise = random.normal(size=(count, crowds.shape[1])) / crowds.shape[1] ** 0.5
        return normalize(0.3 * crowds[random.integers(0, len(crowds), count)] + SPREAD * noise)

    made = tuple(Region((10.0 * at, 0.0, 10.0 * at + 9, 9.0), ("sky", "person", "car")[at % 3], 0.9, area=0.01) for at in range(regions))
    library = Library(folder, create=True)
    with library.locked("benchmark"):
        store = Store(library)
        for start in range(0, photos, PART):
            numbers = range(start, min(photos, start + PART))
            digests = [f"{number:064x}" for number in numbers]
            store.add_vectors(encoder.recipe, digests, rows(len(digests)))
            keys = [(digest, "made", at) for digest in digests for at in range(regions)]
            store.regions.put_vectors(encoder.recipe, keys, rows(len(keys)))
            store.regions.put({digest: Annotation((4032, 3024), made, "made") for digest in digests})
            store.put_images(
                [
                    image_row(
                        root="/photos", path=f"{2000 + at % 25}/photo {at:06}.jpg", digest=digest, format="JPEG", width=4032, height=3024,
                        byte_size=3_000_000 + at, modified_ns=at, taken_at=f"{2000 + at % 25}-06-01T12:00:00", camera="Pixel 8", iso=100,
                    )
                    for at, digest in zip(numbers, digests, strict=True)
                ]
            )  # fmt: skip
        store.use(encoder.recipe)
        make_derived(store)


def processor_s() -> float:
    """Processor seconds of all processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def seconds(arguments: tuple[str, ...], folder: Path, repeats: int) -> tuple[list[float], list[float]]:
    """Elapsed and processor seconds of each fresh process."""
    command = [str(Path(sys.executable).with_name("pellucid")), "search", WORDS, "--library", str(folder), *arguments]
    elapsed, busy = [], []
    for _ in range(repeats):
        start, before = time.perf_counter(), processor_s()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        elapsed.append(time.perf_counter() - start)
        busy.append(processor_s() - before)
    return elapsed, busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--regions", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = options.keep or Path(place) / "library"
        if not (folder / "library.json").is_file():
            made_library(folder, options.photos, options.regions)
        for file in (folder / "cache").glob("*/bank.npz"):
            file.unlink()
        first = seconds(WAYS["both"], folder, 1)
        rows = {}
        for name, arguments in WAYS.items():
            elapsed, busy = seconds(arguments, folder, options.repeats + 1)
            rows[name] = {"elapsed_s": statistics.median(elapsed[1:]), "processor_s": statistics.median(busy[1:])}
    facts = {"photos": options.photos, "regions": options.regions, "first": {"elapsed_s": first[0][0], "processor_s": first[1][0]}, **rows}
    if options.json:
        print(json.dumps(facts, indent=1))
        return
    print(f"{options.photos:,} photos with {options.regions} regions each, fresh processes, median of {options.repeats}")
    for name, row in (("the first search of all", facts["first"]), *rows.items()):
        print(f"{name:24} {row['elapsed_s']:6.2f} s, {row['processor_s']:6.2f} s of processor time")


if __name__ == "__main__":
    main()
