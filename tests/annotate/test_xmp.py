"""Sidecars as files: written, merged, compared, taken back by run; what goes wrong on the way leaves them as they were."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotate.xmp import plan_retract, plan_sidecar, retract_sidecar, write_sidecar
from annotate.xmp_document import XmpDocument
from annotate.xmp_file import SidecarStyle, replace_sidecar, sidecar_paths
from annotate.xmp_items import Keyword, NamedArea, XmpItems, keyword_items
from annotate.xmp_journal import JOURNAL, XmpJournal, open_journal
from preprocess import InputError, LibraryBusy, LibraryDamaged, StorageFull, UnknownName, sidecar_keywords

SAMPLES = sorted((Path(__file__).parent / "xmp").glob("*.xmp"))
DOG = NamedArea("dog", "Pet", 0.25, 0.75, 0.1, 0.2)


def items(*words: str, areas: tuple[NamedArea, ...] = (), size_wh: tuple[int, int] = (4000, 3000)) -> XmpItems:
    return keyword_items([Keyword(("things", word)) for word in words], "auto|").plus(XmpItems(areas=areas, size_wh=size_wh))


def there(sidecar: Path) -> set[str]:
    return set(XmpDocument(sidecar.read_bytes()).items().subjects)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[XmpJournal]:
    with open_journal(tmp_path / "library") as journal:
        yield journal


@pytest.fixture
def sidecar(tmp_path: Path) -> Path:
    return Path(shutil.copy(SAMPLES[-2], tmp_path / "IMG_1.xmp"))


# Names


def test_names(tmp_path: Path) -> None:
    photo = tmp_path / "IMG_1.jpg"
    assert sidecar_paths(photo, "adobe") == sidecar_paths(photo.with_suffix(".dng"), "adobe") == (tmp_path / "IMG_1.xmp",)
    assert sidecar_paths(photo, "darktable") == (tmp_path / "IMG_1.jpg.xmp",)
    assert sidecar_paths(photo, "both") == (tmp_path / "IMG_1.xmp", tmp_path / "IMG_1.jpg.xmp")
    assert sidecar_paths(tmp_path / "IMG_1", "both") == (tmp_path / "IMG_1.xmp",)
    (tmp_path / "IMG_1.XMP").touch()
    assert sidecar_paths(photo, "adobe") == (tmp_path / "IMG_1.XMP",)
    with pytest.raises(UnknownName, match="Known: adobe, darktable, both"):
        sidecar_paths(photo, "other")  # type: ignore[arg-type]


# Writing


@pytest.mark.parametrize("style", ["adobe", "darktable", "both"])
def test_a_new_sidecar_comes_and_goes(style: SidecarStyle, tmp_path: Path, journal: XmpJournal) -> None:
    photo = tmp_path / "IMG_1.jpg"
    photo.write_bytes(b"a photo")
    files = sidecar_paths(photo, style)
    for file in files:
        assert plan_sidecar(file, items("dog")).before is None
        assert not file.exists()
        assert write_sidecar(file, items("dog"), journal, "r1").changed
    assert set(sidecar_keywords(photo)) == {"dog", "auto", "things"}
    assert journal.sidecars("r1") == tuple(sorted(files))
    assert journal.runs() == {"r1": len(files)}
    for file in files:
        retract_sidecar(file, journal, "r1")
    assert sorted(tmp_path.iterdir()) == [photo, tmp_path / "library"]
    assert photo.read_bytes() == b"a photo"
    assert journal.runs() == {}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_each_program_s_sidecar_is_as_before(sample: Path, tmp_path: Path, journal: XmpJournal) -> None:
    file = Path(shutil.copy(sample, tmp_path))
    before = file.read_bytes()
    wanted = items("dog", "beach", areas=(DOG,))
    planned = plan_sidecar(file, wanted)
    assert file.read_bytes() == before
    change = write_sidecar(file, wanted, journal, "r1")
    assert (change.before, change.after, change.items) == (planned.before, planned.after, planned.items)
    assert file.read_bytes() == change.after != before
    assert journal.bytes_of(journal.events(file)[0].before) == before
    status = file.stat()
    assert not write_sidecar(file, wanted, journal, "r1").changed
    assert len(journal.events(file)) == 1
    assert file.stat() == status or file.stat().st_mtime_ns == status.st_mtime_ns
    assert plan_retract(file, journal, "r1").exact
    assert retract_sidecar(file, journal, "r1").after == file.read_bytes() == before
    assert not retract_sidecar(file, journal, "r1").changed


def test_what_people_gave_stays(sidecar: Path, journal: XmpJournal) -> None:
    change = write_sidecar(sidecar, items("BEACH", "dog"), journal, "r1")
    assert change.items.subjects == ("dog",)
    assert journal.written(sidecar).subjects == ("dog",)
    retract_sidecar(sidecar, journal, "r1")
    assert there(sidecar) == {"beach", "Rome"}


def test_diff(sidecar: Path) -> None:
    lines = plan_sidecar(sidecar, XmpItems(("dog",))).diff().splitlines()
    assert lines[:2] == [f"--- {sidecar}", f"+++ {sidecar}"]
    assert [line for line in lines[2:] if line[0] in "+-"] == ["+     <rdf:li>dog</rdf:li>"]
    assert plan_sidecar(sidecar, XmpItems(("beach",))).diff() == ""
    assert plan_sidecar(sidecar.with_name("b.xmp"), XmpItems(("dog",))).diff().startswith("--- /dev/null\n")


def test_two_photos_share_a_sidecar(tmp_path: Path, journal: XmpJournal) -> None:
    (file,) = sidecar_paths(tmp_path / "IMG_1.jpg", "adobe")
    write_sidecar(file, items("dog", areas=(DOG,)), journal, "r1")
    change = write_sidecar(file, items("cat", areas=(NamedArea("cat", "Pet", 0.5, 0.5, 0.1, 0.1),), size_wh=(6000, 4000)), journal, "r1")
    assert XmpDocument(file.read_bytes()).items().areas == (DOG,)
    assert "its regions are not written" in change.left_out
    assert there(file) == {"dog", "cat"}
    assert journal.runs() == {"r1": 1}
    retract_sidecar(file, journal, "r1")
    assert not file.exists()


def test_line_ends_are_the_file_s(sidecar: Path, journal: XmpJournal) -> None:
    sidecar.write_bytes(sidecar.read_bytes().replace(b"\n", b"\r\n"))
    after = write_sidecar(sidecar, items("dog", areas=(DOG,)), journal, "r1").after or b""
    assert after.count(b"\n") == after.count(b"\r\n") > 0


def test_an_empty_list_that_was_there_stays(sidecar: Path, journal: XmpJournal) -> None:
    empty = sidecar.read_bytes().replace(b"<rdf:li>beach</rdf:li>", b"").replace(b"<rdf:li>Rome</rdf:li>", b"")
    sidecar.write_bytes(empty)
    write_sidecar(sidecar, XmpItems(("dog",)), journal, "r1")
    sidecar.write_bytes(sidecar.read_bytes() + b"<!-- mine -->")
    retract_sidecar(sidecar, journal, "r1")
    assert b"<dc:subject>" in sidecar.read_bytes()


def test_ten_thousand_keywords(sidecar: Path, journal: XmpJournal) -> None:
    before = sidecar.read_bytes()
    write_sidecar(sidecar, items(*(f"word {number}" for number in range(10_000))), journal, "r1")
    assert len(there(sidecar)) == 10_002
    sidecar.write_bytes(sidecar.read_bytes().replace(b"At the sea", b"Away"))
    assert not retract_sidecar(sidecar, journal, "r1").exact
    assert sidecar.read_bytes() == before.replace(b"At the sea", b"Away")


def test_permissions_stay(sidecar: Path, journal: XmpJournal) -> None:
    sidecar.chmod(0o640)
    write_sidecar(sidecar, items("dog"), journal, "r1")
    assert stat.S_IMODE(sidecar.stat().st_mode) == 0o640


# Taking back


def test_runs_go_in_any_order(sidecar: Path, journal: XmpJournal) -> None:
    before = sidecar.read_bytes()
    alone = plan_sidecar(sidecar, items("sea", "sun")).after
    write_sidecar(sidecar, items("sea", "dog"), journal, "r1")
    write_sidecar(sidecar, items("sea", "sun"), journal, "r2")
    write_sidecar(sidecar, items("sea"), journal, "r3")  # changes nothing, and keeps the sea when both others go
    change = retract_sidecar(sidecar, journal, "r1")
    assert change.exact
    assert change.items.subjects == ("dog",)
    assert sidecar.read_bytes() == alone
    retract_sidecar(sidecar, journal, "r2")
    assert there(sidecar) == {"beach", "Rome", "sea"}
    retract_sidecar(sidecar, journal, "r3")
    assert sidecar.read_bytes() == before


def test_changes_of_others_stay(sidecar: Path, journal: XmpJournal) -> None:
    before = sidecar.read_bytes()
    write_sidecar(sidecar, items("sea", "dog", areas=(DOG,)), journal, "r1")
    write_sidecar(sidecar, items("sea", "sun"), journal, "r2")
    rating = (b'xmp:Rating="4"', b'xmp:Rating="5"')
    title = b"<rdf:li>mine</rdf:li>\n     <rdf:li>Rome</rdf:li>"
    sidecar.write_bytes(sidecar.read_bytes().replace(*rating).replace(b"<rdf:li>Rome</rdf:li>", title))
    change = retract_sidecar(sidecar, journal, "r1")
    assert not change.exact
    assert there(sidecar) == {"beach", "Rome", "mine", "sea", "sun"}
    assert [area.name for area in XmpDocument(sidecar.read_bytes()).items().areas] == ["Ada"]
    retract_sidecar(sidecar, journal, "r2")
    assert sidecar.read_bytes() == before.replace(*rating).replace(b"<rdf:li>Rome</rdf:li>", title)


def test_what_a_run_takes_over_goes_with_it(sidecar: Path, journal: XmpJournal) -> None:
    before = sidecar.read_bytes()
    write_sidecar(sidecar, items("dog"), journal, "r1")
    sidecar.write_bytes(sidecar.read_bytes() + b"<!-- mine -->")
    write_sidecar(sidecar, items("sea"), journal, "r1")
    write_sidecar(sidecar, items("sea"), journal, "r2")  # changes nothing
    retract_sidecar(sidecar, journal, "r1")
    assert there(sidecar) == {"beach", "Rome", "sea"}
    retract_sidecar(sidecar, journal, "r2")
    assert sidecar.read_bytes() == before + b"<!-- mine -->"


def test_a_change_between_two_runs(sidecar: Path, journal: XmpJournal) -> None:
    write_sidecar(sidecar, items("dog"), journal, "r1")
    sidecar.write_bytes(sidecar.read_bytes() + b"<!-- mine -->")
    between = sidecar.read_bytes()
    write_sidecar(sidecar, items("sun"), journal, "r2")
    assert retract_sidecar(sidecar, journal, "r2").exact
    assert sidecar.read_bytes() == between
    retract_sidecar(sidecar, journal, "r1")
    assert sidecar.read_bytes() == SAMPLES[-2].read_bytes() + b"<!-- mine -->"


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool (libimage-exiftool-perl) is not installed")
def test_another_program_writes_it_all_anew(sidecar: Path, journal: XmpJournal) -> None:
    write_sidecar(sidecar, items("dog", areas=(DOG,)), journal, "r1")
    command = ["exiftool", "-q", "-overwrite_original", "-XMP-dc:Subject+=mine", "-XMP-dc:Rights=me", str(sidecar)]
    subprocess.run(command, check=True, timeout=60)
    assert b"Pellucid" not in sidecar.read_bytes()
    retract_sidecar(sidecar, journal, "r1")
    left = XmpDocument(sidecar.read_bytes()).items()
    assert (left.subjects, left.paths) == (("beach", "Rome", "mine"), ("Places|Italy|Rome", "beach"))
    assert [area.name for area in left.areas] == ["Ada"]


def test_a_sidecar_that_somebody_deleted(tmp_path: Path, sidecar: Path, journal: XmpJournal) -> None:
    write_sidecar(sidecar, items("dog"), journal, "r1")
    sidecar.unlink()
    assert not retract_sidecar(sidecar, journal, "r1").changed
    assert not sidecar.exists()
    assert journal.runs() == {}


def test_a_kill_before_the_write(sidecar: Path, journal: XmpJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noted and was not done is no reason to take anything out."""
    monkeypatch.setattr("annotate.xmp.replace_sidecar", lambda *_: True)
    write_sidecar(sidecar, items("dog"), journal, "r1")
    monkeypatch.undo()
    before = sidecar.read_bytes()
    assert not retract_sidecar(sidecar, journal, "r1").changed
    assert sidecar.read_bytes() == before


