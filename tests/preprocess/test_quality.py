"""Classical measures follow what is done to a photo, and are what their papers say where that can be worked out."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest
from PIL import Image

from preprocess import add_haze, cv2, example_photos
from preprocess.quality import (
    DECODED_SIDE,
    SHORT,
    blockiness,
    colourfulness,
    grey,
    measure,
    noise,
    sharpness,
    well_exposed,
    working_copy,
)


@pytest.fixture(scope="module")
def photos() -> dict[str, np.ndarray]:
    """Photos of scikit-image, as they are kept: without traces of JPEG, or with few."""
    data = pytest.importorskip("skimage.data")
    return {name: np.ascontiguousarray(getattr(data, name)()[:320, :400]) for name in ("astronaut", "chelsea", "coffee")}


def blurred(photo: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(photo, (0, 0), sigma), np.uint8) if sigma else photo


def noisy(photo: np.ndarray, sigma: float) -> np.ndarray:
    return (photo + np.random.default_rng(0).normal(0, sigma, photo.shape)).round().clip(0, 255).astype(np.uint8)


def brightened(photo: np.ndarray, gain: float) -> np.ndarray:
    return (photo * float(gain)).round().clip(0, 255).astype(np.uint8)


def flattened(photo: np.ndarray, share: float) -> np.ndarray:
    return (128 + (photo - 128.0) * share).round().astype(np.uint8)


def faded(photo: np.ndarray, share: float) -> np.ndarray:
    luma = grey(photo)[..., None]
    return (luma + (photo - luma) * share).round().clip(0, 255).astype(np.uint8)


def compressed(photo: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(stream))


CHANGES: dict[str, tuple[Callable[..., np.ndarray], tuple[float, ...], str, int]] = {
    "blur lowers sharpness": (blurred, (0, 1, 2, 4, 8), "sharpness", -1),
    "blur lowers the Laplacian": (blurred, (0, 1, 2, 4, 8), "laplacian", -1),
    "noise raises noise": (noisy, (3, 6, 12, 24), "noise", 1),
    "light raises brightness": (brightened, (0.2, 0.5, 1, 1.5, 2), "brightness", 1),
    "darkness lowers exposure": (brightened, (0.5, 0.25, 0.1, 0.03), "exposure", -1),
    "too much light lowers exposure": (brightened, (1.5, 2.5, 4, 8), "exposure", -1),
    "light clips highlights": (brightened, (1, 1.5, 2, 4, 8), "highlights", 1),
    "darkness clips shadows": (brightened, (0.5, 0.2, 0.1, 0.03), "shadows", 1),
    "fading lowers contrast": (flattened, (1, 0.7, 0.4, 0.1), "contrast", -1),
    "fading lowers colourfulness": (faded, (1, 0.7, 0.4, 0.0), "colourfulness", -1),
    "haze raises haze": (lambda photo, t: add_haze(photo, t, "test"), (1.0, 0.5, 0.25), "haze", 1),
    "compression raises blockiness": (compressed, (90, 50, 20, 8), "blockiness", 1),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_measure_follows_what_is_done_to_a_photo(photos: dict[str, np.ndarray], case: str) -> None:
    change, strengths, name, sign = CHANGES[case]
    for photo in photos.values():
        values = [getattr(measure(change(photo, strength)), name) for strength in strengths]
        assert all(sign * (after - before) > 0 for before, after in itertools.pairwise(values)), values


def test_sharpness_does_not_depend_on_contrast_and_little_on_noise(photos: dict[str, np.ndarray]) -> None:
    for photo in photos.values():
        plain = sharpness(grey(photo))
        assert sharpness(grey(flattened(photo, 0.5))) == pytest.approx(plain, rel=0.1)
        assert sharpness(grey(noisy(blurred(photo, 6), 4))) < plain


def test_a_sharp_subject_before_a_soft_background_is_sharp(photos: dict[str, np.ndarray]) -> None:
    photo = photos["astronaut"]
    soft = blurred(photo, 8)
    soft[100:300, 150:350] = photo[100:300, 150:350]
    assert sharpness(grey(soft)) > 0.8 * sharpness(grey(photo))
    assert sharpness(grey(soft)) > 1.5 * sharpness(grey(blurred(photo, 8)))


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0, 20.0])
def test_noise_is_its_standard_deviation_on_a_smooth_picture(sigma: float) -> None:
    slope = np.linspace(60, 190, 320, dtype=np.float32)[None] + np.linspace(0, 5, 256, dtype=np.float32)[:, None]
    luma = slope + np.random.default_rng(1).normal(0, sigma, slope.shape).astype(np.float32)
    assert noise(luma) == pytest.approx(sigma, rel=0.15)
    assert noise(slope) < 0.05


def test_colourfulness_by_hand() -> None:
    """Half red (rg = 255, yb = 127.5), half black: the deviations are half of those, the means too."""
    picture = np.zeros((10, 10, 3), np.uint8)
    picture[:5, :, 0] = 255
    size = math.hypot(127.5, 63.75)
    assert colourfulness(picture) == pytest.approx(size + 0.3 * size, rel=1e-5)
    assert colourfulness(np.full((8, 8, 3), 77, np.uint8)) == 0


def test_exposure_by_hand() -> None:
    for level in (0, 60, 128, 255):
        assert well_exposed(np.full((4, 4, 3), level, np.uint8)) == pytest.approx(math.exp(-((level / 255 - 0.5) ** 2) / 0.08), rel=1e-4)


def test_blocks_are_found_wherever_the_grid_lies_and_not_once_they_are_gone(photos: dict[str, np.ndarray]) -> None:
    for photo in photos.values():
        bad = compressed(photo, 10)
        plain = blockiness(bad)
        assert plain > 0.3 > 0.15 > blockiness(photo)
        assert blockiness(np.ascontiguousarray(bad[3:, 5:])) == pytest.approx(plain, rel=0.1)
        assert blockiness(np.ascontiguousarray(np.rot90(bad))) == pytest.approx(plain, rel=0.1)
        half = np.asarray(Image.fromarray(bad).resize((bad.shape[1] // 2, bad.shape[0] // 2), Image.Resampling.BOX))
        assert blockiness(half) < 0.4 * plain


def test_most_measures_hardly_depend_on_the_size_at_which_a_photo_was_decoded(photos: dict[str, np.ndarray]) -> None:
    for photo in photos.values():
        height, width = photo.shape[:2]
        small = cv2.resize(photo, (round(width * 0.6), round(height * 0.6)), interpolation=cv2.INTER_AREA)
        whole, part = measure(photo), measure(np.asarray(small, np.uint8))
        for name, room in {
            "brightness": 0.01,
            "exposure": 0.02,
            "contrast": 0.02,
            "highlights": 0.01,
            "shadows": 0.03,
            "haze": 0.05,
        }.items():
            assert getattr(part, name) == pytest.approx(getattr(whole, name), abs=room), name
        assert part.colourfulness == pytest.approx(whole.colourfulness, rel=0.05)


def test_large_photos_are_measured_at_one_size() -> None:
    assert working_copy(np.zeros((2000, 3000, 3), np.uint8)).shape == (512, 768, 3)
    assert working_copy(np.zeros((600, 20000, 3), np.uint8)).shape == (512, 2048, 3)
    small = np.zeros((100, 300, 3), np.uint8)
    assert working_copy(small) is small
    assert 3 * DECODED_SIDE >= SHORT
    photo = example_photos()[0][:180, :180]
    large = np.asarray(cv2.resize(photo, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC), np.uint8)
    larger = np.asarray(cv2.resize(photo, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC), np.uint8)
    assert measure(large).sharpness == pytest.approx(measure(larger).sharpness, abs=0.02)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (15, 15), (16, 16), (31, 40), (40, 31), (2000, 3), (64, 64)])
@pytest.mark.parametrize("fill", [0, 255, None])
def test_odd_photos_give_finite_measures_in_range(size: tuple[int, int], fill: int | None) -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (*size, 3), np.uint8) if fill is None else np.full((*size, 3), fill, np.uint8)
    found = measure(picture)
    assert all(map(math.isfinite, astuple(found)))
    for name in ("sharpness", "brightness", "exposure", "highlights", "shadows", "haze"):
        assert 0 <= getattr(found, name) <= 1.000001, name
    assert min(found.laplacian, found.colourfulness, found.noise, found.blockiness) >= 0
    assert 0 <= found.contrast <= 0.500001
