"""Parts that stand out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotate.makers import RegionMaker, box_overlap, load_region_maker
from annotate.proposals import PART, Proposals, proposed
from preprocess import RgbImage


@pytest.fixture(scope="module")
def photos() -> dict[str, RgbImage]:
    data = pytest.importorskip("skimage.data", reason="the real photos of scikit-image are not installed")
    return {name: np.ascontiguousarray(getattr(data, name)()) for name in ("astronaut", "coffee", "chelsea", "rocket")}


def best_overlap(box: tuple[float, float, float, float], pixels: Any) -> float:
    size_wh = pixels.shape[1], pixels.shape[0]
    return max((box_overlap(box, region.box_xyxy) for region in Proposals()(pixels, size_wh).regions), default=0.0)


def grid(width: int, height: int) -> list[tuple[float, float, float, float]]:
    """2×2 windows of two thirds of the sides, and 3×3 of half."""
    windows = []
    for count in (2, 3):
        wide, high = 2 * width / (count + 1), 2 * height / (count + 1)
        for at in range(count * count):
            left, top = at % count * (width - wide) / (count - 1), at // count * (height - high) / (count - 1)
            windows.append((left, top, left + wide, top + high))
    return windows


def test_it_is_a_maker() -> None:
    maker = load_region_maker("proposals")
    assert maker is not None
    typed: RegionMaker = maker
    assert typed.id == Proposals.id
    assert typed.labels == (PART,)


@pytest.mark.parametrize("box", [(30, 40, 90, 120), (150, 20, 290, 110), (5, 100, 45, 215), (200, 130, 320, 239)])
def test_a_rectangle_of_another_colour_is_found_where_it_is(box: tuple[int, int, int, int]) -> None:
    random = np.random.default_rng(0)
    pixels = np.clip(random.normal((120, 130, 110), 12, (240, 320, 3)), 0, 255).astype(np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = (200, 60, 60)
    assert best_overlap(box, pixels) > 0.8


def test_a_photo_pasted_into_another_is_found(photos: dict[str, RgbImage]) -> None:
    """Real photos in real photos, by far more often than with 13 windows of a grid."""
    import cv2

    overlaps, of_grid = [], []
    for scene in ("coffee", "rocket", "astronaut"):
        for at, thing in enumerate(("chelsea", "astronaut", "coffee", "rocket")):
            canvas = photos[scene].copy()
            height, width = canvas.shape[:2]
            small = cv2.resize(photos[thing], (width // 3, height // 3), interpolation=cv2.INTER_AREA)
            left, top = (width // 10, width // 2)[at % 2], (height // 10, height // 2)[at // 2]
            canvas[top : top + height // 3, left : left + width // 3] = small
            box = (left, top, left + width // 3, top + height // 3)
            overlaps.append(best_overlap(box, canvas))
            of_grid.append(max(box_overlap(box, window) for window in grid(width, height)))
    found, by_grid = (np.mean(np.array(values) > 0.5) for values in (overlaps, of_grid))
    assert found >= 0.6
    assert found > 1.5 * by_grid


def test_regions_are_few_distinct_and_whole(photos: dict[str, RgbImage]) -> None:
    for pixels in photos.values():
        full = (4000, 3000)
        found = Proposals()(pixels, full)
        assert 4 <= len(found.regions) <= 14
        assert [region.area for region in found.regions] == sorted((region.area or 0 for region in found.regions), reverse=True)
        for at, region in enumerate(found.regions):
            x1, y1, x2, y2 = region.box_xyxy
            assert 0 <= x1 < x2 <= 4000
            assert 0 <= y1 < y2 <= 3000
            assert region.label == PART
            assert region.mask is None
            assert 0.15 <= region.confidence <= 1
            assert region.colour is not None
            assert region.haze_depth is not None
            assert all(box_overlap(region.box_xyxy, other.box_xyxy) < 0.7 for other in found.regions[:at])


def test_the_same_photo_gives_the_same_regions(photos: dict[str, RgbImage]) -> None:
    pixels = photos["coffee"]
    read_only = pixels.copy()
    read_only.flags.writeable = False
    assert Proposals()(read_only, (600, 400)) == Proposals()(pixels, (600, 400))
    larger = np.repeat(np.repeat(pixels, 3, 0), 3, 1)
    twins = Proposals()(larger, (600, 400)).regions
    here = Proposals()(pixels, (600, 400)).regions
    near = [max(box_overlap(region.box_xyxy, twin.box_xyxy) for twin in twins) for region in here]
    assert np.mean(np.array(near) > 0.6) > 0.8  # whatever the photo was reduced from


def test_where_nothing_stands_out() -> None:
    assert Proposals()(np.full((300, 400, 3), 90, np.uint8), (400, 300)).regions == ()
    grain = np.random.default_rng(0).normal(128, 8, (300, 400, 3)).astype(np.uint8)
    assert Proposals()(grain, (400, 300)).regions == ()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_boxes_lie_in_photos_of_any_shape(height: int, width: int, seed: int, grain: int) -> None:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // grain + 1, width // grain + 1, 3)).repeat(grain, 0).repeat(grain, 1)
    for (left, top, right, bottom), contrast in proposed(coarse[:height, :width].astype(np.uint8)):
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert 0.15 <= contrast <= 1


def test_a_contrast_is_that_of_the_histograms() -> None:
    """Black in white: inside and frame share no colour. Half black, half white on white: (1/2)² / (1/2) + (1/2)² / (3/2), halved."""
    from annotate.proposals import _Windows

    pixels = np.full((40, 40, 3), 255, np.uint8)
    pixels[10:30, 10:30] = 0
    contrasts, there = _Windows(pixels).contrasts(np.array([[10, 10, 30, 30], [10, 0, 30, 20], [0, 0, 40, 40]]))
    assert contrasts[0] == pytest.approx(1)
    assert there[0] == pytest.approx(1)
    assert there[1] == pytest.approx((28 * 24 - 400) / (28 * 28 - 400))  # a frame of 4 pixels, cut off at the top
    black = (20 * 4) / (28 * 24 - 400)  # of the frame of the second
    a, b = np.array([0.5, 0.5]), np.array([black, 1 - black])
    assert contrasts[1] == pytest.approx(((a - b) ** 2 / (a + b)).sum() / 2, rel=1e-4)
    assert contrasts[2] == there[2] == 0  # nothing is around the whole photo


def test_it_is_quick(photos: dict[str, RgbImage]) -> None:
    """About 14 ms of a core; the bound is for busy machines."""
    maker, pixels = Proposals(), photos["coffee"]
    maker(pixels, (600, 400))
    begin = time.process_time()
    for _ in range(5):
        maker(pixels, (600, 400))
    assert (time.process_time() - begin) / 5 < 0.15
