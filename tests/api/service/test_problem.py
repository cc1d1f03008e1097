"""Errors as RFC 9457 has them, headers, and the log."""

from __future__ import annotations

import logging
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.errors import CODES
from api.service.problem import title_of, without_library
from api.service.request_log import WithRequestId
from preprocess import FilterError, LibraryBusy, PellucidError, StorageFull

Connect, MakeSettings = Callable[..., TestClient], Callable[..., Any]
FIELDS = {"type", "title", "status", "detail", "instance", "errors"}


@pytest.fixture
def failing(client: TestClient) -> Callable[[BaseException], Any]:
    """The answer of a route that raises."""
    raised: list[BaseException] = []

    async def route() -> None:
        raise raised[-1]

    client.app.add_api_route("/v1/failing", route)  # type: ignore[attr-defined]

    def fail(error: BaseException) -> Any:
        raised.append(error)
        return client.get("/v1/failing")

    return fail


@pytest.mark.parametrize("error", CODES)
def test_every_error_of_the_table_is_a_problem(failing: Callable[..., Any], error: type[PellucidError]) -> None:
    answer = failing(error("What, where and the remedy."))
    assert answer.status_code == CODES[error][1]
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert set(told) == FIELDS
    assert (told["detail"], told["status"]) == ("What, where and the remedy.", answer.status_code)
    assert told["instance"] == answer.headers["x-request-id"]


def test_kinds_of_errors_in_words(failing: Callable[..., Any]) -> None:
    assert [title_of(error) for error in (FilterError, LibraryBusy, StorageFull)] == ["Filter error", "Library busy", "Storage full"]
    assert failing(FilterError("x")).json()["type"] == "/problems/filter-error"


def test_what_nobody_thought_of_says_nothing_of_the_inside(failing: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    answer = failing(RuntimeError("a secret of the inside"))
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["detail"]
    assert "a secret of the inside" in caplog.text  # where those who run it can read it


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/nothing", 404), ("GET", "/nothing", 404), ("PATCH", "/v1/session", 405)]
)
def test_what_is_not_there(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert set(answer.json()) == FIELDS
    assert status != 405 or answer.headers["allow"] == "DELETE, GET, POST"


def test_a_malformed_request_says_which_field(client: TestClient) -> None:
    told = client.post("/v1/session", json={"key": "", "kye": 1}).json()
    assert (told["status"], told["title"]) == (422, "Malformed request")
    assert {fault["field"] for fault in told["errors"]} == {"body.key", "body.kye"}
    broken = client.post("/v1/session", content=b'{"key": ', headers={"Content-Type": "application/json"})
    assert broken.status_code == 422
    assert set(broken.json()) == FIELDS


def test_of_many_faults_the_first_are_told(client: TestClient) -> None:
    told = client.post("/v1/jobs", json={"kind": "index", **{f"unknown {n}": 1 for n in range(3_000)}}).json()
    assert (told["status"], len(told["errors"])) == (422, 50)


def test_the_methods_of_a_route_are_told_without_describing_all_of_them(client: TestClient) -> None:
    app: Any = client.app
    app.openapi = None  # takes a third of a second, in which nobody else would be answered
    answer = client.patch("/v1/jobs")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert client.patch("/v1/images/" + "0" * 64).headers["allow"] == "GET"


def test_where_the_library_lies_is_for_administrators(
    make_settings: MakeSettings, connect: Connect, key: Callable[..., dict[str, str]]
) -> None:
    settings = make_settings()
    client, folder = connect(settings), str(settings.library)
    read, admin = key(settings, "read"), key(settings, "admin")
    client.app.state.service.pool.close()  # type: ignore[attr-defined]
    (settings.library / "library.json").rename(settings.library / "moved")
    answer = client.post("/v1/search", json={"terms": [{"text": "red"}]}, headers=read)
    assert (answer.status_code, folder in answer.text) == (404, False)
    assert answer.json()["detail"].startswith("Nothing is indexed in the library yet.")
    assert folder in client.post("/v1/search", json={"terms": [{"text": "red"}]}, headers=admin).json()["detail"]


def test_only_the_library_s_own_path_is_left_out() -> None:
    library = Path("/srv/lib")
    assert (
        without_library("/srv/lib/keys.json and /srv/library and /srv/lib.", library)
        == "The library/keys.json and /srv/library and the library."
    )
    assert without_library("Nothing in /srv/lib yet", library) == "Nothing in the library yet"
    assert without_library("a/b", Path("/")) == "a/b"


# Clients that leave.


def test_who_leaves_before_the_request_is_whole_is_no_error_of_the_service(
    make_settings: MakeSettings, serve: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pellucid")
    address = serve(make_settings())
    port = int(address.rpartition(":")[2])
    kinds = {"/v1/search": ("application/json", b"{"), "/v1/datasets:tag": ("multipart/form-data; boundary=x", b"--x\r\n")}
    for path, (kind, body) in kinds.items():
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port)) as gone:
            gone.sendall(head.encode() + body)
            time.sleep(0.1)
    limit = time.monotonic() + 5
    while len(lines(caplog)) < len(kinds) and time.monotonic() < limit:
        time.sleep(0.02)
    assert sorted(line[: len("POST /v1/search 499")] for line in lines(caplog)) == ["POST /v1/datasets:t", "POST /v1/search 499"]
    with urllib.request.urlopen(f"{address}/metrics", timeout=5) as answer:
        counted = answer.read().decode()
    for path in kinds:
        assert f'pellucid_requests_total{{method="POST",route="{path}",status="499"}} 1.0' in counted
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("body", [b"[" * 4_000, b'{"key":' * 500, b"\xff\xfe\x00", b'{"key": "\\ud800"}', b'{"key": NaN}', b""])
def test_hostile_json_is_refused_and_nothing_breaks(client: TestClient, body: bytes) -> None:
    answer = client.post("/v1/session", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 401, 422)
    assert set(answer.json()) == FIELDS


