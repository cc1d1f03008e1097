"""Correlations are those of scipy, and a folder of ratings is read as it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocess import InputError
from search import PixelScorer, agreement, evaluate_quality, read_ratings
from search.quality_evaluation import ranks


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [4, 57, 250])
def test_correlations_are_those_of_scipy(count: int, ties: bool) -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(count)
    a = random.normal(size=count)
    b = a + random.normal(size=count)
    if ties:
        a, b = a.round(), b.round()
    found = agreement(a, b)
    assert found.srcc == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-4)
    assert found.plcc == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-4)
    assert found.krcc == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-4)


def test_by_hand() -> None:
    found = agreement(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 100.0]))
    assert found.srcc == pytest.approx(0.8)  # 1 - 6·2 / (4·15)
    assert found.krcc == pytest.approx(0.6667)  # five pairs agree, one does not
    assert agreement(np.arange(9.0), -np.arange(9.0)).srcc == -1
    assert ranks(np.array([5.0, 5.0, 5.0])).tolist() == [2, 2, 2]


def test_the_error_is_that_of_repeated_draws() -> None:
    random = np.random.default_rng(0)

    def draw() -> float:
        a = random.normal(size=250)
        return agreement(a, a + random.normal(size=250)).srcc or 0.0

    values = [draw() for _ in range(300)]
    a = random.normal(size=250)
    assert agreement(a, a + random.normal(size=250)).error == pytest.approx(np.std(values), rel=0.25)


def test_equal_scores_agree_with_nothing() -> None:
    found = agreement(np.ones(5), np.arange(5.0))
    assert (found.srcc, found.plcc, found.krcc, found.error) == (None, None, None, None)
    assert agreement(np.arange(3.0), np.arange(3.0)).error is None


@pytest.mark.parametrize(("a", "b"), [(2, 2), (5, 4)])
def test_numbers_that_do_not_fit(a: int, b: int) -> None:
    with pytest.raises(ValueError, match="at least 3"):
        agreement(np.arange(float(a)), np.arange(float(b)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos from dark to light, rated in that order, and one that is damaged."""
    for at in range(4):
        Image.new("RGB", (20, 20), (40 * at + 10,) * 3).save(tmp_path / f"{at}.png")
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    (tmp_path / "mos.csv").write_text(
        "image,mos\n" + "".join(f"{at}.png,0.{at + 1}\n" for at in range(4)) + "broken.jpg,0.9\n", encoding="utf-8"
    )
    return tmp_path


def test_each_score_is_set_against_the_ratings(folder: Path) -> None:
    steps: list[tuple[int, int]] = []
    found = evaluate_quality(
        folder,
        [
            PixelScorer(100, lambda pixels: {"light": float(pixels.mean()), "dark": -float(pixels.mean())}),
            PixelScorer(100, lambda _: {"none": 1.0}),
        ],
        None,
        lambda a, b: steps.append((a, b)),
    )
    assert found["photos"] == 4
    assert list(found["failed"]) == ["broken.jpg"]
    assert {name: row["srcc"] for name, row in found["axes"].items()} == {"light": 1.0, "dark": -1.0, "none": None}
    assert steps[-1] == (5, 5)
    assert found["published"]["BRISQUE"] == 0.603


def test_too_few_photos_can_be_read(folder: Path) -> None:
    for at in range(2):
        (folder / f"{at}.png").unlink()
    with pytest.raises(InputError, match="2 could be read"):
        evaluate_quality(folder, [PixelScorer(100, lambda _: {"a": 1.0})])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "is missing"),
        ("name,score\na.jpg,1\n", "Line 2 .* no image or no mos"),
        ("image,mos\na.jpg,good\n", "cannot be used"),
        ("image,mos\na.jpg,nan\n", "line 2 is no rating"),
        ("image,mos\na.jpg,1\nb.jpg,2\n", "at least 3"),
        ("image,mos\na.jpg,1\nb.jpg\nc.jpg,3\n", "Line 3"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, text: str | None, match: str) -> None:
    if text is not None:
        (tmp_path / "mos.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=match):
        read_ratings(tmp_path)
