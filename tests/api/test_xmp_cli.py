"""`pellucid xmp` as people and programs run it: sidecars of photos in two roots, copies, strange names, what goes wrong on the way, and exiftool's reading."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotate import Annotation, Region
from indexer import BuildOptions, build
from preprocess import sidecar_keywords
from search import FoundTag, Library, Store, TagRun, image_row, new_run_id, normalize

SIZE = (48, 32)
LIGHTROOM = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4">
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Rome</rdf:li>
    </rdf:Bag>
   </dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


@dataclass
class Place:
    """A library of photos in two roots: `one` has a.png, b.jpg and été/плаж 1.png, `two` has a copy of a.png."""

    folder: Path
    pellucid: Callable[..., Any]

    def run(self, *arguments: object) -> Any:
        return self.pellucid(*arguments, "--library", self.folder / "library")

    def xmp(self, *arguments: object) -> Any:
        ran = self.run("xmp", *arguments)
        assert ran.code == 0, ran.err
        return ran

    def json(self, *arguments: object) -> Any:
        return self.xmp(*arguments, "--json").json

    def digest(self, name: str) -> str:
        rows = Store(Library(self.folder / "library")).images(["root", "path", "digest"]).to_pylist()
        return str(next(row["digest"] for row in rows if f"{Path(row['root']).name}/{row['path']}" == name))

    def tag(self, **tags: Iterable[str]) -> str:
        """One run by a machine; gives its id."""
        library = Library(self.folder / "library")
        with library.locked("test"):
            marks = Store(library).marks
            run = TagRun(new_run_id(), "r", "mean-colour", "photo", "0" * 12, "one")
            marks.begin(run)
            marks.put(run.id, {self.digest(name): [FoundTag(tag, 0.8, 0.3, 3.0) for tag in names] for name, names in tags.items()})
            marks.finish(run.id)
        return run.id

    def confirm(self, name: str, tag: str) -> None:
        library = Library(self.folder / "library")
        with library.locked("test"):
            Store(library).marks.label(self.digest(name), tag, "confirmed")

    def files(self) -> set[str]:
        return {
            file.relative_to(self.folder).as_posix()
            for root in ("one", "two")
            for file in (self.folder / root).rglob("*")
            if file.is_file()
        }


@pytest.fixture
def place(tmp_path: Path, paint: Any, encoder: Any, mean_colour_listed: str, pellucid: Callable[..., Any]) -> Place:
    for at, name in enumerate(("one/a.png", "one/b.jpg", "one/été/плаж 1.png")):
        paint(tmp_path / name, seed=at, size=SIZE)
    (tmp_path / "two").mkdir()
    shutil.copyfile(tmp_path / "one/a.png", tmp_path / "two/copy.png")
    assert mean_colour_listed == encoder.recipe.encoder
    library = Library(tmp_path / "library", create=True)
    with library.locked("test"):
        store, rows = Store(library), [_row(tmp_path, file) for file in sorted(tmp_path.glob("[ot]*/**/*.*"))]
        library.write(library.file.with_root(str(tmp_path / "one")).with_root(str(tmp_path / "two")))
        digests = sorted({row["digest"] for row in rows})
        store.add_vectors(encoder.recipe, digests, normalize(np.eye(encoder.recipe.dim, dtype=np.float32)[: len(digests)]))
        store.put_images(rows)
        store.use(encoder.recipe)
    return Place(tmp_path, pellucid)


def _row(folder: Path, file: Path) -> dict[str, Any]:
    root = folder / file.relative_to(folder).parts[0]
    status, digest = file.stat(), hashlib.sha256(file.read_bytes()).hexdigest()
    facts = {"byte_size": status.st_size, "modified_ns": status.st_mtime_ns, "width": SIZE[0], "height": SIZE[1]}
    return image_row(root=str(root), path=file.relative_to(root).as_posix(), digest=digest, **facts)


PHOTOS = {"one/a.png", "one/b.jpg", "one/été/плаж 1.png", "two/copy.png"}
A, B, BEACH = "one/a.png", "one/b.jpg", "one/été/плаж 1.png"


def test_tags_come_and_go(place: Place) -> None:
    originals = {name: (place.folder / name).read_bytes() for name in PHOTOS}
    place.tag(**{A: ["dog"], BEACH: ["beach", "plage d'été"]})
    told = place.json("write")
    assert (told["photos"], told["new"], told["merged"], told["keywords"], told["left_out"]) == (4, 3, 0, 4, {})
    assert place.files() == PHOTOS | {"one/a.xmp", "two/a.xmp".replace("a", "copy"), "one/été/плаж 1.xmp"}
    assert "dog" in sidecar_keywords(place.folder / A)
    assert "dog" in sidecar_keywords(place.folder / "two/copy.png")  # a copy of the photo is the photo
    assert "plage d'été" in sidecar_keywords(place.folder / BEACH)
    again = place.json("write")
    assert (again["new"], again["merged"], again["unchanged"]) == (0, 0, 3)
    assert place.json("runs") == {"runs": [{"run": told["run"], "sidecars": 3}, {"run": again["run"], "sidecars": 3}]}
    assert place.json("retract", told["run"])["unchanged"] == 3  # the second run wants the same
    back = place.json("retract", again["run"])
    assert (back["removed"], back["merged"], back["edited"]) == (3, 0, 0)
    assert place.files() == PHOTOS
    assert {name: (place.folder / name).read_bytes() for name in PHOTOS} == originals
    assert place.json("runs") == {"runs": []}


def test_what_is_there_stays_and_comes_back_exactly(place: Place) -> None:
    sidecar = place.folder / "one/a.xmp"
    sidecar.write_text(LIGHTROOM)
    place.tag(**{A: ["dog"]})
    ran = place.xmp("diff")
    assert sidecar.read_text() == LIGHTROOM
    assert next(line.strip("+ ") for line in ran.out.splitlines() if line.startswith("+ ") and "dog" in line) == "<rdf:li>dog</rdf:li>"
    assert f"--- {sidecar}" in ran.out
    written = place.xmp("write").out
    assert "1 keyword" in written or "2 keywords" in written
    run = written.split("pellucid xmp retract ")[1].split()[0]
    assert {"Rome", "dog"} <= set(sidecar_keywords(place.folder / A))
    assert 'xmp:Rating="4"' in sidecar.read_text()
    assert "dog" in place.xmp("retract", run, "--dry-run").out
    assert sidecar.read_text() != LIGHTROOM
    place.xmp("retract", run)
    assert sidecar.read_text() == LIGHTROOM


def test_styles(place: Place) -> None:
    place.tag(**{B: ["dog"]})
    place.json("write", "--style", "both")
    assert place.files() == PHOTOS | {"one/b.xmp", "one/b.jpg.xmp"}
    assert place.json("write", "--style", "darktable")["unchanged"] == 1
    refused = place.run("xmp", "write", "--style", "gimp")
    assert (refused.code, "Known: adobe, darktable, both" in refused.err) == (2, True)


def test_the_prefix_is_for_machines_only(place: Place) -> None:
    place.tag(**{A: ["dog"]})
    place.confirm(A, "cat")
    place.json("write", "--prefix", "auto|")
    text = (place.folder / "one/a.xmp").read_text()
    assert "<rdf:li>auto|" in text
    assert text.count("auto|") == 1
    assert {"dog", "cat"} <= set(sidecar_keywords(place.folder / A))


def test_our_own_keywords_do_not_come_back_as_the_photographer_s(place: Place, encoder: Any) -> None:
    (place.folder / "one/a.xmp").write_text(LIGHTROOM)
    place.tag(**{A: ["dog"], B: ["cat"]})
    place.json("write", "--prefix", "auto|")
    for name in (A, B):
        os.utime(place.folder / name, ns=(1, 1))  # so that it is read again
    library = Library(place.folder / "library")
    build(library, [], encoder, BuildOptions())
    rows = {
        f"{Path(row['root']).name}/{row['path']}": row["keywords"]
        for row in Store(library).images(["root", "path", "keywords"]).to_pylist()
    }
    assert rows[A] == "Rome"
    assert rows[B] is None


def test_two_photos_of_one_sidecar(place: Place, paint: Any, encoder: Any) -> None:
    paint(place.folder / "one/b.png", "blue", size=SIZE)
    build(Library(place.folder / "library"), [], encoder)
    place.tag(**{B: ["dog"], "one/b.png": ["cat"]})
    told = place.json("write")
    assert (told["new"], told["merged"]) == (1, 0)
    assert {"dog", "cat"} <= set(sidecar_keywords(place.folder / B))
    place.json("retract", "latest")
    assert "one/b.xmp" not in place.files()


def test_replace_spares_a_sidecar_that_is_a_left_out_photo_s_too(place: Place, paint: Any, encoder: Any) -> None:
    paint(place.folder / "one/b.png", "blue", size=SIZE)
    build(Library(place.folder / "library"), [], encoder)
    place.tag(**{A: ["sun"], B: ["dog"], "one/b.png": ["cat"]})
    place.json("write")
    told = place.json("write", "--replace", "--where", "path = 'b.jpg'")
    assert "belongs to photos that were left out" in told["left_out"][str(place.folder / "one/b.xmp")]
    assert {"dog", "cat"} <= set(sidecar_keywords(place.folder / B))
    (place.folder / "one/b.png").unlink()
    assert str(place.folder / "one/b.xmp") in place.json("write", "--replace")["left_out"]
    assert {"dog", "cat"} <= set(sidecar_keywords(place.folder / B))


def test_only_some_photos(place: Place) -> None:
    place.tag(**{A: ["dog"], B: ["cat"]})
    assert place.json("write", "--where", "path = 'b.jpg'")["photos"] == 1
    assert place.files() == PHOTOS | {"one/b.xmp"}


# Regions


def with_regions(place: Place, name: str, size_wh: tuple[int, int] = SIZE) -> None:
    library = Library(place.folder / "library")
    box = (0.0, 0.0, size_wh[0] / 2, size_wh[1] / 4)
    with library.locked("test"):
        Store(library).regions.put({place.digest(name): Annotation(size_wh, (Region(box, "dog", 0.9),), "tiny-1")})


def exiftool(file: Path, *arguments: str) -> Any:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool (libimage-exiftool-perl) is not installed")
    done = subprocess.run(["exiftool", "-j", "-struct", "-n", *arguments, str(file)], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)[0]


def test_exiftool_reads_back_what_was_written(place: Place) -> None:
    (place.folder / "one/été/плаж 1.xmp").write_text(LIGHTROOM)
    place.tag(**{BEACH: ["dog", "beach"]})
    with_regions(place, BEACH)
    told = place.json("write", "--regions", "--prefix", "auto|")
    assert (told["areas"], told["left_out"]) == (1, {})
    read = exiftool(place.folder / "one/été/плаж 1.xmp")
    assert set(read["Subject"]) == {"Rome", "dog", "beach"}
    paths = [path.split("|") for path in read["HierarchicalSubject"]]
    assert {path[0] for path in paths} == {"auto"}
    assert {path[-1] for path in paths} == {"dog", "beach"}
    assert read["RegionInfo"]["AppliedToDimensions"] == {"W": 48, "H": 32, "Unit": "pixel"}
    (region,) = read["RegionInfo"]["RegionList"]
    assert (region["Name"], region["Type"]) == ("dog", "Pet")
    area = region["Area"]
    assert (area["X"], area["Y"], area["W"], area["H"]) == (0.25, 0.125, 0.5, 0.25)
    place.json("retract", told["run"][:-2])
    assert (place.folder / "one/été/плаж 1.xmp").read_text() == LIGHTROOM


def test_regions_are_shares_of_the_stored_photo(place: Place, encoder: Any) -> None:
    wanted = {1: (0.25, 0.125, 0.5, 0.25), 3: (0.75, 0.875, 0.5, 0.25), 6: (0.125, 0.75, 0.25, 0.5), 8: (0.875, 0.25, 0.25, 0.5)}
    for orientation in wanted:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.full((32, 48, 3), 20 * orientation, np.uint8)).save(place.folder / f"one/{orientation}.jpg", exif=exif)
    build(Library(place.folder / "library"), [], encoder)
    for orientation in wanted:  # its top left: half as wide, a quarter as high
        with_regions(place, f"one/{orientation}.jpg", (48, 32) if orientation < 5 else (32, 48))
    place.json("write", "--regions")
    for orientation, numbers in wanted.items():
        read = exiftool(place.folder / f"one/{orientation}.xmp")
        assert read["RegionInfo"]["AppliedToDimensions"] == {"W": 48, "H": 32, "Unit": "pixel"}
        area = read["RegionInfo"]["RegionList"][0]["Area"]
        assert (area["X"], area["Y"], area["W"], area["H"]) == numbers


# What goes wrong


def test_a_sidecar_that_is_not_xml_is_left_alone_and_the_rest_goes_on(place: Place) -> None:
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


def test_photos_that_are_gone_or_changed_get_nothing(place: Place, paint: Any) -> None:
    place.tag(**{A: ["dog"], B: ["cat"]})
    (place.folder / A).unlink()
    paint(place.folder / B, "green", size=(64, 64))
    told = place.json("write")
    assert set(told["left_out"]) == {str(place.folder / A), str(place.folder / B)}
    assert place.files() == (PHOTOS - {A}) | {"two/copy.xmp"}


def test_a_folder_that_cannot_be_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_full_disk_ends_the_run_which_can_be_taken_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.tag(**{A: ["dog"], B: ["cat"]})
    real = Path.open

    def full(self: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        if "x" in mode and len(place.files()) > len(PHOTOS):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, mode, *more, **named)

    monkeypatch.setattr(Path, "open", full)
    ran = place.run("xmp", "write")
    assert ran.code == 7
    assert "Free some space" in ran.err
    run = ran.err.split("pellucid xmp retract ")[1].split()[0]
    monkeypatch.undo()
    assert len(place.files()) == len(PHOTOS) + 1
    place.pellucid("xmp", "retract", run, "--library", place.folder / "library")


def test_a_sidecar_that_another_program_edited_meanwhile(place: Place) -> None:
    sidecar = place.folder / "one/a.xmp"
    sidecar.write_text(LIGHTROOM)
    place.tag(**{A: ["dog"]})
    run = place.json("write")["run"]
    sidecar.write_text(sidecar.read_text().replace('xmp:Rating="4"', 'xmp:Rating="5"').replace(">Rome<", ">Roma<"))
    told = place.json("retract", run)
    assert (told["edited"], told["keywords"]) == (1, 2)  # of the photo, and of its copy
    assert sidecar.read_text() == LIGHTROOM.replace('xmp:Rating="4"', 'xmp:Rating="5"').replace(">Rome<", ">Roma<")


def test_a_run_is_taken_back_once(place: Place) -> None:
    place.tag(**{A: ["dog"]})
    run = place.json("write")["run"]
    place.json("retract", run)
    again = place.run("xmp", "retract", run)
    assert again.code == 2
    assert "taken back before" in again.err


def test_a_disk_that_is_away_is_no_reason_to_forget_a_run(place: Place) -> None:
    place.tag(**{BEACH: ["beach"]})
    run = place.json("write")["run"]
    (place.folder / "one").rename(place.folder / "away")
    told = place.json("retract", run)
    assert "Mount its disk" in next(iter(told["left_out"].values()))
    (place.folder / "away").rename(place.folder / "one")
    assert place.json("retract", run)["removed"] == 1
    assert place.files() == PHOTOS


def test_tags_that_went_are_named_and_go_with_their_run(place: Place) -> None:
    place.tag(**{A: ["dog", "cat"]})
    first = place.json("write")["run"]
    place.tag(**{A: ["dog"]})
    told = place.json("write")
    assert told["stale"] >= 1
    assert told["stale_runs"] == [first]
    assert "cat" in sidecar_keywords(place.folder / A)
    place.json("retract", first)
    assert "cat" not in sidecar_keywords(place.folder / A)
    assert "dog" in sidecar_keywords(place.folder / A)


def test_sidecars_that_hold_what_is_wanted_now_and_no_more(place: Place) -> None:
    (place.folder / "one/a.xmp").write_text(LIGHTROOM)
    place.tag(**{A: ["dog", "cat"], B: ["cat"]})
    place.json("write")
    place.tag(**{A: ["dog"], B: []})
    told = place.json("write", "--replace")
    assert (told["removed"], told["left_out"]) == (1, {})
    assert {"Rome", "dog"} <= set(sidecar_keywords(place.folder / A))
    assert "cat" not in sidecar_keywords(place.folder / A)
    assert place.files() == PHOTOS | {"one/a.xmp", "two/copy.xmp"}
    assert [row["run"] for row in place.json("runs")["runs"]] == [told["run"]]
    place.json("retract", told["run"])
    assert (place.folder / "one/a.xmp").read_text() == LIGHTROOM


def test_photos_without_tags(place: Place) -> None:
    assert "pellucid tag" in place.xmp("write").out
    assert "Nothing would change" in place.xmp("diff").err
    assert place.files() == PHOTOS


def test_a_library_in_use_is_left_alone(place: Place) -> None:
    place.tag(**{A: ["dog"]})
    with Library(place.folder / "library").locked("test"):
        assert place.run("xmp", "write").code == 5
    assert place.files() == PHOTOS