def test_a_kill_in_the_middle_of_taking_back(sidecar: Path, journal: XmpJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sidecar.read_bytes()
    write_sidecar(sidecar, items("dog", "sea"), journal, "r1")
    write_sidecar(sidecar, items("sea"), journal, "r2")
    monkeypatch.setattr(XmpJournal, "retract", lambda *_: None)
    retract_sidecar(sidecar, journal, "r1")
    monkeypatch.undo()
    retract_sidecar(sidecar, journal, "r1")
    assert there(sidecar) == {"beach", "Rome", "sea"}
    retract_sidecar(sidecar, journal, "r2")
    assert sidecar.read_bytes() == before


words = st.sets(st.sampled_from(["sea", "sun", "dog", "Beach", "a, b", "🐕"]), max_size=4)
steps = st.lists(
    st.tuples(st.sampled_from(["write", "retract", "other", "killed"]), st.sampled_from("abc"), words, st.booleans()), max_size=10
)


@given(st.sampled_from([*SAMPLES, None]), steps)
@settings(max_examples=40, deadline=None)
def test_any_order_of_runs_ends_where_it_began(sample: Path | None, steps: list[tuple[str, str, set[str], bool]]) -> None:
    """Whatever runs write and take back: a file that nobody else changed is at the end as it was, and others' changes are never lost."""
    with tempfile.TemporaryDirectory() as name, mock.patch("os.fsync"):
        file, folder = Path(name) / "a.xmp", Path(name) / "library"
        before = sample.read_bytes() if sample else None
        if before is not None:
            file.write_bytes(before)
        notes = 0
        for kind, run, given_words, with_area in steps:
            with open_journal(folder) as journal:
                if kind == "write":
                    wanted = items(*sorted(given_words), areas=(DOG,) if with_area else ())
                    write_sidecar(file, wanted, journal, run)
                    assert not plan_sidecar(file, wanted).changed
                elif kind == "killed":  # after the line in the journal, before the sidecar
                    with mock.patch("annotate.xmp.replace_sidecar", return_value=True):
                        write_sidecar(file, items(*sorted(given_words)), journal, run)
                elif kind == "retract":
                    retract_sidecar(file, journal, run)
                    assert not any(event.run == run for event in journal.events(file))
                elif file.exists() and kind == "other":
                    notes += 1
                    file.write_bytes(file.read_bytes() + f"<!-- {notes} -->".encode())
        with open_journal(folder) as journal:
            for run in "bca":
                retract_sidecar(file, journal, run)
            assert journal.runs() == {}
        if not notes:
            assert (file.read_bytes() if file.exists() else None) == before
        else:
            comments = "".join(f"<!-- {number + 1} -->" for number in range(notes)).encode()
            left = file.read_bytes()
            assert left.endswith(comments)
            was = XmpDocument(before).items() if before is not None else XmpItems()
            assert XmpDocument(left).items().subjects == was.subjects


# Refusals


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


# The journal


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
        patch.setattr("annotate.xmp.replace_sidecar", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_sidecar(sidecar, items("dog"), journal, "r1")
    assert (journal.runs(), sidecar.read_bytes() == before) == ({"r1": 1}, False)
    retract_sidecar(sidecar, journal, "r1")
    assert sidecar.read_bytes() == before


def test_one_process_holds_the_journal(tmp_path: Path) -> None:
    with open_journal(tmp_path), pytest.raises(LibraryBusy, match="Another run is writing sidecars"), open_journal(tmp_path, wait_s=0.05):
        pass


# Several writers


WRITER = """
import sys
from pathlib import Path
from annotate.xmp import write_sidecar
from annotate.xmp_items import XmpItems
from annotate.xmp_journal import open_journal

folder, sidecar, run = sys.argv[1:]
for number in range(10):
    with open_journal(Path(folder), wait_s=60) as journal:
        write_sidecar(Path(sidecar), XmpItems((f"{run} {number}",)), journal, run)
"""


def test_two_processes_write_one_sidecar(sidecar: Path, tmp_path: Path) -> None:
    before, root = sidecar.read_bytes(), Path(__file__).parents[2]
    command = [sys.executable, "-c", WRITER, str(tmp_path / "library"), str(sidecar)]
    both = [subprocess.Popen([*command, run], cwd=root) for run in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    assert there(sidecar) == {"beach", "Rome", *(f"{run} {number}" for run in "ab" for number in range(10))}
    with open_journal(tmp_path / "library") as journal:
        retract_sidecar(sidecar, journal, "a")
        retract_sidecar(sidecar, journal, "b")
    assert sidecar.read_bytes() == before


def test_another_program_writes_at_the_same_time(sidecar: Path, journal: XmpJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wrote after our look is read again, and merged with."""
    times = iter(range(10**6))

    def late(file: Path, expected: bytes | None, data: bytes | None) -> bool:
        if next(times) < 2:
            file.write_bytes(file.read_bytes() + b"<!-- theirs -->")
        return replace_sidecar(file, expected, data)

    monkeypatch.setattr("annotate.xmp.replace_sidecar", late)
    write_sidecar(sidecar, items("dog"), journal, "r1")
    assert sidecar.read_bytes().endswith(b"<!-- theirs --><!-- theirs -->")
    assert "dog" in there(sidecar)
    assert len(journal.events(sidecar)) == 1
    retract_sidecar(sidecar, journal, "r1")
    assert sidecar.read_bytes() == SAMPLES[-2].read_bytes() + b"<!-- theirs --><!-- theirs -->"


def test_another_program_writes_all_the_time(sidecar: Path, journal: XmpJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotate.xmp.replace_sidecar", lambda *_: False)
    with pytest.raises(InputError, match="is being written by another program"):
        write_sidecar(sidecar, items("dog"), journal, "r1")
    assert journal.runs() == {}


def test_a_sidecar_that_comes_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.xmp"
    file.write_bytes(b"theirs")
    with monkeypatch.context() as patch:
        patch.setattr("annotate.xmp_file.read_sidecar", lambda _: None)  # it comes right after the last look
        assert not replace_sidecar(file, None, b"ours")
    assert file.read_bytes() == b"theirs"
    assert not replace_sidecar(file, None, b"ours")
    assert not replace_sidecar(file, b"older", None)
    assert not replace_sidecar(file, b"older", b"ours")
    assert file.read_bytes() == b"theirs"
    assert replace_sidecar(file, b"theirs", None)
    assert list(tmp_path.iterdir()) == []
