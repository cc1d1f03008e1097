"""Hosts, origins and bodies."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from api.service import create_app
from api.service.access import host_of
from api.service.connections import Connection
from api.service.options import ServiceOptions, is_loopback
from api.service.request_guard import Patience
from preprocess import SettingsError

MakeSettings, Connect, Serve, KeyOf = Callable[..., Any], Callable[..., TestClient], Callable[..., str], Callable[..., dict[str, str]]

HOSTS = [
    ("127.0.0.1:8000", 200), ("localhost", 200), ("localhost:8000", 200), ("LOCALHOST.:8000", 200), ("[::1]:8000", 200), ("127.0.0.1", 200),
    ("evil.example", 421), ("127.0.0.1.evil.example:8000", 421), ("localhost.evil.example", 421), ("evil.example:8000@localhost", 200),
    ("localhost@evil.example", 421), ("192.168.1.5:8000", 421), ("", 421), ("[::1", 421), ("0.0.0.0:8000", 421),
]  # fmt: skip


@pytest.mark.parametrize(("host", "status"), HOSTS)
def test_only_names_of_this_machine_are_answered(client: TestClient, host: str, status: int) -> None:
    answer = client.get("/v1/session", headers={"Host": host})
    assert answer.status_code == status
    if status == 421:
        assert "serve_hosts" in answer.json()["detail"]
    assert client.get("/healthz", headers={"Host": host}).status_code == 200  # asked by address, by those who watch


def test_named_hosts_are_answered_too(make_settings: MakeSettings, connect: Connect) -> None:
    client = connect(make_settings(serve_hosts=["Photos.Example.org"]))
    assert client.get("/v1/session", headers={"Host": "photos.example.org"}).status_code == 200
    assert client.get("/v1/session", headers={"Host": "photos.example.com"}).status_code == 421


def test_elsewhere_names_are_checked_where_they_are_known(make_settings: MakeSettings, connect: Connect) -> None:
    anywhere = connect(make_settings(serve_host="0.0.0.0"))
    assert anywhere.get("/v1/session", headers={"Host": "nas.home"}).status_code == 200
    named = connect(make_settings(serve_host="0.0.0.0", serve_hosts=["nas.home"]))
    assert named.get("/v1/session", headers={"Host": "nas.home:8000"}).status_code == 200
    assert named.get("/v1/session", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False),
     ("::", False), ("192.168.0.1", False), ("nas", False), ("localhost.evil.example", False), ("::ffff:10.0.0.1", False), ("2130706433", False)],
)  # fmt: skip
def test_what_only_this_machine_can_reach(host: str, own: bool) -> None:
    assert is_loopback(host) is own


@pytest.mark.parametrize(("value", "host"), [("a:1", "a"), ("[::1]:1", "::1"), ("[", ""), ("", ""), ("a.:80", "a"), ("A", "a")])
def test_hosts_without_ports(value: str, host: str) -> None:
    assert host_of(value) == host


PAGE = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Origin": "http://127.0.0.1:8000"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
ALLOWED: list[tuple[str, str, dict[str, str]]] = [
    ("DELETE", "/v1/session", {}),  # a program
    ("DELETE", "/v1/session", PAGE),
    ("DELETE", "/v1/session", {"Origin": "http://127.0.0.1:8000"}),  # an older browser
    ("DELETE", "/v1/session", {"Origin": "https://127.0.0.1:8000"}),  # a proxy in front speaks https
    ("GET", "/v1/session", {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}),  # typed in
]
REFUSED: list[tuple[str, str, dict[str, str]]] = [
    ("DELETE", "/v1/session", {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}),
    ("DELETE", "/v1/session", {"Origin": "https://evil.example"}),
    ("DELETE", "/v1/session", {"Origin": "null"}),
    ("DELETE", "/v1/session", {"Origin": "http://localhost:8000"}),  # another name is another site
    ("DELETE", "/v1/session", {"Origin": "http://127.0.0.1:8000.evil.example"}),
    ("DELETE", "/v1/session", {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:3000"}),  # another program on this machine
    (
        "POST",
        "/v1/session",
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ),  # a form elsewhere
    ("GET", "/v1/stats", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}),
    ("GET", "/v1/stats", LINK),
    ("GET", "/", {**LINK, "Sec-Fetch-Dest": "iframe"}),
]


@pytest.mark.parametrize(("method", "path", "headers"), ALLOWED)
def test_programs_and_the_own_page_may_call(client: TestClient, method: str, path: str, headers: dict[str, str]) -> None:
    assert client.request(method, path, headers=headers).status_code < 400


@pytest.mark.parametrize(("method", "path", "headers"), REFUSED)
def test_pages_of_other_sites_may_not(client: TestClient, method: str, path: str, headers: dict[str, str]) -> None:
    answer = client.request(method, path, headers=headers)
    assert answer.status_code == 403
    assert "serve_cors" in answer.json()["detail"]
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_others_may_link_to_the_page(client: TestClient) -> None:
    assert client.get("/", headers=LINK).status_code != 403


def test_an_older_browser_elsewhere_is_nobody_even_where_it_may_look(client: TestClient) -> None:
    assert client.get("/v1/stats", headers={"Origin": "https://evil.example"}).status_code == 401
    assert client.get("/v1/stats").status_code == 200


def test_a_named_origin_may_call_with_a_key(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings(serve_cors=["https://App.example"])
    client, origin = connect(settings), {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    asked = {**origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
    preflight = client.options("/v1/stats", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in preflight.headers
    refused = client.get("/v1/stats", headers=origin)
    assert refused.status_code == 401  # local callers need no key here, but that page is not local
    assert refused.headers["access-control-allow-origin"] == "https://app.example"
    answer = client.get("/v1/stats", headers={**origin, **key(settings, "read")})
    assert answer.status_code == 200
    assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()
    other = client.get("/v1/stats", headers={**origin, "Origin": "https://app.example.evil"})
    assert other.status_code == 403
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    "origin", ["*", "https://*.example", "app.example", "https://app.example/", "file://", "https://u@a.example", "https://a:x", "null"]
)
def test_what_is_no_origin(make_settings: MakeSettings, origin: str) -> None:
    with pytest.raises(SettingsError, match="is no origin"):
        ServiceOptions.of(make_settings(serve_cors=[origin]))


SMALL = {"serve_upload_mb": 0.001}
JSON = {"Content-Type": "application/json"}


def test_a_body_of_the_most_bytes_is_taken_and_one_more_is_not(make_settings: MakeSettings, connect: Connect) -> None:
    client = connect(make_settings(**SMALL))
    most = json.dumps({"key": "x" * 989}).encode()
    assert len(most) == 1_000
    assert client.post("/v1/session", content=most, headers=JSON).status_code == 422  # taken: the key is too long for one
    for content in (most + b" ", iter([most, b" "])):  # by its length at once, and counted while it comes
        answer = client.post("/v1/session", content=content, headers=JSON)
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["connection"] == "close"
        assert "larger than 0.001 MB" in answer.json()["detail"]
    assert client.get("/v1/session").status_code == 200


@pytest.mark.parametrize(
    ("path", "kind", "most"),
    [("/v1/session", "application/json", 4_000), ("/v1/session", "multipart/form-data; boundary=x", 4_000), ("/v1/jobs", "application/json", 1_000_000),
     ("/v1/jobs", "", 1_000_000), ("/v1/search", "application/json", 1_000_000), ("/v1/score", "application/x-www-form-urlencoded", 1_000_000)],
)  # fmt: skip
def test_what_is_no_upload_is_small(client: TestClient, path: str, kind: str, most: int) -> None:
    """What is taken whole and read as JSON holds everybody up, and grows tenfold in memory."""
    headers = {"Content-Type": kind} if kind else {}
    assert client.post(path, content=b" " * most, headers=headers).status_code != 413
    for content in (b" " * (most + 1), iter([b" " * most, b" "])):
        answer = client.post(path, content=content, headers=headers)
        assert answer.status_code == 413
        assert f"larger than {most / 1_000_000:g} MB, the most that is taken here" in answer.json()["detail"]


def test_uploads_may_be_as_large_as_the_setting_says(make_settings: MakeSettings, connect: Connect) -> None:
    client = connect(make_settings(serve_upload_mb=3))
    for path, headers in (("/v1/embeddings", JSON), ("/v1/score", {"Content-Type": "multipart/form-data; boundary=x"})):
        assert client.post(path, content=b"x" * 2_900_000, headers=headers).status_code in (400, 422)
        answer = client.post(path, content=b"x" * 3_100_000, headers=headers)
        assert answer.status_code == 413
        assert "serve_upload_mb" in answer.json()["detail"]


def test_many_large_bodies_at_once_are_told_to_come_again(service_settings: Any) -> None:
    app = create_app(service_settings)
    from api.service.request_guard import RequestGuard

    guard = RequestGuard(app, ServiceOptions.of(service_settings))
    guard.most_held = 10
    with TestClient(guard, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 5)) as client:  # type: ignore[arg-type]
        large = {"input": ["x" * 10_000] * 10}
        answer = client.post("/v1/embeddings", json=large)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert guard.held == 0  # let go
        assert client.post("/v1/session", json={"key": "plk_long enough"}).status_code == 401  # small ones are not counted
        guard.most_held = 200_000
        assert client.post("/v1/embeddings", json=large).status_code == 200
        assert guard.held == 0


# Over a real connection.


class Line:
    """A connection on which bytes are sent by hand."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=10)  # type: ignore[arg-type]

    def send(self, text: str) -> None:
        self.socket.sendall(text.encode())

    def ended(self, wait_s: float) -> bool:
        """Whether the other side ended the connection without a word."""
        self.socket.settimeout(wait_s)
        try:
            return self.socket.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def all(self) -> bytes:
        """All that comes until the other side ends the connection."""
        read = b""
        while part := self.socket.recv(65_536):
            read += part
        return read


