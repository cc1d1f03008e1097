"""The journal of sidecars: read again, damaged, without its backups."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotate.xmp import retract_sidecar, write_sidecar
from annotate.xmp_file import replace_sidecar
from annotate.xmp_journal import JOURNAL, XmpJournal, open_journal
from preprocess import LibraryBusy, LibraryDamaged
from tests.annotate.xmp.conftest import DOG, items, there


def test_the_journal_is_read_again(sidecar: Path, tmp_path: Path) -> None:
    before = sidecar.read_bytes()
    with open_journal(tmp_path / "library") as journal:
        write_sidecar(sidecar, items("dog", areas=(DOG,)), journal, "r1")
        write_sidecar(sidecar, items("sun"), journal, "r2")
        retract_sidecar(sidecar, journal, "r1")
        known = journal.events(sidecar)
    lines = [json.loads(line) for line in (tmp_path / "library" / JOURNAL).read_text("utf-8").splitlines()]
    assert [line["event"] for line in lines] == ["write", "write", "retract"]
    with (tmp_path / "library" / JOURNAL).open("a") as stream:
        stream.write('{"event": "wri')  # a kill in the middle of a line
    with open_journal(tmp_path / "library") as journal:
        assert journal.events(sidecar) == known
        retract_sidecar(sidecar, journal, "r2")
        assert journal.runs() == {}
    assert sidecar.read_bytes() == before
    with open_journal(tmp_path / "library") as journal:
        assert journal.runs() == {}


@pytest.mark.parametrize(
    "line", ["{}", "nonsense", '{"event": "write"}', "[]", '{"event": "write", "number": 1, "run": ""}', '{"event": "other"}']
)
def test_a_damaged_journal(line: str, tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text(line + "\n")
    with pytest.raises(LibraryDamaged, match=f"{JOURNAL}, line 1, does not read"), open_journal(tmp_path):
        pass


@pytest.mark.parametrize("damage", [lambda backup: backup.write_bytes(b"x"), Path.unlink])
def test_without_its_backup_only_what_was_added_is_taken_out(
    damage: Callable[[Path], Any], sidecar: Path, tmp_path: Path, journal: XmpJournal
) -> None:
    before = there(sidecar)
    write_sidecar(sidecar, items("dog"), journal, "r1")
    (backup,) = (tmp_path / "library" / "xmp-backups").iterdir()
    damage(backup)
    assert not retract_sidecar(sidecar, journal, "r1").exact
    assert there(sidecar) == before
    assert journal.runs() == {}


def test_an_interrupt_right_after_the_move_leaves_a_run_that_can_be_taken_back(
    sidecar: Path, journal: XmpJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sidecar.read_bytes()

    def interrupted(*arguments: Any) -> bool:
        replace_sidecar(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("annotate.xmp_disk.replace_sidecar", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_sidecar(sidecar, items("dog"), journal, "r1")
    assert (journal.runs(), sidecar.read_bytes() == before) == ({"r1": 1}, False)
    retract_sidecar(sidecar, journal, "r1")
    assert sidecar.read_bytes() == before


def test_one_process_holds_the_journal(tmp_path: Path) -> None:
    with open_journal(tmp_path), pytest.raises(LibraryBusy, match="Another run is writing sidecars"), open_journal(tmp_path, wait_s=0.05):
        pass


def test_the_journal_follows_what_is_moved_and_copied(sidecar: Path, tmp_path: Path, journal: XmpJournal) -> None:
    before, photo = sidecar.read_bytes(), {"IMG_1.jpg": "1" * 64}
    write_sidecar(sidecar, items("dog"), journal, "r1", photo)
    write_sidecar(sidecar, items("dog", "sun"), journal, "r2", photo)
    moved, copied, other = (tmp_path / name / "IMG_1.xmp" for name in ("moved", "copied", "other"))
    for file in (moved, copied, other):
        file.parent.mkdir()
        shutil.copyfile(sidecar, file)
    data = sidecar.read_bytes()
    assert not journal.follow(other, data, lambda: ["2" * 64])
    assert not journal.follow(other, data + b"<!-- -->", photo.values)  # the first is still there
    assert [event.run for event in journal.follow(copied, data, photo.values)] == ["r1", "r2"]
    sidecar.unlink()
    assert [event.run for event in journal.follow(moved, data, photo.values)] == ["r1", "r2"]
    assert journal.runs() == {"r1": 2, "r2": 2}
    again = XmpJournal(tmp_path / "library")
    for file in (sidecar, moved, copied, other):
        assert again.events(file) == journal.events(file)
    assert list(again.runs()) == ["r1", "r2"]
    assert (again.next_number(), again.made(moved)) == (journal.next_number(), journal.made(sidecar))
    write_sidecar(moved, items("sea"), again, "r3", photo)
    for run in ("r1", "r3", "r2"):
        for file in again.sidecars(run):
            retract_sidecar(file, again, run)
    assert moved.read_bytes() == copied.read_bytes() == before
    assert other.read_bytes() == data
    assert not sidecar.exists()


def test_what_is_wholly_ours_is_known_beside_any_photo(tmp_path: Path, journal: XmpJournal) -> None:
    """As where the photo was changed as well: nobody else writes such bytes."""
    first, second = tmp_path / "a.xmp", tmp_path / "b.xmp"
    write_sidecar(first, items("dog"), journal, "r1", {"a.jpg": "1" * 64})
    first.rename(second)
    dry = XmpJournal(tmp_path / "library", dry=True)
    size = (tmp_path / "library" / JOURNAL).stat().st_size
    dry.find(second, tmp_path / "b.jpg")
    assert (dry.sidecars("r1"), journal.sidecars("r1")) == ((second,), (first,))
    assert (tmp_path / "library" / JOURNAL).stat().st_size == size
    journal.find(second, tmp_path / "b.jpg")
    assert journal.sidecars("r1") == (second,)
    retract_sidecar(second, journal, "r1")
    assert not second.exists()


def test_a_state_between_runs_is_known_too(sidecar: Path, tmp_path: Path, journal: XmpJournal) -> None:
    """What is left when a run was taken out of a file that another program had changed has bytes that no write made."""
    photo = {"IMG_1.jpg": "1" * 64}
    write_sidecar(sidecar, items("dog", "sea"), journal, "r1", photo)
    sidecar.write_bytes(sidecar.read_bytes() + b"<!-- mine -->")
    write_sidecar(sidecar, items("sun"), journal, "r2", photo)
    assert not retract_sidecar(sidecar, journal, "r1").exact
    moved = tmp_path / "moved.xmp"
    sidecar.rename(moved)
    assert [event.run for event in journal.follow(moved, moved.read_bytes(), photo.values)] == ["r2"]
    retract_sidecar(moved, journal, "r2")
    assert there(moved) == {"beach", "Rome"}
    assert moved.read_bytes().endswith(b"<!-- mine -->")
