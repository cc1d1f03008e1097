"""Class maps to regions."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from annotate.components import ComponentOptions, find_regions
from annotate.labels import NOTHING, LabelSet
from annotate.masks import decode_mask, mask_area, mask_box
from preprocess import InputError

LABELS = LabelSet.of(["sky", "road", "car"])
ALL = ComponentOptions(crumb_share=0, hole_share=0, max_regions=10_000)
N = NOTHING


def sure(classes: Any, value: float = 1.0) -> Any:
    return np.full(classes.shape, value, np.float32)


def regions_of(rows: Any, options: ComponentOptions = ALL, confidence: Any = None) -> Any:
    classes = np.array(rows, np.uint8)
    return find_regions(classes, sure(classes) if confidence is None else confidence, LABELS, options)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (5, 7)])
def test_one_class_everywhere_is_one_region(size: tuple[int, int]) -> None:
    (region,) = regions_of(np.ones(size))
    assert region.label == "road"
    assert region.box_xyxy == (0, 0, size[1], size[0])
    assert region.source == "machine"
    assert decode_mask(region.mask).all()
    assert regions_of(np.full(size, N)) == ()


def test_corners_that_touch_are_one_region_or_two() -> None:
    rows = [[2, N], [N, 2]]
    assert len(regions_of(rows)) == 1
    assert [region.box_xyxy for region in regions_of(rows, ComponentOptions(4, 0, 0))] == [(0, 0, 1, 1), (1, 1, 2, 2)]


def test_a_hole_that_is_open_at_a_corner_is_a_hole_for_8_connected_parts_only() -> None:
    rows = [[N, 1, 1], [1, N, 1], [1, 1, 1]]
    filled = [mask_area(regions_of(rows, ComponentOptions(connectivity, 0, 0.2))[0].mask) for connectivity in (8, 4)]
    assert filled == [8, 7]  # the outer corner is no hole in either


def test_small_holes_are_filled_and_large_ones_kept() -> None:
    classes = np.ones((10, 20), np.uint8)
    classes[2, 2], classes[4:6, 10:15] = N, N  # 1 and 10 pixels
    assert [mask_area(regions_of(classes, ComponentOptions(hole_share=share))[0].mask) for share in (0, 0.04, 0.051)] == [189, 190, 200]
    classes[2, 2] = 2  # a crumb of something else
    (region,) = regions_of(classes, ComponentOptions(crumb_share=0.04, hole_share=0.04))
    assert mask_area(region.mask) == 190


def test_a_region_within_a_hole_is_never_covered() -> None:
    classes = np.ones((9, 9), np.uint8)
    classes[3:6, 3:6], classes[4, 4] = 2, 0
    outer, ring, middle = regions_of(classes, ComponentOptions(crumb_share=0, hole_share=1))
    assert [outer.label, ring.label, middle.label] == ["road", "car", "sky"]
    assert [mask_area(region.mask) for region in (outer, ring, middle)] == [72, 8, 1]
    outer, ring = regions_of(classes, ComponentOptions(crumb_share=2 / 81, hole_share=1))
    assert mask_area(outer.mask) + mask_area(ring.mask) == 81  # the crumb in the middle is one of them


def test_crumbs_are_left_out_and_the_largest_kept() -> None:
    rows = [[0, N, 1, 1, N, 2, 2, 2, N, 0, 0, 0, 0]]
    assert [region.box_xyxy[0] for region in regions_of(rows)] == [9, 5, 2, 0]
    assert [region.box_xyxy[0] for region in regions_of(rows, ComponentOptions(crumb_share=3 / 13, hole_share=0))] == [9, 5]
    assert [region.box_xyxy[0] for region in regions_of(rows, ComponentOptions(8, 0, 0, max_regions=1))] == [9]


def test_equal_ones_come_by_id_then_top_then_left() -> None:
    rows = [[N, 1, N, 0], [N, N, N, N], [1, N, 0, N], [N, N, N, N], [1, N, 1, N]]
    found = [(region.label, *region.box_xyxy[:2]) for region in regions_of(rows)]
    assert found == [("sky", 3, 0), ("sky", 2, 2), ("road", 1, 0), ("road", 0, 2), ("road", 0, 4), ("road", 2, 4)]
    assert [(r.label, *r.box_xyxy[:2]) for r in regions_of(rows, ComponentOptions(8, 0, 0, 4))] == found[:4]


def test_confidence_is_the_mean_over_the_pixels_of_the_class() -> None:
    classes = np.ones((3, 3), np.uint8)
    classes[1, 1] = N
    confidence = np.full((3, 3), 0.5, np.float32)
    confidence[0, 0], confidence[1, 1] = 0.9, 0.0  # the middle is a hole that gets filled, and does not count
    (region,) = regions_of(classes, ComponentOptions(hole_share=1), confidence)
    assert mask_area(region.mask) == 9
    assert region.confidence == pytest.approx((7 * 0.5 + 0.9) / 8)
    (region,) = regions_of(classes, ALL, np.full((3, 3), 51, np.uint8))
    assert region.confidence == pytest.approx(0.2)
    (region,) = regions_of(np.ones((64, 64)), ALL, np.full((64, 64), 255, np.uint8))
    assert region.confidence == 1


MAPS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12), elements=st.sampled_from([0, 1, 2, N]))


@settings(max_examples=80, deadline=None)
@given(MAPS, st.sampled_from([4, 8]))
def test_all_regions_together_are_the_map(classes: Any, connectivity: Any) -> None:
    again = np.full_like(classes, N)
    for region in find_regions(classes, sure(classes), LABELS, ComponentOptions(connectivity, 0, 0, 1000)):
        mask = decode_mask(region.mask)
        assert (again[mask] == N).all()
        assert mask_box(region.mask) == region.box_xyxy
        assert cv2.connectedComponents(mask.astype(np.uint8), connectivity=connectivity)[0] == 2
        again[mask] = LABELS.named(region.label).id
    np.testing.assert_array_equal(again, classes)


@settings(max_examples=80, deadline=None)
@given(MAPS, st.sampled_from([4, 8]), st.sampled_from([0.0, 0.05, 0.3]), st.sampled_from([0.0, 0.05, 0.3, 1.0]), st.integers(1, 5))
def test_cleaned_regions_do_not_overlap(classes: Any, connectivity: Any, crumb: float, hole: float, most: int) -> None:
    regions = find_regions(classes, sure(classes, 0.3), LABELS, ComponentOptions(connectivity, crumb, hole, most))
    covered = np.zeros(classes.shape, int)
    for region in regions:
        mask = decode_mask(region.mask)
        covered += mask
        assert mask_box(region.mask) == region.box_xyxy
        assert mask_area(region.mask) >= crumb * classes.size
        assert region.confidence == pytest.approx(0.3)
        assert (classes[mask] == LABELS.named(region.label).id).any()
    assert covered.max(initial=0) <= 1
    assert len(regions) <= most


@pytest.mark.parametrize(
    ("classes", "confidence", "words"),
    [
        (np.zeros((2, 2), np.int64), np.ones((2, 2), np.float32), "A class map is uint8"),
        (np.zeros((2, 2, 1), np.uint8), np.ones((2, 2, 1), np.float32), "A class map is uint8"),
        (np.zeros((0, 2), np.uint8), np.ones((0, 2), np.float32), "A class map is uint8"),
        (np.zeros((2, 2), np.uint8), np.ones((2, 3), np.float32), "shape"),
        (np.zeros((2, 2), np.uint8), np.full((2, 2), 1.5, np.float32), "softmax"),
        (np.zeros((2, 2), np.uint8), np.full((2, 2), np.nan, np.float32), "softmax"),
        (np.zeros((2, 2), np.uint8), np.ones((2, 2), np.int64), "uint8 in steps"),
        (np.full((2, 2), 7, np.uint8), np.ones((2, 2), np.float32), "No label has id 7"),
    ],
)
def test_what_are_no_maps(classes: Any, confidence: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        find_regions(classes, confidence, LABELS)


@pytest.mark.parametrize(
    "options", [{"connectivity": 6}, {"crumb_share": -0.1}, {"hole_share": 1.1}, {"crumb_share": float("nan")}, {"max_regions": 0}]
)
def test_what_are_no_options(options: Any) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        ComponentOptions(**options)
