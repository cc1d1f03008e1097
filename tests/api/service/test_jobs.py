"""Jobs over HTTP: asking, watching, cancelling, fetching; who may; and each kind once, with the tests' tiny encoder."""

from __future__ import annotations

import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from api.service.job_process import settings_variables
from api.service.job_work import WORK, Made
from api.service.keys import KeyStore
from api.service.schemas_jobs import DehazeOptions, ExportOptions, IndexOptions, ScoreOptions, TagOptionsAsked
from api.settings import Settings
from preprocess import InputError
from search import Library, Store, image_row

HERE = Path(__file__)
REAL = (sys.executable, "-P", str(HERE.with_name("colour_child.py")))
FAKE = (sys.executable, "-I", "-S", "-c", """
import json, sys, time
request = json.loads(sys.stdin.readline())
print(json.dumps({"log": "on"}), flush=True)
try:
    sys.stdin.read() if request["options"].get("where") == "hang" else None
    open(request["place"] + "/coco.zip", "w").write("0123456789")
    print(json.dumps({"ended": "finished", "outcome": request["options"], "result": "coco.zip"}), flush=True)
except KeyboardInterrupt:
    print(json.dumps({"ended": "interrupted", "outcome": None}), flush=True)
""")  # fmt: skip
EXPORT = {"kind": "export", "options": {"format": "coco"}}
HANG = {"kind": "export", "options": {"format": "coco", "where": "hang"}}

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX systems"), pytest.mark.timeout(120)]


@pytest.fixture
def fake(client: TestClient) -> TestClient:
    """The service with jobs that do nothing."""
    client.app.state.service.jobs.command = FAKE  # type: ignore[attr-defined]
    return client


