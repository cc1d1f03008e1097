"""`pellucid xmp` as people and programs run it: sidecars of photos in two roots, copies, strange names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from indexer import BuildOptions, build
from preprocess import sidecar_keywords
from search import Library, Store

A, B, BEACH = "one/a.png", "one/b.jpg", "one/été/плаж 1.png"


def test_tags_come_and_go(place: Any) -> None:
    originals = {name: (place.folder / name).read_bytes() for name in place.photos}
    place.tag(**{A: ["dog"], BEACH: ["beach", "plage d'été"]})
    told = place.json("write")
    assert (told["photos"], told["new"], told["merged"], told["keywords"], told["left_out"]) == (4, 3, 0, 4, {})
    assert place.files() == place.photos | {"one/a.xmp", "two/a.xmp".replace("a", "copy"), "one/été/плаж 1.xmp"}
    assert "dog" in sidecar_keywords(place.folder / A)
    assert "dog" in sidecar_keywords(place.folder / "two/copy.png")  # a copy of the photo is the photo
    assert "plage d'été" in sidecar_keywords(place.folder / BEACH)
    again = place.json("write")
    assert (again["new"], again["merged"], again["unchanged"]) == (0, 0, 3)
    assert place.json("runs") == {"runs": [{"run": told["run"], "sidecars": 3}, {"run": again["run"], "sidecars": 3}]}
    assert place.json("retract", told["run"])["unchanged"] == 3  # the second run wants the same
    back = place.json("retract", again["run"])
    assert (back["removed"], back["merged"], back["edited"]) == (3, 0, 0)
    assert place.files() == place.photos
    assert {name: (place.folder / name).read_bytes() for name in place.photos} == originals
    assert place.json("runs") == {"runs": []}


def test_what_is_there_stays_and_comes_back_exactly(place: Any) -> None:
    sidecar = place.folder / "one/a.xmp"
    sidecar.write_text(place.lightroom)
    place.tag(**{A: ["dog"]})
    ran = place.xmp("diff")
    assert sidecar.read_text() == place.lightroom
    assert next(line.strip("+ ") for line in ran.out.splitlines() if line.startswith("+ ") and "dog" in line) == "<rdf:li>dog</rdf:li>"
    assert f"--- {sidecar}" in ran.out
    written = place.xmp("write").out
    assert "1 keyword" in written or "2 keywords" in written
    run = written.split("pellucid xmp retract ")[1].split()[0]
    assert {"Rome", "dog"} <= set(sidecar_keywords(place.folder / A))
    assert 'xmp:Rating="4"' in sidecar.read_text()
    assert "dog" in place.xmp("retract", run, "--dry-run").out
    assert sidecar.read_text() != place.lightroom
    place.xmp("retract", run)
    assert sidecar.read_text() == place.lightroom


def test_styles(place: Any) -> None:
    place.tag(**{B: ["dog"]})
    place.json("write", "--style", "both")
    assert place.files() == place.photos | {"one/b.xmp", "one/b.jpg.xmp"}
    assert place.json("write", "--style", "darktable")["unchanged"] == 1
    refused = place.run("xmp", "write", "--style", "gimp")
    assert (refused.code, "Known: adobe, darktable, both" in refused.err) == (2, True)


def test_the_prefix_is_for_machines_only(place: Any) -> None:
    place.tag(**{A: ["dog"]})
    place.confirm(A, "cat")
    place.json("write", "--prefix", "auto|")
    text = (place.folder / "one/a.xmp").read_text()
    assert "<rdf:li>auto|" in text
    assert text.count("auto|") == 1
    assert {"dog", "cat"} <= set(sidecar_keywords(place.folder / A))


def test_our_own_keywords_do_not_come_back_as_the_photographer_s(place: Any, encoder: Any) -> None:
    (place.folder / "one/a.xmp").write_text(place.lightroom)
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


def test_two_photos_of_one_sidecar(place: Any, paint: Any, encoder: Any) -> None:
    paint(place.folder / "one/b.png", "blue", size=place.size)
    build(Library(place.folder / "library"), [], encoder)
    place.tag(**{B: ["dog"], "one/b.png": ["cat"]})
    told = place.json("write")
    assert (told["new"], told["merged"]) == (1, 0)
    assert {"dog", "cat"} <= set(sidecar_keywords(place.folder / B))
    place.json("retract", "latest")
    assert "one/b.xmp" not in place.files()


def test_only_some_photos(place: Any) -> None:
    place.tag(**{A: ["dog"], B: ["cat"]})
    assert place.json("write", "--where", "path = 'b.jpg'")["photos"] == 1
    assert place.files() == place.photos | {"one/b.xmp"}
