"""Data sets: archives that mean harm, what becomes of each picture, and the formats that come out."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import struct
import sys
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from api.service import dataset_receive, dataset_source, dataset_tagging
from api.service.dataset_archive import ArchiveLimits, PassedOver, entries_of, kind_of
from api.service.dataset_output import WRITERS, Tagged
from api.service.dataset_source import behind, pictures_of
from api.service.dataset_tagging import tag_dataset
from api.settings import Settings, load_settings
from preprocess import FetchError, ImageCorrupt, ImageTooLarge, InputError, Limits, StorageFull

REAL = (sys.executable, "-P", str(Path(__file__).with_name("colour_child.py")))
LIMITS = ArchiveLimits()
SMALL = ArchiveLimits(entries=5, total_bytes=40_000, entry_bytes=5_000, ratio=10, small_bytes=20_000, directory_bytes=2_000)

pytestmark = pytest.mark.timeout(120)


def picture(colour: Any = "red", kind: str = "PNG", size: tuple[int, int] = (24, 16)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def zipped(file: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file


def tarred(file: Path, entries: dict[str, bytes], mode: str = "w:gz", form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(file, mode, format=form) as archive:  # type: ignore[call-overload]
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file


def taken(file: Path, limits: ArchiveLimits = LIMITS) -> tuple[dict[str, Any], dict[str, str]]:
    """What an archive gives, and what was passed over."""
    passed = PassedOver()
    return dict(entries_of(file, limits, passed)), passed.reasons


NAMES = ["a.png", "sub/ü é.jpg", "日本/山.PNG"]


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "gnu"])
def test_pictures_come_in_order_with_their_names(tmp_path: Path, kind: str) -> None:
    entries = {name: picture((at, 0, 0)) for at, name in enumerate(NAMES)}
    if kind == "zip":
        file = zipped(tmp_path / "x", entries)
    else:
        file = tarred(tmp_path / "x", entries, "w" if kind == "gnu" else kind, tarfile.GNU_FORMAT if kind == "gnu" else tarfile.PAX_FORMAT)
    found, passed = taken(file)
    assert list(found.items()) == list(entries.items())
    assert passed == {}


PASSED = [
    ("/etc/a.png", "has an absolute name"),
    ("C:/a.png", "has an absolute name"),
    ("../a.png", "has a name that leads out of the archive"),
    ("x/../../a.png", "has a name that leads out of the archive"),
    ("x\\..\\a.png", "has a name that leads out of the archive"),
    ("inner.zip", "is an archive within the archive"),
    ("inner.tar.gz", "is an archive within the archive"),
    ("notes.txt", "is no photo by its name"),
    ("page.svg", "is no photo by its name"),
    ("__MACOSX/._a.png", "is hidden"),
    (".a.png", "is hidden"),
]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(("name", "reason"), PASSED)
def test_names_that_are_not_taken(tmp_path: Path, kind: str, name: str, reason: str) -> None:
    entries = {name: picture(), "good.png": picture("blue")}
    file = zipped(tmp_path / "x", entries) if kind == "zip" else tarred(tmp_path / "x", entries)
    found, passed = taken(file)
    assert list(found) == ["good.png"]
    if kind == "zip" and name.startswith("/"):
        name = next(iter(passed))
    assert passed == {name: reason}


def test_links_and_devices_in_a_tar_are_passed_over(tmp_path: Path) -> None:
    kinds = {
        "link.png": tarfile.SYMTYPE,
        "hard.png": tarfile.LNKTYPE,
        "disk.png": tarfile.BLKTYPE,
        "tty.png": tarfile.CHRTYPE,
        "pipe.png": tarfile.FIFOTYPE,
    }
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind in kinds.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    found, passed = taken(tmp_path / "x.tar")
    assert found == {}
    assert passed == dict.fromkeys(kinds, "is a link, a device or sparse")


def test_links_and_encrypted_entries_in_a_zip_are_passed_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("secret.png", picture())
        archive.writestr("bz.png", picture(), zipfile.ZIP_BZIP2)
    data = bytearray((tmp_path / "x.zip").read_bytes())
    for start in (b"PK\3\4", b"PK\1\2"):
        at = data.index(start, data.index(b"secret.png") - 60 if start == b"PK\3\4" else data.rindex(b"secret.png") - 60)
        while b"secret.png" not in data[at : at + 60] or data[at : at + 4] != start:
            at = data.index(start, at + 1)
        data[at + (6 if start == b"PK\3\4" else 8)] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    found, passed = taken(tmp_path / "x.zip")
    assert found == {}
    assert passed == {
        "link.png": "is a link or a device",
        "secret.png": "is encrypted",
        "bz.png": "is packed in a way that is not read; use deflate",
    }


def test_a_name_that_comes_twice_counts_once(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for colour in ("red", "blue"):
            info = tarfile.TarInfo("a.png")
            info.size = len(picture(colour))
            archive.addfile(info, io.BytesIO(picture(colour)))
    found, passed = taken(tmp_path / "x.tar")
    assert found == {"a.png": picture("red")}
    assert "comes twice" in passed["a.png"]


ZEROS = b"\0" * 60_000


@pytest.mark.parametrize("kind", ["zip", "w:gz"])
def test_bombs_are_refused_whole(tmp_path: Path, kind: str) -> None:
    def packed(entries: dict[str, bytes]) -> Path:
        return zipped(tmp_path / "x", entries) if kind == "zip" else tarred(tmp_path / "x", entries)

    with pytest.raises(InputError, match="unpacks to more than 10 times its size"):
        taken(packed({f"{at}.png": ZEROS[:4_900] for at in range(5)}), SMALL)
    with pytest.raises(InputError, match="more than 5 entries"):
        taken(packed({f"{at}.png": os.urandom(9) for at in range(6)}), SMALL)
    assert len(taken(packed({f"{at}.png": os.urandom(3_000) for at in range(5)}), SMALL)[0]) == 5
    found, _ = taken(packed({"large.png": os.urandom(5_001), "small.png": b"x"}), SMALL)
    assert isinstance(found["large.png"], ImageTooLarge)
    assert found["small.png"] == b"x"


def test_a_gzip_that_never_ends_is_stopped(tmp_path: Path) -> None:
    notes = tarfile.TarInfo("notes.txt")  # which is not taken, but must be read to come to what is behind it
    notes.size = 60_000_000
    with gzip.open(tmp_path / "x.gz", "wb", 1) as out:
        out.write(notes.tobuf())
        for _ in range(60):
            out.write(b"\0" * 1_000_000)
    assert (tmp_path / "x.gz").stat().st_size < 400_000
    begun = time.monotonic()
    with pytest.raises(InputError, match="unpacks to more than 10 times"):
        taken(tmp_path / "x.gz", replace(LIMITS, small_bytes=20_000_000, ratio=10))
    info = tarfile.TarInfo("a.png")
    info.size = 10**12
    with gzip.open(tmp_path / "y.gz", "wb") as out:
        out.write(info.tobuf())
        out.write(b"\0" * 5_000_000)
    with pytest.raises(InputError, match="unpacks to more"):
        taken(tmp_path / "y.gz")
    assert time.monotonic() - begun < 20


def test_a_tar_with_an_endless_header_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 500_000_000
    with gzip.open(tmp_path / "x.gz", "wb") as out:
        out.write(info.tobuf(tarfile.GNU_FORMAT))
        out.write(b"a" * 2_000_000)
    with pytest.raises(InputError, match="a header is too long"):
        taken(tmp_path / "x.gz")


def test_headers_that_lead_from_one_to_the_next_end(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1
    (tmp_path / "x.tar").write_bytes((info.tobuf(tarfile.GNU_FORMAT) + b"a".ljust(512, b"\0")) * 3_000)
    with pytest.raises(InputError, match="damaged"):
        taken(tmp_path / "x.tar")


def test_a_zip_with_a_huge_directory_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = zipped(tmp_path / "x.zip", {f"{at}.txt": b"" for at in range(40)})
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("it was read"))
    with pytest.raises(InputError, match="more than 5 entries"):
        taken(file, SMALL)


def test_a_zip_whose_locator_leads_to_a_harmless_record_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def record(entries: int, size: int, at: int) -> bytes:
        return struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, size, at)

    before = b"PK\3\4" + record(1, 100, 0)
    directory = bytes(47 * 80)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 4, 1)  # leads to the record in front; Python takes the one right before it
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    file = tmp_path / "x.zip"
    file.write_bytes(before + directory + record(80, len(directory), len(before)) + locator + end)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("it was read"))
    with pytest.raises(InputError, match="more than 5 entries"):
        taken(file, SMALL)


def _field(name: str, size: int) -> bytes:
    """A field of a PAX header for all entries that follow, of `size` bytes."""
    body = f"{size} {name}=".encode()
    data = body + b"a" * (size - len(body) - 1) + b"\n"
    info = tarfile.TarInfo("fields")
    info.type, info.size = tarfile.XGLTYPE, size
    return info.tobuf(tarfile.USTAR_FORMAT) + data + b"\0" * (-size % 512)


def test_fields_for_all_entries_of_a_tar_do_not_pile_up(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x.gz", "wb", 1) as out:
        for at in range(60):
            out.write(_field(f"field{at}", 990_000) + tarfile.TarInfo(f"{at}.txt").tobuf(tarfile.USTAR_FORMAT))
        out.write(bytes(1024))
    tracemalloc.start()
    try:
        found, passed = taken(tmp_path / "x.gz")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found, len(passed)) == ({}, 60)
    assert most < 15_000_000


def test_fields_one_after_the_other_are_counted_together(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x.gz", "wb", 1) as out:
        for at in range(3):
            out.write(_field(f"field{at}", 400_000))
        out.write(tarfile.TarInfo("a.txt").tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    with pytest.raises(InputError, match="a header is too long"):
        taken(tmp_path / "x.gz")


def test_few_bytes_of_an_archive_are_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from indexer.stages import map_ahead

    monkeypatch.setattr(dataset_source, "AHEAD_BYTES", 5_000, raising=False)
    monkeypatch.setattr(dataset_source, "entries_of", entries := Noted(40, 4_000))
    pictures, _ = pictures_of({"upload": "x", "source": {}}, tmp_path, load_settings(), Limits(), PassedOver())

    def work(sent: dataset_source.Sent) -> int:
        try:
            size = len(sent.load())
            time.sleep(0.005)
            return size
        finally:
            entries.used += 1
            sent.done()

    with ThreadPoolExecutor(4) as pool:
        assert list(map_ahead(work, pictures, pool, 8)) == [4_000] * 40
    assert entries.most <= 2  # of 4,000 bytes: the one over the limit ends it


class Noted:
    """Entries of an archive, noting how many are read and not used yet."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size, self.used, self.most = count, size, 0, 0

    def __call__(self, *_: Any) -> Any:
        for at in range(self.count):
            yield f"{at}.png", bytes(self.size)
            self.most = max(self.most, at + 1 - self.used) if at else 0