def ended(client: TestClient, job: Any, seconds: float = 60) -> dict[str, Any]:
    """The job when it has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found: dict[str, Any] = client.get(f"/v1/jobs/{job['id']}").json()
        if found["state"] not in ("waiting", "running"):
            return found
        time.sleep(0.02)
    raise AssertionError(f"{found} never ended")


def told(client: TestClient, job_id: str, last: int | None = None) -> list[tuple[int, str, Any]]:
    """All that a job says until it ends."""
    answer = client.get(f"/v1/jobs/{job_id}/events", headers={} if last is None else {"Last-Event-ID": str(last)})
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in answer.text.split("\n\n") if "data: " in block]
    return [(int(block["id"]), block["event"], json.loads(block["data"])) for block in blocks]


def test_a_job_from_asking_to_its_file(fake: TestClient) -> None:
    assert fake.get("/v1/jobs").json() == {"jobs": [], "total": 0, "next": None}
    asked = fake.post("/v1/jobs", json=EXPORT)
    job = asked.json()
    assert (asked.status_code, asked.headers["location"]) == (202, f"/v1/jobs/{job['id']}")
    assert (job["kind"], job["state"], job["result"], job["attempts"]) == ("export", "waiting", None, 0)
    job = ended(fake, job)
    assert (job["state"], job["result"], job["error"], job["cancelling"]) == ("finished", f"/v1/jobs/{job['id']}/result", None, False)
    whole = fake.get(job["result"])
    assert (whole.status_code, whole.text, whole.headers["content-type"]) == (200, "0123456789", "application/zip")
    assert 'filename="coco.zip"' in whole.headers["content-disposition"]
    part = fake.get(job["result"], headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.text, part.headers["content-range"]) == (206, "234", "bytes 2-4/10")
    assert fake.get(job["result"], headers={"Range": "bytes=99-"}).status_code == 416
    assert fake.get("/v1/jobs").json()["jobs"] == [job]
    assert fake.get("/v1/jobs", params={"state": "failed"}).json()["total"] == 0


def test_long_lists_are_cut(fake: TestClient) -> None:
    labels = [f"word {at}" for at in range(1_500)]
    job = ended(fake, fake.post("/v1/jobs", json={"kind": "tag", "options": {"labels": labels}}).json())
    (listed,) = fake.get("/v1/jobs").json()["jobs"]
    assert [len(one["options"]["labels"]) for one in (job, listed)] == [1_000, 20]
    assert [len(one["outcome"]["labels"]) for one in (job, listed)] == [1_000, 20]
    stored = fake.app.state.service.jobs.get(job["id"])  # type: ignore[attr-defined]
    assert stored.options["labels"] == labels


def test_pages_of_jobs(fake: TestClient) -> None:
    ids = [fake.post("/v1/jobs", json=EXPORT).json()["id"] for _ in range(5)]
    seen, cursor = [], None
    while True:
        page = fake.get("/v1/jobs", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
        if cursor is None:
            break
        assert page["total"] == 5
    assert seen == ids[::-1]
    assert fake.get("/v1/jobs", params={"cursor": "damaged"}).status_code == 400


def test_the_same_request_with_the_same_key_is_the_same_job(fake: TestClient) -> None:
    key = {"Idempotency-Key": "photos of 2024-05-01"}
    first = fake.post("/v1/jobs", json=EXPORT, headers=key)
    again = fake.post("/v1/jobs", json=EXPORT, headers=key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    other = fake.post("/v1/jobs", json=HANG, headers=key)
    assert other.status_code == 422
    assert "another request" in other.json()["detail"]
    assert fake.post("/v1/jobs", json=EXPORT, headers={"Idempotency-Key": "x" * 256}).status_code == 422
    assert fake.get("/v1/jobs").json()["total"] == 1


def test_events_end_with_the_job_and_are_not_told_twice(fake: TestClient) -> None:
    job_id = fake.post("/v1/jobs", json=EXPORT).json()["id"]
    events = told(fake, job_id)
    assert [kind for _, kind, _ in events if kind != "state"] == ["log"]
    number, kind, job = events[-1]
    assert (kind, job["id"], job["state"]) == ("state", job_id, "finished")
    assert told(fake, job_id, events[0][0]) == [event for event in events if event[0] > events[0][0]]
    nothing = fake.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": str(number)})
    assert (nothing.status_code, nothing.content) == (204, b"")
    assert told(fake, job_id, None)
    assert fake.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "odd"}).status_code == 200


def test_cancelling_over_http(fake: TestClient) -> None:
    running = fake.post("/v1/jobs", json=HANG).json()
    waiting = fake.post("/v1/jobs", json=EXPORT).json()
    while not fake.app.state.service.jobs.events(running["id"], 3):  # type: ignore[attr-defined]
        time.sleep(0.02)
    assert fake.delete(f"/v1/jobs/{waiting['id']}").json()["state"] == "cancelled"
    assert fake.delete(f"/v1/jobs/{running['id']}").json()["cancelling"]
    done = ended(fake, running)
    assert (done["state"], done["cancelling"]) == ("cancelled", False)
    assert fake.delete(f"/v1/jobs/{running['id']}").json() == done
    assert fake.get(f"/v1/jobs/{running['id']}/result").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/jobs/no"), ("DELETE", "/v1/jobs/no"), ("GET", "/v1/jobs/no/events"), ("GET", "/v1/jobs/no/result")]
)
def test_a_job_that_is_not_there(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 404
    assert "There is no job 'no'" in answer.json()["detail"]


WRONG = [
    ({"kind": "paint"}, 422, "kind"),
    ({"kind": "index", "options": {"rots": []}}, 422, "rots"),
    ({"kind": "index", "options": {"roots": ["/etc"]}}, 400, "no folder that this service may read"),
    ({"kind": "index", "options": {"roots": ["/no/such/folder"]}}, 400, "no folder that this service may read"),
    ({"kind": "index", "options": {"roots": ["."]}}, 400, "no folder that this service may read"),
    ({"kind": "index", "options": {"roots": ["a\0b"]}}, 400, "no folder that this service may read"),
    ({"kind": "index", "options": {"dehaze": "fog"}}, 400, "fog"),
    ({"kind": "index", "options": {"regions": "buildin"}}, 400, "Did you mean"),
    ({"kind": "tag", "options": {"vocabulary": "/etc/passwd"}}, 400, "No vocabulary named"),
    ({"kind": "tag", "options": {"labels": ["a, b"]}}, 400, "a, b"),
    ({"kind": "tag", "options": {"labels": ["dog", "Dog"]}}, 400, "og"),
    ({"kind": "tag", "options": {"labels": []}}, 400, "no tag"),
    ({"kind": "tag", "options": {"precision": 1}}, 400, "precision"),
    ({"kind": "export", "options": {"format": "cocoo"}}, 400, "Did you mean 'coco'"),
    ({"kind": "export"}, 422, "options"),
    ({"kind": "dehaze-batch", "options": {"method": "fan"}}, 400, "fan"),
]


@pytest.mark.parametrize(("asked", "status", "said"), WRONG)
def test_what_cannot_be_done_is_said_at_once(client: TestClient, asked: Any, status: int, said: str) -> None:
    answer = client.post("/v1/jobs", json=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"]
    assert client.get("/v1/jobs").json()["total"] == 0


def test_folders_lie_in_the_roots_links_followed(
    make_settings: Callable[..., Settings], connect: Callable[..., TestClient], tmp_path: Path, service_photos: Path
) -> None:
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    (allowed / "été").mkdir(parents=True)
    outside.mkdir()
    (allowed / "way out").symlink_to(outside)
    (tmp_path / "way in").symlink_to(allowed)
    client = connect(make_settings(serve_roots=[tmp_path / "way in"]))
    client.app.state.service.jobs.command = FAKE  # type: ignore[attr-defined]

    def ask(folder: Path) -> int:
        return client.post("/v1/jobs", json={"kind": "index", "options": {"roots": [str(folder)]}}).status_code

    within = [allowed, allowed / "été", tmp_path / "way in" / "été", allowed / "x" / ".." / "été", service_photos, service_photos / "trip"]
    without = [outside, allowed / "way out", allowed / ".." / "outside", tmp_path, service_photos.parent, allowed / "missing"]
    assert [ask(folder) for folder in within] == [202] * 6
    assert [ask(folder) for folder in without] == [400] * 6
    roots = client.get("/v1/jobs").json()["jobs"][3]["options"]["roots"]
    assert roots == [str(allowed / "été")]  # by its real name


def test_who_may_start_and_cancel_what(service_settings: Settings, connect: Callable[..., TestClient]) -> None:
    store = KeyStore(service_settings.library)
    keys = {
        "ro": store.create("read", "ro")[1],
        "t1": store.create("tag", "t1")[1],
        "t2": store.create("tag", "t2")[1],
        "boss": store.create("admin", "boss")[1],
    }
    client = connect(service_settings)
    client.app.state.service.jobs.command = FAKE  # type: ignore[attr-defined]

    def call(name: str, method: str, path: str, body: Any = None) -> Any:
        return client.request(method, path, json=body, headers={"Authorization": f"Bearer {keys[name]}"})

    tag = {"kind": "tag", "options": {"where": "hang"}}
    assert call("ro", "POST", "/v1/jobs", tag).status_code == 403
    for asked in (EXPORT, {"kind": "index"}, {"kind": "dehaze-batch"}):
        assert call("t1", "POST", "/v1/jobs", asked).status_code == 403
    assert call("t1", "POST", "/v1/datasets:tag", {"source": {"urls": ["http://x.example/a.jpg"]}}).status_code == 403
    first, second = (call("t1", "POST", "/v1/jobs", tag).json() for _ in range(2))
    assert call("ro", "GET", f"/v1/jobs/{first['id']}").status_code == 200
    assert call("ro", "DELETE", f"/v1/jobs/{first['id']}").status_code == 403
    assert call("t2", "DELETE", f"/v1/jobs/{first['id']}").status_code == 403
    assert call("t1", "DELETE", f"/v1/jobs/{first['id']}").status_code == 200
    assert call("boss", "DELETE", f"/v1/jobs/{second['id']}").status_code == 200
    key = "k"
    mine = client.post("/v1/jobs", json=tag, headers={"Authorization": f"Bearer {keys['t1']}", "Idempotency-Key": key})
    others = client.post("/v1/jobs", json=tag, headers={"Authorization": f"Bearer {keys['t2']}", "Idempotency-Key": key})
    assert mine.json()["id"] != others.json()["id"]


def test_an_index_job_in_a_process_of_its_own(
    make_settings: Callable[..., Settings], connect: Callable[..., TestClient], tmp_path: Path, paint: Callable[..., Path]
) -> None:
    paint(tmp_path / "new" / "pink ü.png", "magenta", seed=1)
    client = connect(make_settings(serve_roots=[tmp_path / "new"], dehaze="none"))
    client.app.state.service.jobs.command = REAL  # type: ignore[attr-defined]
    job = ended(client, client.post("/v1/jobs", json={"kind": "index", "options": {"roots": [str(tmp_path / "new")]}}).json())
    assert (job["state"], job["error"], job["outcome"]["new"]) == ("finished", None, 1)
    assert job["progress"]["stage"] == "writing the index"
    library = Library(client.app.state.service.settings.library)  # type: ignore[attr-defined]
    assert len(Store(library).images(["path"])) == 15
    assert not list((library.folder / "service" / "results").iterdir())


Do = Callable[..., Any]


@pytest.fixture
def do(service_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Do:
    """What a kind of job does, done in this process; with what it told."""
    for name, value in settings_variables(service_settings).items():
        monkeypatch.setenv(name, value)
    results = service_settings.library / "service" / "results"

    def run(kind: Any, options: Any) -> tuple[Made, list[Any]]:
        told: list[Any] = []
        place = results / f"{len(list(results.glob('*')))}.part"
        place.mkdir(parents=True)
        adapter = {
            "index": IndexOptions,
            "tag": TagOptionsAsked,
            "score": ScoreOptions,
            "export": ExportOptions,
            "dehaze-batch": DehazeOptions,
        }[kind]
        teller: Any = SimpleNamespace(progress=lambda *facts: told.append(facts), log=told.append)
        return WORK[kind](adapter(**options).model_dump(mode="json"), place, place, teller), told

    return run


def test_a_tag_job_keeps_its_words(do: Do, service_library: Store) -> None:
    made, told = do("tag", {"labels": ["red", "blue"], "precision": 0.02})
    assert (made.outcome["vocabulary"], made.outcome["photos"], made.interrupted, made.result) == ("labels", 13, False, None)
    assert "library" not in made.outcome
    assert told[-1][0] == "tagging"
    assert [Path(run.vocabulary).name.partition("-")[0] for run in service_library.marks.runs()] == ["colours.yaml", "labels"]
    do("tag", {"labels": ["red", "blue"], "precision": 0.03})
    assert len({run.vocabulary for run in service_library.marks.runs()}) == 2  # the same words are the same file


def test_a_score_job(do: Do, service_library: Store) -> None:
    made, _ = do("score", {"axes": ["quality"]})
    assert (made.outcome["scored"], set(made.outcome["axes"])) == (13, {"quality"})
    assert len(service_library.scores.values("quality")) == 13


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_an_export_job_is_a_zip(do: Do, form: str) -> None:
    made, _ = do("export", {"format": form, "where": "path LIKE '%é%'"})
    assert made.outcome["photos"] == 3
    assert "destination" not in made.outcome
    with zipfile.ZipFile(made.result) as archive:
        assert archive.testzip() is None
        if form == "coco":
            assert len(json.loads(archive.read("coco.json"))["images"]) == 3
        else:
            assert sum(name.startswith("labels/") for name in archive.namelist()) == 3
    assert [file.name for file in made.result.parent.rglob("*") if file.is_file()] == [made.result.name]


def test_a_dehaze_job_copies_photos_and_touches_none(do: Do, service_photos: Path, service_library: Store) -> None:
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in service_photos.rglob("*.*")}
    made, told = do("dehaze-batch", {"method": "dark-channel", "where": "path LIKE '%é%'"})
    with zipfile.ZipFile(made.result) as archive:
        names = archive.namelist()
        assert names == sorted(f"trip/{a} and {b} é.jpg" for a, b in (("red", "blue"), ("green", "yellow"), ("white", "black")))
        assert {Image.open(archive.open(name)).size for name in names} == {(192, 128)}
    assert len(made.outcome["photos"]) == 3
    assert ("dehazing", 3, 3) in told
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in service_photos.rglob("*.*")} == before
    rows = service_library.images(["root", "path", "digest"]).to_pylist()
    service_library.put_images([image_row(**{**row, "path": "gone é.jpg"}) for row in rows[:1]])
    assert list(do("dehaze-batch", {"where": "path LIKE '%é%'"})[0].outcome["failed"]) == [str(Path(rows[0]["root"], "gone é.jpg"))]


@pytest.mark.parametrize("kind", ["export", "dehaze-batch"])
def test_a_condition_that_no_photo_meets(do: Do, kind: str) -> None:
    with pytest.raises(InputError, match="No photo meets the condition"):
        do(kind, {"where": "width > 99999"} | ({"format": "coco"} if kind == "export" else {}))
