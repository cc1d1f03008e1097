"""What the service adds to a search: requests a second and their times, beside the bare encoder and FAISS index on the same vectors in the same run.

Run: `python benchmarks/serve.py [--photos 100000] [--requests 600] [--limit 10] [--clients 1 8] [--keep DIR] [--json]`. The library holds made-up photos and vectors of the built-in encoder's size.
The service is `pellucid serve` in a process of its own, and so is each client, which keeps one connection and sends its next request when the one before is answered. Every request has words
of its own, so that nothing is remembered; in the rows called `again` all clients ask for the same twenty. `bare` encodes the words and asks the index for as many, without rows or verdict.
Times are milliseconds as the client sees them, its own work included.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PART = 10_000
CROWDS = 300
COLOURS = ("red", "green", "blue", "white", "black", "yellow", "old", "wooden", "small", "wet")
THINGS = ("dog", "car", "boat", "house", "horse", "bridge", "cake", "train", "bird", "chair", "flower", "tower", "bicycle", "cat", "lake")
PLACES = (
    "on a beach",
    "in the snow",
    "at night",
    "in a garden",
    "by the sea",
    "in a city",
    "on a table",
    "under a tree",
    "in fog",
    "at sunset",
)


def words(number: int) -> str:
    """Different words for every number."""
    return f"{COLOURS[number % 10]} {THINGS[number // 10 % 15]} {PLACES[number // 150 % 10]} {number // 1500 or ''}".strip()


def make_library(folder: Path, photos: int) -> None:
    """A library of made-up rows: directions that photos crowd around, so that queries have answers."""
    import numpy as np

    from search import EncoderOptions, Library, Store, bank_vectors, image_row, load_encoder, make_derived, normalize

    encoder, random = load_encoder("builtin", EncoderOptions(threads=1)), np.random.default_rng(0)
    crowds = bank_vectors(encoder)[:CROWDS]
    library = Library(folder, create=True)
    with library.locked("benchmark"):
        store = Store(library)
        for start in range(0, photos, PART):
            numbers = range(start, min(photos, start + PART))
            digests = [f"{number:064x}" for number in numbers]
            noise = random.normal(size=(len(digests), crowds.shape[1])) / crowds.shape[1] ** 0.5
            store.add_vectors(encoder.recipe, digests, normalize(0.3 * crowds[random.integers(0, len(crowds), len(digests))] + noise))
            store.put_images(
                [
                    image_row(
                        root="/photos", path=f"{2000 + at % 25}/photo {at:06}.jpg", digest=digest, format="JPEG", width=4032, height=3024,
                        byte_size=3_000_000 + at, modified_ns=at, taken_at=f"{2000 + at % 25}-06-01T12:00:00", camera="Pixel 8", iso=100, haze=0.1,
                    )
                    for at, digest in zip(numbers, digests, strict=True)
                ]
            )  # fmt: skip
        store.use(encoder.recipe)
        bank_vectors(encoder, library.cache)
        make_derived(store)


def times(seconds: Sequence[float]) -> dict[str, float]:
    """Quantiles in milliseconds."""
    values = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"p{at}_ms": round(values[at - 1] * 1e3, 2) for at in (50, 95, 99)}


def bare(folder: Path, requests: int, limit: int) -> dict[str, Any]:
    """The encoder and the index alone, in this process."""
    from search import Library, load_encoder, open_derived

    library, encoder = Library(folder), load_encoder("builtin")
    derived, taken = open_derived(library), []
    for number in range(-20, requests):
        start = time.perf_counter()
        derived.nearest.search(encoder.encode_texts([words(number % 15_000)]), limit)
        if number >= 0:
            taken.append(time.perf_counter() - start)
    derived.close()
    return {"what": "bare", "clients": 0, "per_s": round(1 / statistics.fmean(taken), 1), **times(taken), "errors": 0}


def client(port: int, first: int, requests: int, limit: int, distinct: int) -> None:
    """One client: send requests over one connection, and print what each took."""
    connection, taken, errors = http.client.HTTPConnection("127.0.0.1", port, timeout=60), [], 0
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sys.stdin.readline()  # all begin together
    begun = time.time()
    for number in range(requests):
        text = words((first + number) % distinct)
        body = json.dumps({"terms": [{"text": text}], "limit": limit, "strictness": 0})
        start = time.perf_counter()
        connection.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        taken.append(time.perf_counter() - start)
        errors += answer.status != 200 or not data.startswith(b'{"total":')
    print(json.dumps({"taken": taken, "errors": errors, "begun": begun, "ended": time.time()}))


def served(port: int, clients: int, requests: int, limit: int, *, again: bool, first: int) -> dict[str, Any]:
    """So many clients at once, each a process."""
    each = requests // clients
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--client", json.dumps([port, 0 if again else first + at * each, each, limit, 20 if again else 15_000])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for at in range(clients)
    ]  # fmt: skip
    time.sleep(0.3 + 0.1 * clients)
    for process in processes:
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    told = [json.loads(process.communicate(timeout=300)[0]) for process in processes]
    taken = [second for one in told for second in one["taken"]]
    whole = max(one["ended"] for one in told) - min(one["begun"] for one in told)
    return {
        "what": "again" if again else "service", "clients": clients, "per_s": round(len(taken) / whole, 1), **times(taken),
        "errors": sum(one["errors"] for one in told),
    }  # fmt: skip


@contextmanager
def service(folder: Path) -> Any:
    """A running service and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("pellucid")), "serve", "--library", str(folder), "--port", str(port)]
    settings = {**os.environ, "PELLUCID_SERVE_RATE": "100000000"}
    process = subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                pass
            if process.poll() is not None:
                raise SystemExit("The service ended while it started.")
            time.sleep(0.1)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(30)


def resident_mb(pid: int) -> float:
    """Memory of a process, its mapped files included."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1e3, 1)
    return 0.0


def measured(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All rows, and the service's memory."""
    rows = [bare(folder, options.requests, options.limit)]
    with service(folder) as (pid, port):
        served(port, 1, 50, options.limit, again=False, first=14_000)  # warm
        before = resident_mb(pid)
        first = 0
        for clients in options.clients:
            for again in (False, True):
                row = served(port, clients, options.requests, options.limit, again=again, first=first)
                rows.append({**row, "resident_mb": resident_mb(pid)})
            first += options.requests
        after = resident_mb(pid)
    rows.append(bare(folder, options.requests, options.limit))
    return {"photos": options.photos, "limit": options.limit, "rows": rows, "resident_before_mb": before, "resident_after_mb": after}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--limit", type=int, default=10)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        client(*json.loads(options.client))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = options.keep or Path(place) / "library"
        if not (folder / "library.json").is_file():
            make_library(folder, options.photos)
        found = measured(folder, options)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{'':8} {'clients':>7} {'a second':>9} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'errors':>7} {'memory MB':>10}")
    for row in found["rows"]:
        print(
            f"{row['what']:8} {row['clients'] or '':>7} {row['per_s']:9.1f} {row['p50_ms']:8.2f} {row['p95_ms']:8.2f} {row['p99_ms']:8.2f} {row['errors']:7}"
            f" {row.get('resident_mb', ''):>10}"
        )
    print(f"The service's memory: {found['resident_before_mb']:.0f} MB before, {found['resident_after_mb']:.0f} MB after.")


if __name__ == "__main__":
    main()