@contextmanager
def line(address: str) -> Iterator[Line]:
    made = Line(address)
    with closing(made.socket):
        yield made


def patient(config: Any, **given: float) -> None:
    """Set how long a server waits for bodies."""
    for layer in config.app.user_middleware:
        if layer.cls.__name__ == "RequestGuard":
            layer.kwargs["patience"] = Patience(**given)  # type: ignore[arg-type]


HEAD = "POST /v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_a_half_open_upload_is_given_up_and_blocks_nobody(make_settings: MakeSettings, serve: Serve) -> None:
    address = serve(make_settings(serve_workers=1, serve_queue=1), lambda config: patient(config, idle_s=2))
    with ExitStack() as stack:
        lines = [stack.enter_context(line(address)) for _ in range(20)]
        for number, half in enumerate(lines):
            half.send(HEAD + ("Content-Length: 50\r\n\r\n{" if number % 2 else 'Transfer-Encoding: chunked\r\n\r\n5\r\n{"key\r\n'))
        for path in ("/healthz", "/v1/session", "/v1/stats"):
            with urllib.request.urlopen(address + path, timeout=5) as answer:
                assert answer.status == 200
        lines[0].socket.settimeout(0.01)
        with pytest.raises(TimeoutError):
            lines[0].socket.recv(1)  # nothing yet: the others did not wait for it
        lines[0].socket.settimeout(10)
        for half in lines:
            read = half.all()
            assert read.startswith(b"HTTP/1.1 408 ")
            assert b"No byte of the request's body came for 2 seconds" in read


