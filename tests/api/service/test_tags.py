"""Tags: what people say of them through the service, what there are, and the runs that wrote them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from preprocess import digest_of
from search import Library, Store


@pytest.fixture
def red(service_photos: Path) -> str:
    return digest_of(service_photos / "red.png")


@contextmanager
def _held(folder: Path, seconds: float | None = None) -> Iterator[None]:
    """Another writer holds the library; for so long, or until the end."""
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        with Library(folder).locked("index"):
            ready.set()
            done.wait(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _tags(client: TestClient, digest: str, tag: str) -> dict[str, Any]:
    """What an undo, which changes nothing here, says of the photo."""
    told: dict[str, Any] = client.delete(f"/v1/images/{digest}/tags/{quote(tag, safe='')}").json()
    return told


def test_what_people_say_of_a_tag_stays_and_can_be_taken_back(client: TestClient, service_library: Store, red: str) -> None:
    answer = client.put(f"/v1/images/{red}/tags/blue", json={"verdict": "confirmed"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["tag"], told["said"], told["known"], told["digest"]) == ("blue", "confirmed", True, red)
    assert {tag["tag"]: (tag["human"], tag["precision"]) for tag in told["tags"]}["blue"] == (True, 1)
    assert service_library.marks.labels()["blue"] == {red: "confirmed"}
    told = client.put(f"/v1/images/{red}/tags/red", json={"verdict": "rejected"}).json()
    assert "red" not in [tag["tag"] for tag in told["tags"]]
    assert told["rejected"] == ["red"]
    told = client.delete(f"/v1/images/{red}/tags/red").json()
    assert (told["said"], told["rejected"]) == (None, [])
    assert "red" in [tag["tag"] for tag in told["tags"]]
    assert Store(service_library.library).marks.labels() == {"blue": {red: "confirmed"}}


def test_a_synonym_or_another_spelling_is_the_tag_that_it_means(client: TestClient, red: str) -> None:
    assert client.put(f"/v1/images/{red}/tags/AZURE", json={"verdict": "confirmed"}).json()["tag"] == "blue"
    told = client.put(f"/v1/images/{red}/tags/Grandma's%20caf%C3%A9", json={"verdict": "confirmed"}).json()
    assert (told["tag"], told["known"]) == ("Grandma's café", False)


@pytest.mark.parametrize("tag", ["black/white", "写真", "a?b#c&d", "été ☀", "100%", "x/../y", "+", "50% off/é"])
def test_names_with_any_letters_go_there_and_back(client: TestClient, red: str, tag: str) -> None:
    told = client.put(f"/v1/images/{red}/tags/{quote(tag, safe='')}", json={"verdict": "confirmed"}).json()
    assert told["tag"] == tag, told
    assert tag in [each["tag"] for each in client.get("/v1/tags", params={"limit": 500}).json()["tags"]]
    assert client.delete(f"/v1/images/{red}/tags/{quote(tag, safe='')}").json()["tag"] == tag
    assert tag not in [each["tag"] for each in client.get("/v1/tags", params={"limit": 500}).json()["tags"]]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"{'0' * 64}/tags/red", {"verdict": "confirmed"}, 404),
        ("nonsense/tags/red", {"verdict": "confirmed"}, 422),
        ("RED/tags/red", {"verdict": "liked"}, 422),
        ("RED/tags/red", {}, 422),
        ("RED/tags/red", {"verdict": "confirmed", "more": 1}, 422),
        ("RED/tags/a%00b", {"verdict": "confirmed"}, 400),
        ("RED/tags/a%0Ab", {"verdict": "confirmed"}, 404),
        ("RED/tags/" + "x" * 300, {"verdict": "confirmed"}, 400),
        ("RED/tags/%20", {"verdict": "confirmed"}, 400),
        ("RED/tags/", {"verdict": "confirmed"}, 400),
        ("RED/tags/%FF", {"verdict": "confirmed"}, 400),
    ],
)
def test_what_cannot_be_said(client: TestClient, red: str, path: str, body: dict[str, Any], status: int) -> None:
    answer = client.put(f"/v1/images/{path.replace('RED', red)}", json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/v1/tag-runs/latest").status_code == 200


def test_the_next_list_and_the_next_search_see_what_was_said(client: TestClient, red: str) -> None:
    before = {tag["tag"]: tag["photos"] for tag in client.get("/v1/tags").json()["tags"]}
    client.put(f"/v1/images/{red}/tags/azure%20sky", json={"verdict": "confirmed"})
    after = {tag["tag"]: tag["photos"] for tag in client.get("/v1/tags").json()["tags"]}
    assert after == {**before, "azure sky": 1}
    review = client.get("/v1/tags/review", params={"where": "tag('azure sky')", "limit": 100}).json()["tags"]
    assert {each["digest"] for each in review} <= {red}


def test_tags_come_by_falling_count_in_pages_and_by_the_beginning_of_a_word(client: TestClient, red: str) -> None:
    for name in ("sand beach", "sandy beach", "Beach bar"):
        client.put(f"/v1/images/{red}/tags/{name}", json={"verdict": "confirmed"})
    told = client.get("/v1/tags").json()
    counts = [(-tag["photos"], tag["tag"]) for tag in told["tags"]]
    assert counts == sorted(counts)
    assert told["total"] == len(counts)
    assert told["next"] is None
    paged: list[str] = []
    cursor: str | None = None
    while cursor is not None or not paged:
        page = client.get("/v1/tags", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        paged += [tag["tag"] for tag in page["tags"]]
        cursor = page["next"]
    assert paged == [tag["tag"] for tag in told["tags"]]
    found = client.get("/v1/tags", params={"prefix": "BEA"}).json()
    assert {tag["tag"] for tag in found["tags"]} == {"sand beach", "sandy beach", "Beach bar"}
    assert client.get("/v1/tags", params={"prefix": "each"}).json()["total"] == 0
    assert client.get("/v1/tags", params={"cursor": "nonsense"}).status_code == 400
    assert client.get("/v1/tags", params={"prefix": "b", "cursor": "WzEsMSwiYSIsImIiXQ"}).status_code == 400


def test_counts_are_of_photos_of_the_library_and_copies_are_one(client: TestClient, service_library: Store, red: str) -> None:
    counts = {tag["tag"]: tag["photos"] for tag in client.get("/v1/tags").json()["tags"]}
    of_photos = [tag.tag for tags in service_library.marks.tags().values() for tag in tags]
    assert counts == {tag: of_photos.count(tag) for tag in set(of_photos)}


def test_what_to_ask_people_about_is_the_most_uncertain(client: TestClient, red: str) -> None:
    told = client.get("/v1/tags/review", params={"limit": 3}).json()
    assert len(told["tags"]) == 3
    assert told["open"] >= 3
    assert not any(each["human"] for each in told["tags"])
    first = told["tags"][0]
    client.put(f"/v1/images/{first['digest']}/tags/{first['tag']}", json={"verdict": "rejected"})
    after = client.get("/v1/tags/review", params={"limit": 500}).json()
    assert (first["digest"], first["tag"]) not in {(each["digest"], each["tag"]) for each in after["tags"]}
    only = client.get("/v1/tags/review", params={"limit": 500, "tag": "RED"}).json()
    assert {each["tag"] for each in only["tags"]} <= {"red"}
    assert client.get("/v1/tags/review", params={"where": "nonsense ="}).status_code == 400


def test_a_tag_waits_for_another_writer_and_then_is_said(client: TestClient, service_library: Store, red: str) -> None:
    with _held(service_library.library.folder, 0.5):
        begun = time.monotonic()
        answer = client.put(f"/v1/images/{red}/tags/red", json={"verdict": "confirmed"})
    assert answer.status_code == 200, answer.text
    assert time.monotonic() - begun > 0.3


def test_a_library_held_by_a_build_is_409_with_a_time_to_come_again(
    client: TestClient, service_library: Store, red: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.service.writing.write.__defaults__", (0.1,), raising=True)
    with _held(service_library.library.folder):
        answer = client.put(f"/v1/images/{red}/tags/red", json={"verdict": "confirmed"})
        assert answer.status_code == 409, answer.text
        assert answer.headers["retry-after"].isdecimal()
        assert client.post("/v1/tag-runs/latest:retract").status_code == 409
        assert client.get("/v1/tags").status_code == 200
    assert Store(service_library.library).marks.labels() == {}


def test_many_at_once_are_all_written(client: TestClient, service_library: Store, red: str) -> None:
    names = [f"word {at}" for at in range(12)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda name: client.put(f"/v1/images/{red}/tags/{name}", json={"verdict": "confirmed"}), names))
    assert [answer.status_code for answer in answers] == [200] * 12
    assert set(Store(service_library.library).marks.labels()) == set(names)


def test_runs_are_listed_compared_taken_back_and_adopted(
    client: TestClient, service_library: Store, service_words: Path, red: str, mean_colour_listed: str
) -> None:
    from api.tagging import run_tag

    (first,) = client.get("/v1/tag-runs").json()["runs"]
    assert first["state"] == "written"
    assert first["photos"] > 10
    assert client.get(f"/v1/tag-runs/{first['run'][:15]}").json() == first
    assert client.get("/v1/tag-runs/latest").json() == first
    run_tag(
        vocabulary=str(service_words), templates="plain", where=None, precision=0.3, most=1, dry_run=False, library=service_library.library.folder,
        encoder=None, on_progress=lambda _done, _total: None,
    )  # fmt: skip
    runs = client.get("/v1/tag-runs").json()["runs"]
    assert runs[0]["run"] == first["run"]
    later = runs[1]["run"]
    diff = client.get(f"/v1/tag-runs/{first['run']}/diff/{later}").json()
    assert (diff["earlier"], diff["later"]) == (first["run"], later)
    assert diff["removed"]
    changed = client.post(f"/v1/tag-runs/{later}:retract").json()
    assert changed == {"run": later, "was": "written", "did": "retract", "tags": runs[1]["tags"]}
    assert client.post(f"/v1/tag-runs/{later}:retract").status_code == 409
    assert client.get(f"/v1/tag-runs/{first['run']}/diff/{later}").status_code == 409
    client.put(f"/v1/images/{red}/tags/red", json={"verdict": "rejected"})
    adopted = client.post("/v1/tag-runs/latest:promote").json()
    assert (adopted["run"], adopted["did"]) == (first["run"], "promote")
    assert client.post(f"/v1/tag-runs/{first['run']}:retract").status_code == 409
    assert "red" not in [tag["tag"] for tag in _tags(client, red, "nothing")["tags"]]


@pytest.mark.parametrize("path", ["nobody", "nobody/diff/latest", "latest/diff/nobody", "%20", "2"])
def test_a_run_that_is_not_there_is_404_or_is_named_by_its_beginning(client: TestClient, path: str) -> None:
    assert client.get(f"/v1/tag-runs/{path}").status_code == (200 if path == "2" else 404)


def test_without_a_library_there_are_no_tags(bare_client: TestClient) -> None:
    assert bare_client.get("/v1/tags").json() == {"total": 0, "next": None, "tags": []}
    assert bare_client.get("/v1/tags/review").json() == {"open": 0, "tags": []}
    assert bare_client.get("/v1/tag-runs").json() == {"runs": []}
    for path in ("/v1/tag-runs/latest",):
        assert bare_client.get(path).status_code == 404, path
    assert bare_client.put(f"/v1/images/{'0' * 64}/tags/red", json={"verdict": "confirmed"}).status_code == 404


def test_stats_say_what_is_there(client: TestClient, service_library: Store, service_photos: Path) -> None:
    told = client.get("/v1/stats").json()
    assert told["photos"] == service_library.images(["digest"]).num_rows == 14
    assert told["roots"] == {str(service_photos): 14}
    assert (told["encoder"], told["tag_runs"], told["failures"], told["facts"]) == ("mean-colour", 1, 0, None)
    assert told["scopes"] == ["read", "tag", "admin"]
    full = client.get("/v1/stats?full=true").json()
    assert full["facts"]["distinct_photos"] == 13
    assert {name: full[name] for name in told if name != "facts"} == {name: told[name] for name in told if name != "facts"}


def test_stats_of_no_library_say_that_nothing_is_there(bare_client: TestClient) -> None:
    told = bare_client.get("/v1/stats?full=true").json()
    assert (told["photos"], told["roots"], told["encoder"], told["facts"]) == (0, {}, None, None)


def test_stats_of_an_unchanged_library_open_no_store(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get("/v1/stats").json()

    def never(*_: Any) -> Any:
        raise AssertionError("the store was opened")

    monkeypatch.setattr("search.Store", never)
    assert client.get("/v1/stats").json() == first


@pytest.mark.parametrize(("method", "path"), [("PUT", f"/v1/images/{'0' * 64}/tags/red"), ("DELETE", f"/v1/images/{'0' * 64}/tags/red"),
                                              ("POST", "/v1/tag-runs/latest:retract"), ("POST", "/v1/tag-runs/latest:promote")])  # fmt: skip
def test_a_key_for_reading_says_nothing_of_tags(
    make_settings: Callable[..., Any], connect: Callable[..., TestClient], method: str, path: str
) -> None:
    from api.service.keys import KeyStore

    settings = make_settings()
    _, secret = KeyStore(settings.library).create("read")
    client = connect(settings, headers={"Authorization": f"Bearer {secret}"})
    answer = client.request(method, path, json={"verdict": "confirmed"} if method == "PUT" else None)
    assert answer.status_code == 403, answer.text
    assert client.get("/v1/stats").json()["scopes"] == ["read"]
