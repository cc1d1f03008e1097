"""`POST /v1/search`: the same answers as the command line, page by page, and nothing opened once it is warm."""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.service.schemas_search import SearchGiven
from api.wiring import SearchOptions, run_search
from search import Library

NOBODY = "0" * 64
RED = [{"text": "red"}]


def found(client: TestClient, **query: Any) -> dict[str, Any]:
    """The answer to a query that is in order."""
    answer = client.post("/v1/search", json=query)
    assert answer.status_code == 200, answer.text
    SearchGiven.model_validate_json(answer.content)
    body: dict[str, Any] = answer.json()
    return body


def digest_of(client: TestClient, path: str) -> str:
    """The digest of a photo, by its path."""
    return next(str(photo["digest"]) for photo in client.get("/v1/images").json()["photos"] if photo["path"] == path)


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "terms"),
    ({"terms": []}, 422, "at least 1"),
    ({"terms": RED * 33}, 422, "at most 32"),
    ({"terms": [{"text": ""}]}, 422, "text"),
    ({"terms": [{"text": " \n"}]}, 400, "no words"),
    ({"terms": [{"text": "x" * 2_001}]}, 422, "2000"),
    ({"terms": [{}]}, 422, "exactly one"),
    ({"terms": [{"text": "red", "image": NOBODY}]}, 422, "exactly one"),
    ({"terms": [{"text": "red", "weight": 0}]}, 422, "counts nothing"),
    ({"terms": [{"text": "red", "weight": 101}]}, 422, "100"),
    ({"terms": [{"text": "red"}, {"text": "red", "weight": -1}]}, 400, "cancel"),
    ({"terms": [{"image": "../../etc/passwd"}]}, 422, "pattern"),
    ({"terms": [{"image": NOBODY}]}, 400, NOBODY),
    ({"terms": [{"upload": "photo"}]}, 400, "no part of that name"),
    ({"terms": [{"url": "http://127.0.0.1/a.jpg"}]}, 422, "does not fetch"),
    ({"terms": [{"url": "file:///etc/passwd"}]}, 422, "does not fetch"),
    ({"terms": RED, "termz": 1}, 422, "termz"),
    ({"terms": RED, "within": "images"}, 422, "within"),
    ({"terms": RED, "in": "everything"}, 422, "in"),
    ({"terms": RED, "where": "no_such_column = 1"}, 400, "no_such_column"),
    ({"terms": RED, "where": "1; DROP TABLE images"}, 400, "semicolons"),
    ({"terms": RED, "where": ""}, 400, "empty"),
    ({"terms": RED, "strictness": 101}, 422, "100"),
    ({"terms": RED, "sort": "beauty"}, 422, "sort"),
    ({"terms": RED, "sort": "date", "diverse": True}, 400, "diverse"),
    ({"terms": RED, "limit": 0}, 422, "limit"),
    ({"terms": RED, "limit": 501}, 422, "limit"),
    ({"terms": RED, "without": [""]}, 400, "says nothing"),
    ({"terms": RED, "cursor": "not a cursor"}, 400, "damaged"),
    ({"terms": RED, "cursor": "WzEsLTEsIiIsIiJd"}, 400, "damaged"),  # [1,-1,"",""]
    ({"terms": RED, "cursor": "W1tbW1tbW1tbW1tb"}, 400, "damaged"),
    ({"terms": RED, "cursor": "é"}, 400, "damaged"),
]


def test_bad_queries_say_what_is_wrong(client: TestClient) -> None:
    for query, status, words in BAD:
        answer = client.post("/v1/search", json=query)
        assert (query, answer.status_code, answer.headers["content-type"]) == (query, status, "application/problem+json")
        assert words in answer.json()["detail"], query
        assert answer.json()["status"] == status


BODIES = [
    (b"[]", "application/json", 422),
    (b"null", "application/json", 422),
    (b'{"terms": [', "application/json", 422),
    (b"", "application/json", 422),
    (b'{"terms": [{"text": "\\ud800"}]}', "application/json", 422),
    (b'{"terms": [{"text": "red", "weight": NaN}]}', "application/json", 422),
    (b'{"terms": [{"text": "red", "weight": 1e400}]}', "application/json", 422),
    (b"\xff\xfe{}", "application/json", 422),
    (b" " * 1_000_001, "application/json", 413),
    (b"terms=red", "application/x-www-form-urlencoded", 415),
    (b"red", "text/plain", 415),
    (b"red", "", 415),
    (b"--x", "multipart/form-data", 400),
    (b"no parts", "multipart/form-data; boundary=x", 400),
]


