"""Requests of the client to services that are busy, broken, or none."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from api.client import Client
from api.remote_form import Part, form_of
from api.remote_http import checked
from api.remote_jobs import events_of
from api.remote_problem import problem_error
from preprocess import FetchError, FilterError, InputError, LibraryBusy, PellucidError


class _Scripted(threading.Thread):
    """A server that answers each connection's requests with what it is given, one after the other."""

    def __init__(self, *answers: bytes) -> None:
        super().__init__(daemon=True)
        self.answers, self.asked = answers, []  # type: ignore[var-annotated]
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.start()

    def run(self) -> None:
        for answer in self.answers:
            connection, _ = self.socket.accept()
            with connection:
                self.asked.append(connection.recv(65_536))
                connection.sendall(answer)
        self.socket.close()


def _answer(status: str, body: bytes, *headers: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers))
    return head.encode() + b"\r\n" + body


BUSY = _answer("503 Service Unavailable", json.dumps({"type": "/problems/overloaded", "detail": "busy"}).encode(), "Retry-After: 0")


@pytest.fixture
def connected() -> Iterator[Callable[[str], Client]]:
    """A client of an address, closed with the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda address: stack.enter_context(Client(address))


Connected = Callable[[str], Client]


def test_an_overloaded_service_is_asked_again_when_it_says(connected: Connected) -> None:
    server = _Scripted(BUSY, BUSY, _answer("200 OK", b'{"runs": []}'))
    assert connected(server.address).runs().runs == []
    assert len(server.asked) == 3
    with pytest.raises(LibraryBusy, match="busy"):
        connected(_Scripted(BUSY, BUSY, BUSY, BUSY).address).runs()
    later = _answer("429 Too Many Requests", b"{}", "Retry-After: 900")
    with pytest.raises(PellucidError):
        connected(_Scripted(later).address).runs()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        _answer("200 OK", b"<html>"),
        _answer("200 OK", b'{"runs": 5}'),
        _answer("500 Oh", b"<html>"),
        _answer("302 Found", b"", "Location: http://elsewhere/"),
    ],
)
def test_what_is_no_pellucid_service_is_a_clear_error(connected: Connected, answer: bytes) -> None:
    server = _Scripted(answer)
    with pytest.raises(FetchError) as told:
        connected(server.address).runs()
    assert server.address in str(told.value)


def test_fields_of_a_newer_service_are_passed_over(connected: Connected) -> None:
    server = _Scripted(_answer("200 OK", b'{"runs": [], "newer": {"a": 1}}'))
    assert connected(server.address).runs().runs == []


def test_a_stream_of_events_that_breaks_off_goes_on_where_it_was(connected: Connected) -> None:
    job = {"id": "j", "kind": "tag", "state": "running", "options": {}, "created_at": "2026-01-01T00:00:00Z"}
    first = f"event: state\nid: 7\ndata: {json.dumps(job)}\n\nevent: progress\nid: 8\ndata: {json.dumps({'stage': 'tag', 'done': 1, 'total': 2})}\n\n"
    last = f": alive\n\nevent: state\nid: 9\ndata: {json.dumps({**job, 'state': 'finished', 'outcome': {'a': 1}})}\n\n"
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [f"{len(text):x}\r\n{text}\r\n" for text in (first, last)]
    server = _Scripted((head + chunks[0]).encode(), (head + chunks[1] + "0\r\n\r\n").encode())
    told = list(connected(server.address).jobs.events("j"))
    assert [(each.state, each.progress.done if each.progress else None) for each in told] == [
        ("running", None),
        ("running", 1),
        ("finished", None),
    ]
    assert b"Last-Event-ID: 8" in server.asked[1]


def test_events_are_told_apart_whatever_lines_they_have() -> None:
    lines = ["data: a", "data", "data:b", "", "", "event: x", "", "id: 4", "data: c", ""]
    assert list(events_of(iter(lines))) == [("", "", "a\n\nb"), ("x", "", ""), ("", "4", "c")]


def test_a_form_is_what_a_reader_of_forms_reads() -> None:
    import asyncio

    from starlette.requests import Request

    stream = io.BytesIO(b"0123456789" * 20_000)
    stream.seek(5)
    pieces, length, boundary = form_of([Part("a", "é\r\n".encode()), Part("file", stream, 'na"me\r\n☀.zip')])
    body = b"".join(pieces)
    assert len(body) == length
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", f"multipart/form-data; boundary={boundary}".encode())]}

    async def read() -> tuple[Any, Any, bytes]:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async with Request(scope, receive).form() as form:
            file: Any = form["file"]
            return form["a"], file.filename, await file.read()

    text, name, data = asyncio.run(read())
    assert text == "é\r\n"
    assert name.endswith("☀.zip")
    assert data == (b"0123456789" * 20_000)[5:]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:8000",
        "ftp://a/",
        "http://",
        "http://a b/",
        "http://u:p@a/",
        "http://a/?k=1",
        "http://a/#x",
        "http://a:0/",
        "http://a:99999/",
        "http://[::1/",
        "file:///etc",
    ],
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InputError):
        Client(address)


def test_an_address_may_have_a_path_and_a_slash() -> None:
    assert checked("https://photos.example.org/below/").path == "/below/"
    with pytest.raises(InputError, match="key"):
        Client("http://127.0.0.1:8000", "plk_\r\nX: y")


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (400, {"type": "/problems/filter-error", "detail": "odd"}, FilterError, "odd"),
        (404, {"type": "/problems/not-found", "detail": "gone"}, InputError, "gone"),
        (409, {"type": "/problems/conflict", "detail": "held"}, LibraryBusy, "held"),
        (500, {"type": "/problems/internal-error", "detail": "log"}, PellucidError, "log"),
        (403, {"type": "/problems/not-allowed", "detail": "scope"}, InputError, "scope"),
        (502, "<html>", FetchError, "502"),
    ],
)
def test_problems_are_errors_with_the_same_exit_codes(status: int, body: Any, error: type[PellucidError], said: str) -> None:
    found = problem_error(status, body.encode() if isinstance(body, str) else json.dumps(body).encode(), "http://a")
    assert type(found) is error
    assert said in str(found)
