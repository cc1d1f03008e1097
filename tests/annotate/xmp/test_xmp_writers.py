"""Several writers of one sidecar."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from annotate.xmp import retract_sidecar, write_sidecar
from annotate.xmp_file import replace_sidecar
from annotate.xmp_journal import XmpJournal, open_journal
from preprocess import InputError
from tests.annotate.xmp.conftest import SAMPLES, items, there

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
    before, root = sidecar.read_bytes(), Path(__file__).parents[3]
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

    monkeypatch.setattr("annotate.xmp_disk.replace_sidecar", late)
    write_sidecar(sidecar, items("dog"), journal, "r1")
    assert sidecar.read_bytes().endswith(b"<!-- theirs --><!-- theirs -->")
    assert "dog" in there(sidecar)
    assert len(journal.events(sidecar)) == 1
    retract_sidecar(sidecar, journal, "r1")
    assert sidecar.read_bytes() == SAMPLES[-2].read_bytes() + b"<!-- theirs --><!-- theirs -->"


def test_another_program_writes_all_the_time(sidecar: Path, journal: XmpJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotate.xmp_disk.replace_sidecar", lambda *_: False)
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
