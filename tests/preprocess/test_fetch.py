from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from preprocess import FetchError, Limits, fetch
from preprocess import remote as module

BODY = b"\xff\xd8 not really a photo " * 100


class Site(BaseHTTPRequestHandler):
    seen: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        Site.seen.append({"path": self.path, **dict(self.headers)})
        kind = self.path.split("/")[1].split("?")[0]
        if kind.startswith("hop"):
            left = int(kind[3:])
            self.reply(302, b"", Location=f"/hop{left - 1}" if left > 1 else "/photo.jpg")
        elif kind == "to":
            self.reply(302, b"", Location=self.path.split("/to/", 1)[1])
        elif kind == "drip":
            self.send_response(200)
            self.end_headers()
            self.drip(b"x")
        elif kind == "drip-headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            self.drip(b"X-A: b\r\n")
        elif kind == "endless":
            self.send_response(200)
            self.end_headers()
            self.drip(b"x" * 100_000, pause_s=0)
        elif kind == "liar":
            self.reply(200, BODY, Content_Length=str(len(BODY) + 10))
        elif kind == "chunked":
            self.protocol_version = "HTTP/1.1"
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:7], BODY[7:])) + b"0\r\n\r\n")
        elif kind == "gone":
            self.reply(404, b"nothing")
        else:
            self.reply(200, BODY, Content_Length=str(len(BODY)))

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def drip(self, piece: bytes, pause_s: float = 0.05) -> None:
        stop = time.monotonic() + 5
        try:
            while time.monotonic() < stop:
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(pause_s)
        except OSError:
            pass

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["", "/photo.jpg", "/chunked", "/hop1", "/hop3", "/a b/ü.jpg?q=ü&r=1%20"])
def test_fetch(path: str, site: str) -> None:
    assert fetch(site + path, allow_private=True) == BODY


def test_what_is_sent(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    Site.seen.clear()
    fetch(site + "/photo.jpg?a=1#part", allow_private=True)
    assert Site.seen[0]["path"] == "/photo.jpg?a=1"
    assert Site.seen[0]["Host"] == site.removeprefix("http://")
    assert not {"Cookie", "Authorization", "Referer"} & set(Site.seen[0])


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/hop4", "redirects more than 3 times"),
        ("/gone", "answered with 404"),
        ("/liar", "broke off after"),
        ("/to/file:///etc/passwd", "Only http:// and https://"),
        ("/to/ftp://example.org/x", "Only http:// and https://"),
        ("/to/http://user:pw@127.0.0.1/", "user name or password"),
    ],
)
def test_bad_answers(path: str, words: str, site: str) -> None:
    with pytest.raises(FetchError, match=words):
        fetch(site + path, allow_private=True)


@pytest.mark.parametrize("path", ["/photo.jpg", "/endless", "/chunked"])
def test_too_big(path: str, site: str) -> None:
    with pytest.raises(FetchError, match=r"over the limit of 0\.0 MB"):
        fetch(site + path, Limits(max_bytes=len(BODY) - 1), allow_private=True)


def test_exactly_the_limit(site: str) -> None:
    assert fetch(site, Limits(max_bytes=len(BODY)), allow_private=True) == BODY


@pytest.mark.parametrize("path", ["/drip", "/drip-headers"])
def test_a_slow_server_is_cut_off(path: str, site: str) -> None:
    with pytest.raises(FetchError, match="took too long"):
        fetch(site + path, allow_private=True, timeout_s=0.5)


def test_a_silent_server_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for scheme in ("http", "https"):
            with pytest.raises(FetchError, match="took too long"):
                fetch(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/", allow_private=True, timeout_s=0.3)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(FetchError, match="could not be reached"):
        fetch(f"http://127.0.0.1:{port}/", allow_private=True)


def test_tls_to_a_plain_server_fails(site: str) -> None:
    with pytest.raises(FetchError, match="could not be reached"):
        fetch(site.replace("http:", "https:"), allow_private=True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "localhost", "0.0.0.0", "0",
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:8.8.8.8]", "[fe80::1]", "[fc00::1]", "[fec0::1]", "[ff02::1]",
        "[2001:db8::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    ],
)  # fmt: skip
def test_private_addresses_in_any_spelling_are_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *args, **kwargs: pytest.fail("it connected"))
    with pytest.raises(FetchError, match=r"--allow-private-urls|has no known address"):
        fetch(f"http://{host}/photo.jpg")


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_public_addresses(address: str) -> None:
    assert module._is_public(ipaddress.ip_address(address))


def test_a_redirect_into_the_local_network_is_refused(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, checked = module._addresses, []

    def first_is_public(host: str, port: int, allow_private: bool) -> list[module._Address]:
        checked.append(host)
        return real(host, port, len(checked) == 1)

    monkeypatch.setattr(module, "_addresses", first_is_public)
    with pytest.raises(FetchError, match="--allow-private-urls"):
        fetch(site + "/to/http://localhost/secret")
    assert checked == ["127.0.0.1", "localhost"]


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("8.8.8.8", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: entries)
    with pytest.raises(FetchError, match=r"\(127\.0\.0\.1\).+--allow-private-urls"):
        fetch("http://rebinding.example/")


def test_the_checked_address_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups, connected = [], []

    def lookup(host: str, *args: object, **kwargs: object) -> list[object]:
        lookups.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8" if len(lookups) == 1 else "127.0.0.1", 80))]

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(FetchError, match="could not be reached"):
        fetch("http://rebinding.example/")
    assert (lookups, connected) == (["rebinding.example"], [("8.8.8.8", 80)])


@pytest.mark.parametrize(
    "url",
    [
        "", "photo.jpg", "/etc/passwd", "file:///etc/passwd", "ftp://example.org/a.jpg", "data:image/png;base64,AA", "gopher://x/",
        "http://", "http:///x", "http://a:b/", "http://a:99999/", "http://a:0/", "http://[::1/", "http://a\r\nHost: b/",
        "http://a/\r\nX: y",        "http://user@example.org/", "http://user:secret@example.org/", "http://" + "a" * 300 + "/", "http://a..b/", "http://\ud800/",
    ],
)  # fmt: skip
def test_addresses_that_are_never_fetched(url: str) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(url, allow_private=True, timeout_s=2)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 500