# Request ids.


@pytest.mark.parametrize("sent", ["abcdefgh", "trace-01.2_3" * 3, "A" * 64])
def test_a_sane_request_id_is_kept(client: TestClient, sent: str) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": sent}).headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "short", "A" * 65, "a b c d e f", "x\tinjected", "<script>alert(1)", "äöüäöüäöü"])
def test_another_is_replaced(client: TestClient, sent: str) -> None:
    found = client.get("/healthz", headers={"X-Request-Id": sent.encode()}).headers["x-request-id"]
    assert found != sent
    assert len(found) == 32


def test_request_ids_differ_and_stand_in_the_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pellucid")
    caplog.handler.addFilter(WithRequestId())
    one, two = client.get("/healthz"), client.get("/healthz")
    ids = [answer.headers["x-request-id"] for answer in (one, two)]
    assert ids[0] != ids[1]
    assert [record.request_id for record in caplog.records if record.name == "pellucid.access"] == ids  # type: ignore[attr-defined]


# The log.


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "pellucid.access"]


def test_a_line_says_what_was_asked_by_its_route(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pellucid")
    client.get("/healthz?secret=1")
    client.get("/nothing/of/this kind")
    client.request("BREW", "/healthz")
    one, two, three = lines(caplog)
    assert one.startswith("GET /healthz 200 ")
    assert one.endswith(" ms 15 bytes local")
    assert two.startswith("GET - 404 ")
    assert three.startswith("OTHER /healthz 405 ")


def test_nothing_of_a_query_is_logged(client: TestClient, caplog: pytest.LogCaptureFixture, service_photos: Any) -> None:
    caplog.set_level(logging.INFO)
    secret = "xylophone"
    client.post("/v1/search", json={"terms": [{"text": secret}], "where": f"path LIKE '%{secret}%'"})
    client.post("/v1/search", json={"terms": [{"text": secret}], "where": f"{secret} = 1"})
    client.post("/v1/search", json={"terms": [{"text": secret, "weight": secret}]})
    client.get("/v1/images", params={"where": f"path = '{secret}'"})
    client.get("/v1/images", params={"where": f"{secret} ="})
    client.get(f"/v1/images/{'0' * 64}", params={"q": secret}, headers={"User-Agent": secret, "Referer": f"http://127.0.0.1/{secret}"})
    client.put(f"/v1/images/{'0' * 64}/tags/{secret}", json={"verdict": "confirmed"})
    client.get(f"/{secret}")
    client.post("/v1/embeddings", json={"input": secret})
    client.post("/v1/tags:zero-shot", data={"labels": secret}, files={"file": (f"{secret}.png", (service_photos / "red.png").read_bytes())})
    assert len(lines(caplog)) == 10
    of_ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]  # the client of the test logs too
    assert len(of_ours) >= 10
    assert not [message for message in of_ours if secret in message]


# What browsers are told.


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/v1/nothing", 404), ("/v1/openapi.json", 200)])
def test_every_answer_says_what_a_browser_may_do_with_it(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
    assert "server" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_page_may_load_its_own_parts_alone_and_what_an_answer_says_itself_stays(client: TestClient) -> None:
    from fastapi.responses import HTMLResponse

    app: Any = client.app
    app.add_api_route("/plain", lambda: HTMLResponse("<p>"))
    app.add_api_route(
        "/own", lambda: HTMLResponse("<p>", headers={"Content-Security-Policy": "default-src 'self'", "Cache-Control": "no-cache"})
    )
    policy = client.get("/plain").headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    own = client.get("/own").headers
    assert (own["content-security-policy"], own["cache-control"]) == ("default-src 'self'", "no-cache")
