"""What goes wrong on the way leaves sidecars as they were."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from annotate.xmp import plan_sidecar, retract_sidecar, write_sidecar
from annotate.xmp_journal import XmpJournal
from preprocess import InputError, StorageFull
from tests.annotate.xmp.conftest import items


def test_links_and_others_are_refused(tmp_path: Path, sidecar: Path, journal: XmpJournal) -> None:
    outside = tmp_path / "outside.xmp"
    outside.write_bytes(sidecar.read_bytes())
    link, dangling, folder = tmp_path / "link.xmp", tmp_path / "dangling.xmp", tmp_path / "folder.xmp"
    link.symlink_to(outside)
    dangling.symlink_to(tmp_path / "nowhere.xmp")
    folder.mkdir()
    photo = tmp_path / "IMG_1.jpg"
    photo.write_bytes(sidecar.read_bytes())
    for file, why in ((link, "is a link"), (dangling, "is a link"), (folder, "is not a file"), (photo, "is no sidecar")):
        with pytest.raises(InputError, match=why):
            write_sidecar(file, items("dog"), journal, "r1")
    assert outside.read_bytes() == photo.read_bytes() == sidecar.read_bytes()
    assert not (tmp_path / "nowhere.xmp").exists()
    assert journal.runs() == {}


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0", b"<svg/>", b"<!DOCTYPE x><x/>"])
def test_what_is_not_understood_is_left_alone(data: bytes, sidecar: Path, journal: XmpJournal) -> None:
    sidecar.write_bytes(data)
    with pytest.raises(InputError, match=r"IMG_1\.xmp .*It is left as it is\."):
        write_sidecar(sidecar, items("dog"), journal, "r1")
    assert sidecar.read_bytes() == data


def test_too_large(sidecar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotate.xmp_file.MAX_BYTES", 100)
    with pytest.raises(InputError, match="the limit is"):
        plan_sidecar(sidecar, items("dog"))


def test_a_run_has_an_id(sidecar: Path, journal: XmpJournal) -> None:
    with pytest.raises(InputError, match="needs an id"):
        write_sidecar(sidecar, items("dog"), journal, " ")


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, name: str, number: int, *, after: int = 0) -> Iterator[None]:
    """A system call that fails with this number, from its call after `after` good ones on."""
    calls, real = iter(range(10**6)), getattr(os, name)

    def fails(*given: object, **named: object) -> object:
        if next(calls) < after:
            return real(*given, **named)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fails)
        yield


@pytest.mark.parametrize("after", [0, 1, 2])  # full at the backup, at the journal, at the sidecar
@pytest.mark.parametrize("new", [False, True])
def test_a_full_disk(after: int, new: bool, sidecar: Path, tmp_path: Path, journal: XmpJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    if new:
        sidecar.unlink()
    before = None if new else sidecar.read_bytes()
    with failing(monkeypatch, "fsync", errno.ENOSPC, after=after - new), pytest.raises(StorageFull):
        write_sidecar(sidecar, items("dog"), journal, "r1")
    assert (sidecar.read_bytes() if sidecar.exists() else None) == before
    assert not [file for file in tmp_path.rglob(".*") if file.is_file()]
    assert write_sidecar(sidecar, items("dog"), journal, "r1").changed
    assert len(journal.events(sidecar)) == 1
    assert retract_sidecar(sidecar, journal, "r1").after == before
    assert sidecar.exists() is not new


def test_a_folder_that_cannot_be_written(sidecar: Path, journal: XmpJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    with failing(monkeypatch, "replace", errno.EACCES, after=1), pytest.raises(InputError, match="Make its folder writable"):
        write_sidecar(sidecar, items("dog"), journal, "r1")
    assert journal.runs() == {}
