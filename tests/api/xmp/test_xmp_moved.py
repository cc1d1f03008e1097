"""Sidecars that moved or were copied together with their photos: still ours, and still taken back byte by byte."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from indexer import BuildOptions, build
from preprocess import sidecar_keywords
from search import Library

A, B, BEACH = "one/a.png", "one/b.jpg", "one/été/плаж 1.png"
MOVED = "one/holidays/плаж 1.png"


@pytest.fixture
def written(place: Any) -> Any:
    """Tags were written beside all photos; the beach and b had sidecars of a person's."""
    for name in (BEACH, B):
        (place.folder / name).with_suffix(".xmp").write_text(place.lightroom)
    place.tag(**{A: ["dog"], B: ["dog", "cat"], BEACH: ["beach"]})
    place.json("write", "--prefix", "auto|")
    return place


def index(place: Any, encoder: Any, *roots: str) -> None:
    build(Library(place.folder / "library"), [place.folder / root for root in roots], encoder, BuildOptions())


def sidecar(place: Any, name: str) -> Path:
    return (place.folder / name).with_suffix(".xmp")


def journal(place: Any) -> bytes:
    return (place.folder / "library/xmp.jsonl").read_bytes()


def edited(file: Path) -> None:
    """As another program does that keeps what is there."""
    file.write_text(file.read_text().replace('xmp:Rating="4"', 'xmp:Rating="5"'))


@pytest.mark.parametrize("indexed", [True, False])
def test_a_folder_that_was_renamed(written: Any, encoder: Any, indexed: bool) -> None:
    (written.folder / "one/été").rename(written.folder / "one/holidays")
    if indexed:
        index(written, encoder)
        assert written.keywords()[MOVED] == "Rome"
        assert {row["sidecars"] for row in written.json("runs")["runs"]} == {4}
    before = journal(written)
    assert written.json("retract", "latest", "--dry-run")["left_out"] == {}
    assert journal(written) == before
    told = written.json("retract", "latest")
    assert (told["merged"], told["removed"], told["edited"], told["left_out"]) == (2, 2, 0, {})
    assert sidecar(written, MOVED).read_text() == sidecar(written, B).read_text() == written.lightroom
    assert written.files() == written.photos - {BEACH} | {MOVED, "one/b.xmp", "one/holidays/плаж 1.xmp"}
    assert written.json("runs") == {"runs": []}


def test_a_root_that_moved(written: Any, encoder: Any) -> None:
    (written.folder / "one").rename(written.folder / "three")
    index(written, encoder, "three")
    found = written.keywords()
    assert (found["three/a.png"], found["three/b.jpg"], found["three/été/плаж 1.png"]) == (None, "Rome", "Rome")
    told = written.json("retract", "latest")
    assert (told["merged"], told["removed"], told["left_out"]) == (2, 2, {})
    assert sidecar(written, "three/b.jpg").read_text() == written.lightroom
    assert not sidecar(written, "three/a.png").exists()
    assert written.json("runs") == {"runs": []}


@pytest.mark.parametrize("indexed", [True, False])
def test_a_sidecar_that_another_program_changed_after_the_move(written: Any, encoder: Any, indexed: bool) -> None:
    (written.folder / "one/été").rename(written.folder / "one/holidays")
    if indexed:
        index(written, encoder)
    edited(sidecar(written, MOVED))
    index(written, encoder)
    assert written.keywords()[MOVED] == "Rome"
    told = written.json("retract", "latest")
    assert (told["edited"], told["left_out"]) == (1, {})
    assert sidecar(written, MOVED).read_text() == written.lightroom.replace('xmp:Rating="4"', 'xmp:Rating="5"')


def test_a_sidecar_that_another_program_changed_before_the_move(written: Any, encoder: Any) -> None:
    edited(sidecar(written, B))
    (written.folder / "one/sub").mkdir()
    for name in ("b.jpg", "b.xmp"):
        (written.folder / "one" / name).rename(written.folder / "one/sub" / name)
    index(written, encoder)
    assert written.keywords()["one/sub/b.jpg"] == "Rome"
    assert written.json("retract", "latest")["edited"] == 1
    assert sidecar(written, "one/sub/b.jpg").read_text() == written.lightroom.replace('xmp:Rating="4"', 'xmp:Rating="5"')


