"""The library without a query: lists, shapes, what is known of a photo, facets, places and duplicates."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.service.schemas_images import DuplicatesGiven, FacetsGiven, ImageGiven, MapGiven
from api.service.schemas_search import LayoutGiven, PhotosGiven
from search import Library, Store

NOBODY = "0" * 64


def got(client: TestClient, path: str, model: Any, **query: Any) -> dict[str, Any]:
    """An answer that is in order."""
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    model.model_validate_json(answer.content)
    body: dict[str, Any] = answer.json()
    return body


def photos(client: TestClient, **query: Any) -> list[str]:
    """Paths of the photos that are listed."""
    return [photo["path"] for photo in got(client, "/v1/images", PhotosGiven, **query)["photos"]]


BAD: list[tuple[str, dict[str, Any], int]] = [
    ("/v1/images", {"where": "nonsense = 1"}, 400), ("/v1/images", {"where": "x" * 4_001}, 422), ("/v1/images", {"sort": "size"}, 422),
    ("/v1/images", {"order": "up"}, 422), ("/v1/images", {"limit": 0}, 422), ("/v1/images", {"limit": 1_001}, 422), ("/v1/images", {"start": -1}, 422),
    ("/v1/images", {"start": 10**12}, 422), ("/v1/images", {"cursor": "zzz"}, 400), ("/v1/images", {"cursor": "WzEsMCwiIiwiIl0", "start": 1}, 400),
    ("/v1/images", {"cursor": "WzEsMCwiIiwiIl0"}, 400), ("/v1/layout", {"where": "nonsense = 1"}, 400), ("/v1/layout", {"sort": "size"}, 422),
    ("/v1/facets", {"where": "(SELECT 1)"}, 400), ("/v1/facets", {"where": ""}, 400), ("/v1/map", {"where": "nonsense = 1"}, 400), ("/v1/map", {"limit": 0}, 422),
    ("/v1/map", {"cursor": "zzz"}, 400), ("/v1/duplicates", {"kind": "twins"}, 422), ("/v1/duplicates", {"where": "nonsense = 1"}, 400),
    ("/v1/duplicates", {"cursor": "zzz"}, 400), (f"/v1/images/{NOBODY}", {}, 404), ("/v1/images/nonsense", {}, 422), (f"/v1/images/{NOBODY.replace('0', 'A')}", {}, 422),
    (f"/v1/images/{NOBODY}/thumbnail", {}, 404), (f"/v1/images/{NOBODY}/preview", {}, 404), (f"/v1/images/{NOBODY}/file", {}, 404), ("/v1/images/../keys/file", {}, 404),
]  # fmt: skip


def test_bad_requests_say_what_is_wrong(client: TestClient) -> None:
    for path, query, status in BAD:
        answer = client.get(path, params=query)
        assert (path, query, answer.status_code) == (path, query, status), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]


def test_photos_are_listed_each_once_in_every_order(client: TestClient) -> None:
    trip = [f"trip/{name} é.jpg" for name in ("white and black", "green and yellow", "red and blue")]  # the newest first
    plain = sorted(f"{name}.png" for name in ("red", "green", "blue", "yellow", "cyan", "magenta", "orange", "black", "white", "grey"))
    assert photos(client) == trip + plain
    assert photos(client, order="asc") == trip[::-1] + plain
    assert photos(client, sort="path", order="asc") == sorted(trip + plain)
    assert photos(client, sort="path") == sorted(trip + plain, reverse=True)
    assert photos(client, sort="quality") == photos(client, sort="rating", order="asc") == sorted(trip + plain)
    assert photos(client, where="path LIKE 'trip/red%'", sort="path", order="asc") == [
        "trip/red copy.png",
        "trip/red and blue é.jpg",
    ]  # in the order of their first names
    assert photos(client, where="tag('red') AND iso > 100") != []


def test_photos_are_sorted_by_their_scores(client: TestClient, service_library: Store) -> None:
    by_path = {photo["path"]: photo["digest"] for photo in got(client, "/v1/images", PhotosGiven)["photos"]}
    with service_library.library.locked("test"):
        service_library.scores.put({by_path["red.png"]: {"quality": 0.5}, by_path["blue.png"]: {"quality": 0.75, "warm": 0.1}}, "test")
    listed = got(client, "/v1/images", PhotosGiven, sort="quality")["photos"]
    assert [(photo["path"], photo["facts"].get("quality")) for photo in listed[:3]] == [
        ("blue.png", 0.75),
        ("red.png", 0.5),
        ("black.png", None),
    ]
    assert photos(client, sort="quality", order="asc")[:2] == ["red.png", "blue.png"]
    facets = got(client, "/v1/facets", FacetsGiven)
    assert facets["quality"] == [0, 0, 0, 0, 0, 1, 0, 1, 0, 0]
    assert {"quality", "warm"} <= set(facets["scored"])
    known = got(client, f"/v1/images/{by_path['blue.png']}", ImageGiven)
    assert known["scores"]["warm"] == 0.1
    assert known["score_note"]


def test_pages_walked_to_the_end_give_each_photo_once(client: TestClient) -> None:
    whole = photos(client)
    for limit in (1, 4, 13):
        walked, cursor = [], None
        while True:
            page = got(client, "/v1/images", PhotosGiven, limit=limit, **({"cursor": cursor} if cursor else {}))
            walked += [photo["path"] for photo in page["photos"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert walked == whole
        assert page["total"] == 13
    assert photos(client, start=5, limit=2) == whole[5:7]
    assert photos(client, start=99) == []
    cursor = got(client, "/v1/images", PhotosGiven, limit=3)["next"]
    assert client.get("/v1/images", params={"cursor": cursor, "sort": "path"}).status_code == 400


def test_the_layout_is_of_the_same_photos_in_the_same_order(client: TestClient) -> None:
    for query in ({}, {"where": "width > 100"}, {"sort": "path", "order": "asc"}, {"where": "width > 9999"}):
        listed = got(client, "/v1/images", PhotosGiven, **query)
        layout = got(client, "/v1/layout", LayoutGiven, **query)
        assert layout["aspects"] == [round(100 * photo["width"] / photo["height"]) for photo in listed["photos"]]
        assert (layout["total"], layout["state"]) == (listed["total"], listed["state"])


def test_a_layout_is_sent_again_only_when_the_library_has_changed(
    client: TestClient, service_settings: Any, tmp_path: Path, paint: Callable[..., Path], make_encoder: Any
) -> None:
    from indexer import build

    first = client.get("/v1/layout")
    again = {"If-None-Match": first.headers["etag"]}
    assert client.get("/v1/layout", headers=again).status_code == 304
    assert client.get("/v1/layout?sort=path", headers=again).status_code == 200
    cursor = got(client, "/v1/images", PhotosGiven, limit=3)["next"]
    paint(tmp_path / "more" / "tall.png", "red", seed=1, size=(10, 40))
    build(Library(service_settings.library), [tmp_path / "more"], make_encoder())
    later = client.get("/v1/layout", headers=again)
    assert later.status_code == 200
    assert 25 in later.json()["aspects"]
    assert later.json()["state"] != first.json()["state"]
    assert "changed" in got(client, "/v1/images", PhotosGiven, limit=3, cursor=cursor)["note"]


def test_all_is_told_of_a_photo(client: TestClient, service_photos: Path) -> None:
    listed = {photo["path"]: photo for photo in got(client, "/v1/images", PhotosGiven)["photos"]}
    red = got(client, f"/v1/images/{listed['red.png']['digest']}", ImageGiven)
    assert red["places"] == [{"root": str(service_photos), "path": path, "there": True} for path in ("red.png", "trip/red copy.png")]
    assert red["regions"] == []
    assert red["dehazed"] is None
    assert red["scores"]["measured_contrast"] == 0
    trip = got(client, f"/v1/images/{listed['trip/red and blue é.jpg']['digest']}", ImageGiven)
    numbers = [region["number"] for region in trip["regions"]]
    assert numbers == list(range(len(numbers)))
    assert numbers
    assert {region["maker"] for region in trip["regions"]} == {"proposals-1"}
    assert all(0 <= x1 < x2 <= 192 and 0 <= y1 < y2 <= 128 for x1, y1, x2, y2 in (region["box_xyxy"] for region in trip["regions"]))
    assert {"red", "blue"} <= {tag["tag"] for tag in trip["tags"]}
    assert all(tag["run"] and not tag["human"] for tag in trip["tags"])
    paths = [hit["path"] for hit in trip["neighbours"]]
    assert len(paths) == 12
    assert "trip/red and blue é.jpg" not in paths
    assert [hit["similarity"] for hit in trip["neighbours"]] == sorted((hit["similarity"] for hit in trip["neighbours"]), reverse=True)
    assert not any(hit["digest"] == red["digest"] for hit in red["neighbours"])


def test_regions_have_the_outlines_of_their_masks(
    client: TestClient, service_settings: Any, tmp_path: Path, make_encoder: Any, halves: Any, paint: Callable[..., Path]
) -> None:
    from indexer import BuildOptions, build

    assert halves.id == "halves-1"
    file = paint(tmp_path / "more" / "wide.png", "red", seed=2, size=(40, 20))
    build(Library(service_settings.library), [file.parent], make_encoder(), BuildOptions(regions="halves", dehaze="none"))
    (photo,) = got(client, "/v1/images", PhotosGiven, where="path = 'wide.png'")["photos"]
    left, right = got(client, f"/v1/images/{photo['digest']}", ImageGiven)["regions"]
    assert left["box_xyxy"] == [0, 0, 20, 20]
    assert right["box_xyxy"] == [20, 0, 40, 20]
    assert left["label"] == "red"
    (line,) = left["polygons"]
    assert {(x, y) for x, y in zip(line[::2], line[1::2], strict=True)} == {(0, 0), (20, 0), (20, 20), (0, 20)}


def test_what_people_said_of_tags_is_told(client: TestClient, service_library: Store) -> None:
    (photo,) = got(client, "/v1/images", PhotosGiven, where="path = 'red.png'")["photos"]
    with service_library.library.locked("test"):
        service_library.marks.label(photo["digest"], "black", "rejected")
        service_library.marks.label(photo["digest"], "holiday", "confirmed")
    known = got(client, f"/v1/images/{photo['digest']}", ImageGiven)
    tags = {tag["tag"]: tag for tag in known["tags"]}
    assert known["rejected"] == ["black"]
    assert "black" not in tags
    assert tags["holiday"]["human"]
    assert tags["holiday"]["precision"] == 1
    facets = {entry["value"]: entry["photos"] for entry in got(client, "/v1/facets", FacetsGiven)["tags"]}
    assert facets["holiday"] == 1
    assert facets["red"] == 8


def test_facets_count_photos(client: TestClient) -> None:
    every = got(client, "/v1/facets", FacetsGiven)
    assert (every["photos"], every["located"], every["taken"]) == (13, 3, ["2024-05-01T10:00:00", "2024-05-03T10:00:00"])
    assert every["cameras"] == [{"value": "Lumen L-1", "photos": 3}]
    assert every["years"] == [{"value": "2024", "photos": 3}]
    assert every["formats"] == [{"value": "PNG", "photos": 10}, {"value": "JPEG", "photos": 3}]
    assert every["regions"] == [{"value": "part", "photos": 3}]
    assert sum(every["haze"]) == 13
    some = got(client, "/v1/facets", FacetsGiven, where="iso >= 200")
    assert (some["photos"], some["located"], some["formats"]) == (2, 2, [{"value": "JPEG", "photos": 2}])
    assert some["regions"][0]["photos"] == 2
    tags = {entry["value"]: entry["photos"] for entry in some["tags"]}
    assert tags
    assert all(count <= 2 for count in tags.values())
    none = got(client, "/v1/facets", FacetsGiven, where="iso > 9999")
    assert (none["photos"], none["taken"], none["tags"], none["regions"], none["cameras"], sum(none["haze"])) == (0, None, [], [], [], 0)


def test_the_map_has_the_photos_with_a_place(client: TestClient) -> None:
    body = got(client, "/v1/map", MapGiven)
    assert body["total"] == 3
    assert [round(point["latitude"] * 3600 - 47.5 * 3600) for point in body["points"]] == [3, 2, 1]
    page = got(client, "/v1/map", MapGiven, limit=2)
    following = got(client, "/v1/map", MapGiven, limit=2, cursor=page["next"])
    assert page["points"] + following["points"] == body["points"]
    assert following["next"] is None
    assert got(client, "/v1/map", MapGiven, where="iso = 200")["total"] == 1


def test_duplicates_are_found_once_for_each_state(
    client: TestClient,
    service_settings: Any,
    tmp_path: Path,
    paint: Callable[..., Path],
    make_encoder: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import search
    from indexer import build

    calls: list[int] = []
    find = search.find_duplicates

    def counted(*given: Any) -> Any:
        calls.append(1)
        return find(*given)

    monkeypatch.setattr(search, "find_duplicates", counted)
    body = got(client, "/v1/duplicates", DuplicatesGiven)
    (group,) = body["groups"]
    assert [frame["path"] for frame in group["frames"]] == ["red.png", "trip/red copy.png"]
    assert body["spare_bytes"] == group["spare_bytes"] > 0
    assert group["frames"][1]["likeness"] == "the same bytes"
    assert body["comparing"] is None
    assert got(client, "/v1/duplicates", DuplicatesGiven, kind="burst")["groups"] == []
    assert len(calls) == 1
    assert got(client, "/v1/duplicates", DuplicatesGiven, where="path <> 'red.png'")["groups"] == []
    assert len(calls) == 2
    for name in ("one.png", "two.png"):
        paint(tmp_path / "more" / name, "cyan", seed=5)
    build(Library(service_settings.library), [tmp_path / "more"], make_encoder())
    first = got(client, "/v1/duplicates", DuplicatesGiven, limit=1, kind="exact")
    second = got(client, "/v1/duplicates", DuplicatesGiven, limit=1, kind="exact", cursor=first["next"])
    assert (first["total"], second["next"], len(calls)) == (2, None, 3)
    assert {group["frames"][0]["path"] for page in (first, second) for group in page["groups"]} == {"one.png", "red.png"}


def test_a_long_comparison_says_how_far_it_is_and_holds_nothing_up(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    import api.service.duplicates_routes as routes
    import search

    goes_on = threading.Event()
    find = search.find_duplicates

    def slow(derived: Any, options: Any, move: Any) -> Any:
        move(3, 10)
        assert goes_on.wait(20)
        return find(derived, options, move)

    monkeypatch.setattr(search, "find_duplicates", slow)
    monkeypatch.setattr(routes, "PATIENCE_S", 0.05)
    answer = client.get("/v1/duplicates")
    assert answer.headers["retry-after"]
    assert answer.json()["comparing"] == {"stage": "comparing", "done": 3, "total": 10, "eta_s": None}
    assert DuplicatesGiven.model_validate_json(answer.content).groups == []
    assert photos(client)
    goes_on.set()
    monkeypatch.setattr(routes, "PATIENCE_S", 20)
    assert got(client, "/v1/duplicates", DuplicatesGiven)["total"] == 1


def check_nothing(client: TestClient) -> None:
    """That lists of a library without photos are there, and empty."""
    assert got(client, "/v1/images", PhotosGiven)["photos"] == []
    assert got(client, "/v1/layout", LayoutGiven)["aspects"] == []
    assert got(client, "/v1/facets", FacetsGiven)["photos"] == 0
    assert got(client, "/v1/map", MapGiven, where="iso = 100")["points"] == []
    assert got(client, "/v1/duplicates", DuplicatesGiven)["groups"] == []


def test_without_a_library_lists_are_empty_and_photos_are_not_there(bare_client: TestClient, tmp_path: Path) -> None:
    check_nothing(bare_client)
    first = bare_client.get("/v1/layout")
    assert bare_client.get("/v1/layout", headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    for path in (f"images/{NOBODY}", f"images/{NOBODY}/thumbnail", f"images/{NOBODY}/file"):
        assert (path, bare_client.get(f"/v1/{path}").status_code) == (path, 404)
    Library(tmp_path / "no library yet", create=True)  # as an index job leaves it that was stopped at once
    check_nothing(bare_client)


def test_facets_of_nothing_are_those_of_no_photo(client: TestClient) -> None:
    from api.service.facets import NO_FACETS

    told = got(client, "/v1/facets", FacetsGiven, where="width < 0")
    assert {**told, "scored": []} == json.loads(json.dumps(NO_FACETS))


def held_comparisons(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Comparisons do not end before the event."""
    import api.service.duplicates_routes as routes
    import search

    goes_on, find = threading.Event(), search.find_duplicates

    def slow(derived: Any, options: Any, move: Callable[[int, int], None]) -> Any:
        goes_on.wait(20)
        move(1, 2)
        return find(derived, options, move)

    monkeypatch.setattr(search, "find_duplicates", slow)
    monkeypatch.setattr(routes, "PATIENCE_S", 0.01)
    return goes_on


