"""Pictures that are sent in: hostile ones are refused with a reason, and nothing falls over."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from api.service.options import ServiceOptions
from api.service.uploads import picture_from_url, shown_name
from preprocess import FetchError, Limits

ROUTES = ("/v1/score", "/v1/segment", "/v1/dehaze", "/v1/tags:zero-shot")


def _png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG that claims a size, whatever its pixels are."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data or zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def _saved(kind: str, size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


SVG = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg"><text>&a;</text></svg>'
HOSTILE = {
    "bomb.png": _png(30_000, 30_000),
    "widest.png": _png(2**31 - 1, 1),
    "negative.png": _png(2**32 - 1, 2**32 - 1),
    "nothing.png": _png(0, 0),
    "cut.png": _saved("PNG")[:200],
    "cut.jpg": _saved("JPEG")[:300],
    "cut.webp": _saved("WEBP")[:80],
    "noise.jpg": b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20,
    "drawing.svg": SVG,
    "drawing.jpg": SVG,
    "marked.png": b"\xef\xbb\xbf \n<svg/>",
    "wide.svg": '<?xml version="1.0"?><svg/>'.encode("utf-16"),
    "page.html": b"<!doctype html><script>alert(1)</script>",
    "packed.svgz": gzip.compress(SVG),
    "script.jpg": b"#!/bin/sh\nexit\n",
    "archive.zip": b"PK\x03\x04" + bytes(60),
    "vector.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "text.txt": "just words, né".encode(),
    "nul.jpg": b"\0" * 5_000,
    "raw.raf": b"FUJIFILMCCD-RAW " + bytes(300),
    "canon.cr3": b"\0\0\0\x18ftypcrx " + bytes(200),
    "sensor.dng": b"II*\0\x08\0\0\0\0\0",
    "a\r\nX-Evil: 1.png": b"\x89PNG\r\n\x1a\n",
    "été ☀ 写真.png": b"\x89PNG\r\n\x1a\nabc",
    "../../etc/passwd": b"root:x:0:0",
}


@pytest.fixture
def small(make_settings: Callable[..., Any], connect: Callable[..., TestClient]) -> TestClient:
    """A service that takes half a megabyte and four megapixels."""
    return connect(make_settings(serve_upload_mb=0.5, max_megapixels=4, serve_rate=100_000))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pictures_are_refused_with_a_reason(small: TestClient, name: str) -> None:
    for route in ROUTES:
        answer = small.post(route, files={"picture": (name, HOSTILE[name], "image/png")}, data={"labels": "red"} if "tags" in route else {})
        assert answer.status_code == 422, (route, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json()
        assert told["type"] in ("/problems/image-corrupt", "/problems/image-unsupported", "/problems/image-too-large"), told
        assert not any(leak in told["detail"] for leak in ("\n", "--max-megapixels", "/etc")), told


def test_the_service_still_answers_after_hostile_pictures(small: TestClient) -> None:
    for name, data in HOSTILE.items():
        small.post("/v1/score", files={"picture": (name, data)})
    answer = small.post("/v1/score", files={"picture": ("good.jpg", _saved("JPEG"))})
    assert answer.status_code == 200
    assert 0 <= answer.json()["scores"]["quality"] <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000"])
def test_a_picture_is_known_by_its_content_whatever_its_name(small: TestClient, kind: str) -> None:
    for name in ("a.jpg", "a.svg", "", "naïve \u202e.exe", "x" * 300):
        answer = small.post("/v1/score", files={"picture": (name or "blob", _saved(kind), "text/html")})
        assert answer.status_code == 200, (name, answer.text)


def test_more_bytes_than_allowed_are_413_and_say_the_limit(small: TestClient) -> None:
    answer = small.post("/v1/score", files={"picture": ("big.png", b"\x89PNG" + bytes(600_000))})
    assert answer.status_code == 413
    assert "0.5 MB" in answer.json()["detail"]


def test_more_pixels_than_allowed_say_the_limit_and_no_option_of_the_command(small: TestClient) -> None:
    answer = small.post("/v1/dehaze", files={"picture": ("large.png", _png(3_000, 2_000))})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "large.png is larger than this service takes: 4.0 MP. Send it smaller."


@pytest.mark.parametrize("route", ROUTES)
def test_a_form_without_a_picture_is_422(small: TestClient, route: str) -> None:
    labels = {"labels": "red"} if "tags" in route else {}
    wrong: list[dict[str, Any]] = [
        {},
        {"data": labels},
        {"data": {**labels, "picture": "not a file"}},
        {"files": {"image": ("a.png", _png(1, 1))}, "data": labels},
        {"files": {"picture": ("empty.png", b"")}, "data": labels},
        {"json": {"picture": "data:image/png;base64,AAAA"}},
        {"content": b"--x\r\nbroken", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"abc", "headers": {"content-type": "multipart/form-data"}},
        {"content": _saved("PNG"), "headers": {"content-type": "image/png"}},
    ]
    for given in wrong:
        answer = small.post(route, **given)
        assert answer.status_code in (400, 415, 422), (given, answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


def test_names_in_messages_are_short_and_printable() -> None:
    assert shown_name("C:\\photos\\été.jpg") == "été.jpg"
    assert shown_name("a\r\nb\x1b[31m.png") == "a??b?[31m.png"
    assert len(shown_name("x" * 5_000 + ".jpeg")) == 80
    assert shown_name("x" * 5_000 + ".jpeg").endswith(".jpeg")
    assert shown_name(None) == shown_name("///") == "The picture"


def test_addresses_are_fetched_only_where_that_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(url: str, limits: Limits, *, timeout_s: float) -> bytes:
        assert 0 < timeout_s <= 10
        asked.append((url, limits.max_bytes))
        if "inside" in url:
            raise FetchError("inside is in a private or reserved network (10.0.0.7). If that is meant, start with --allow-private-urls.")
        return b"bytes"

    monkeypatch.setattr("api.service.uploads.fetch", fetch)
    closed: Any = SimpleNamespace(options=ServiceOptions(fetch_urls=False), limits=Limits())
    with pytest.raises(FetchError, match="does not fetch"):
        picture_from_url(closed, "https://example.org/a.jpg")
    assert not asked
    opened: Any = SimpleNamespace(options=ServiceOptions(fetch_urls=True, upload_bytes=1_000), limits=Limits())
    assert picture_from_url(opened, "https://example.org/a.jpg") == b"bytes"
    assert asked == [("https://example.org/a.jpg", 1_000)]
    with pytest.raises(FetchError) as refused:
        picture_from_url(opened, "http://inside/a.jpg")
    assert not any(leak in str(refused.value) for leak in ("10.0.0.7", "--allow"))


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1/a.jpg", "http://[::1]/", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "http://2130706433/"],
)
def test_private_addresses_are_never_fetched(address: str) -> None:
    opened: Any = SimpleNamespace(options=ServiceOptions(fetch_urls=True), limits=Limits())
    with pytest.raises(FetchError):
        picture_from_url(opened, address)


def test_pictures_of_the_evaluation_data_never_break_it(small: TestClient, shared: Callable[[str], Path]) -> None:
    for file in sorted(shared("eval/formats").rglob("*"))[:40]:
        if file.is_file() and file.stat().st_size < 450_000:
            answer = small.post("/v1/score", files={"picture": (file.name, file.read_bytes())})
            assert answer.status_code in (200, 422), (file.name, answer.text)
