"""Whether the service endures: twenty clients for a minute, then `kill -9` under the same load while it indexes, a restart, and a count of what is there.

Run: `python benchmarks/endure.py [--clients 20] [--seconds 60] [--photos 10000] [--files 400] [--json]`. The clients search among made-up photos, each request with words of its own, over one
connection each, in processes of four. For the second part a library of small picture files is begun by a job of the service; tags are confirmed meanwhile, and the service is killed
when a part of the files is in. What was answered with success before the kill has to be there after it. Exits 1 where an answer was an error or anything is lost.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from serve import make_library, resident_mb, service, times, words

THREADS = 4
"""Clients of one process."""


def asked(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """The status and the JSON of one request over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, json.loads(data) if data else None


def clients(port: int, first: int, count: int, seconds: float) -> None:
    """So many clients in threads; prints what each request took, and what was no success."""
    taken: list[float] = []
    statuses: dict[str, int] = {}
    until = time.monotonic() + seconds

    def one(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.monotonic() < until:
            body = json.dumps({"terms": [{"text": words(number % 15_000)}], "limit": 20})
            number += 1
            start = time.perf_counter()
            try:
                connection.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                statuses[type(error).__name__] = statuses.get(type(error).__name__, 0) + 1
                connection.close()
                time.sleep(0.1)
                continue
            taken.append(time.perf_counter() - start)
            if answer.status != 200:
                statuses[str(answer.status)] = statuses.get(str(answer.status), 0) + 1

    threads = [threading.Thread(target=one, args=(first + 700 * at,)) for at in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"taken": taken, "statuses": statuses}))


def crowd(port: int, count: int, seconds: float) -> list[subprocess.Popen[str]]:
    """The processes of so many clients, begun."""
    return [
        subprocess.Popen(
            [sys.executable, __file__, "--crowd", json.dumps([port, at * 700, min(THREADS, count - at), seconds])], stdout=subprocess.PIPE, text=True
        )
        for at in range(0, count, THREADS)
    ]  # fmt: skip


def told(processes: list[subprocess.Popen[str]]) -> tuple[list[float], dict[str, int]]:
    """What the clients saw, together."""
    taken: list[float] = []
    statuses: dict[str, int] = {}
    for process in processes:
        seen = json.loads(process.communicate(timeout=300)[0])
        taken += seen["taken"]
        for status, count in seen["statuses"].items():
            statuses[status] = statuses.get(status, 0) + count
    return taken, statuses


def minute(options: argparse.Namespace) -> dict[str, Any]:
    """Twenty clients for a minute: times, errors, and the service's memory four times on the way."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "library"
        make_library(folder, options.photos)
        with service(folder) as (pid, port):
            told(crowd(port, options.clients, 5))  # warm
            memory = [resident_mb(pid)]
            processes = crowd(port, options.clients, options.seconds)
            for _ in range(4):
                time.sleep(options.seconds / 4)
                memory.append(resident_mb(pid))
            taken, statuses = told(processes)
    per_s = round(len(taken) / options.seconds, 1)
    return {"clients": options.clients, "requests": len(taken), "per_s": per_s, **times(taken), "not_200": statuses, "resident_mb": memory}


def pictures(folder: Path, count: int, seed: int) -> None:
    """So many small pictures, each with its own digest."""
    import numpy as np
    from PIL import Image

    folder.mkdir()
    random = np.random.default_rng(seed)
    for number in range(count):
        base = random.integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(base).resize((640, 480)).save(folder / f"{number:05}.jpg", quality=85)


def killed(options: argparse.Namespace) -> dict[str, Any]:
    """A kill under load in the middle of an index job, and what the next service finds."""
    with tempfile.TemporaryDirectory() as place:
        photos, folder = Path(place) / "photos", Path(place) / "library"
        pictures(photos, options.files, 0)
        first = Path(place) / "first"
        pictures(first, 40, 1)
        os.environ["PELLUCID_SERVE_ROOTS"] = json.dumps([str(photos), str(first)])
        subprocess.run(
            [str(Path(sys.executable).with_name("pellucid")), "index", str(first), "--library", str(folder), "--json"],
            check=True,
            capture_output=True,
        )
        with suppress(subprocess.TimeoutExpired), service(folder) as (pid, port):
            processes = crowd(port, options.clients, 12)
            digests = [photo["digest"] for photo in asked(port, "GET", "/v1/images?limit=40")[1]["photos"]]
            said = [
                digest
                for digest in digests[:20]
                if asked(port, "PUT", f"/v1/images/{digest}/tags/kept", {"verdict": "confirmed"})[0] == 200
            ]
            _, job = asked(port, "POST", "/v1/jobs", {"kind": "index", "options": {"roots": [str(photos)]}})
            while (seen := asked(port, "GET", f"/v1/jobs/{job['id']}")[1])["state"] in ("waiting", "running"):
                if (seen["progress"] or {}).get("done", 0) >= options.files // 4:
                    break
                time.sleep(0.05)
            at_kill = {"state": seen["state"], "done": (seen["progress"] or {}).get("done")}
            os.kill(pid, signal.SIGKILL)
            told(processes)
        with service(folder) as (_, port):
            while (ended := asked(port, "GET", f"/v1/jobs/{job['id']}")[1])["state"] in ("waiting", "running"):
                time.sleep(0.2)
            total = asked(port, "GET", "/v1/images?limit=1")[1]["total"]
            kept = sum(
                any(tag["tag"] == "kept" and tag["human"] for tag in asked(port, "GET", f"/v1/images/{digest}")[1]["tags"])
                for digest in said
            )
    return {"job_at_kill": at_kill, "job": ended["state"], "attempts": ended["attempts"], "photos": total, "photos_expected": options.files + 40, "tags_said": len(said), "tags_kept": kept}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--crowd", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.crowd:
        clients(*json.loads(options.crowd))
        return
    load, kill = minute(options), killed(options)
    if options.json:
        print(json.dumps({"minute": load, "kill": kill}, indent=1))
    else:
        print(f"{load['clients']} clients, {options.seconds:.0f} s: {load['requests']:,} searches, {load['per_s']} a second; p50 {load['p50_ms']:.0f}, p95 {load['p95_ms']:.0f}, p99 {load['p99_ms']:.0f} ms")  # fmt: skip
        print(
            f"answers that were no success: {load['not_200'] or 'none'}; memory, MB: {', '.join(f'{value:.0f}' for value in load['resident_mb'])}"
        )
        print(f"kill -9 under load at {kill['job_at_kill']['done']} files: after the restart the job is {kill['job']} at attempt {kill['attempts']}, "
              f"{kill['photos']} of {kill['photos_expected']} photos and {kill['tags_kept']} of {kill['tags_said']} confirmed tags are there")  # fmt: skip
    whole = kill["job"] == "finished" and kill["photos"] == kill["photos_expected"] and kill["tags_kept"] == kill["tags_said"] > 0
    sys.exit(0 if not load["not_200"] and whole else 1)


if __name__ == "__main__":
    main()
