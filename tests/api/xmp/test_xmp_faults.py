"""What goes wrong on the way: sidecars, photos, disks and other programs."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from search import Library

A, B, BEACH = "one/a.png", "one/b.jpg", "one/été/плаж 1.png"


def test_a_sidecar_that_is_not_xml_is_left_alone_and_the_rest_goes_on(place: Any) -> None:
    bad = place.folder / "one/a.xmp"
    bad.write_bytes(b"\0\xff not XML")
    place.tag(**{A: ["dog"], B: ["cat"]})
    told = place.json("write")
    assert list(told["left_out"]) == [str(bad)]
    assert bad.read_bytes() == b"\0\xff not XML"
    assert "one/b.xmp" in place.files()
    ran = place.xmp("write")
    assert "Left out, 1:" in ran.out
    assert str(bad) in ran.out
    assert str(bad) in place.json("diff")["left_out"]


def test_photos_that_are_gone_or_changed_get_nothing(place: Any, paint: Any) -> None:
    place.tag(**{A: ["dog"], B: ["cat"]})
    (place.folder / A).unlink()
    paint(place.folder / B, "green", size=(64, 64))
    told = place.json("write")
    assert set(told["left_out"]) == {str(place.folder / A), str(place.folder / B)}
    assert place.files() == (place.photos - {A}) | {"two/copy.xmp"}


def test_a_folder_that_cannot_be_written(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place.tag(**{A: ["dog"], BEACH: ["beach"]})
    real = Path.open

    def refuse(self: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        if "x" in mode and self.parent.name == "été":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, mode, *more, **named)

    monkeypatch.setattr(Path, "open", refuse)  # as a test that runs as root may write everywhere
    told = place.json("write")
    (reason,) = told["left_out"].values()
    assert "Permission denied" in reason
    assert "Make its folder writable" in reason
    assert {"one/a.xmp", "two/copy.xmp"} <= place.files()
    assert place.json("runs")["runs"][0]["sidecars"] == 2


def test_a_full_disk_ends_the_run_which_can_be_taken_back(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place.tag(**{A: ["dog"], B: ["cat"]})
    real = Path.open

    def full(self: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        if "x" in mode and len(place.files()) > len(place.photos):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, mode, *more, **named)

    monkeypatch.setattr(Path, "open", full)
    ran = place.run("xmp", "write")
    assert ran.code == 7
    assert "Free some space" in ran.err
    run = ran.err.split("pellucid xmp retract ")[1].split()[0]
    monkeypatch.undo()
    assert len(place.files()) == len(place.photos) + 1
    place.pellucid("xmp", "retract", run, "--library", place.folder / "library")


def test_a_sidecar_that_another_program_edited_meanwhile(place: Any) -> None:
    sidecar = place.folder / "one/a.xmp"
    sidecar.write_text(place.lightroom)
    place.tag(**{A: ["dog"]})
    run = place.json("write")["run"]
    sidecar.write_text(sidecar.read_text().replace('xmp:Rating="4"', 'xmp:Rating="5"').replace(">Rome<", ">Roma<"))
    told = place.json("retract", run)
    assert (told["edited"], told["keywords"]) == (1, 2)  # of the photo, and of its copy
    assert sidecar.read_text() == place.lightroom.replace('xmp:Rating="4"', 'xmp:Rating="5"').replace(">Rome<", ">Roma<")


def test_a_run_is_taken_back_once(place: Any) -> None:
    place.tag(**{A: ["dog"]})
    run = place.json("write")["run"]
    place.json("retract", run)
    again = place.run("xmp", "retract", run)
    assert again.code == 2
    assert "taken back before" in again.err


def test_a_disk_that_is_away_is_no_reason_to_forget_a_run(place: Any) -> None:
    place.tag(**{BEACH: ["beach"]})
    run = place.json("write")["run"]
    (place.folder / "one").rename(place.folder / "away")
    told = place.json("retract", run)
    assert "Mount its disk" in next(iter(told["left_out"].values()))
    (place.folder / "away").rename(place.folder / "one")
    assert place.json("retract", run)["removed"] == 1
    assert place.files() == place.photos


def test_photos_without_tags(place: Any) -> None:
    assert "pellucid tag" in place.xmp("write").out
    assert "Nothing would change" in place.xmp("diff").err
    assert place.files() == place.photos


def test_a_library_in_use_is_left_alone(place: Any) -> None:
    place.tag(**{A: ["dog"]})
    with Library(place.folder / "library").locked("test"):
        assert place.run("xmp", "write").code == 5
    assert place.files() == place.photos


def test_what_a_killed_run_left_is_removed(place: Any) -> None:
    """Where the process has ended, after a minute; otherwise after an hour. Nothing else goes, whatever it is called."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(60)
    ended, running = process.pid, os.getpid()
    goes = {f".pellucid-{ended}-0-0123abcd.new": 120, f".pellucid-{running}-7-0123abcd.new": 4000, f".pellucid-{ended}-1.new": 4000}
    young = f"one/.pellucid-{ended}-1-0123abcd.new"
    stays = {f".pellucid-{running}-8-0123abcd.new": 120, ".pellucid-dehazed": 9999, "0-1-0123abcd.new": 9999}
    stays |= {f".pellucid-{ended}-2.new": 120, f".pellucid-{running}-3.new": 9999, Path(young).name: 5}
    (place.folder / "one/.pellucid-1-1-0123abcd.new").mkdir()
    for name, age_s in {**goes, **stays}.items():
        file = place.folder / "one" / name
        file.write_bytes(b"<x:xmpm")
        os.utime(file, (time.time() - age_s,) * 2)
    place.tag(**{A: ["dog"]})
    everything = place.files()
    place.json("diff", "--replace")
    assert place.files() == everything
    place.json("write")
    kept = {f"one/{name}" for name in stays}
    assert place.files() == place.photos | kept | {"one/a.xmp", "two/copy.xmp"}
    os.utime(place.folder / young, (time.time() - 61,) * 2)
    place.json("retract", "latest")
    assert place.files() == place.photos | kept - {young}
    assert (place.folder / "one/.pellucid-1-1-0123abcd.new").is_dir()
