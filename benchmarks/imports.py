"""Start-up budgets: how long `pellucid --help`, a search over 10,000 photos and the import of each package take in a fresh process.

Run: `python benchmarks/imports.py [--repeats 7] [--json]`. Exit code 1 when a budget is missed. The best of the repeats counts: what is
slower than that, something else on the machine did. The library is made of random vectors; a search reads no photo.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PHOTOS = 10_000
HELP_S, SEARCH_S = 0.4, 1.0
IMPORT_S = {"preprocess": 0.15, "annotate": 0.15, "search": 0.15, "indexer": 0.5, "api": 0.15}
"""`indexer` may load numpy and Pillow: only `pellucid index` imports it. The others must stay light."""
SLOWEST = 10


def made_library(folder: Path) -> None:
    """A library of random unit vectors with the built-in encoder's recipe, and its derived cache."""
    import numpy as np

    from search import Library, Store, image_row, load_encoder, make_derived, normalize

    random = np.random.default_rng(0)
    recipe = load_encoder().recipe
    library = Library(folder, create=True)
    with library.locked("benchmark"):
        store = Store(library)
        digests = [f"{number:064x}" for number in range(PHOTOS)]
        rows = [
            image_row(
                root="/photos", path=f"{2000 + at % 25}/photo {at:05}.jpg", digest=digest, format="JPEG", width=4032, height=3024,
                byte_size=3_000_000 + at, modified_ns=at, taken_at=f"{2000 + at % 25}-06-01T12:00:00", camera="Pixel 8", iso=100,
            )
            for at, digest in enumerate(digests)
        ]  # fmt: skip
        store.add_vectors(recipe, digests, normalize(random.normal(size=(PHOTOS, recipe.dim))))
        store.put_images(rows)
        store.use(recipe)
        make_derived(store)


def best_seconds(command: list[str], repeats: int) -> float:
    """The fastest of some runs in fresh processes; the first one, which warms the disk, does not count."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def slowest_imports(arguments: list[str]) -> list[tuple[str, float]]:
    """Modules with the longest import time of their own, without that of what they import; milliseconds."""
    run = subprocess.run([sys.executable, "-X", "importtime", *arguments], check=True, capture_output=True, text=True)
    found = re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", run.stderr, re.MULTILINE)
    return sorted(((name, int(own) / 1e3) for own, name in found), key=lambda item: -item[1])[:SLOWEST]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    command = str(Path(sys.executable).with_name("pellucid"))
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        made_library(library)
        question = ["search", "a dog", "--library", str(library)]
        runs: list[tuple[str, list[str], float | None]] = [
            ("python, nothing imported", [sys.executable, "-c", "pass"], None),
            *((f"import {name}", [sys.executable, "-c", f"import {name}"], budget) for name, budget in IMPORT_S.items()),
            ("pellucid --help", [command, "--help"], HELP_S),
            (f"pellucid search 'a dog', {PHOTOS:,} photos", [command, *question], SEARCH_S),
        ]
        rows = [(name, best_seconds(argv, options.repeats), budget) for name, argv, budget in runs]
        slowest = slowest_imports([command, *question])
    missed = [name for name, seconds, budget in rows if budget is not None and seconds > budget]
    if options.json:
        figures = {name: {"seconds": round(seconds, 4), "budget_s": budget} for name, seconds, budget in rows}
        print(json.dumps({"runs": figures, "missed": missed, "slowest_imports_ms": dict(slowest)}, indent=1))
        return int(bool(missed))
    print(f"{'in a fresh process, best of ' + str(options.repeats):46} {'seconds':>8} {'budget':>7}")
    for name, seconds, budget in rows:
        verdict = "" if budget is None else f"{budget:7.2f}  {'MISSED' if name in missed else 'pass'}"
        print(f"{name:46} {seconds:8.3f} {verdict}")
    print("\nSlowest imports of the search, each without what it imports:")
    for name, milliseconds in slowest:
        print(f"{milliseconds:7.1f} ms  {name}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
