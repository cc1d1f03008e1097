"""The guided filter against a naive one, and its parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from preprocess.guided_filter import box_mean, fit_guided_filter, guided_filter, reduced, strips


def naive_mean(values: Any, radius: int) -> Any:
    """The mean over the part of the window that is inside, pixel by pixel."""
    out = np.empty_like(values, np.float64)
    for y, x in np.ndindex(*values.shape):
        out[y, x] = values[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1].mean()
    return out


def naive_guided_filter(guide: Any, source: Any, radius: int, eps: float) -> Any:
    """Equations 5, 6 and 8 of He, Sun, Tang 2013, in float64."""
    guide, source = guide / 255.0, source.astype(np.float64)
    mean_guide, mean_source = naive_mean(guide, radius), naive_mean(source, radius)
    a = (naive_mean(guide * source, radius) - mean_guide * mean_source) / (naive_mean(guide**2, radius) - mean_guide**2 + eps)
    b = mean_source - a * mean_guide
    return naive_mean(a, radius) * guide + naive_mean(b, radius)


def maps(height: int, width: int, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width), np.uint8), random.random((height, width), np.float32)


SIZES = [(1, 1), (1, 37), (41, 1), (4, 1), (23, 31), (5, 90)]


@pytest.mark.parametrize("radius", [1, 4, 50])
@pytest.mark.parametrize("size", SIZES)
def test_box_means_are_those_of_the_part_inside(size: tuple[int, int], radius: int) -> None:
    values = maps(*size)[1]
    np.testing.assert_allclose(box_mean(values, radius), naive_mean(values, radius), atol=2e-6)


@pytest.mark.parametrize("eps", [1e-4, 1e-2])
@pytest.mark.parametrize("radius", [1, 3, 40])
@pytest.mark.parametrize("size", SIZES)
def test_step_one_is_the_published_filter(size: tuple[int, int], radius: int, eps: float) -> None:
    guide, source = maps(*size)
    np.testing.assert_allclose(guided_filter(guide, source, radius, eps), naive_guided_filter(guide, source, radius, eps), atol=1e-4)


def test_a_constant_map_stays_constant() -> None:
    guide, _ = maps(40, 30)
    for step in (1, 2, 5):
        np.testing.assert_allclose(guided_filter(guide, np.full((40, 30), 0.375, np.float32), 4, 1e-3, step), 0.375, atol=1e-5)


def test_a_step_of_the_guide_becomes_a_step_of_the_map() -> None:
    guide = np.full((60, 60), 40, np.uint8)
    guide[:, 30:] = 200
    rough = np.full((60, 60), 0.2, np.float32)
    rough[:, 26:] = 0.8  # the edge is four pixels off, as blocks of the dark channel make it
    sharp = guided_filter(guide, rough, 10, 1e-4)
    jumps = np.abs(np.diff(sharp, axis=1)).mean(0)
    assert jumps.argmax() == 29
    assert jumps[29] > 8 * jumps[25]
    assert not np.array_equal(np.abs(np.diff(rough, axis=1)).mean(0).argmax(), 29)


@pytest.mark.parametrize("step", [2, 4, 7])
def test_the_fast_filter_is_near_the_whole_one(step: int) -> None:
    y, x = np.mgrid[:150, :201].astype(np.float32)
    guide = (120 + 60 * np.sin(x / 23) + 50 * np.cos(y / 31)).astype(np.uint8)
    source = (0.5 + 0.3 * np.sin(x / 40 + y / 25)).astype(np.float32)
    difference = np.abs(guided_filter(guide, source, 28, 1e-3, step) - guided_filter(guide, source, 28, 1e-3))
    assert difference.mean() < 0.01
    assert difference.max() < 0.06


@pytest.mark.parametrize("step", [1, 3, 8])
def test_strips_do_not_show(step: int) -> None:
    guide, source = maps(97, 50)
    rows = fit_guided_filter(reduced(guide, step), reduced(source, step), 3, 1e-3, step).rows(guide)
    whole = rows.filtered(guide, 0)
    parts = [rows.filtered(guide[top:bottom], top) for top, bottom in ((0, 1), (1, 10), (10, 64), (64, 97))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("step", [1, 2, 5, 64])
@pytest.mark.parametrize("size", SIZES)
def test_cells_are_means_also_at_the_edges(size: tuple[int, int], step: int, channels: tuple[int, ...]) -> None:
    values = np.random.default_rng(1).random((*size, *channels), np.float32)
    cells = reduced(values, step)
    assert cells.shape == (-(-size[0] // step), -(-size[1] // step), *channels)
    for y, x in np.ndindex(*cells.shape[:2]):
        cell = values[y * step : (y + 1) * step, x * step : (x + 1) * step]
        np.testing.assert_allclose(cells[y, x], cell.mean((0, 1)), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5000, 1), (1, 200_000), (777, 4000)])
def test_strips_cover_every_row_once(height: int, width: int) -> None:
    assert [row for top, bottom in strips(height, width) for row in range(top, bottom)] == list(range(height))