def test_half_open_bodies_of_nobodies_do_not_keep_others_from_sending(make_settings: MakeSettings, serve: Serve, key: KeyOf) -> None:
    settings = make_settings(serve_upload_mb=0.1)
    headers, address = key(settings, "read"), serve(settings, lambda config: patient(config, linger_s=0.2))
    with ExitStack() as stack:
        lines = [stack.enter_context(line(address)) for _ in range(20)]
        for half in lines:
            half.send(HEAD + "Content-Length: 99999\r\n\r\n" + " " * 90_000)
        assert lines[0].all().startswith(b"HTTP/1.1 413 ")
        body = json.dumps({"input": ["x" * 10_000] * 9}).encode()
        request = urllib.request.Request(f"{address}/v1/embeddings", data=body, headers={**JSON, **headers})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200


def test_a_body_that_trickles_is_given_up(make_settings: MakeSettings, serve: Serve) -> None:
    address = serve(make_settings(), lambda config: patient(config, idle_s=5, grace_s=0.3, bytes_per_s=1_000))
    with line(address) as slow:
        slow.send(HEAD.replace("session", "search") + "Content-Length: 50000\r\n\r\n")
        ended = threading.Event()

        def trickle() -> None:
            while not ended.wait(0.02):
                try:
                    slow.send(" ")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        read = slow.all()
        ended.set()
        thread.join()
    assert read.startswith(b"HTTP/1.1 408 ")
    assert b"comes too slowly" in read


def test_a_header_that_never_ends_is_given_up(make_settings: MakeSettings, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "header_s", 0.3)
    address = serve(make_settings())
    with line(address) as silent, line(address) as half, line(address) as trickling:
        half.send("GET /healthz HTTP/1.1\r\nHost: loc")
        start = time.monotonic()
        while not trickling.ended(0.02) and time.monotonic() - start < 5:
            trickling.send("X")
        assert time.monotonic() - start < 3
        assert silent.ended(5)
        assert half.ended(5)


