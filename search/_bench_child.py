"""The process in which `search.bench` measures: a task as JSON on standard input, the result as JSON on standard output."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ._onnx_clip import OnnxEncoder
from .encode import EncoderOptions

PARTS = (1, 2, 4, 8, 16, 32)
LONGEST_S = 2.0
"""A part that keeps a thread busy for longer than this is not tried: it has nothing left to gain, and slow models would take minutes."""
ROUNDS = 3


def main(measurement: str) -> None:
    """Run one measurement."""
    task = json.load(sys.stdin)
    sys.stdout.write(json.dumps(settings(**task) if measurement == "settings" else footprint(**task)))


def settings(folder: str, precision: str, cores: int) -> list[dict[str, float]]:
    """Images a second of every setting that is tried; the settings take turns, and the best turn of each counts."""
    best: dict[tuple[int, int, int], float] = {}
    parts: list[int] = []
    for _ in range(ROUNDS):
        for threads, intra in splits(cores):
            encoder = made(folder, precision, threads, intra)  # one at a time: a large tower takes gigabytes
            encoder.encode_images(photos(encoder.side, 1))
            if not parts:
                start = time.perf_counter()
                encoder.encode_images(photos(encoder.side, 2))
                least = (time.perf_counter() - start) / 2
                parts = [part for part in PARTS if part == 1 or part * least <= LONGEST_S]
            for part in parts:
                encoder.part = part
                batch = photos(encoder.side, part * threads)
                start = time.perf_counter()
                encoder.encode_images(batch)
                speed = len(batch) / (time.perf_counter() - start)
                best[threads, intra, part] = max(best.get((threads, intra, part), 0), speed)
    return [
        {"threads": threads, "intra": intra, "part": part, "images_s": round(speed, 2)} for (threads, intra, part), speed in best.items()
    ]


def footprint(folder: str, precision: str, part: int, threads: int, intra: int, **_rest: Any) -> dict[str, float]:
    """Loading times, milliseconds of a query, and peak memory of the best setting."""
    encoder = made(folder, precision, threads, intra)
    encoder.part = part
    start = time.perf_counter()
    encoder.encode_images(photos(encoder.side, 1))
    image_s = time.perf_counter() - start
    encoder.encode_images(photos(encoder.side, part * threads))
    start = time.perf_counter()
    encoder.encode_texts(["a dog on a beach"])
    text_s = time.perf_counter() - start
    queries = []
    for words in ("a red car in the snow", "two children at a table", "a boat", "sunset over mountains", "my grandmother's kitchen") * 2:
        start = time.perf_counter()
        encoder.encode_texts([words])
        queries.append(time.perf_counter() - start)
    return {
        "text_ms": round(float(np.median(queries)) * 1e3, 2), "load_image_s": round(image_s, 3), "load_text_s": round(text_s, 3),
        "peak_mb": round(peak_bytes() / 1e6, 1),
    }  # fmt: skip


def splits(cores: int) -> list[tuple[int, int]]:
    """Ways to share cores: how many threads encode, and how many work on each one's layers.

    >>> splits(8), splits(1)
    ([(8, 1), (4, 2), (2, 4), (1, 8)], [(1, 1)])
    """
    out, intra = [], 1
    while intra < cores:
        out.append((max(1, cores // intra), intra))
        intra *= 2
    return [*out, (1, cores)]


def made(folder: str, precision: str, threads: int, intra: int) -> OnnxEncoder:
    """An encoder with exactly this setting."""
    encoder = OnnxEncoder(Path(folder), EncoderOptions(precision=precision, threads=threads))
    encoder.intra = intra
    return encoder


def photos(side: int, count: int) -> list[Any]:
    """Prepared squares, UInt8["side side 3"]; what they show does not change the speed."""
    squares = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return list(squares)


def peak_bytes() -> int:
    """The most memory that this process has had resident. Linux hands `ru_maxrss` down from the parent, so its own counter is asked there."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
