"""The benchmark's photos are what they say, and its figures are right."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotate.region import Region


@pytest.fixture(scope="module")
def composed() -> Any:
    file = Path(__file__).parents[2] / "benchmarks" / "composed.py"
    spec = importlib.util.spec_from_file_location("composed_benchmark", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scenes(module: Any, count: int = 6, size: tuple[int, int] = (200, 300)) -> Any:
    return [module.Scene(f"{at}.jpg", np.full((*size, 3), 10 * at, np.uint8), (f"a street with {at} trees",)) for at in range(count)]


def things(module: Any) -> Any:
    white = np.full((60, 40, 3), 255, np.uint8)
    disc = (np.indices((60, 60)) - 30).__pow__(2).sum(0) < 400
    return [
        module.Thing("goldfish", white),
        module.Thing("sports car", white),
        module.Thing("big dog", np.full((60, 60, 3), 255, np.uint8), disc),
    ]


def test_a_thing_lies_where_it_says_and_nowhere_else(composed: Any) -> None:
    random = np.random.default_rng(1)
    for style, thing in (("rectangle", things(composed)[0]), ("soft", things(composed)[0]), ("cut out", things(composed)[2])):
        for _ in range(20):
            photo = composed.compose(scenes(composed)[0], thing, style, random)
            left, top, right, bottom = map(int, photo.box_xyxy)
            inside = np.zeros((200, 300), bool)
            inside[top:bottom, left:right] = True
            assert not photo.pixels[~inside].any()
            assert photo.pixels[(top + bottom) // 2, (left + right) // 2].min() > 250
            assert 0.045 < inside.mean() < 0.21
            assert (style, photo.word) == (photo.style, thing.word)
            corner = int(photo.pixels[top, left].max())
            assert corner == 255 if style == "rectangle" else corner < 30


def test_a_set_follows_from_its_seed_and_its_truth_is_known(composed: Any) -> None:
    first, again, other = (composed.composed_set(scenes(composed), things(composed), seed) for seed in (0, 0, 1))
    assert [photo.name for photo in first] == [photo.name for photo in again] != [photo.name for photo in other]
    assert all((a.pixels == b.pixels).all() for a, b in zip(first, again, strict=True))
    assert [photo.word for photo in first] == ["goldfish", "sports car", "big dog", None, None, None]
    assert composed.relevant(first) == {"goldfish": {0}, "sports car": {1}, "big dog": {2}}
    assert len({photo.name.split(" in ")[-1] for photo in first}) == 6  # each scene is there once


def test_what_scenes_may_show_already_is_not_asked_for(composed: Any) -> None:
    seen = [*scenes(composed), composed.Scene("dogs.jpg", np.zeros((200, 300, 3), np.uint8), ("Two Dogs play",))]
    assert set(composed.relevant(composed.composed_set(seen, things(composed)))) == {"goldfish", "sports car"}
    with pytest.raises(ValueError, match="as many scenes"):
        composed.composed_set([*scenes(composed)[:2], *scenes(composed, 9, (100, 300))], things(composed))


def test_recall_is_the_share_of_what_could_be_found(composed: Any) -> None:
    truth = {"a": {0}, "b": {1, 2, 3}, "c": {5}}
    rankings = {"a": [0, 1, 2], "b": [1, 9, 2, 3], "c": [1, 2, 5]}
    assert composed.recall_at(rankings, truth, 2) == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert composed.recall_at(rankings, truth, 4) == 1


def test_boxes_are_compared_by_style(composed: Any) -> None:
    photos = composed.composed_set(scenes(composed), things(composed))
    exact = [[] if photo.box_xyxy is None else [Region((0, 0, 1, 1), "x"), Region(photo.box_xyxy, "x")] for photo in photos]
    assert composed.best_overlaps(photos, exact) == {"rectangle": [1.0], "soft": [1.0], "cut out": [1.0]}
    assert composed.best_overlaps(photos, [[]] * 6)["soft"] == [0.0]


def test_evidence_is_in_deviations_and_a_margin_is_taken_from_regions(composed: Any) -> None:
    images, regions = np.array([[0.1, 0.2, 0.6]], np.float32), np.array([[0.9, 0.1, 0.2]], np.float32)
    found = composed.evidence(images, regions)
    for rows in (found["images"], found["regions"]):
        assert rows.mean() == pytest.approx(0, abs=1e-6)
        assert rows.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(found["both, margin 0.5"], np.maximum(found["images"], found["regions"] - 0.5))
    best = composed.best_of_photo(np.array([[0.3, 0.5, 0.1]], np.float32), np.array([2, 2, 0]), 3)
    np.testing.assert_allclose(best, [[0.1, -1, 0.5]])
