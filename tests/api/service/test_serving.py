"""`pellucid serve` as it is started, asked and ended."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from api import serving
from api.service.keys import KeyStore
from api.settings import load_settings
from search import Library

Command, MakeSettings, Serve, KeyOf = Callable[..., Any], Callable[..., Any], Callable[..., str], Callable[..., dict[str, str]]


@contextmanager
def started(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`pellucid serve` in a process of its own, and its address."""
    code = "from api.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        ready, _, _ = select.select([process.stderr], [], [], 60)
        line = process.stderr.readline() if ready else ""
        found = re.search(r"Pellucid is at (http://\S+)/ ", line)
        assert found, line
        yield process, found[1]
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        if process.stderr is not None:
            process.stderr.close()


def get(address: str, **headers: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as answer:
        return json.load(answer)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_it_begins_answers_and_ends_within_seconds(tmp_path: Path, sign: signal.Signals) -> None:
    with started("--library", tmp_path / "library", "--root-path", "/photos") as (process, address):
        base = address.removesuffix("/photos")
        assert get(f"{base}/healthz") == {"status": "ok"}
        assert get(f"{base}/v1/session")["name"] == "local"
        with socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2]))) as idle:
            idle.sendall(b"GET /healthz HT")  # half a request does not keep it
            start = time.monotonic()
            process.send_signal(sign)
            assert process.wait(15) == 0
            assert time.monotonic() - start < 10
        assert process.stderr is not None
        log = process.stderr.read()
        assert re.search(r" INFO pellucid\.access [0-9a-f]{32} GET /healthz 200 [\d.]+ ms 15 bytes local\n", log)
        assert "Traceback" not in log


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_a_kill_leaves_keys_and_sessions_whole(tmp_path: Path, connect: Callable[..., Any]) -> None:
    library = Library(tmp_path / "library", create=True).folder
    key, token = KeyStore(library).create("read", "phone")
    with started("--library", library) as (process, address):
        body = json.dumps({"key": token}).encode()
        request = urllib.request.Request(f"{address}/v1/session", body, {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=10) as begun:
            cookie = begun.headers["set-cookie"].partition(";")[0]
        process.kill()
    again = connect(load_settings(library=library))
    assert again.get("/v1/session", headers={"Cookie": cookie}).json()["name"] == key.name


def test_a_port_in_use_is_said(pellucid: Command, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        ran = pellucid("serve", "--library", tmp_path / "library", "--port", port)
    assert ran.code == 2
    assert f"Port {port} of 127.0.0.1 is in use" in ran.err
    assert f"--port {port + 1}" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("host", "message"),
    [("203.0.113.7", "is no address of this machine"), ("no such host", "cannot be listened on"), ("x" * 300, "cannot be")],
)
def test_an_address_that_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch, host: str, message: str) -> None:
    from preprocess import InputError

    with pytest.raises(InputError, match=message):
        serving.listen(host, 0)


def test_localhost_is_the_address_that_everybody_means() -> None:
    with closing(serving.listen("localhost", 0)) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


ELSEWHERE = ["0.0.0.0", "::", "192.168.0.5", "nas.home"]


@pytest.mark.parametrize("host", ELSEWHERE)
def test_elsewhere_a_key_is_needed_before_it_begins(pellucid: Command, tmp_path: Path, host: str) -> None:
    ran = pellucid("serve", "--library", tmp_path / "library", "--host", host, "--port", "0")
    assert ran.code == 2
    assert f"On {host} others can reach the service" in ran.err
    assert "pellucid keys create --scope read --library" in ran.err
    keys = KeyStore(Library(tmp_path / "library", create=True).folder)
    keys.create("read", "phone")
    settings = load_settings(library=tmp_path / "library", serve_host=host)
    serving.check_keys(settings)
    keys.revoke("phone")
    assert pellucid("serve", "--library", tmp_path / "library", "--host", host).code == 2