def test_bodies_of_another_form_are_refused(client: TestClient) -> None:
    for body, kind, status in BODIES:
        answer = client.post("/v1/search", content=body, headers={"content-type": kind})
        assert (body[:40], kind, answer.status_code) == (body[:40], kind, status), answer.text
        assert answer.headers["content-type"] == "application/problem+json"


ASKED: list[tuple[dict[str, Any], list[str], dict[str, Any]]] = [
    ({"terms": RED}, ["red"], {}),
    ({"terms": [{"text": "red", "weight": 2}, {"text": "blue", "weight": -1}]}, ["2:red", "-blue"], {}),
    ({"terms": RED, "where": "width > 100", "strictness": 0}, ["red"], {"where": "width > 100", "strictness": 0}),
    ({"terms": RED, "in": "regions", "limit": 3}, ["red"], {"within": "regions", "k": 3}),
    ({"terms": RED, "in": "images", "sort": "date", "strictness": 10}, ["red"], {"within": "images", "sort": "date", "strictness": 10}),
    ({"terms": RED, "collapse": True}, ["red"], {"collapse": True}),
    ({"terms": RED, "without": ["blue"]}, ["red", "without:blue"], {}),
    ({"terms": RED, "strictness": 100}, ["red"], {"strictness": 100}),
]


def test_answers_are_those_of_the_command_line(client: TestClient, service_settings: Any) -> None:
    for query, terms, options in ASKED:
        body = found(client, **query)
        answer = run_search(terms, SearchOptions(**{"k": 50, **options}), library=service_settings.library)
        hits = [(hit.path, hit.verdict, hit.matched) for hit in answer.hits]
        assert (query, [(hit["path"], hit["verdict"], hit["matched"]) for hit in body["hits"]]) == (query, hits)
        assert [hit["similarity"] for hit in body["hits"]] == pytest.approx([h.similarity for h in answer.hits], abs=1e-5)
        assert (body["verdict"], body["probability"], body["in"]) == (answer.verdict, round(answer.probability, 4), answer.within)
        assert body["note"] == answer.note


def test_an_answer_says_why_and_a_photo_what_is_known_of_it(client: TestClient) -> None:
    body = found(client, terms=RED, limit=4)
    first = body["hits"][0]
    assert "'red'" in body["why"]
    assert body["verdict"] == "strong"
    assert body["encoder"] == "mean-colour"
    assert first["path"] == "red.png"
    assert first["facts"]["format"] == "PNG"
    assert "red" in first["facts"]["tags"]
    assert not {"digest", "root", "path", "width", "height", "taken_at"} & first["facts"].keys()


def test_where_nothing_matches_there_is_the_nearest_miss(client: TestClient) -> None:
    body = found(client, terms=[{"text": "red"}], where="path = 'blue.png'", strictness=100)
    assert (body["hits"], body["verdict"], body["next"], body["total"]) == ([], "none", None, 0)
    assert body["nearest_miss"]["path"] == "blue.png"
    assert body["nearest_miss"]["verdict"] == "none"


def test_a_photo_of_the_library_is_a_term(client: TestClient) -> None:
    body = found(client, terms=[{"image": digest_of(client, "green.png")}], limit=2)
    assert body["hits"][0]["path"] == "green.png"
    assert "this photo" in body["why"]


def test_pictures_come_with_a_request(client: TestClient, service_photos: Path) -> None:
    data = (service_photos / "yellow.png").read_bytes()
    query = {"terms": [{"upload": "mine", "weight": 1}], "limit": 2}
    answer = client.post("/v1/search", data={"request": json.dumps(query)}, files={"mine": ("C:\\my photo.png", data)})
    body = answer.json()
    assert answer.status_code == 200
    assert body["hits"][0]["path"] == "yellow.png"
    assert "'my photo.png'" in body["why"]
    as_file = client.post("/v1/search", files={"request": ("q.json", json.dumps(query)), "mine": ("p.png", data)})
    assert [hit["path"] for hit in as_file.json()["hits"]] == [hit["path"] for hit in body["hits"]]


