"""Sidecars taken back by run, in any order and whatever others do with them meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotate.xmp import plan_sidecar, retract_sidecar, write_sidecar
from annotate.xmp_document import XmpDocument
from annotate.xmp_items import XmpItems
from annotate.xmp_journal import XmpJournal, open_journal
from tests.annotate.xmp.conftest import DOG, SAMPLES, items, there


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
    monkeypatch.setattr("annotate.xmp_disk.replace_sidecar", lambda *_: True)
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
                dry = XmpJournal(folder, dry=True)
                if kind == "write":
                    wanted = items(*sorted(given_words), areas=(DOG,) if with_area else ())
                    planned = write_sidecar(file, wanted, dry, run)
                    assert write_sidecar(file, wanted, journal, run) == planned
                    assert not plan_sidecar(file, wanted).changed
                elif kind == "killed":  # after the line in the journal, before the sidecar
                    with mock.patch("annotate.xmp_disk.replace_sidecar", return_value=True):
                        write_sidecar(file, items(*sorted(given_words)), journal, run)
                elif kind == "retract":
                    planned = retract_sidecar(file, dry, run)
                    assert retract_sidecar(file, journal, run) == planned
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