def test_what_is_not_installed_is_said(pellucid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "find_spec", lambda name: None if name in ("fastapi", "limits") else name)
    ran = pellucid("serve", "--library", tmp_path / "library")
    assert ran.code == 8
    assert "needs fastapi, limits." in ran.err
    assert "pip install 'pellucid[service]'" in ran.err


@pytest.mark.parametrize(
    ("host", "root", "address"),
    [("127.0.0.1", "", "http://127.0.0.1:80/"), ("::1", "/p", "http://[::1]:80/p/"), ("[::1]", "", "http://[::1]:80/"),
     ("0.0.0.0", "", "http://127.0.0.1:80/"), ("::", "", "http://[::1]:80/")],
)  # fmt: skip
def test_the_address_that_is_shown(host: str, root: str, address: str) -> None:
    assert serving.address_of(load_settings(serve_host=host, serve_root_path=root), 80) == address


def test_options_go_before_settings(monkeypatch: pytest.MonkeyPatch, pellucid: Command, tmp_path: Path) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(serving, "run_service", lambda settings, _begun: seen.append(settings))
    monkeypatch.setenv("PELLUCID_SERVE_PORT", "9000")
    monkeypatch.setenv("PELLUCID_SERVE_HOST", "::1")
    pellucid("serve", "--port", "9001", "--forwarded-allow-ips", "10.0.0.1, 10.0.0.2", "--root-path", "/p", "--library", tmp_path)
    pellucid("serve")
    assert (seen[0].serve_port, seen[0].serve_host, seen[0].serve_root_path) == (9001, "::1", "/p")
    assert seen[0].serve_proxies == ["10.0.0.1", "10.0.0.2"]
    assert (seen[1].serve_port, seen[1].serve_proxies) == (9000, [])
    assert pellucid("serve", "--port", "65536").code == 2


# Behind a reverse proxy.


def test_only_named_proxies_are_believed(make_settings: MakeSettings, serve: Serve, key: KeyOf) -> None:
    settings = make_settings(serve_hosts=["photos.example.org"], serve_rate=2)
    headers = key(settings, "read")
    sent = {"Host": "photos.example.org", "X-Forwarded-Proto": "https"}
    token = headers["Authorization"].removeprefix("Bearer ")

    def begin(address: str, forwarded: str) -> tuple[int, str]:
        request = urllib.request.Request(
            f"{address}/v1/session", json.dumps({"key": token}).encode(),
            {**sent, "X-Forwarded-For": forwarded, "Content-Type": "application/json"}, method="POST",
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers["set-cookie"]
        except HTTPError as error:
            with error:
                return error.code, ""

    believed = serve(settings.model_copy(update={"serve_proxies": ["127.0.0.1"]}))
    answers = [begin(believed, f"8.8.8.{number}") for number in range(4)]
    assert [status for status, _ in answers] == [200] * 4  # each address is counted by itself
    assert "; Secure" in answers[0][1]
    plain = serve(settings)
    answers = [begin(plain, f"8.8.8.{number}") for number in range(4)]
    assert [status for status, _ in answers] == [200, 200, 429, 429]  # whatever a client says of itself
    assert "Secure" not in answers[0][1]


def test_eight_clients_at_once_are_all_answered(make_settings: MakeSettings, serve: Serve) -> None:
    from concurrent.futures import ThreadPoolExecutor

    address = serve(make_settings())
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: get(f"{address}/v1/session"), range(100)))
    assert all(each["name"] == "local" for each in told)


def test_a_small_answer_does_not_wait_for_the_network(make_settings: MakeSettings, serve: Serve) -> None:
    from http.client import HTTPConnection
    from urllib.parse import urlsplit

    taken = []
    with closing(HTTPConnection("127.0.0.1", urlsplit(serve(make_settings())).port, timeout=10)) as kept:
        for _ in range(60):
            start = time.perf_counter()
            kept.request("GET", "/healthz")
            kept.getresponse().read()
            taken.append(time.perf_counter() - start)
    assert sorted(taken)[20] < 0.03, "40 ms are what a header without its body waits"
