"""Haze on the command line: `index --dehaze`, and what search, stats, doctor, forget, compact and remove make of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Command = Callable[..., Any]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PELLUCID_LIBRARY", str(tmp_path / "library"))
    return tmp_path / "library"


@pytest.fixture
def indexed(pellucid: Command, photos: Path, library: Path, mean_colour_listed: str) -> Path:
    """Eleven photos, each with a version through the dark channel; one of them is of red things with dark gaps, behind haze."""
    scene = np.where(np.indices((96, 128)).sum(0)[..., None] // 8 % 4 == 0, (10, 10, 10), (250, 10, 10))
    t = np.linspace(-0.05, 0.6, 96).clip(0)[:, None, None]  # nothing but haze at the top
    veiled = scene * t + 225 * (1 - t) + np.random.default_rng(0).normal(0, 1, scene.shape)
    Image.fromarray(np.rint(veiled.clip(0, 255)).astype(np.uint8)).save(photos / "pale.png")
    ran = pellucid("index", photos, "--encoder", mean_colour_listed, "--dehaze", "dark-channel", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["new"], ran.json["dehazed"]) == (11, 11)
    return photos


def test_hits_say_which_version_matched(pellucid: Command, indexed: Path) -> None:
    hits = pellucid("search", "red", "-k", "50", "--strictness", "0", "--json").json["hits"]
    assert len(hits) == 11
    assert {hit["enhancer"] for hit in hits} == {"none", hits[0]["dehazed"]}
    pale = next(hit for hit in hits if hit["path"] == "pale.png")
    assert pale["enhancer"].startswith("dark-channel")  # redder without its veil
    assert 0 <= pale["haze"] <= 1
    assert pale["dehaze_rule"] == f"every-1+{pale['dehazed']}"
    table = pellucid("search", "red", "-k", "50").out
    assert "version" in table
    assert next(line for line in table.splitlines() if "pale.png" in line).split()[-2] == "dehazed"


def test_a_library_without_versions_has_no_column_for_them(pellucid: Command, indexed: Path) -> None:
    ran = pellucid("index", "--dehaze", "none")
    assert "can be found through" not in ran.out
    assert pellucid("search", "red").out.split()[:5] == ["verdict", "similarity", "z", "taken", "photo"]
    assert {hit["enhancer"] for hit in pellucid("search", "red", "--json").json["hits"]} == {"none"}


def test_the_summary_counts_them(pellucid: Command, photos: Path, library: Path, mean_colour_listed: str) -> None:
    ran = pellucid("index", photos, "--encoder", mean_colour_listed, "--dehaze", "dark-channel")
    assert "10 photos can be found through a dehazed version too." in ran.out


def test_stats_and_doctor_count_them_with_their_encoder(pellucid: Command, indexed: Path) -> None:
    facts = pellucid("stats", "--json").json
    assert (facts["dehaze"], facts["dehazed_photos"]) == ("dark-channel", 11)
    (recipe,) = facts["recipes"]
    (enhancer,) = recipe["dehazed"]
    assert recipe["dehazed"] == {enhancer: 11}
    assert f"11 also through {enhancer}" in pellucid("stats").out
    ran = pellucid("doctor")
    assert ran.code == 0
    assert "All is well." in ran.out


def test_a_condition_on_haze(pellucid: Command, indexed: Path) -> None:
    hits = pellucid("search", "red", "-k", "50", "--strictness", "0", "--json").json["hits"]
    least = sorted(hit["haze"] for hit in hits)[5]
    wanted = {hit["path"] for hit in hits if hit["haze"] > least}
    found = pellucid("search", "red", "-k", "50", "--where", f"haze > {least}", "--strictness", "0", "--json").json["hits"]
    assert {hit["path"] for hit in found} == wanted
    assert 0 < len(wanted) < 11


def test_the_sheet_marks_what_was_dehazed(pellucid: Command, indexed: Path, tmp_path: Path) -> None:
    pellucid("search", "red", "--where", "path = 'pale.png'", "--html", tmp_path / "sheet.html")
    assert 'title="its dehazed version matched best">dehazed</span>' in (tmp_path / "sheet.html").read_text(encoding="utf-8")


def test_forgetting_and_compacting(pellucid: Command, indexed: Path) -> None:
    ran = pellucid("forget", indexed / "pale.png", "--json")
    assert (ran.code, len(ran.json["photos"])) == (0, 1)
    assert pellucid("compact").code == 0
    assert pellucid("stats", "--json").json["recipes"][0]["dehazed"].popitem()[1] == 10
    assert len(pellucid("search", "red", "-k", "50", "--strictness", "0", "--json").json["hits"]) == 10
    assert "10 also through dark-channel" in pellucid("stats").out
    assert len(pellucid("forget", indexed, "--json").json["photos"]) == 10
    assert "also through" not in pellucid("stats").out


def test_the_rule_may_stand_in_the_settings(pellucid: Command, photos: Path, library: Path, mean_colour_listed: str) -> None:
    Path("pellucid.toml").write_text('dehaze = "none"\n', encoding="utf-8")
    assert pellucid("index", photos, "--encoder", mean_colour_listed, "--json").json["dehazed"] == 0
    assert pellucid("stats", "--json").json["dehaze"] == "none"


def test_a_misspelt_rule_makes_no_library(pellucid: Command, photos: Path, library: Path) -> None:
    ran = pellucid("index", photos, "--dehaze", "dark-chanel")
    assert ran.code == 2
    assert "No way to dehaze named 'dark-chanel'. Did you mean 'dark-channel'?" in ran.err
    assert not library.exists()


def test_an_encoder_goes_with_its_versions(pellucid: Command, indexed: Path, make_encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from search import ENCODERS

    monkeypatch.setitem(ENCODERS, "finer", lambda _options: make_encoder("finer"))
    pellucid("index", "--encoder", "finer")
    assert [recipe["dehazed"].popitem()[1] for recipe in pellucid("stats", "--json").json["recipes"]] == [11, 11]
    assert pellucid("models", "remove", "finer").code == 0
    (left,) = pellucid("stats", "--json").json["recipes"]
    assert left["encoder"] == "mean-colour"
