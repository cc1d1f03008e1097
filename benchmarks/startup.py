"""How long `pellucid search "words"` takes from the shell with a real model: ViT-B-32's text tower (random weights, real size), 100,000 vectors, warm.

Run: `python benchmarks/startup.py [--arch ViT-B-32] [--photos 100000] [--repeats 9] [--budget 1.5] [--json]`. The model folder is made as `pellucid models add` makes it,
which takes about a minute and needs the extra torch; the library holds random unit vectors with rows of made-up photos, written through the store.
Each search is a fresh process. Then one process says where the time goes. Exit code 1 when the median misses the budget, or when torch was imported.
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
STEPS = """
import time; started = time.perf_counter(); rows = []
def step(name):
    global started
    rows.append((name, time.perf_counter() - started)); started = time.perf_counter()
import sys, json
library, models, encoder, words = sys.argv[1:]
import api.cli, api.wiring, api.output, rich.table; step("import the command line")
from api.settings import load_settings
settings = load_settings(library=library, encoder=encoder); step("settings")
import numpy; step("import numpy")
import onnxruntime, search._onnx_clip; step("import onnxruntime")
import faiss, search.hits; step("import faiss and the search")
from pathlib import Path
from search import EncoderOptions, Library, Query, Term, load_encoder
from search.derived import open_derived
made = load_encoder(encoder, EncoderOptions(Path(models))); step("facts of the model")
made._words; step("load the tokenizer")
made._text; step("load the text tower")
made.encode_texts([words]); step("encode the words")
opened = Library(Path(library)); search.hits.answer(opened, Query((Term(words),), 10), made); step("open the cache, find, read the rows")
print(json.dumps({"rows": rows, "torch": "torch" in sys.modules}))
"""


def made_model(arch: str, folder: Path) -> None:
    import torch

    from search._export import export_model
    from search._open_clip import create_module, describe

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    export_model(describe(create_module(arch), arch), folder, folder.name, "random weights", "none")


def made_library(folder: Path, model: Path, photos: int) -> None:
    import numpy as np

    from search import Library, Store, image_row, make_derived, normalize
    from search._onnx_clip import OnnxEncoder

    recipe, random = OnnxEncoder(model).recipe, np.random.default_rng(0)
    library = Library(folder, create=True)
    with library.locked("benchmark"):
        store = Store(library)
        for start in range(0, photos, 20_000):
            numbers = range(start, min(photos, start + 20_000))
            digests = [f"{number:064x}" for number in numbers]
            store.add_vectors(recipe, digests, normalize(random.normal(size=(len(digests), recipe.dim))))
            store.put_images(
                [
                    image_row(
                        root="/photos", path=f"{2000 + at % 25}/photo {at:06}.jpg", digest=digest, format="JPEG", width=4032, height=3024,
                        byte_size=3_000_000 + at, modified_ns=at, taken_at=f"{2000 + at % 25}-06-01T12:00:00", camera="Pixel 8", iso=100,
                    )
                    for at, digest in zip(numbers, digests, strict=True)
                ]
            )  # fmt: skip
        store.use(recipe)
        make_derived(store)


def seconds_of(command: list[str], repeats: int, environment: dict[str, str]) -> list[tuple[float, float]]:
    """Elapsed and processor seconds of each run in a fresh process; the first one, which warms the disk, does not count."""
    seconds = []
    for _ in range(repeats + 1):
        start, busy = time.perf_counter(), children_s()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        seconds.append((time.perf_counter() - start, children_s() - busy))
    return seconds[1:]


def children_s() -> float:
    """Processor seconds of all processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def steps(arguments: list[str], repeats: int, environment: dict[str, str]) -> dict[str, Any]:
    """Median seconds of each step of a search, in fresh processes, and whether torch was imported."""
    found = []
    for _ in range(repeats + 1):
        done = subprocess.run([sys.executable, "-c", STEPS, *arguments], check=True, capture_output=True, text=True, env=environment)
        found.append(json.loads(done.stdout))
    names = [name for name, _ in found[0]["rows"]]
    medians = {name: statistics.median(run["rows"][at][1] for run in found[1:]) for at, name in enumerate(names)}
    return {"steps": medians, "torch": any(run["torch"] for run in found)}


def measured(options: argparse.Namespace) -> dict[str, Any]:
    command = str(Path(sys.executable).with_name("pellucid"))
    with tempfile.TemporaryDirectory() as place:
        model, library = Path(place) / "models" / "vit", Path(place) / "library"
        made_model(options.arch, model)
        made_library(library, model, options.photos)
        environment = {**os.environ, "PELLUCID_MODELS": str(model.parent)}
        question = [command, "search", WORDS, "--library", str(library), "--encoder", model.name]
        runs = {
            "python, nothing imported": [sys.executable, "-c", "pass"],
            "pellucid --help": [command, "--help"],
            f"pellucid search, {options.photos:,} vectors, {options.arch}": question,
        }
        rows = {name: seconds_of(argv, options.repeats, environment) for name, argv in runs.items()}
        parts = steps([str(library), str(model.parent), model.name, WORDS], options.repeats, environment)
        size = sum(file.stat().st_size for file in model.glob("text.onnx*"))
    shown = {
        name: {"median_s": statistics.median(elapsed), "least_s": min(elapsed), "processor_s": statistics.median(busy)}
        for name, (elapsed, busy) in ((name, tuple(zip(*values, strict=True))) for name, values in rows.items())
    }
    return {"runs": shown, **parts, "text_tower_bytes": size, "median_s": list(shown.values())[-1]["median_s"], "budget_s": options.budget}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arch", default="ViT-B-32")
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--budget", type=float, default=1.5, help="seconds; the median must stay below")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    facts = measured(options)
    missed = facts["median_s"] >= options.budget or facts["torch"]
    if options.json:
        print(json.dumps(facts, indent=1))
        return int(missed)
    print(f"{'in fresh processes, warm, ' + str(options.repeats) + ' runs':52} {'median s':>9} {'least s':>8} {'processor s':>12}")
    for name, row in facts["runs"].items():
        print(f"{name:52} {row['median_s']:9.3f} {row['least_s']:8.3f} {row['processor_s']:12.3f}")
    print(f"\nWhere the time goes, in a process that does the steps one by one (text tower of {facts['text_tower_bytes'] / 1e6:.0f} MB):")
    for name, value in facts["steps"].items():
        print(f"{value * 1e3:8.1f} ms  {name}")
    print(
        f"Torch was {'imported: MISSED' if facts['torch'] else 'not imported'}. Budget {options.budget} s: {'MISSED' if missed else 'reached'}"
    )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