def test_connections_that_are_used_again_are_not_ended_by_that(
    make_settings: MakeSettings, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "header_s", 0.2)
    address = serve(make_settings())
    with closing(HTTPConnection("127.0.0.1", urlsplit(address).port, timeout=5)) as kept:
        for _ in range(3):
            kept.request("GET", "/healthz")
            answer = kept.getresponse()
            assert (answer.status, answer.read()) == (200, b'{"status":"ok"}')
            time.sleep(0.3)
            assert kept.sock is not None, "the connection was ended"


def test_who_never_reads_an_answer_is_let_go(make_settings: MakeSettings, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "stall_s", 0.3)
    ended = threading.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while (await_message := send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})) and not ended.is_set():
                await await_message
                if scope["test.gone"]():
                    break
        finally:
            ended.set()

    def change(config: Any) -> None:
        inner = config.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope.get("path") != "/endless":
                await inner(scope, receive, send)
                return
            cycle = send.__self__
            scope["test.gone"] = lambda: cycle.disconnected
            await endless(scope, receive, send)

        config.app = app

    address = serve(make_settings(), change)
    with line(address) as deaf:
        deaf.send("GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert ended.wait(8), "the answer still waits for its reader"


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections of the services of this test, for which the system holds little, so that what is not read stays in the service."""
    found: list[Connection] = []
    made = Connection.connection_made

    def noted(self: Connection, transport: Any) -> None:
        found.append(self)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        made(self, transport)

    monkeypatch.setattr(Connection, "connection_made", noted)
    return found


def answering(config: Any) -> None:
    """Answer everything with 60 kB: less than what makes the service wait before it has all been written."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"60000")]})
        await send({"type": "http.response.body", "body": bytes(60_000)})

    config.app, config.lifespan, config.timeout_keep_alive = app, "off", 0.2


def asked(address: str, headers: str = "", held_bytes: int = 2_048) -> socket.socket:
    """A connection on which something was asked, for which the system of the client holds little."""
    made = socket.socket()
    made.settimeout(10)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, held_bytes)
    made.connect(("127.0.0.1", urlsplit(address).port))
    made.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
    return made


@pytest.mark.parametrize("headers", ["", "Connection: close\r\n"])
def test_who_does_not_read_the_end_of_an_answer_is_let_go(
    make_settings: MakeSettings, serve: Serve, monkeypatch: pytest.MonkeyPatch, accepted: list[Connection], headers: str
) -> None:
    monkeypatch.setattr(Connection, "stall_s", 0.4)
    with closing(asked(serve(make_settings(), answering), headers)):
        limit = time.monotonic() + 6
        while not (accepted and accepted[0].cycle and accepted[0].cycle.response_complete):
            assert time.monotonic() < limit
            time.sleep(0.01)
        assert 0 < accepted[0].transport.get_write_buffer_size() < 65_536
        while accepted[0] in accepted[0].connections:
            assert time.monotonic() < limit, "the end of the answer still waits for its reader"
            time.sleep(0.02)


def test_who_reads_slowly_gets_the_whole_answer(
    make_settings: MakeSettings, serve: Serve, monkeypatch: pytest.MonkeyPatch, accepted: list[Connection]
) -> None:
    monkeypatch.setattr(Connection, "stall_s", 0.3)
    read, waited = b"", 0
    with closing(asked(serve(make_settings(), answering), held_bytes=8_192)) as slow:
        while part := slow.recv(2_000):
            read += part
            waited += accepted[0].transport.get_write_buffer_size() > 0
            time.sleep(0.04)
    assert read.partition(b"\r\n\r\n")[2] == bytes(60_000)
    assert waited > 15, "the service had nothing to wait for"


def test_a_refused_upload_sees_the_answer_not_a_broken_connection(make_settings: MakeSettings, serve: Serve) -> None:
    address = serve(make_settings(serve_upload_mb=0.1))
    for body in (bytes(3_000_000), iter([bytes(100_000)] * 30)):
        request = urllib.request.Request(f"{address}/v1/session", data=body, headers=JSON, method="POST")
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == 413
        assert json.load(refused.value)["status"] == 413
        refused.value.close()


def test_a_header_that_is_too_large_is_refused(make_settings: MakeSettings, serve: Serve) -> None:
    with line(serve(make_settings())) as large:
        large.send(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {'x' * 80_000}")
        assert large.all().startswith(b"HTTP/1.1 400 ")
