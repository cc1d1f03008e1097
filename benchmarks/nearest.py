"""Exact nearest search by FAISS flat float16 (as Pellucid uses it), numpy and LanceDB's brute force, side by side in one run.

Run: `python benchmarks/nearest.py [--json]`. Random unit vectors of 256 numbers; 10 nearest of one query at a time; the median of the queries.
FAISS and LanceDB read float16 rows, numpy multiplies float32 ones in memory. Recall is against numpy, so it shows what float16 costs.
Read the ratios: the times depend on the machine and on what else it does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa

from search import INDEXES, normalize

DIM, K, QUERIES = 256, 10, 30
Rows = np.ndarray


def clustered(count: int, seed: int) -> Rows:
    """Unit rows that lie in clusters, as photos do; evenly spread ones would have no near neighbours."""
    centres = np.random.default_rng(0).normal(size=(200, DIM))
    random = np.random.default_rng(seed)
    return normalize(centres[random.integers(0, len(centres), count)] + 0.7 * random.normal(size=(count, DIM)))


def by_faiss(vectors: Rows, folder: Path) -> Callable[[Rows], Rows]:
    kind = INDEXES["flat"]()
    kind.write(vectors, folder / "nearest.faiss")
    index = kind.read(folder / "nearest.faiss")
    return lambda query: index.search(query[None], K)[0][1]


def by_numpy(vectors: Rows, _folder: Path) -> Callable[[Rows], Rows]:
    def nearest(query: Rows) -> Rows:
        similarities = vectors @ query
        best = np.argpartition(-similarities, K)[:K]
        return best[np.argsort(-similarities[best])]

    return nearest


def by_lancedb(vectors: Rows, folder: Path) -> Callable[[Rows], Rows]:
    flat = pa.array(vectors.astype(np.float16).ravel())
    rows = pa.table({"number": np.arange(len(vectors)), "vector": pa.FixedSizeListArray.from_arrays(flat, DIM)})
    table = lancedb.connect(str(folder / "lance")).create_table("vectors", rows)
    return lambda query: (
        table.search(query).distance_type("cosine").limit(K).select(["number", "_distance"]).to_arrow()["number"].to_numpy()
    )


WAYS = {"FAISS flat float16": by_faiss, "numpy float32": by_numpy, "LanceDB brute force": by_lancedb}


def measured(count: int) -> dict[str, dict[str, float]]:
    """Milliseconds a query, and the share of the true nearest that each way finds."""
    vectors, queries = clustered(count, 1), clustered(QUERIES, 2)
    with tempfile.TemporaryDirectory() as name:
        seconds: dict[str, list[float]] = {}
        found: dict[str, list[Rows]] = {}
        for label, make in WAYS.items():
            folder = Path(name) / label
            folder.mkdir()
            nearest = make(vectors, folder)
            for query in queries[:5]:
                nearest(query)
            time.sleep(0.5)  # each way has threads of its own that go on spinning for a while, on the cores of the next one
            seconds[label], found[label] = [], []
            for query in queries:
                start = time.perf_counter()
                found[label].append(nearest(query))
                seconds[label].append(time.perf_counter() - start)
            time.sleep(0.5)
    truth = found["numpy float32"]
    return {
        label: {
            "milliseconds": statistics.median(seconds[label]) * 1e3,
            "times_faiss": statistics.median(seconds[label]) / statistics.median(seconds["FAISS flat float16"]),
            "recall_at_10": sum(len(set(a.tolist()) & set(b.tolist())) for a, b in zip(found[label], truth, strict=True)) / (K * QUERIES),
        }
        for label in WAYS
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {count: measured(count) for count in options.counts}
    if options.json:
        print(json.dumps(results, indent=1))
        return 0
    print(f"{'vectors':>9}  {'way':20} {'ms a query':>11} {'times FAISS':>12} {'recall@10':>10}")
    for count, ways in results.items():
        for label, row in ways.items():
            print(f"{count:9,}  {label:20} {row['milliseconds']:11.2f} {row['times_faiss']:12.1f} {row['recall_at_10']:10.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