def test_a_copy_with_its_sidecar(written: Any, encoder: Any) -> None:
    shutil.copytree(written.folder / "one/été", written.folder / "two/again")
    shutil.copyfile(written.folder / A, written.folder / "two/again/other.png")
    shutil.copyfile(sidecar(written, A), sidecar(written, "two/again/other.png"))
    index(written, encoder)
    found = written.keywords()
    assert (found[BEACH], found["two/again/плаж 1.png"], found["two/again/other.png"]) == ("Rome", "Rome", None)
    told = written.json("retract", "latest")
    assert (told["merged"], told["removed"], told["edited"], told["left_out"]) == (3, 3, 0, {})
    assert sidecar(written, BEACH).read_text() == sidecar(written, "two/again/плаж 1.png").read_text() == written.lightroom
    assert not sidecar(written, "two/again/other.png").exists()


def test_a_copy_that_was_not_indexed_in_time(written: Any, encoder: Any) -> None:
    shutil.copytree(written.folder / "one/été", written.folder / "two/again")
    run = written.json("retract", "latest")["run"]
    assert sidecar(written, "two/again/плаж 1.png").read_text() != written.lightroom
    assert written.json("runs") == {"runs": []}
    assert written.json("retract", run)["merged"] == 1  # by its id it is found again
    assert sidecar(written, "two/again/плаж 1.png").read_text() == written.lightroom
    assert written.run("xmp", "retract", run).code == 2


def test_alike_by_chance_is_not_ours(written: Any, encoder: Any, paint: Any) -> None:
    """Another photo, whose sidecar a person made of the very bytes that ours became."""
    paint(written.folder / "two/other.png", seed=9, size=written.size)
    shutil.copyfile(sidecar(written, B), sidecar(written, "two/other.png"))
    index(written, encoder)
    assert {"Rome", "dog", "cat"} <= set(str(written.keywords()["two/other.png"]).split("; "))
    written.json("retract", "latest")
    assert {"Rome", "dog", "cat"} <= set(sidecar_keywords(written.folder / "two/other.png"))


def test_what_is_gone_is_left_out_and_not_forgotten(written: Any) -> None:
    shutil.rmtree(written.folder / "one/été")
    told = written.json("retract", "latest")
    ((name, reason),) = told["left_out"].items()
    assert name == str(sidecar(written, BEACH))
    assert "--forget-gone" in reason
    assert [row["sidecars"] for row in written.json("runs")["runs"]] == [1]
    assert written.json("retract", "latest", "--dry-run", "--forget-gone")["left_out"] == {}
    assert [row["sidecars"] for row in written.json("runs")["runs"]] == [1]
    assert written.json("retract", "latest", "--forget-gone")["left_out"] == {}
    assert written.json("runs") == {"runs": []}


def test_a_deleted_sidecar_of_a_photo_that_stays_is_forgotten(written: Any) -> None:
    sidecar(written, BEACH).unlink()
    assert written.json("retract", "latest")["left_out"] == {}
    assert written.json("runs") == {"runs": []}


def test_earlier_runs_are_replaced_where_the_sidecar_is_now(written: Any, encoder: Any) -> None:
    (written.folder / "one/été").rename(written.folder / "one/holidays")
    index(written, encoder)
    written.tag(**{MOVED: []})
    told = written.json("write", "--replace", "--where", "path LIKE 'holidays/%'")
    assert (told["replaced"], told["left_out"]) == (1, {})
    assert sidecar(written, MOVED).read_text() == written.lightroom


def test_a_library_within_its_root_keeps_its_backups(place: Any, encoder: Any) -> None:
    """A backup may have the bytes that an earlier run wrote; it is no sidecar."""
    sidecar(place, BEACH).write_text(place.lightroom)
    place.tag(**{BEACH: ["beach"]})
    place.json("write")
    place.tag(**{BEACH: ["sea"]})
    place.json("write")
    index(place, encoder, ".")
    backups = {file.name: file.read_bytes() for file in (place.folder / "library/xmp-backups").iterdir()}
    assert len(backups) == 2
    (place.folder / "one/été").rename(place.folder / "one/holidays")
    place.json("retract", "latest")
    place.json("retract", "latest")
    assert sidecar(place, MOVED).read_text() == place.lightroom
    assert {file.name: file.read_bytes() for file in (place.folder / "library/xmp-backups").iterdir()} == backups
