"""Threads that do the work of requests, and what happens when there is too much of it."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import pytest
from starlette.testclient import TestClient

from api.service.leaving import READS
from api.service.request_log import REQUEST_ID
from api.service.workers import Overloaded, Workers

Connect, MakeSettings = Callable[..., TestClient], Callable[..., Any]


@contextmanager
def made(threads: int = 2, queue: int = 2, wait_s: float = 5) -> Iterator[Workers]:
    workers = Workers(threads, queue, wait_s)
    try:
        yield workers
    finally:
        workers.close()
        workers.pool.shutdown()


def test_what_work_gives_and_raises() -> None:
    async def both(workers: Workers) -> None:
        assert await workers.run(lambda one, *, two: one + two, 1, two=2) == 3
        with pytest.raises(ZeroDivisionError):
            await workers.run(lambda: 1 // 0)

    with made() as workers:
        asyncio.run(both(workers))
        assert workers.inside == 0


def test_what_does_not_fit_is_refused_at_once_and_fits_again_later() -> None:
    gate = threading.Event()

    async def crowd(workers: Workers) -> list[Any]:
        calls = [asyncio.ensure_future(workers.run(gate.wait, 5)) for _ in range(10)]
        await asyncio.sleep(0.05)
        refused = [call for call in calls if call.done()]
        assert len(refused) == 6  # two are worked on and two wait
        assert all(isinstance(call.exception(), Overloaded) for call in refused)
        gate.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert await workers.run(lambda: "again") == "again"
        return answers

    with made() as workers:
        answers = asyncio.run(crowd(workers))
        assert answers.count(True) == 4
        assert (workers.inside, workers.overloads) == (0, 6)
        assert all(answer.retry_s >= 1 for answer in answers if isinstance(answer, Overloaded))


def test_who_waits_too_long_is_told_so_and_never_starts() -> None:
    gate, started = threading.Event(), []

    async def late(workers: Workers) -> None:
        first = asyncio.ensure_future(workers.run(gate.wait, 5))
        await asyncio.sleep(0.02)
        with pytest.raises(Overloaded, match=r"busy\. Try again in 1 seconds"):
            await workers.run(lambda: started.append(1))
        gate.set()
        assert await first is True  # it had begun, so its answer was worth the wait

    with made(1, 1, 0.1) as workers:
        asyncio.run(late(workers))
        assert (workers.inside, started) == (0, [])


def test_who_goes_away_while_waiting_never_starts() -> None:
    gate, started = threading.Event(), []

    async def gone(workers: Workers) -> None:
        first = asyncio.ensure_future(workers.run(gate.wait, 5))
        second = asyncio.ensure_future(workers.run(lambda: started.append(1)))
        await asyncio.sleep(0.02)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert workers.inside == 1
        gate.set()
        await first

    with made(1, 1) as workers:
        asyncio.run(gone(workers))
        assert (workers.inside, started) == (0, [])


def test_nothing_is_done_for_clients_that_left_while_they_waited(
    make_settings: MakeSettings, serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import api.service.search_routes as routes
    import api.service.tag_routes as tags

    goes_on, calls, said = threading.Event(), [], []
    page, say = routes.search_page, tags.say

    def slow(*given: Any) -> Any:
        calls.append(1)
        goes_on.wait(20)
        return page(*given)

    def noted(*given: Any) -> Any:
        said.append(1)
        return say(*given)

    monkeypatch.setattr(routes, "search_page", slow)
    monkeypatch.setattr(tags, "say", noted)
    port = int(serve(make_settings(serve_workers=1)).rpartition(":")[2])

    def begin(method: str, path: str, body: bytes) -> socket.socket:
        sent = socket.create_connection(("127.0.0.1", port))
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        sent.sendall(head.encode() + body)
        return sent

    def inside() -> int:
        with urlopen(f"http://127.0.0.1:{port}/healthz") as answer:  # so that the service has seen what came before
            answer.read()
        return len(calls)

    search = b'{"terms": [{"text": "red"}]}'
    stays = begin("POST", "/v1/search", search)
    limit = time.monotonic() + 10
    while not calls and time.monotonic() < limit:
        time.sleep(0.01)
    write = begin("PUT", f"/v1/images/{'0' * 64}/tags/red", b'{"verdict": "confirmed"}')
    left = [begin("POST", "/v1/search", search) for _ in range(6)] + [begin("GET", "/v1/images", b"")]
    time.sleep(0.2)
    for sent in (*left, write):
        sent.close()
    time.sleep(0.2)
    assert inside() == 1
    goes_on.set()
    assert stays.recv(12) == b"HTTP/1.1 200"
    stays.close()
    while not said and time.monotonic() < limit:  # what somebody said is kept, though they left
        time.sleep(0.01)
    assert (len(said), inside()) == (1, 1)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_what_is_given_up_for_who_leaves_are_the_routes_that_write_nothing(client: TestClient) -> None:
    paths = client.get("/v1/openapi.json").json()["paths"]
    reads = {
        path for path, methods in paths.items() for each in methods.get("post", {}).get("security", []) if "read" in each.get("key", [])
    }
    assert reads == READS


def test_an_end_counts_as_overload() -> None:
    async def ended(workers: Workers) -> None:
        workers.close()
        with pytest.raises(Overloaded):
            await workers.run(int)

    with made() as workers:
        asyncio.run(ended(workers))
        assert workers.inside == 0


def test_a_thread_knows_the_request_that_it_works_for() -> None:
    async def named(workers: Workers) -> list[str]:
        async def one(name: str) -> str:
            REQUEST_ID.set(name)
            return await workers.run(REQUEST_ID.get)

        return list(await asyncio.gather(*(one(f"request-{n}") for n in range(3))))

    with made() as workers:
        assert asyncio.run(named(workers)) == ["request-0", "request-1", "request-2"]


def test_an_overload_answers_503_with_a_time_and_passes(
    make_settings: MakeSettings, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(make_settings(serve_workers=1, serve_queue=1))
    service: Any = client.app.state.service  # type: ignore[attr-defined]
    gate = threading.Event()

    async def slow() -> bool:
        return bool(await service.workers.run(gate.wait, 5))

    handler: Callable[[], Awaitable[bool]] = slow
    client.app.add_api_route("/v1/slow", handler)  # type: ignore[attr-defined]
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(client.get, "/v1/slow") for _ in range(6)]
        limit = time.monotonic() + 5
        while sum(call.done() for call in calls) < 4 and time.monotonic() < limit:
            time.sleep(0.01)
        refused = [call.result() for call in calls if call.done()]
        assert [answer.status_code for answer in refused] == [503] * 4
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert refused[0].json()["type"] == "/problems/overloaded"
        assert client.get("/healthz").status_code == 200  # needs no thread
        gate.set()
        assert sorted(call.result().status_code for call in calls) == [200, 200, 503, 503, 503, 503]
    assert client.get("/v1/slow").status_code == 200
    assert "pellucid_overloads_total 4.0" in client.get("/metrics").text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
