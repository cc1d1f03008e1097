"""Hazed photos, and recall by each way of searching them, with the tiny encoder."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from preprocess import InputError, RgbImage, add_haze
from search import Encoder
from search.haze_retrieval import WAYS, evaluate_haze_retrieval


@pytest.fixture(scope="module")
def coffee(skimage_photos: Path) -> RgbImage:
    return np.asarray(Image.open(skimage_photos / "coffee.png").convert("RGB").resize((120, 80)))


class Oracle:
    """A dehazer that knows the clear photos: it finds the one whose hazy copy it was given."""

    id = "oracle-1"

    def __init__(self, folder: Path, strengths: Sequence[float]) -> None:
        photos = {file.name: np.asarray(Image.open(file)) for file in folder.glob("*.png")}
        self.clear = {add_haze(clear, t, name).tobytes(): clear for name, clear in photos.items() for t in (1.0, *strengths)}

    def __call__(self, pixels: RgbImage) -> RgbImage:
        return self.clear[pixels.tobytes()].copy()


class Nothing:
    """A dehazer that changes nothing."""

    id = "nothing-1"

    def __call__(self, pixels: RgbImage) -> RgbImage:
        return pixels.copy()


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory, coffee: RgbImage) -> Path:
    """A cup of coffee in the light of one or two colours: 28 photos, two captions each."""
    folder = tmp_path_factory.mktemp("captioned")
    tints = {"red": (255, 205, 205), "green": (205, 255, 205), "blue": (205, 210, 255), "yellow": (255, 250, 205), "cyan": (205, 250, 255),
             "magenta": (255, 205, 250), "orange": (255, 230, 200)}  # fmt: skip
    cup = coffee.mean(2, keepdims=True) / 255
    lines = []
    for first, second in itertools.combinations_with_replacement(tints, 2):
        name = f"{first} {second}.png"
        Image.fromarray((cup * np.mean([tints[first], tints[second]], 0)).astype(np.uint8)).save(folder / name)
        lines.append(json.dumps({"image": name, "captions": [f"{first} {second}", f"a cup in {second} and {first}"]}))
    (folder / "captions.jsonl").write_text("\n".join(lines))
    return folder


def recalls(row: dict[str, Any], way: str) -> float:
    return float(row["recall_at_10"][way][0])


def test_with_a_perfect_dehazer_haze_costs_nothing(captioned: Path, encoder: Encoder) -> None:
    moves: list[tuple[int, int]] = []
    figures = evaluate_haze_retrieval(
        captioned, encoder, Oracle(captioned, (0.3, 0.1)), (0.3, 0.1), lambda done, total: moves.append((done, total))
    )
    assert (figures["photos"], figures["captions"], figures["dehazer"], figures["recipe"]) == (28, 56, "oracle-1", encoder.recipe.id)
    assert moves[-1] == (28, 28)
    clear, *hazy = figures["conditions"]
    assert [row["mean_t"] for row in figures["conditions"]] == [1.0, 0.3, 0.1]
    assert clear["kept"] == 0
    assert {recalls(clear, way) for way in WAYS} == {recalls(clear, "raw")}
    assert recalls(clear, "raw") > 0.8
    for row in hazy:
        assert row["kept"] == 1
        assert recalls(row, "always") == recalls(row, "gate") == recalls(clear, "raw")
    for row in figures["mixed"]:
        assert recalls(row["hazy"], "gate") == recalls(row["clear"], "gate") == recalls(clear, "raw")
        assert recalls(row["hazy"], "raw") < recalls(row["hazy"], "both")
        assert row["hazy"]["gain"]["gate"][1] > 0, "the interval of a clear gain lies above 0"


def test_a_dehazer_that_does_nothing_gains_nothing(captioned: Path, encoder: Encoder) -> None:
    figures = evaluate_haze_retrieval(captioned, encoder, Nothing(), (0.2,))
    rows = [*figures["conditions"], *(row[half] for row in figures["mixed"] for half in ("hazy", "clear"))]
    assert len(rows) == 4
    assert all(row["kept"] == 0 for row in figures["conditions"])
    assert all(gain == [0, 0, 0] for row in rows for gain in row["gain"].values())


def test_intervals_hold_their_value_and_gains_are_differences(captioned: Path, encoder: Encoder) -> None:
    figures = evaluate_haze_retrieval(captioned, encoder, Oracle(captioned, (0.1,)), (0.1,))
    for row in (*figures["conditions"], figures["mixed"][0]["hazy"], figures["mixed"][0]["clear"]):
        for value, low, high in row["recall_at_10"].values():
            assert 0 <= low <= value <= high <= 1
        for way, (value, low, high) in row["gain"].items():
            assert low <= value <= high
            assert value == pytest.approx(recalls(row, way) - recalls(row, "raw"), abs=2e-4)
    json.dumps(figures)


@pytest.mark.parametrize("strengths", [(0.0,), (0.5, 1.0), (2.0,)])
def test_strengths_out_of_range_are_refused(captioned: Path, encoder: Encoder, strengths: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        evaluate_haze_retrieval(captioned, encoder, Nothing(), strengths)


def test_a_single_photo_is_no_test(tmp_path: Path, coffee: RgbImage, encoder: Encoder) -> None:
    Image.fromarray(coffee).save(tmp_path / "a.png")
    (tmp_path / "captions.jsonl").write_text('{"image": "a.png", "captions": ["a cup"]}')
    with pytest.raises(InputError, match="single photo"):
        evaluate_haze_retrieval(tmp_path, encoder, Nothing())