def test_damage_costs_a_picture_or_the_archive(tmp_path: Path) -> None:
    file = zipped(tmp_path / "x.zip", {"a.png": picture() * 9, "b.png": picture("blue")}, zipfile.ZIP_STORED)
    data = bytearray(file.read_bytes())
    data[80] ^= 0xFF
    file.write_bytes(data)
    found, _ = taken(file)
    assert isinstance(found["a.png"], ImageCorrupt)
    assert found["b.png"] == picture("blue")
    for name, content in {
        "cut.zip": bytes(data[:-30]),
        "cut.gz": tarred(tmp_path / "t", {"a.png": os.urandom(9_000)}).read_bytes()[:5_000],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            taken(tmp_path / name)
    (tmp_path / "no.zip").write_bytes(picture())
    with pytest.raises(InputError, match=r"Send a \.zip, \.tar or \.tar\.gz"):
        kind_of(tmp_path / "no.zip")


def say_nothing() -> Any:
    return SimpleNamespace(progress=lambda *_: None, log=lambda *_: None, say=lambda **_: None)


@pytest.fixture
def here(tmp_path: Path, mean_colour_listed: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service's folder, whose jobs are done in this process with the tiny encoder."""
    monkeypatch.setenv("PELLUCID_ENCODER", mean_colour_listed)
    monkeypatch.setenv("PELLUCID_LIBRARY", str(tmp_path / "library"))
    (tmp_path / "service" / "results" / "j.part").mkdir(parents=True)
    return tmp_path / "service" / "results" / "j.part"


def options(**given: Any) -> dict[str, Any]:
    base = {
        "source": {"folder": None, "urls": None},
        "vocabulary": "photo",
        "labels": ["red", "green", "blue"],
        "precision": 0.01,
        "most": 3,
        "segment": None,
        "format": "jsonl",
    }
    return base | given


COLOURS = {"red ü.png": (220, 30, 30), "green.png": (30, 190, 40), "blue.png": (30, 50, 220)}


def test_pictures_are_tagged_in_order_and_failures_are_told(tmp_path: Path, here: Path) -> None:
    entries = {name: picture(colour) for name, colour in COLOURS.items()}
    entries |= {
        "broken.png": b"\x89PNG\r\n\x1a\nno",
        "fake.jpg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "empty.png": b"",
        "../out.png": picture(),
    }
    zipped(tmp_path / "up.archive", entries)
    made = tag_dataset(options(upload="up.archive"), here, tmp_path, say_nothing())
    assert made.result is not None
    rows = [json.loads(line) for line in made.result.read_text(encoding="utf-8").splitlines()]
    assert [row["path"] for row in rows] == list(COLOURS)
    assert [row["tags"][0]["tag"] for row in rows] == ["red", "green", "blue"]
    assert {"digest", "width", "height", "format", "taken_at", "regions"} <= set(rows[0])
    told = made.outcome
    assert (told["pictures"], told["counts"]) == (3, {"failed": 3, "passed_over": 1})
    assert set(told["failed"]) == {"broken.png", "fake.jpg", "empty.png"}
    assert "markup" in told["failed"]["fake.jpg"]
    assert told["passed_over"] == {"../out.png": "has a name that leads out of the archive"}


def test_nothing_that_can_be_read_is_an_error_with_the_reason(tmp_path: Path, here: Path) -> None:
    zipped(tmp_path / "up.archive", {"notes.txt": b"x"})
    with pytest.raises(InputError, match=r"None of the 1 files could be read as a picture\. notes\.txt is no photo"):
        tag_dataset(options(upload="up.archive"), here, tmp_path, say_nothing())


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_formats_say_the_same(tmp_path: Path, here: Path, form: str) -> None:
    zipped(tmp_path / "up.archive", {name: picture(colour, size=(64, 48)) for name, colour in COLOURS.items()})
    made = tag_dataset(options(upload="up.archive", format=form, segment="proposals"), here, tmp_path, say_nothing())
    assert made.result is not None
    if form == "jsonl":
        rows = [json.loads(line) for line in made.result.read_text(encoding="utf-8").splitlines()]
        found = [(row["path"], row["tags"][0]["tag"], len(row["regions"])) for row in rows]
    elif form == "parquet":
        import pyarrow.parquet as pq

        found = [(row["path"], row["tags"][0]["tag"], len(row["regions"])) for row in pq.read_table(made.result).to_pylist()]
    else:
        data = json.loads(made.result.read_text(encoding="utf-8"))
        counts = [sum(one["image_id"] == image["id"] for one in data["annotations"]) for image in data["images"]]
        found = [(image["file_name"], image["tags"][0]["tag"], count) for image, count in zip(data["images"], counts, strict=True)]
        assert {one["category_id"] for one in data["annotations"]} <= {one["id"] for one in data["categories"]}
    assert [(path, tag) for path, tag, _ in found] == [("red ü.png", "red"), ("green.png", "green"), ("blue.png", "blue")]
    assert sum(count for *_, count in found) == made.outcome["regions"]


def test_coco_with_regions_is_read_by_others(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    region = {"label": "dog", "confidence": 0.9, "box_xyxy": [1.0, 2.0, 5.0, 6.0], "area": 0.04, "mask": None}
    facts = {"path": "ü\u2028.png", "digest": "0" * 64, "width": 20, "height": 20, "format": "PNG", "taken_at": "2024-05-01T10:00:00"}
    WRITERS["coco"](iter([Tagged(facts, [("dog", 0.8)], [region]), Tagged(facts | {"path": "b.png"}, [])]), tmp_path / "x.json")
    read = coco.COCO(str(tmp_path / "x.json"))
    assert read.loadImgs(1)[0]["tags"] == [{"tag": "dog", "precision": 0.8}]
    assert read.loadAnns(read.getAnnIds(catIds=read.getCatIds(["dog"])))[0]["bbox"] == [1, 2, 4, 4]


def test_a_folder_is_read_without_what_links_lead_to(tmp_path: Path, paint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root, passed = tmp_path / "allowed", PassedOver()
    paint(root / "in" / "a.png")
    paint(tmp_path / "secret" / "s.png")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "one.png").symlink_to(tmp_path / "secret" / "s.png")
    settings = load_settings(library=tmp_path / "library", serve_roots=[root])
    source = options(source={"folder": str(root), "urls": None})
    sent, _ = pictures_of(source, tmp_path, settings, Limits(), passed)
    assert [one.name for one in sent] == ["in/a.png"]
    assert set(passed.reasons) == {"one.png", "out/s.png"}
    assert all("leads out" in reason for reason in passed.reasons.values())


def test_addresses_are_fetched_only_where_that_is_allowed_and_never_from_here(tmp_path: Path) -> None:
    source = options(source={"folder": None, "urls": ["http://127.0.0.1:9/a.png", "http://[::1]/a.png", "file:///etc/passwd"]})
    with pytest.raises(FetchError, match="does not fetch"):
        pictures_of(source, tmp_path, load_settings(library=tmp_path / "l"), Limits(), PassedOver())
    open_to_all = load_settings(library=tmp_path / "l", serve_fetch_urls=True, allow_private_urls=True)
    sent, count = pictures_of(source, tmp_path, open_to_all, Limits(), PassedOver())
    assert count == 3
    for one in sent:
        with pytest.raises(FetchError):
            one.load()
    (given,) = behind(["https://x.example/a.png"], Limits(), lambda url, _limits: url.encode())
    assert (given.name, given.load()) == ("https://x.example/a.png", b"https://x.example/a.png")


def test_a_full_disk_is_said(tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(tmp_path / "up.archive", {"a.png": picture()})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(dataset_tagging.WRITERS, "jsonl", full)  # type: ignore[arg-type]
    with pytest.raises(StorageFull, match="Free some space"):
        tag_dataset(options(upload="up.archive"), here, tmp_path, say_nothing())


@pytest.fixture
def dataset_client(make_settings: Callable[..., Settings], connect: Callable[..., TestClient], tmp_path: Path) -> TestClient:
    client = connect(make_settings(serve_roots=[tmp_path / "allowed"], serve_upload_mb=0.2))
    client.app.state.service.jobs.command = REAL  # type: ignore[attr-defined]
    return client


def uploads(client: TestClient) -> list[str]:
    folder = client.app.state.service.jobs.files.uploads  # type: ignore[attr-defined]
    return [entry.name for entry in folder.iterdir()]


def ended(client: TestClient, job: Any) -> dict[str, Any]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found: dict[str, Any] = client.get(f"/v1/jobs/{job['id']}").json()
        if found["state"] not in ("waiting", "running"):
            return found
        time.sleep(0.02)
    raise AssertionError(f"{found} never ended")


def test_an_archive_is_sent_and_its_tags_are_fetched(dataset_client: TestClient, tmp_path: Path) -> None:
    data = tarred(tmp_path / "x.tgz", {name: picture(colour) for name, colour in COLOURS.items()}).read_bytes()
    asked = {"labels": ["red", "green", "blue"], "precision": 0.01, "format": "jsonl"}

    def send(key: str) -> Any:
        form = {"files": {"archive": ("mine ü.tgz", data)}, "data": {"options": json.dumps(asked)}}
        return dataset_client.post("/v1/datasets:tag", headers={"Idempotency-Key": key}, **form)  # type: ignore[arg-type]

    first = send("k")
    assert (first.status_code, first.json()["kind"], first.json()["options"]["archive"]) == (202, "dataset-tag", "mine ü.tgz")
    again = send("k")
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    job = ended(dataset_client, first.json())
    assert (job["state"], job["error"], job["outcome"]["encoder"]) == ("finished", None, "mean-colour")
    result = dataset_client.get(job["result"])
    assert result.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line)["tags"][0]["tag"] for line in result.text.splitlines()] == ["red", "green", "blue"]
    assert uploads(dataset_client) == []
    data += b"\0"
    assert send("k").status_code == 422  # another archive with that key


def test_what_is_wrong_with_a_request_is_said_and_leaves_nothing(dataset_client: TestClient, tmp_path: Path) -> None:
    good = zipped(tmp_path / "x.zip", {"a.png": picture()}).read_bytes()

    def send(data: bytes = good, asked: str = "{}", **more: Any) -> tuple[int, str]:
        answer = dataset_client.post("/v1/datasets:tag", files={"archive": ("a.zip", data), **more}, data={"options": asked})
        return answer.status_code, answer.json()["detail"]

    def name(**body: Any) -> tuple[int, str]:
        answer = dataset_client.post("/v1/datasets:tag", json=body)
        return answer.status_code, answer.json()["detail"]

    wrong = [
        (send(b"no archive at all"), 400, "Send a .zip, .tar or .tar.gz"),
        (send(asked="{"), 422, "JSON"),
        (send(asked='{"labls": []}'), 422, "labls"),
        (send(asked='{"labels": ["a;b"]}'), 400, "a;b"),
        (send(asked='{"vocabulary": "../x"}'), 400, "No vocabulary named"),
        (send(asked='{"segment": "bultin"}'), 400, "Did you mean"),
        (send(asked='{"source": {"folder": "/etc"}}'), 422, "another source"),
        (send(other=("b.zip", good)), 422, "part 'other'"),
        (send(os.urandom(300_000)), 413, "0.2 MB"),
        (name(), 422, "Name one source"),
        (name(source={"folder": "/etc", "urls": ["http://x"]}), 422, "Name one source"),
        (name(source={"folder": "/etc"}), 400, "no folder that this service may read"),
        (name(source={"urls": ["http://x.example/a.png"]}), 422, "does not fetch"),
        (name(source={"urls": ["http://x.example/a.png"] * 10_001}), 413, "0.2 MB"),
    ]
    for (status, detail), expected, said in wrong:
        assert (status, said in detail) == (expected, True), detail
    plain = dataset_client.post("/v1/datasets:tag", content=good, headers={"Content-Type": "application/zip"})
    assert plain.status_code == 415
    for body, boundary in (
        (b"--x\r\n", "x"),
        (b"no form", "x"),
        (b'--x\r\nContent-Disposition: form-data; name="archive"; filename="a"\r\n\r\nPK', "x"),
        (b"", ""),
    ):
        broken = dataset_client.post(
            "/v1/datasets:tag", content=body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"}
        )
        assert broken.status_code == 422, body
    assert uploads(dataset_client) == []
    assert dataset_client.get("/v1/jobs").json()["total"] == 0


def test_a_full_disk_while_an_archive_comes_in(dataset_client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(work: Callable[..., Any], *_: Any) -> None:
        raise OSError(28, "No space left on device")

    good = zipped(tmp_path / "x.zip", {"a.png": picture()}).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(dataset_receive, "_written", full)
        answer = dataset_client.post("/v1/datasets:tag", files={"archive": ("a.zip", good)})
    assert (answer.status_code, "Free some space" in answer.json()["detail"] or "free some space" in answer.json()["detail"]) == (507, True)
    assert uploads(dataset_client) == []
