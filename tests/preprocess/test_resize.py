from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess import squash


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 96), st.integers(0, 255))
def test_shape_dtype_and_constants_hold(height: int, width: int, side: int, value: int) -> None:
    result = squash(np.full((height, width, 3), value, np.uint8), side)
    assert result.shape == (side, side, 3)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert (result == value).all()


def test_nothing_is_cropped() -> None:
    pixels = np.zeros((100, 400, 3), np.uint8)
    pixels[:, :200] = 255
    result = squash(pixels, 8)
    assert (result[:, :3] > 250).all()
    assert (result[:, 5:] < 5).all()


def test_takes_views() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    assert (squash(pixels[::2, ::-1], 16) == squash(np.ascontiguousarray(pixels[::2, ::-1]), 16)).all()


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_arrays_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="shape"):
        squash(pixels, 8)


def test_side_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        squash(np.zeros((4, 4, 3), np.uint8), 0)
