"""Haze that is put on clear photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocess import RgbImage, add_haze, haze_density


@pytest.fixture(scope="module")
def coffee(skimage_photos: Path) -> RgbImage:
    return np.asarray(Image.open(skimage_photos / "coffee.png").convert("RGB").resize((120, 80)))


@pytest.mark.parametrize("mean_t", [0.6, 0.35, 0.2, 0.05])
def test_haze_follows_the_atmospheric_model(coffee: RgbImage, mean_t: float) -> None:
    """From what black and white become, the transmission and the light can be read off."""
    black, white = (add_haze(np.full_like(coffee, value), mean_t, "a.jpg").astype(float) for value in (0, 255))
    t = (white - black) / 255
    assert t.mean() == pytest.approx(mean_t, abs=0.01)
    assert np.ptp(t, axis=2).max() <= 2 / 255 + 1e-9, "every colour has the same transmission"
    assert t[:20].mean() < t[-20:].mean(), "what is higher up is further away"
    dense = t[..., 0] < 0.9
    light = (black[dense] / (1 - t[dense])).mean(0)
    assert (light > 0.72 * 255).all()
    assert (light < 0.99 * 255).all()


def test_haze_is_the_same_every_time_and_another_for_another_photo(coffee: RgbImage) -> None:
    before = coffee.copy()
    hazy = add_haze(coffee, 0.4, "a.jpg")
    assert (add_haze(coffee, 0.4, "a.jpg") == hazy).all()
    assert (add_haze(coffee, 0.4, "b.jpg") != hazy).any()
    assert (coffee == before).all()
    assert (hazy.shape, hazy.dtype) == (coffee.shape, np.uint8)


def test_no_haze_is_a_copy(coffee: RgbImage) -> None:
    same = add_haze(coffee, 1.0, "a.jpg")
    assert (same == coffee).all()
    assert same is not coffee


def test_more_haze_is_judged_hazier(coffee: RgbImage) -> None:
    densities = [haze_density(add_haze(coffee, t, "a.jpg")) for t in (1.0, 0.8, 0.6, 0.4)]
    assert densities == sorted(densities)
    assert densities[-1] > 0.5


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (200, 1), (2, 3)])
def test_haze_takes_any_size(size: tuple[int, int]) -> None:
    assert add_haze(np.zeros((*size, 3), np.uint8), 0.3, "a").shape == (*size, 3)


@pytest.mark.parametrize("mean_t", [0.0, -1.0, 1.5])
def test_impossible_transmissions_are_refused(coffee: RgbImage, mean_t: float) -> None:
    with pytest.raises(ValueError, match="mean transmission"):
        add_haze(coffee, mean_t, "a")
