"""Exports that are sent while they are made: the same as the command writes, and no more work than a client takes."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import queue
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from annotate import EXPORTERS, AnnotatedPhoto, Annotation, ExportOptions, Region
from api.exporting import ExportRequest, run_export
from api.service import export_stream
from api.service.export_stream import AT_ONCE, FINISHED, IN_ONE_GO, ExportStream, Gone, write_zip
from api.service.workers import Overloaded
from api.settings import Settings

pytestmark = pytest.mark.timeout(120)


def unpacked(data: bytes) -> dict[str, str]:
    """Names in a zip, with hashes of what they hold."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in sorted(archive.namelist())}


@pytest.mark.parametrize("form", sorted(EXPORTERS))
def test_what_is_sent_is_what_the_command_writes(client: TestClient, service_settings: Settings, tmp_path: Path, form: str) -> None:
    answer = client.get(f"/v1/exports/{form}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["content-disposition"] == f'attachment; filename="pellucid-{form}.zip"'
    sent = unpacked(answer.content)
    (tmp_path / "out").mkdir()
    place = tmp_path / "out" / next(iter(sent)) if len(sent) == 1 else tmp_path / "out" / "export"
    run_export(ExportRequest(form, place), service_settings.library, lambda *_: None)
    base = place if place.is_dir() else place.parent
    written = {
        file.relative_to(base).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in base.rglob("*") if file.is_file()
    }
    assert set(sent) == set(written)
    if form != "parquet":  # whose bytes differ from run to run in nothing that is read
        assert sent == written


def test_only_what_meets_the_condition(client: TestClient) -> None:
    answer = client.get("/v1/exports/csv", params={"where": "path LIKE '%é%'"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("photos.csv").decode())))
    assert {row["path"] for row in rows} == {
        f"trip/{a} and {b} é.jpg" for a, b in (("red", "blue"), ("green", "yellow"), ("white", "black"))
    }


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/exports/cocoo", 400, "Did you mean 'coco'"),
        ("/v1/exports/coco?where=colour+%3D", 400, ""),
        ("/v1/exports/coco?where=width+%3E+99999", 400, "No photo meets the condition"),
        ("/v1/exports/coco?limit=x&all_photos=perhaps", 422, "all_photos"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(client: TestClient, path: str, status: int, said: str) -> None:
    for _ in range(AT_ONCE + 1):  # and no place is lost
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert said in answer.json()["detail"]


def test_without_a_library(bare_client: TestClient) -> None:
    assert bare_client.get("/v1/exports/coco").status_code == 404


def chosen(count: int, taken: Callable[[int], None] = lambda _at: None) -> Any:
    """A library of as many photos, each with two regions."""

    def stream() -> Any:
        for at in range(count):
            taken(at)
            regions = tuple(Region((1.0, 1.0, 9.0, 9.0 + side), f"label {at % 7}") for side in range(2))
            yield AnnotatedPhoto(f"{at % 10}/{at:06} ü.jpg", Annotation((64, 48), regions, "maker"))

    return SimpleNamespace(options=ExportOptions(), stream=stream)


async def first_piece(stream: ExportStream, form: str, photos: Any, count: int = 1) -> int:
    size = 0
    pieces = stream.pieces(form, photos)
    for _ in range(count):
        size += len(await anext(pieces))
    await pieces.aclose()
    stream.close()
    return size


def test_a_client_that_goes_away_stops_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    stream = ExportStream()
    assert asyncio.run(first_piece(stream, "jsonl", chosen(10**9, seen.append))) > 0
    assert stream.thread is not None
    stream.thread.join(20)
    assert not stream.thread.is_alive()
    assert len(seen) < 200_000  # 1 MB of a zip waits at most
    assert not [thread for thread in threading.enumerate() if thread.name == "export"]


def test_a_client_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_stream, "_STALLED_S", 1)
    sink = export_stream._Sink(queue.Queue(1), threading.Event())
    sink.write(b"x" * 100_000)
    begun = time.monotonic()
    with pytest.raises(Gone):
        sink.write(b"x" * 100_000)
    assert time.monotonic() - begun < 10


def test_an_export_that_fails_has_no_end(client: TestClient) -> None:
    def broken(at: int) -> None:
        if at == 8_000:
            raise ValueError("the disk is gone")

    async def all_of_it() -> bytes:
        data, stream = b"", ExportStream()
        try:
            async for piece in stream.pieces("csv", chosen(9_000, broken)):
                data += piece
        except ValueError:
            with pytest.raises(zipfile.BadZipFile):
                zipfile.ZipFile(io.BytesIO(data))
            return data
        finally:
            stream.close()
        return b""

    assert len(asyncio.run(all_of_it())) > 20_000


def test_two_at_once_and_every_place_comes_back() -> None:
    streams = [ExportStream() for _ in range(AT_ONCE)]
    with pytest.raises(Overloaded):
        ExportStream()
    for stream in streams:
        stream.close()  # one that never began
    for _ in range(AT_ONCE + 1):
        stream = ExportStream()
        assert asyncio.run(first_piece(stream, "csv", chosen(1))) > 0
        assert stream.thread is not None
        stream.thread.join(20)
    assert export_stream._slots._value == AT_ONCE  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", sorted(IN_ONE_GO | set(FINISHED)))
def test_what_can_be_written_in_one_go_never_lies_on_disk_whole(tmp_path: Path, form: str) -> None:
    most = 0

    def look(_at: int) -> None:
        nonlocal most
        if _at % 50 == 0:
            most = max(most, sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()))

    out = io.BytesIO()
    write_zip(form, chosen(600, look), tmp_path, out, threading.Event())  # type: ignore[arg-type]
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        whole = sum(info.file_size for info in archive.infolist())
        if form == "jsonl":
            assert len([json.loads(line) for line in archive.read("photos.jsonl").splitlines()]) == 600
    assert most < whole / 2
    assert not [file for file in tmp_path.rglob("*") if file.is_file()] or form in FINISHED
