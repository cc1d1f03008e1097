"""`pellucid score`, `pellucid models iqa` and `pellucid eval quality` as people run them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Command = Callable[..., Any]


@pytest.fixture
def library(pellucid: Command, photos: Path, tmp_path: Path) -> Path:
    assert pellucid("index", photos, "--library", tmp_path / "library", "--dehaze", "none").code == 0
    return tmp_path / "library"


def test_the_table_says_how_scores_lie_and_what_they_are_not(pellucid: Command, library: Path) -> None:
    ran = pellucid("score", "--library", library, "--axes", "brightness,quality")
    assert ran.code == 0
    assert "10 of 10 photos scored" in ran.out
    assert "0.34 on AVA" in ran.out
    assert "Best by brightness:" in ran.out
    assert "Worst by brightness:" in ran.out
    again = pellucid("score", "--library", library, "--axes", "brightness,quality")
    assert "0 of 10 photos scored" in again.out
    assert "10 had been" in again.out


def test_scores_are_columns_of_conditions(pellucid: Command, library: Path) -> None:
    figures = pellucid("score", "--library", library, "--json").json
    assert len([axis for axis in figures["axes"] if not axis.startswith("measured_")]) == 12
    middle = figures["axes"]["brightness"]["quantiles"]["50%"]
    bright = pellucid("score", "--library", library, "--where", f"brightness > {middle}", "--json").json
    assert 3 <= bright["photos"] <= 5
    assert bright["axes"]["brightness"]["worst"][0]["score"] >= middle
    dark = pellucid("score", "--library", library, "--where", f"not brightness > {middle}", "--json").json
    assert dark["photos"] == 10 - bright["photos"]


def test_axes_of_ones_own(pellucid: Command, library: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("warm: Warm photo. | Cold photo.\n", encoding="utf-8")
    figures = pellucid("score", "--library", library, "--pairs", tmp_path / "pairs.txt", "--axes", "warm", "--json").json
    assert list(figures["axes"]) == ["warm"]
    values = sorted(photo["score"] for photo in figures["axes"]["warm"]["best"])
    least = f"score('warm') >= {values[0] - 1e-4}"
    assert pellucid("score", "--library", library, "--axes", "quality", "--where", least, "--json").json["photos"] == len(values) == 8


def test_the_rating_reads_photos(pellucid: Command, skimage_photos: Path, tmp_path: Path) -> None:
    place = tmp_path / "some"
    place.mkdir()
    for name in ("chelsea.png", "coffee.png"):
        shutil.copyfile(skimage_photos / name, place / name)
    with Image.open(place / "coffee.png") as opened:
        opened.resize((40, 30)).resize(opened.size).save(place / "soft.png")
    assert pellucid("index", place, "--library", tmp_path / "rated", "--dehaze", "none").code == 0
    page = tmp_path / "page.html"
    ran = pellucid("score", "--library", tmp_path / "rated", "--mode", "paper", "--axes", "rating", "--json", "--html", page)
    facts = ran.json["axes"]["rating"]
    assert Path(facts["worst"][0]["file"]).name == "soft.png"
    assert facts["best"][0]["score"] > facts["worst"][0]["score"] + 0.1
    text = page.read_text(encoding="utf-8")
    assert text.count("<img") == 6
    assert "0.34 on AVA" in text
    (place / "soft.png").unlink()
    ran = pellucid("score", "--library", tmp_path / "rated", "--mode", "paper", "--axes", "rating", "--again")
    assert ran.code == 0
    assert "1 photo could not be scored" in ran.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mode", "slow"), "fast scores stored vectors"),
        (("--axes", "rating"), "--mode paper"),
        (("--axes", "sharpnes"), "Did you mean 'sharpness'"),
        (("--mode", "paper"), "pellucid models iqa rn50"),
        (("--pairs", "nowhere.txt"), "cannot be read"),
        (("--where", "nonsense > 1"), "nonsense"),
    ],
)
def test_what_cannot_be_scored(pellucid: Command, library: Path, arguments: tuple[str, ...], message: str) -> None:
    ran = pellucid("score", "--library", library, *arguments)
    assert ran.code == 2
    assert message in ran.err


def test_a_model_that_is_not_here_gets_no_graph(pellucid: Command) -> None:
    ran = pellucid("models", "iqa", "nobody")
    assert ran.code == 2
    assert "nobody" in ran.err


def test_agreement_with_people(pellucid: Command, photos: Path) -> None:
    (photos / "mos.csv").write_text("image,mos\nblack.png,0.1\ngrey.png,0.5\nwhite.png,0.9\nnone.png,0.5\n", encoding="utf-8")
    ran = pellucid("eval", "quality", photos)
    assert ran.code == 0
    assert "BRISQUE 0.603" in ran.out
    assert "0.34 on AVA" in ran.out
    assert "none.png" in ran.out
    figures = pellucid("eval", "quality", photos, "--json").json
    assert figures["photos"] == 3
    assert figures["axes"]["measured_brightness"]["srcc"] == 1.0
    assert {"rating", "fast quality", "fast complex", "measured_sharpness"} <= set(figures["axes"])
    assert "pellucid models iqa" in pellucid("eval", "quality", photos, "--paper").err
