"""Relative depth, its heat map, and its statistics in regions."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest

from preprocess import InputError
from preprocess.depth import LEAST_TRANSMISSION, RegionDepth, depth_heat_map, region_depth, relative_depth


@pytest.fixture(scope="module")
def wedge() -> tuple[Any, Any]:
    """A photo behind haze whose depth grows from bottom to top, and that depth."""
    data = pytest.importorskip("skimage.data", reason="the real photos of scikit-image are not installed")
    clear = cv2.resize(data.coffee(), (300, 200)).astype(np.float32)
    depth = np.linspace(2.0, 0.1, 200, dtype=np.float32)[:, None] * np.ones((1, 300), np.float32)
    t = np.exp(-depth)[..., None]
    return np.rint(clear * t + 230 * (1 - t)).astype(np.uint8), depth


def test_depth_follows_the_real_one(wedge: tuple[Any, Any]) -> None:
    pixels, real = wedge
    found = relative_depth(pixels)
    assert found.shape == real.shape
    assert found.dtype == np.float32
    assert np.corrcoef(found.ravel(), real.ravel())[0, 1] > 0.9
    assert np.abs(np.median(found, 1) - real[:, 0]).mean() < 0.35


def test_beta_sets_the_unit(wedge: tuple[Any, Any]) -> None:
    np.testing.assert_allclose(relative_depth(wedge[0], 2.0), relative_depth(wedge[0]) / 2, rtol=1e-5)


@pytest.mark.parametrize("beta", [0, -1, math.nan, math.inf])
def test_beta_must_be_positive(beta: float) -> None:
    with pytest.raises(InputError, match="positive number"):
        relative_depth(np.zeros((4, 4, 3), np.uint8), beta)


@pytest.mark.parametrize("value", [0, 1, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (4, 1), (30, 40)])
def test_depth_is_finite_and_never_negative(size: tuple[int, int], value: int) -> None:
    depth = relative_depth(np.full((*size, 3), value, np.uint8))
    assert depth.shape == size
    assert np.isfinite(depth).all()
    assert depth.min() >= 0
    assert not np.signbit(depth).any()


def test_nothing_but_light_is_as_far_as_it_gets() -> None:
    assert relative_depth(np.full((50, 60, 3), 210, np.uint8)).mean() == pytest.approx(-math.log(LEAST_TRANSMISSION), abs=0.01)


def test_the_heat_map_grows_brighter_with_depth() -> None:
    heat = depth_heat_map(np.linspace(0, 3, 400, dtype=np.float32).reshape(20, 20))
    assert heat.shape == (20, 20, 3)
    assert heat.dtype == np.uint8
    grey = heat.reshape(-1, 3) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(grey) > -1).all()
    red, _, blue = heat[-1, -1].astype(int)
    assert red > blue  # RGB, not BGR: the far end of this palette is yellow


def test_a_map_of_one_depth_is_of_one_colour() -> None:
    assert np.unique(depth_heat_map(np.full((3, 5), 1.5, np.float32)).reshape(-1, 3), axis=0).shape == (1, 3)


@pytest.mark.parametrize("colour", [(91, 0, 193), (255, 255, 255), (10, 200, 30), (0, 0, 0)])
def test_rounding_is_no_depth(colour: tuple[int, int, int]) -> None:
    """A photo of one colour differs in the last bits only, which must not be stretched to black and yellow."""
    depth = relative_depth(np.full((80, 93, 3), colour, np.uint8))
    assert np.ptp(depth) < 1e-5
    assert np.unique(depth_heat_map(depth).reshape(-1, 3), axis=0).shape == (1, 3)
    slight = depth_heat_map(np.linspace(1, 1.004, 100, dtype=np.float32).reshape(10, 10))
    assert len(np.unique(slight.reshape(-1, 3), axis=0)) > 50


def test_statistics_of_a_region() -> None:
    depth = np.arange(101, dtype=np.float32).reshape(1, -1)
    assert region_depth(depth, np.ones((1, 101), bool)) == RegionDepth(50.0, 50.0, 10.0, 90.0, 101)
    assert region_depth(depth, (depth < 1).astype(np.uint8) * 255) == RegionDepth(0.0, 0.0, 0.0, 0.0, 1)


@pytest.mark.parametrize(
    ("depth", "mask", "words"),
    [
        (np.ones((3, 4), np.float32), np.zeros((3, 4), bool), "mask is empty"),
        (np.ones((3, 4), np.float32), np.ones((4, 3), bool), "The mask has shape"),
        (np.full((3, 4), np.nan, np.float32), np.ones((3, 4), bool), "finite"),
        (np.ones(4, np.float32), np.ones(4, bool), "height, width"),
        (np.ones((0, 4), np.float32), np.ones((0, 4), bool), "height, width"),
    ],
)
def test_what_has_no_statistics(depth: Any, mask: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        region_depth(depth, mask)


@pytest.mark.parametrize("depth", [np.full((2, 2), np.inf, np.float32), np.zeros((2, 2, 1), np.float32), np.zeros((0, 0), np.float32)])
def test_what_has_no_heat_map(depth: Any) -> None:
    with pytest.raises(InputError, match="A depth map has shape"):
        depth_heat_map(depth)