def test_pictures_are_decoded_one_at_a_time_and_eight_at_most(
    client: TestClient, service_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import api.service.search_terms as terms

    held: list[weakref.ref[Any]] = []
    decode = terms.decode_upload

    def noted(*given: Any) -> Any:
        assert not [each for each in held if each() is not None]
        pixels = decode(*given).copy()
        held.append(weakref.ref(pixels))
        return pixels

    monkeypatch.setattr(terms, "decode_upload", noted)
    data = (service_photos / "yellow.png").read_bytes()
    for count, status in ((8, 200), (9, 400)):
        query = {"terms": [{"upload": f"p{at}"} for at in range(count)], "limit": 1}
        files = {f"p{at}": ("p.png", data) for at in range(count)}
        answer = client.post("/v1/search", data={"request": json.dumps(query)}, files=files)
        assert answer.status_code == status, answer.text
    assert len(held) == 8
    answer = client.post("/v1/search", json={"terms": [{"url": "https://example.org/a.jpg"}] * 9})
    assert (answer.status_code, "at most 8" in answer.json()["detail"]) == (400, True)


def test_addresses_take_no_thread_of_others_and_have_one_deadline(
    make_settings: Callable[..., Any], connect: Callable[..., TestClient], service_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(make_settings(serve_fetch_urls=True, serve_workers=1))
    goes_on, seconds = threading.Event(), []

    def fetch(_url: str, _limits: Any, *, timeout_s: float) -> bytes:
        seconds.append(timeout_s)
        goes_on.wait(10)
        time.sleep(0.02)
        return (service_photos / "yellow.png").read_bytes()

    monkeypatch.setattr("api.service.uploads.fetch", fetch)
    query = {"terms": [{"url": f"https://example.org/{at}.png"} for at in range(3)], "limit": 1}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, "/v1/search", json=query)
        try:
            while not seconds:
                time.sleep(0.01)
            assert client.get("/v1/images").status_code == 200
            assert not asked.done()
        finally:
            goes_on.set()
        assert asked.result(10).json()["hits"][0]["path"] == "yellow.png"
    assert 10 >= seconds[0] > seconds[1] > seconds[2] > 0
    monkeypatch.setattr("api.service.search_terms.FETCH_S", 0.03)
    answer = client.post("/v1/search", json=query)
    assert (answer.status_code, "did not come within" in answer.json()["detail"]) == (422, True)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


UNFIT: list[tuple[Any, Any, int, str]] = [
    ({"terms": RED}, {"mine": ("a.png", b"x")}, 400, "no term names"),
    ({"terms": [{"upload": "other"}]}, {"mine": ("a.png", b"x")}, 400, "no part of that name"),
    ({"terms": [{"upload": "mine"}]}, {"mine": ("a.png", b"")}, 422, "empty"),
    ({"terms": [{"upload": "mine"}]}, {"mine": ("a.svg", SVG)}, 422, "markup"),
    ({"terms": [{"upload": "mine"}]}, {"mine": ("a.jpg", b"\xff\xd8\xff" + b"\0" * 64)}, 422, "a.jpg"),
    ({"terms": [{"upload": "mine"}], "oops": 1}, {"mine": ("a.png", b"x")}, 422, "oops"),
    (None, {"mine": ("a.png", b"x")}, 400, "request"),
]


def test_pictures_that_do_not_fit_are_refused(client: TestClient) -> None:
    for query, files, status, words in UNFIT:
        answer = client.post("/v1/search", data={} if query is None else {"request": json.dumps(query)}, files=files)
        assert (files, answer.status_code) == (files, status), answer.text
        assert words in answer.json()["detail"]


def test_an_upload_over_the_limit_is_refused(make_settings: Callable[..., Any], connect: Callable[..., TestClient]) -> None:
    client = connect(make_settings(serve_upload_mb=0.01))
    answer = client.post("/v1/search", data={"request": '{"terms": [{"upload": "a"}]}'}, files={"a": ("a.png", b"\x89PNG" + b"x" * 20_000)})
    assert answer.status_code == 413


MORE: list[dict[str, Any]] = [{}, {"sort": "date"}, {"diverse": True}, {"collapse": True}, {"in": "images"}, {"in": "regions"}]


def test_pages_walked_to_the_end_give_each_hit_once(client: TestClient) -> None:
    for more in MORE:
        for limit in (1, 3):
            check_pages(client, {"terms": RED, "strictness": 0, **more}, limit)


def check_pages(client: TestClient, query: dict[str, Any], limit: int) -> None:
    """That the pages together are the answer in one."""
    whole = found(client, **query, limit=500)
    assert whole["next"] is None
    assert whole["total"] == len(whole["hits"]) > 2
    walked, cursor = [], None
    while True:
        page = found(client, **query, limit=limit, **({} if cursor is None else {"cursor": cursor}))
        walked += page["hits"]
        cursor = page["next"]
        if cursor is None:
            break
        assert len(page["hits"]) == limit
        assert len(walked) < page["total"]
        assert page["note"] is None
    assert [(hit["path"], hit["root"]) for hit in walked] == [(hit["path"], hit["root"]) for hit in whole["hits"]]
    assert page["total"] == whole["total"]


OTHERS: list[dict[str, Any]] = [
    {"terms": [{"text": "blue"}]}, {"strictness": 1}, {"where": "width > 1"}, {"sort": "date"}, {"in": "images"}, {"without": ["blue"]},
]  # fmt: skip


def test_a_cursor_of_another_query_is_refused(client: TestClient) -> None:
    query = {"terms": RED, "strictness": 0, "limit": 2}
    cursor = found(client, **query)["next"]
    for change in OTHERS:
        answer = client.post("/v1/search", json={**query, **change, "cursor": cursor})
        assert answer.status_code == 400, change
        assert "another query" in answer.json()["detail"]
    assert found(client, **{**query, "limit": 5}, cursor=cursor)["hits"]  # the size of a page may change


def test_a_cursor_goes_on_where_the_library_has_changed_and_says_so(
    client: TestClient, service_settings: Any, tmp_path: Path, paint: Callable[..., Path], make_encoder: Any
) -> None:
    from indexer import build

    cursor = found(client, terms=RED, strictness=0, limit=2)["next"]
    paint(tmp_path / "more" / "new.png", "red", seed=1)
    build(Library(service_settings.library), [tmp_path / "more"], make_encoder())
    page = found(client, terms=RED, strictness=0, limit=2, cursor=cursor)
    assert "changed since the first page" in page["note"]
    assert len(page["hits"]) == 2
    following = found(client, terms=RED, strictness=0, limit=2, cursor=page["next"])
    assert "changed since the first page" in following["note"]


def test_a_warm_search_opens_nothing(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    import search.derived
    import search.null_model
    from search import Store

    red = digest_of(client, "red.png")
    queries = ({"terms": RED}, {"terms": [{"image": red}, {"text": "blue", "weight": -1}], "where": "width > 1", "strictness": 0})
    before = [found(client, **query) for query in queries]

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a warm search opened something")

    monkeypatch.setattr(Store, "__init__", refuse)
    monkeypatch.setattr(search.derived.Derived, "__init__", refuse)
    monkeypatch.setattr(search.null_model.NullModel, "load", refuse)
    assert [found(client, **query) for query in queries] == before


def test_words_are_encoded_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    found(client, terms=RED)
    encoder = client.app.state.service.encoder(client.app.state.service.library()).encoder  # type: ignore[attr-defined]
    encode = encoder.encode_texts

    def noted(texts: Any) -> Any:
        asked.extend(texts)
        return encode(texts)

    monkeypatch.setattr(encoder, "encode_texts", noted)
    for text in ("red", "green", "green", "red"):
        found(client, terms=[{"text": text}])
    assert asked == ["green"]


def test_without_a_library_searches_say_how_to_make_one(bare_client: TestClient) -> None:
    answer = bare_client.post("/v1/search", json={"terms": RED})
    assert answer.status_code == 404
    assert "pellucid index" in answer.json()["detail"]


def test_searches_go_on_while_photos_are_added(
    client: TestClient, service_settings: Any, tmp_path: Path, paint: Callable[..., Path], make_encoder: Any
) -> None:
    from indexer import build

    answers: list[tuple[int, int]] = []
    done = threading.Event()

    def add() -> None:
        try:
            for number in range(4):
                paint(tmp_path / "more" / f"{number}.png", "red", seed=number)
                build(Library(service_settings.library), [tmp_path / "more"], make_encoder())
        finally:
            done.set()

    def ask(number: int) -> None:
        answer = client.post(
            "/v1/search", json={"terms": RED, "strictness": 0, "limit": 100, "sort": "date" if number % 3 else "relevance"}
        )
        answers.append((answer.status_code, len(answer.json().get("hits", []))))

    builder = threading.Thread(target=add)
    builder.start()
    with ThreadPoolExecutor(8) as pool:
        number = 0
        while not done.is_set() or number < 100:
            list(pool.map(ask, range(number, number + 8)))
            number += 8
    builder.join()
    assert len(answers) >= 100
    assert {status for status, _ in answers} == {200}
    assert {count for _, count in answers} <= set(range(14, 19))
    assert len(found(client, terms=RED, strictness=0, limit=100)["hits"]) == 18
