"""Sidecars that hold what is wanted now and no more, and what that would change."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest

from annotate import open_journal
from indexer import build
from preprocess import sidecar_keywords
from search import Library

A, B, BEACH = "one/a.png", "one/b.jpg", "one/été/плаж 1.png"


def test_replace_spares_a_sidecar_that_is_a_left_out_photo_s_too(place: Any, paint: Any, encoder: Any) -> None:
    paint(place.folder / "one/b.png", "blue", size=place.size)
    build(Library(place.folder / "library"), [], encoder)
    place.tag(**{A: ["sun"], B: ["dog"], "one/b.png": ["cat"]})
    place.json("write")
    told = place.json("write", "--replace", "--where", "path = 'b.jpg'")
    assert "belongs to photos that were left out" in told["left_out"][str(place.folder / "one/b.xmp")]
    assert {"dog", "cat"} <= set(sidecar_keywords(place.folder / B))
    (place.folder / "one/b.png").unlink()
    assert str(place.folder / "one/b.xmp") in place.json("write", "--replace")["left_out"]
    assert {"dog", "cat"} <= set(sidecar_keywords(place.folder / B))


def test_tags_that_went_are_named_and_go_with_their_run(place: Any) -> None:
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


def test_sidecars_that_hold_what_is_wanted_now_and_no_more(place: Any) -> None:
    (place.folder / "one/a.xmp").write_text(place.lightroom)
    place.tag(**{A: ["dog", "cat"], B: ["cat"]})
    place.json("write")
    place.tag(**{A: ["dog"], B: []})
    told = place.json("write", "--replace")
    assert (told["removed"], told["left_out"]) == (1, {})
    assert {"Rome", "dog"} <= set(sidecar_keywords(place.folder / A))
    assert "cat" not in sidecar_keywords(place.folder / A)
    assert place.files() == place.photos | {"one/a.xmp", "two/copy.xmp"}
    assert [row["run"] for row in place.json("runs")["runs"]] == [told["run"]]
    place.json("retract", told["run"])
    assert (place.folder / "one/a.xmp").read_text() == place.lightroom


def bytes_of(place: Any) -> dict[str, bytes]:
    return {name: (place.folder / name).read_bytes() for name in place.files()}


@pytest.mark.parametrize("replace", [(), ("--replace",)])
def test_the_dry_run_is_what_is_done_then(place: Any, replace: tuple[str, ...]) -> None:
    """Of runs over each other, and sidecars that another program changed between them."""
    a, b, copy = (place.folder / name for name in ("one/a.xmp", "one/b.xmp", "two/copy.xmp"))
    a.write_text(place.lightroom)
    place.tag(**{A: ["dog", "cat"], B: ["cat"]})
    place.json("write")
    a.write_text(a.read_text().replace('xmp:Rating="4"', 'xmp:Rating="5"'))
    place.tag(**{A: ["dog", "sun"], BEACH: ["sea"]})
    place.json("write", "--prefix", "auto|")
    place.tag(**{A: ["dog"], B: [], BEACH: ["sea", "beach"]})
    before, noted = bytes_of(place), (place.folder / "library/xmp.jsonl").read_bytes()
    dry = place.json("diff", *replace)
    assert (bytes_of(place), (place.folder / "library/xmp.jsonl").read_bytes()) == (before, noted)
    done = place.json("write", *replace)
    same = ("new", "merged", "unchanged", "removed", "keywords", "replaced", "stale", "stale_runs", "left_out")
    assert {name: dry[name] for name in same} == {name: done[name] for name in same}
    after = bytes_of(place)
    changed = {str(place.folder / name) for name in {*before, *after} if before.get(name) != after.get(name)}
    assert {change["sidecar"] for change in dry["changes"]} == changed
    for change in dry["changes"]:
        name = Path(change["sidecar"]).relative_to(place.folder).as_posix()
        old, new = (files.get(name, b"").decode().splitlines() for files in (before, after))
        wanted = list(difflib.unified_diff(old, new, lineterm=""))[2:]
        assert change["diff"].splitlines()[2:] == wanted
        assert change["becomes"] == ("removed" if name not in after else "new" if name not in before else "changed")
    if replace:
        assert changed == {str(file) for file in (a, b, copy, place.folder / "one/été/плаж 1.xmp")}
        assert {"cat", "sun"} <= set(next(change["taken"]["subjects"] for change in dry["changes"] if change["sidecar"] == str(a)))
        assert "Rome" in a.read_text()
        assert not b.exists()


def test_a_dry_run_needs_nobody_to_wait(place: Any) -> None:
    place.tag(**{A: ["dog"]})
    place.json("write")
    with Library(place.folder / "library").locked("test"), open_journal(place.folder / "library"):
        assert place.json("diff", "--replace")["changes"] == []
        assert len(place.json("retract", "latest", "--dry-run")["changes"]) == 2
    assert place.files() == place.photos | {"one/a.xmp", "two/copy.xmp"}
