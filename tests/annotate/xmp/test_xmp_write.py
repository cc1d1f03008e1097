"""Sidecars as files: named, written, merged and compared."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from annotate.xmp import plan_retract, plan_sidecar, retract_sidecar, write_sidecar
from annotate.xmp_document import XmpDocument
from annotate.xmp_file import SidecarStyle, sidecar_paths
from annotate.xmp_items import NamedArea, XmpItems
from annotate.xmp_journal import XmpJournal
from preprocess import UnknownName, sidecar_keywords
from tests.annotate.xmp.conftest import DOG, SAMPLES, items, there


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
    assert journal.disk.kept(journal.events(file)[0].before) == before
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
