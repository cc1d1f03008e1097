"""The verdict of a search, as the command line gives it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


@pytest.fixture
def real(pellucid: Command, skimage_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of real photos, by the encoder that ships."""
    monkeypatch.setenv("PELLUCID_LIBRARY", str(tmp_path / "library"))
    assert pellucid("index", skimage_photos).code == 0
    return tmp_path / "library"


def test_the_verdict_of_a_search(pellucid: Command, real: Path, skimage_photos: Path, tmp_path: Path) -> None:
    found = pellucid("search", "a cat", "--json").json
    assert found["verdict"] in ("strong", "weak")
    assert found["nearest_miss"] is None
    assert found["hits"][0]["path"] == "chelsea.png"
    assert found["hits"][0]["verdict"] in ("strong", "weak")
    assert 0 < found["hits"][0]["probability"] <= found["probability"] < 1
    probabilities = [hit["probability"] for hit in found["hits"]]
    assert probabilities == sorted(probabilities, reverse=True)
    table = pellucid("search", "a cat").out
    assert re.search(r"(weak|strong) +\d+% .*chelsea", table)
    assert "'a cat'" in table
    again = pellucid("search", "a cat", "--json").json
    assert again == found

    other = pellucid("search", "an aircraft carrier", "--json", "--strictness", 100)
    assert other.code == 0
    document = other.json
    assert (document["verdict"], document["hits"]) == ("none", [])
    assert document["nearest_miss"]["verdict"] == "none"
    assert "Nothing here matches 'an aircraft carrier'" in document["why"]
    ran = pellucid("search", "an aircraft carrier", "--strictness", 100, "--html", tmp_path / "page.html")
    assert ran.code == 0
    assert re.search(r"Nothing here matches 'an aircraft carrier'.*probability \d+%", ran.out)
    assert document["nearest_miss"]["path"] in ran.out
    assert "nearest miss" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert pellucid("search", "an aircraft carrier", "--strictness", 100, "--paths").out == ""

    everything = [hit["path"] for hit in pellucid("search", "an aircraft carrier", "--strictness", 0, "--json").json["hits"]]
    assert len(everything) == len(set(everything)) == len(list(skimage_photos.iterdir()))
    counts = [len(pellucid("search", "a cat", "--strictness", at, "--paths").out.splitlines()) for at in (0, 60, 90)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 1 or pellucid("search", "a cat", "--strictness", 90, "--json").json["verdict"] == "none"


WRONG = {
    ("--strictness", "101"): "from 0.*to 100",
    ("--sort", "dat"): "Did you mean 'date'",
    ("--sort", "quality"): "pellucid score",
    ("--diverse", "--sort", "date"): "order of its own",
    ("without:people",): "neither regions nor tags",
    ("without:",): "says nothing",
}


def test_orders_choices_and_what_is_wrong(pellucid: Command, real: Path) -> None:
    for arguments, message in WRONG.items():
        ran = pellucid("search", "a cat", *arguments)
        assert ran.code == 2, arguments
        assert re.search(message, ran.err), ran.err

    def asked(*arguments: object) -> list[str]:
        hits = pellucid("search", "a photo", "--json", "--strictness", 0, *arguments).json["hits"]
        return [hit["path"] for hit in hits]

    plain = asked()
    assert sorted(asked("--diverse")) == sorted(plain)
    assert asked("--diverse")[0] == plain[0]
    assert asked("--sort", "similarity") == plain
    assert sorted(asked("--sort", "date")) == sorted(plain)
    assert len(asked("--collapse")) <= len(plain)


def test_programs_are_told_what_scores_are_not(pellucid: Command, photos: Path, tmp_path: Path) -> None:
    library = ("--library", tmp_path / "library")
    assert pellucid("index", photos, *library, "--dehaze", "none").code == 0
    asked = ("search", "a photo", *library, "--json", "--strictness", 0)
    plain = pellucid(*asked).json
    assert plain["notes"] == []
    assert "quality" not in plain["hits"][0]
    assert pellucid("score", *library, "--axes", "quality").code == 0
    scored = pellucid(*asked).json
    assert 0 <= scored["hits"][0]["quality"] <= 1
    assert len(scored["notes"]) == 1
    assert "Technical quality and beauty are axes of their own" in scored["notes"][0]
    assert "0.34 on AVA" in scored["notes"][0]
    missed = pellucid("search", "an aircraft carrier", *library, "--json", "--strictness", 100).json
    assert missed["hits"] == []
    assert len(missed["notes"]) == 1  # the nearest miss has scores too