def test_comparisons_that_wait_are_given_up_when_the_library_changes(
    client: TestClient,
    service_settings: Any,
    tmp_path: Path,
    paint: Callable[..., Path],
    make_encoder: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import api.service.duplicates_routes as routes
    from indexer import build

    goes_on = held_comparisons(monkeypatch)
    with ThreadPoolExecutor(3) as pool:
        try:
            for where in ("width > 0", "width > 1"):  # one runs, and one waits for it
                assert got(client, "/v1/duplicates", DuplicatesGiven, where=where)["comparing"]
            monkeypatch.setattr(routes, "PATIENCE_S", 20)
            waiting = [pool.submit(client.get, "/v1/duplicates", params={"where": where}) for where in ("width > 0", "width > 1")]
            paint(tmp_path / "more" / "new.png", "cyan", seed=5)
            build(Library(service_settings.library), [tmp_path / "more"], make_encoder())
            asked = pool.submit(client.get, "/v1/duplicates")
            told = waiting[1].result(10)
            assert (told.status_code, told.json()["comparing"] is None, told.headers["retry-after"]) == (200, False, "2")
        finally:
            goes_on.set()
        assert waiting[0].result(10).json()["comparing"]  # stopped at its next step
        assert asked.result(10).json()["total"] == 1


def test_more_comparisons_than_are_kept_are_told_to_come_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = held_comparisons(monkeypatch)
    try:
        told = [client.get("/v1/duplicates", params={"where": f"width > {at}"}).status_code for at in (0, 1, 2, 3, 4, 0)]
        assert told == [200, 200, 200, 200, 503, 200]
    finally:
        goes_on.set()
    limit = time.monotonic() + 10
    while client.get("/v1/duplicates", params={"where": "width > 4"}).status_code == 503 and time.monotonic() < limit:
        time.sleep(0.02)
    assert client.get("/v1/duplicates", params={"where": "width > 4"}).status_code == 200


def test_a_number_that_json_cannot_say_is_null() -> None:
    from api.service.photo_rows import as_json

    told = as_json({"a": [1.5, float("inf"), {"b": float("nan")}], "é": "\udc80"})
    assert json.loads(told) == {"a": [1.5, None, {"b": None}], "é": "\udc80"}
    assert "é".encode() in told


def test_plain_values_are_written_as_the_model_would(client: TestClient) -> None:
    from api.service.photo_rows import as_json

    body = got(client, "/v1/images", PhotosGiven)
    assert json.loads(as_json(body)) == json.loads(PhotosGiven.model_validate(body).model_dump_json())
