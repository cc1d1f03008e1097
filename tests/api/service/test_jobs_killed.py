"""A real service with a real index job: watched as it goes, killed in the middle, begun anew, and nothing is lost."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from search import Library, Store

PHOTOS = 24

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX systems"), pytest.mark.timeout(120)]


class Served:
    """A service in a process of its own."""

    def __init__(self, library: Path, root: Path, pause_s: float) -> None:
        command = [sys.executable, "-P", str(Path(__file__).with_name("served.py")), str(library), str(root)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLOUR_CHILD_PAUSE_S": str(pause_s)}
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json", **headers} if text else headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, json.loads(data) if data else None

    def events(self, job_id: str, last: str | None = None) -> Iterator[tuple[str, str, Any]]:
        """Id, kind and data of what the service says of a job; ends when the service ends it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", f"/v1/jobs/{job_id}/events", headers={} if last is None else {"Last-Event-ID": last})
        answer = connection.getresponse()
        assert answer.status == 204 or answer.getheader("content-type", "").startswith("text/event-stream")
        facts: dict[str, str] = {}
        try:
            while line := answer.readline():
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    facts[name] = value
                elif "data" in facts:
                    yield facts["id"], facts["event"], json.loads(facts["data"])
                    facts = {}
        finally:
            connection.close()

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(60)
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    every: list[Served] = []

    def start(pause_s: float = 0.0) -> Served:
        every.append(Served(tmp_path / "library", tmp_path / "été", pause_s))
        return every[-1]

    yield start
    for served in every:
        if served.process.poll() is None:
            served.end(signal.SIGKILL)


def stored(library: Path) -> int:
    return len(Store(Library(library)).images(["path"])) if (library / "library.json").is_file() else 0


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody waited for has too."""
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:
        return True


def children(pid: int) -> list[int]:
    psutil = pytest.importorskip("psutil", reason="psutil is not installed")
    return [child.pid for child in psutil.Process(pid).children()]


def test_a_service_that_is_killed_in_the_middle_of_an_index_job_goes_on_with_it(
    tmp_path: Path, paint: Callable[..., Path], serve: Callable[..., Served]
) -> None:
    root, library = tmp_path / "été", tmp_path / "library"
    for at in range(PHOTOS):
        paint(root / f"{at:03} ü.png", "red", seed=at)
    first = serve(0.4)
    asked = {"kind": "index", "options": {"roots": [str(root)]}}
    status, job = first.call("POST", "/v1/jobs", asked, **{"Idempotency-Key": "once"})
    assert (status, job["state"]) == (202, "waiting")
    assert first.call("POST", "/v1/jobs", asked, **{"Idempotency-Key": "once"})[1]["id"] == job["id"]
    assert first.call("POST", "/v1/jobs", {"kind": "score"}, **{"Idempotency-Key": "once"})[0] == 422
    last = ""
    for number, kind, data in first.events(job["id"]):
        last = number
        if kind == "progress" and data["stage"] == "reading photos" and 8 <= data["done"] < PHOTOS:
            break
    else:
        pytest.fail("the job ended before it could be killed")
    (child,) = children(first.process.pid)
    first.end(signal.SIGKILL)
    end = time.monotonic() + 60
    while not gone(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert gone(child)  # it ended by itself: nobody sent it a signal but the system
    before = stored(library)
    assert 0 < before < PHOTOS

    second = serve()
    seen = list(second.events(job["id"], last))
    assert seen[-1][1] == "state"
    assert (seen[-1][2]["state"], seen[-1][2]["attempts"]) == ("finished", 2)
    assert all(int(number) > int(last) for number, _, _ in seen)
    assert any(kind == "log" and "goes on where it was" in data["line"] for _, kind, data in seen)
    assert list(second.events(job["id"], seen[-1][0])) == []  # 204: nothing more will come
    status, job = second.call("GET", f"/v1/jobs/{job['id']}")
    assert (status, job["state"], job["outcome"]["failed"]) == (200, "finished", {})
    assert job["outcome"]["new"] == PHOTOS - before  # what was in was not read again
    assert stored(library) == PHOTOS
    assert set(Store(Library(library)).images(["path"])["path"].to_pylist()) == {f"{at:03} ü.png" for at in range(PHOTOS)}

    watching = second.events(second.call("POST", "/v1/jobs", {"kind": "score"})[1]["id"])
    next(watching)
    begun = time.monotonic()
    second.end(signal.SIGTERM)  # a watcher does not keep the service from ending
    assert time.monotonic() - begun < 40
    watching.close()
