"""Who may do what."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest
from fastapi import Depends
from starlette.testclient import TestClient

from api.service import create_app
from api.service.access import Caller, address_of, closed, needs, path_of
from api.service.keys import SCOPES, KeyStore
from api.service.openapi import scope_of

MakeSettings, Connect, KeyOf = Callable[..., Any], Callable[..., TestClient], Callable[..., dict[str, str]]
READS = {
    "POST /v1/search", "POST /v1/tags:zero-shot", "POST /v1/score", "POST /v1/dehaze", "POST /v1/segment", "POST /v1/embeddings",
}  # fmt: skip
NO_KEY = {"GET /healthz", "GET /readyz", "GET /v1/session", "POST /v1/session", "DELETE /v1/session"}


def operations(app: Any) -> Iterator[tuple[str, str, str | None]]:
    """Method, path and needed scope of each route that the service tells of."""
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, scope_of(operation)


def filled(path: str) -> str:
    """A path with something of the right form in it that is not there, so that nothing is changed."""
    return path.replace("{digest}", "0" * 64).replace("{format}", "nothing").replace("{", "no-").replace("}", "")


def send(client: TestClient, method: str, path: str, headers: dict[str, str]) -> int:
    """The status of a request without a body; of a stream, as soon as it begins."""
    with client.stream(method, filled(path), headers=headers) as answer:
        return answer.status_code


def test_every_route_asks_for_the_scope_that_it_should(service_settings: Any) -> None:
    told = {f"{method} {path}": scope for method, path, scope in operations(create_app(service_settings))}
    assert len(told) > 20
    for route, scope in told.items():
        method = route.partition(" ")[0]
        if route in NO_KEY:
            assert scope is None, route
        elif method == "GET" or route in READS:
            assert scope == "read", route
        else:
            assert scope in ("tag", "admin"), route


def test_every_route_against_every_scope(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings(serve_rate=10_000)
    shown: dict[str | None, dict[str, str]] = {scope: key(settings, scope) for scope in SCOPES}
    client, seen = connect(settings), 0
    for method, path, needed in operations(client.app):
        if needed is None:
            continue
        assert path == "/metrics" or send(client, method, path, {}) == 401, (method, path)
        assert send(client, method, path, {"Authorization": "Bearer plk_wrong"}) in (401, 429), (method, path)
        for scope in SCOPES:
            enough = SCOPES.index(scope) >= SCOPES.index(needed)  # type: ignore[arg-type]
            status = send(client, method, path, shown[scope])
            assert (status in (401, 403)) is not enough, (method, path, scope, status)
            seen += 1
    assert seen > 40


def test_a_route_that_forgot_to_ask_is_closed_all_the_same(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings()
    headers, client = key(settings, "read"), connect(settings)
    client.app.add_api_route("/v1/forgotten", lambda: {"secret": 1})  # type: ignore[attr-defined]
    assert client.get("/v1/forgotten").status_code == 401
    assert client.get("/v1/forgotten", headers=headers).json() == {"secret": 1}


@pytest.mark.parametrize(
    ("path", "shut"),
    [("/", False), ("/healthz", False), ("/photo/x", False), ("/v1/session", False), ("/v1/sessions", True), ("/v1/session/x", True), ("/v1/", True),
     ("/v1", True), ("/v1/openapi.json", True), ("/v1/search", True), ("/metrics", True)],
)  # fmt: skip
def test_what_is_closed_to_nobody(path: str, shut: bool) -> None:
    assert closed(path) is shut


def test_without_keys_only_this_machine_may_and_all(make_settings: MakeSettings, connect: Connect) -> None:
    settings = make_settings()
    here = connect(settings)
    assert here.get("/v1/session").json() == {"name": "local", "scope": "admin", "key_needed": False}
    assert here.get("/v1/stats", headers={"Authorization": "Bearer sk-anything"}).status_code == 200  # some programs always send one
    for headers in ({"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"X-Real-IP": "::1"}, {"Via": "1.1 proxy"}):
        assert here.get("/v1/stats", headers=headers).status_code == 401, headers
    there = connect(settings, address="192.168.0.9")
    assert there.get("/v1/session").json() == {"name": None, "scope": None, "key_needed": True}
    assert there.get("/v1/stats").status_code == 401
    assert connect(make_settings(serve_host="0.0.0.0")).get("/v1/stats").status_code == 401  # others can come here


def test_once_there_is_a_key_it_is_needed_here_too(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings()
    client = connect(settings)
    assert client.get("/v1/stats").status_code == 200
    headers = key(settings, "read", "phone")
    refused = client.get("/v1/stats")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert "pellucid keys create" in refused.json()["detail"]
    assert client.get("/v1/stats", headers=headers).status_code == 200
    KeyStore(settings.library).revoke("phone")
    assert client.get("/v1/stats", headers=headers).status_code == 401  # at once
    assert client.get("/v1/stats").status_code == 401  # and nothing is open again because it went


WRONG = [
    "Bearer", "Bearer ", "Bearer plk_x", "Basic dXNlcjpwYXNz", "plk_x", "Bearer  ", "Bearer é", "Token {}", "Bearer {}x", "Bearer x{}", "{}",
]  # fmt: skip


@pytest.mark.parametrize("form", WRONG)
def test_a_wrong_header_is_refused(make_settings: MakeSettings, connect: Connect, key: KeyOf, form: str) -> None:
    settings = make_settings()
    token = key(settings)["Authorization"].removeprefix("Bearer ")
    answer = connect(settings).get("/v1/stats", headers={"Authorization": form.format(token).encode()})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert token not in answer.text


def test_a_right_header_in_other_letters(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings()
    token = key(settings, "read")["Authorization"].removeprefix("Bearer ")
    client = connect(settings)
    for form in ("bearer {}", "BEARER   {}", "Bearer {} "):
        assert client.get("/v1/stats", headers={"Authorization": form.format(token)}).status_code == 200


def test_an_expired_key_is_refused(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings()
    headers, client = key(settings, "admin", None, datetime.now(UTC) + timedelta(hours=1)), connect(settings)
    assert client.get("/v1/stats", headers=headers).status_code == 200
    file = settings.library / "keys.json"
    data = json.loads(file.read_text())
    data["keys"][0]["expires_at"] = "2020-01-01T00:00:00+00:00"
    file.write_text(json.dumps(data))
    assert client.get("/v1/stats", headers=headers).status_code == 401


def test_keys_that_cannot_be_read_let_nobody_in(
    make_settings: MakeSettings, connect: Connect, key: KeyOf, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings()
    headers, client = key(settings), connect(settings)
    (settings.library / "keys.json").write_text("{")
    for path in ("/v1/stats", "/v1/session"):
        for sent in ({}, headers):
            answer = client.get(path, headers=sent)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
            assert str(settings.library) not in answer.text
    assert "keys.json cannot be read" in caplog.text


def test_wrong_keys_are_slowed_down_but_lock_nobody_out(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings()
    headers, client = key(settings, "read"), connect(settings)
    statuses = [client.get("/v1/stats", headers={"Authorization": f"Bearer plk_{n}"}).status_code for n in range(14)]
    assert statuses == [401] * 10 + [429] * 4
    refused = client.post("/v1/session", json={"key": "plk_other"}, headers={})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert client.get("/v1/stats", headers=headers).status_code == 200  # the right key from the same address
    assert client.post("/v1/session", json={"key": headers["Authorization"].removeprefix("Bearer ")}).status_code == 200


def test_metrics_need_a_key_from_elsewhere_alone(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings()
    headers = key(settings, "read")
    assert connect(settings).get("/metrics").status_code == 200
    assert connect(settings).get("/metrics", headers={"X-Forwarded-For": "8.8.8.8"}).status_code == 401
    there = connect(settings, address="10.0.0.5")
    assert there.get("/metrics").status_code == 401
    assert there.get("/metrics", headers=headers).status_code == 200
    assert there.get("/healthz").status_code == 200


def test_a_page_that_has_its_name_point_here_reads_no_metrics(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings(serve_host="0.0.0.0", serve_cors=["https://app.example"])
    headers, client = key(settings, "read"), connect(settings)
    page = {"Host": "evil.example:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.get("/metrics", headers=page).status_code == 401
    assert client.get("/metrics", headers={"Host": ""}).status_code == 401
    assert client.get("/metrics", headers={"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}).status_code == 401
    assert client.get("/metrics", headers={**page, **headers}).status_code == 200
    for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000"):
        assert client.get("/metrics", headers={"Host": host}).status_code == 200
    named = connect(make_settings(serve_host="0.0.0.0", serve_hosts=["nas.home"]))
    assert named.get("/metrics", headers={"Host": "nas.home:8000"}).status_code == 200


def test_a_caller_has_the_id_of_the_key(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings()
    client, ids = connect(settings), []

    async def route(caller: Annotated[Caller, Depends(needs("read"))]) -> None:
        ids.append(caller.id)

    client.app.add_api_route("/v1/who", route)  # type: ignore[attr-defined]
    assert client.get("/v1/who").status_code == 200
    headers = key(settings, "read", "phone")
    client.get("/v1/who", headers=headers)
    client.post("/v1/session", json={"key": headers["Authorization"].removeprefix("Bearer ")})
    client.get("/v1/who")
    assert ids == ["local", *[KeyStore(settings.library).held().keys[0].id] * 2]


# Sessions of a browser.


def test_a_browser_signs_in_and_out(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings()
    token, client = key(settings, "tag", "marie")["Authorization"].removeprefix("Bearer "), connect(settings)
    begun = client.post("/v1/session", json={"key": f" {token} "})
    assert begun.json() == {"name": "marie", "scope": "tag", "key_needed": False}
    cookie = begun.headers["set-cookie"]
    for part in ("pellucid_session=", "HttpOnly", "SameSite=strict", "Path=/", "Max-Age=25"):
        assert part in cookie
    assert "Secure" not in cookie  # it would not be sent back without https
    assert token not in cookie
    assert client.get("/v1/session").json()["name"] == "marie"
    assert client.get("/v1/stats").status_code == 200
    value = client.cookies["pellucid_session"]
    ended = client.delete("/v1/session")
    assert ended.status_code == 204
    assert client.get("/v1/stats").status_code == 401
    assert client.get("/v1/stats", headers={"Cookie": f"pellucid_session={value}"}).status_code == 401  # a copy ends too
    assert client.delete("/v1/session").status_code == 204


def test_a_cookie_is_secure_behind_https_and_stays_below_the_path_of_the_service(make_settings: MakeSettings, key: KeyOf) -> None:
    settings = make_settings()
    token = key(settings)["Authorization"].removeprefix("Bearer ")
    app = create_app(settings)
    with TestClient(app, base_url="https://localhost", client=("127.0.0.1", 1), root_path="/photos") as client:
        begun = client.post("/photos/v1/session", json={"key": token})
        assert "; Secure" in begun.headers["set-cookie"]
        assert "Path=/photos;" in begun.headers["set-cookie"]
        assert client.get("/photos/v1/stats").status_code == 200
        assert client.get("/photos/v1/openapi.json").json()["servers"][0] == {"url": "/photos"}


def test_a_session_ends_with_its_key_and_outlives_the_service(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings()
    token, client = key(settings, "read", "phone")["Authorization"].removeprefix("Bearer "), connect(settings)
    client.post("/v1/session", json={"key": token})
    sent = {"Cookie": f"pellucid_session={client.cookies['pellucid_session']}"}
    again = connect(settings)
    assert again.get("/v1/stats", headers=sent).status_code == 200
    KeyStore(settings.library).revoke("phone")
    for each in (client, again):
        assert each.get("/v1/stats", headers=sent).status_code == 401


@pytest.mark.parametrize("body", [{}, {"key": ""}, {"key": "x" * 201}, {"key": 1}, {"key": "plk_x", "more": 1}, [], "plk_x"])
def test_what_is_no_sign_in(client: TestClient, body: Any) -> None:
    assert client.post("/v1/session", json=body).status_code == 422


def test_a_key_in_the_header_goes_before_the_session(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings()
    client = connect(settings)
    client.post("/v1/session", json={"key": key(settings, "admin")["Authorization"].removeprefix("Bearer ")})
    assert client.get("/v1/session", headers=key(settings, "read", "phone")).json()["name"] == "phone"
    assert client.get("/v1/stats", headers={"Authorization": "Bearer plk_wrong"}).status_code == 401
    for cookie in ("pellucid_session=", "pellucid_session=;;=", "\x01", "pellucid_session=é", "a" * 4_000):
        assert client.get("/v1/stats", headers={"Cookie": cookie.encode("latin-1")}).status_code in (200, 401)


@pytest.mark.parametrize("beside", ['theme={"a": "b"}', "a b=c", "odd[]=1", "x", "=y", 'q="unfinished', "$Version=1", "pellucid_sessio=1"])
def test_cookies_of_others_do_not_hide_the_session(make_settings: MakeSettings, connect: Connect, key: KeyOf, beside: str) -> None:
    settings = make_settings()
    client = connect(settings)
    client.post("/v1/session", json={"key": key(settings, "read")["Authorization"].removeprefix("Bearer ")})
    own = f"pellucid_session={client.cookies['pellucid_session']}"
    for cookie in (f"{beside}; {own}", f"{own}; {beside}"):
        assert client.get("/v1/stats", headers={"Cookie": cookie}).status_code == 200, cookie
    assert client.delete("/v1/session", headers={"Cookie": f"{beside}; {own}"}).status_code == 204
    assert client.get("/v1/stats", headers={"Cookie": own}).status_code == 401


@pytest.mark.parametrize("other", ["Basic dXNlcjpwdw==", "Negotiate abc", "Digest username=x", ""])
def test_a_password_for_the_proxy_in_front_does_not_hide_the_session(
    make_settings: MakeSettings, connect: Connect, key: KeyOf, other: str
) -> None:
    settings = make_settings()
    token, client = key(settings, "read")["Authorization"].removeprefix("Bearer "), connect(settings)
    sent = {"Authorization": other}
    assert client.get("/", headers=sent).status_code == 200  # where people give their key
    refused = [client.get("/v1/stats", headers=sent) for _ in range(12)]
    assert {answer.status_code for answer in refused} == {401}  # shows no key, so that it is no guess at one
    assert "This needs a key" in refused[-1].json()["detail"]
    assert client.post("/v1/session", json={"key": token}, headers=sent).status_code == 200
    assert client.get("/v1/stats", headers=sent).status_code == 200


# Rates.


def test_each_key_may_ask_so_often(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings(serve_rate=5)
    one, two, client = key(settings, "read"), key(settings, "read"), connect(settings)
    answers = [client.get("/v1/session", headers=one) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=5;w=60'
    assert answers[0].headers["ratelimit"].startswith('"requests";r=4;t=')
    refused = answers[-1]
    assert refused.headers["ratelimit"].startswith('"requests";r=0;t=')
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["title"] == "Too many requests"
    assert client.get("/v1/session", headers=two).status_code == 200
    assert client.get("/healthz", headers=one).status_code == 200
    assert client.get(f"/v1/images/{'0' * 64}/thumbnail", headers=one).status_code != 429  # counted by themselves, twenty times as many


def test_those_without_a_key_are_counted_by_address(make_settings: MakeSettings, connect: Connect, key: KeyOf) -> None:
    settings = make_settings(serve_rate=3)
    key(settings)
    client = connect(settings, address="192.168.0.9")
    assert [client.get("/v1/session").status_code for _ in range(5)] == [200] * 3 + [429] * 2
    assert connect(settings, address="192.168.0.10").get("/v1/session").status_code == 200


def test_this_machine_itself_is_not_counted(make_settings: MakeSettings, connect: Connect) -> None:
    client = connect(make_settings(serve_rate=1))
    answers = [client.get("/v1/session") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert "ratelimit" not in answers[0].headers


def test_an_ipv6_household_counts_as_one() -> None:
    assert address_of({"client": ("2001:db8:1:2:3:4:5:6", 1)}) == address_of({"client": ("2001:db8:1:2:ffff::1", 1)})
    assert address_of({"client": ("10.0.0.1", 1)}) == "10.0.0.1"
    assert address_of({"client": None}) == "unknown"


@pytest.mark.parametrize(
    ("path", "root", "found"),
    [
        ("/v1/x", "", "/v1/x"),
        ("/photos/v1/x", "/photos", "/v1/x"),
        ("/photosv1/x", "/photos", "/photosv1/x"),
        ("/v1/x", "/photos", "/v1/x"),
    ],
)
def test_the_path_below_a_proxy(path: str, root: str, found: str) -> None:
    assert path_of({"path": path, "root_path": root}) == found


def test_no_key_stands_in_the_log(make_settings: MakeSettings, connect: Connect, key: KeyOf, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pellucid")
    settings = make_settings()
    headers, client = key(settings, "read", "phone"), connect(settings)
    token = headers["Authorization"].removeprefix("Bearer ")
    client.get("/v1/stats", headers=headers)
    client.post("/v1/session", json={"key": token})
    client.get("/v1/stats", headers={"Authorization": "Bearer plk_secret-but-wrong"})
    assert "phone" in caplog.text
    assert token not in caplog.text
    assert "secret-but-wrong" not in caplog.text
    assert client.cookies["pellucid_session"] not in caplog.text
