"""What every dehazer must do, and the table of them."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from preprocess import DEHAZE_RULES, DEHAZERS, Dehazer, UnknownName, load_dehazer, load_rule
from preprocess.dark_channel import PRESETS

CHOICES = [(name, "default") for name in DEHAZERS] + [("dark-channel", preset) for preset in PRESETS if preset != "default"]


@pytest.fixture(params=CHOICES, ids="-".join, scope="module")
def dehazer(request: pytest.FixtureRequest) -> Dehazer:
    return load_dehazer(*request.param)


def grain(height: int, width: int, low: int = 0, high: int = 256) -> Any:
    return np.random.default_rng(height * 1000 + width).integers(low, high, (height, width, 3), np.uint8)


def grey(height: int, width: int) -> Any:
    return np.repeat(grain(height, width)[..., :1], 3, 2)


def slope(height: int, width: int) -> Any:
    """Haze: a low contrast that falls to none at the top."""
    y = np.linspace(0, 1, height)[:, None, None]
    return np.rint(210 * (1 - 0.7 * y) + 0.7 * y * grain(height, width)).astype(np.uint8)


EDGES = {
    "one pixel": np.full((1, 1, 3), 77, np.uint8),
    "one black pixel": np.zeros((1, 1, 3), np.uint8),
    "two by two": grain(2, 2),
    "four by one": grain(4, 1),
    "one by four": grain(1, 4),
    "three by three": grain(3, 3),
    "black": np.zeros((40, 50, 3), np.uint8),
    "white": np.full((40, 50, 3), 255, np.uint8),
    "almost black": np.ones((40, 50, 3), np.uint8),
    "one colour": np.tile(np.uint8([180, 20, 0]), (40, 50, 1)),
    "grey": grey(60, 45),
    "no haze": grain(80, 60),
    "dark": grain(80, 60, 0, 6),
    "bright": grain(80, 60, 250, 256),
    "hazy": slope(120, 90),
    "one row": grain(1, 5000),
    "one column": grain(5000, 1),
    "long": slope(7, 3000),
    "tall": slope(3000, 7),
    "half black, half white": np.repeat(np.repeat(np.uint8([[[0], [255]]]), 3, 2), 30, 1).repeat(40, 0),
    "one white pixel on black": np.pad(np.full((1, 1, 3), 255, np.uint8), ((20, 20), (20, 20), (0, 0))),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges(dehazer: Dehazer, name: str) -> None:
    pixels = EDGES[name]
    before = pixels.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = dehazer(pixels)
    assert result.shape == pixels.shape
    assert result.dtype == np.uint8
    assert not np.shares_memory(result, pixels)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(dehazer(pixels), result)


@settings(max_examples=15, deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
def test_any_picture(dehazer: Dehazer, pixels: Any) -> None:
    before = pixels.copy()
    result = dehazer(pixels)
    assert (result.shape, result.dtype) == (pixels.shape, np.dtype(np.uint8))
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(dehazer(pixels), result)


@pytest.mark.parametrize("view", ["read-only", "every second", "mirrored", "turned", "channels reversed", "columns first", "cut out"])
def test_memory_layouts(dehazer: Dehazer, view: str) -> None:
    whole = slope(64, 80)
    views = {
        "read-only": whole.view(), "every second": whole[::2, ::2], "mirrored": whole[:, ::-1], "turned": whole.transpose(1, 0, 2),
        "channels reversed": whole[..., ::-1], "columns first": np.asfortranarray(whole), "cut out": whole[5:50, 7:70],
    }  # fmt: skip
    pixels = views[view]
    pixels.flags.writeable = False
    np.testing.assert_array_equal(dehazer(pixels), dehazer(np.array(pixels, order="C")))


def test_threads_share_one(dehazer: Dehazer) -> None:
    photos = [slope(90 + 7 * at, 120 - 5 * at) for at in range(6)]
    alone = [dehazer(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(dehazer, photos * 3))
    for at, result in enumerate(together):
        np.testing.assert_array_equal(result, alone[at % len(photos)])


def test_haze_goes(dehazer: Dehazer) -> None:
    """The contrast of a hazy photo grows, and no dehazer loses track of it."""
    data = pytest.importorskip("skimage.data", reason="the real photos of scikit-image are not installed")
    clear = data.astronaut()[::2, ::2].astype(np.float32)
    t = np.linspace(0.35, 0.75, clear.shape[0], dtype=np.float32)[:, None, None]
    hazy = np.rint(clear * t + 225 * (1 - t)).astype(np.uint8)
    result = dehazer(hazy).astype(np.float32)
    assert result.std() > hazy.std()
    assert np.mean((result - clear) ** 2) < 0.6 * np.mean((hazy - clear) ** 2)


def test_ids_differ() -> None:
    ids = [load_dehazer(*choice).id for choice in CHOICES]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("name", "preset"), [("dark-chanel", "default"), ("dark-channel", "papr"), ("aod-net", "paper"), ("", "default")])
def test_unknown_names(name: str, preset: str) -> None:
    with pytest.raises(UnknownName, match="Known"):
        load_dehazer(name, preset)


@pytest.mark.parametrize("name", DEHAZE_RULES)
def test_rules_judge(name: str) -> None:
    pixels = slope(60, 80)
    judged = load_rule(name).judge(pixels)
    assert 0 <= judged.haze <= 1
    assert (judged.pixels is None) == (judged.enhancer is None) == bool(judged.reason)
    if judged.pixels is not None:
        assert judged.pixels.shape == pixels.shape


def test_unknown_rules() -> None:
    with pytest.raises(UnknownName, match="way to dehaze"):
        load_rule("sometimes")
