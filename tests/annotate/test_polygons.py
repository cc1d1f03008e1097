"""Outlines along the edges of pixels, and back to the same pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from annotate.masks import encode_mask, mask_area, resize_mask
from annotate.polygons import Polygon, bridged, mask_of, polygons_of
from preprocess import InputError

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14), fill=st.booleans())
few = settings(max_examples=50, deadline=None)

RING = np.pad(np.zeros((1, 1), bool), 1, constant_values=True)
EDGES = {
    "one pixel": np.ones((1, 1), bool),
    "full": np.ones((5, 7), bool),
    "a row": np.array([[True, False, False, True, True]]),
    "a column": np.array([[False], [True], [True], [False]]),
    "touching corners": np.array([[True, False], [False, True]]),
    "the other corners": np.array([[False, True], [True, False]]),
    "chessboard": np.indices((7, 6)).sum(0) % 2 == 0,
    "a hole": RING,
    "an island in a hole": np.pad(np.pad(RING, 1), 1, constant_values=True),
    "two holes that touch": np.pad(np.eye(2) == 0, 1, constant_values=True),
    "a hole that touches the outside": np.array([[0, 1, 1, 1], [1, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 0]], bool),
    "a hole open at a corner": np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool),
}


def area(ring: Any) -> float:
    """Positive where the line runs clockwise on a screen."""
    (x1, y1), (x2, y2) = ring.T, np.roll(ring, -1, axis=0).T
    return float((x1 * y2 - x2 * y1).sum() / 2)


def check(mask: Any) -> None:
    polygons = polygons_of(encode_mask(mask))
    assert mask_of(polygons, mask.shape) == encode_mask(mask)
    total = 0.0
    for polygon in polygons:
        assert area(polygon.outer) > 0
        assert all(area(hole) < 0 for hole in polygon.holes)
        total += sum(map(area, (polygon.outer, *polygon.holes)))
        for ring in (polygon.outer, *polygon.holes):
            steps = np.roll(ring, -1, axis=0) - ring
            assert (np.count_nonzero(steps, axis=1) == 1).all()  # along the grid
            assert ((steps == 0) != (np.roll(steps, -1, axis=0) == 0)).all()  # and turning at every corner
            assert len(np.unique(ring, axis=0)) == len(ring)  # without coming to one twice
            assert (ring == np.rint(ring)).all()
    assert total == np.count_nonzero(mask)
    assert mask_of([Polygon(bridged(polygon)) for polygon in polygons], mask.shape) == encode_mask(mask)


@pytest.mark.parametrize("mask", EDGES.values(), ids=EDGES)
def test_edges_come_back(mask: Any) -> None:
    check(mask)


@few
@given(MASKS)
def test_every_mask_comes_back(mask: Any) -> None:
    check(mask)


@few
@given(MASKS)
def test_parts_are_4_connected_and_have_their_own_holes(mask: Any) -> None:
    import cv2

    polygons = polygons_of(encode_mask(mask))
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    assert len(polygons) == count - 1
    found = {mask_of([polygon], mask.shape).counts for polygon in polygons}
    assert found == {encode_mask(parts == part).counts for part in range(1, count)}


@pytest.mark.parametrize(
    ("name", "holes"),
    [
        ("touching corners", [0, 0]),
        ("chessboard", [0] * 21),
        ("a hole", [1]),
        ("an island in a hole", [1, 1]),
        ("two holes that touch", [2]),
        ("a hole that touches the outside", [2]),
        ("a hole open at a corner", [1]),
    ],
)
def test_parts_and_holes(name: str, holes: list[int]) -> None:
    assert [len(polygon.holes) for polygon in polygons_of(encode_mask(EDGES[name]))] == holes


def test_an_empty_mask_has_no_polygons() -> None:
    empty = encode_mask(np.zeros((3, 4), bool))
    assert polygons_of(empty) == ()
    assert mask_of([], (3, 4)) == empty


def test_corners_of_a_pixel() -> None:
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True
    (polygon,) = polygons_of(encode_mask(mask))
    assert sorted(map(tuple, polygon.outer.tolist())) == [(2, 1), (2, 2), (3, 1), (3, 2)]
    assert polygon.outer.dtype == np.float64


@few
@given(MASKS, st.integers(-4, 4), st.integers(-4, 4))
def test_what_is_outside_of_the_photo_is_cut_off(mask: Any, x: int, y: int) -> None:
    step = np.array([x, y], np.float64)
    moved = [Polygon(p.outer + step, tuple(hole + step for hole in p.holes)) for p in polygons_of(encode_mask(mask))]
    wide = np.pad(mask, 4)
    expected = np.roll(wide, (y, x), (0, 1))[4:-4, 4:-4]
    assert mask_of(moved, mask.shape) == encode_mask(np.ascontiguousarray(expected))


def test_a_triangle_takes_the_pixels_whose_middles_it_holds() -> None:
    triangle = Polygon(np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]]))
    y, x = np.indices((8, 8)) + 0.5
    assert mask_of([triangle], (8, 8)) == encode_mask(x + y < 8)  # middles on the slanted line belong to its right
    assert mask_of([Polygon(triangle.outer[::-1])], (8, 8)) == mask_of([triangle], (8, 8))


@few
@given(hnp.arrays(np.float64, (5, 2), elements=st.floats(-3, 15, width=16)))
def test_any_line_is_filled_by_the_even_odd_rule(ring: Any) -> None:
    """Against counting, for each middle, the pieces of line on its left."""
    expected = np.zeros((11, 12), bool)
    for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        if y1 > y2:
            x1, y1, x2, y2 = x2, y2, x1, y1
        for row in range(11):
            if y1 <= row + 0.5 < y2:
                across = x1 + (row + 0.5 - y1) * ((x2 - x1) / (y2 - y1))
                expected[row] ^= np.arange(12) + 0.5 >= across
    assert mask_of([Polygon(ring)], (11, 12)) == encode_mask(expected)


def test_parts_that_overlap_are_joined() -> None:
    square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
    assert mask_area(mask_of([Polygon(square), Polygon(square + 2)], (6, 6))) == 28


@pytest.mark.parametrize("seed", range(12))
def test_pycocotools_fills_the_bridged_line_with_the_same_pixels(seed: int) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    random = np.random.default_rng(seed)
    for mask in (*EDGES.values(), random.random(random.integers(1, 40, 2)) < random.choice([0.2, 0.5, 0.6, 0.9])):
        rle = encode_mask(mask)
        lines = [bridged(polygon).ravel().tolist() for polygon in polygons_of(rle)]
        if lines:
            assert coco.merge(coco.frPyObjects(lines, *mask.shape))["counts"] == rle.counts


@pytest.mark.parametrize("corners", [np.zeros((2, 2)), np.zeros((3, 3)), np.zeros(6), np.full((3, 2), np.nan)])
def test_what_is_no_polygon(corners: Any) -> None:
    with pytest.raises(InputError, match="at least 3 corners"):
        Polygon(corners)
    with pytest.raises(InputError, match="at least 3 corners"):
        Polygon(np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0]]), (corners,))


def test_a_hole_must_lie_within() -> None:
    square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
    with pytest.raises(InputError, match="outside of its polygon"):
        bridged(Polygon(square + 10, (square,)))


def test_a_photo_has_pixels() -> None:
    with pytest.raises(InputError, match="at least 1"):
        mask_of([], (0, 4))


@few
@given(MASKS, st.integers(1, 30), st.integers(1, 30))
def test_resized_masks_come_back(mask: Any, height: int, width: int) -> None:
    """Rows and columns that are alike are taken as one on the way; corners are still in pixels."""
    rle = resize_mask(encode_mask(mask), (height, width))
    assert mask_of(polygons_of(rle), rle.size_hw) == rle


@few
@given(MASKS, st.integers(2, 5), st.integers(2, 5))
def test_enlarged_outlines_are_the_outlines_enlarged(mask: Any, tall: int, wide: int) -> None:
    small = polygons_of(encode_mask(mask))
    large = polygons_of(resize_mask(encode_mask(mask), (mask.shape[0] * tall, mask.shape[1] * wide)))
    assert len(small) == len(large)
    for one, other in zip(small, large, strict=True):
        np.testing.assert_array_equal(one.outer * (wide, tall), other.outer)
        assert len(one.holes) == len(other.holes)
