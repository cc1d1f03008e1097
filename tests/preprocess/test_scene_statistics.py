"""Statistics of natural photos: the fits find what made the numbers, and they change with what is done to a photo."""

from __future__ import annotations

import numpy as np
import pytest

from preprocess import cv2, natural_statistics
from preprocess.scene_statistics import SCALES, STATISTICS, asymmetric, evened, symmetric


@pytest.mark.parametrize(("shape", "scale"), [(0.6, 1.0), (1.0, 2.0), (2.0, 0.5), (4.0, 3.0)])
def test_the_shape_and_variance_of_a_generalised_gaussian_are_found(shape: float, scale: float) -> None:
    """|x| = s·G^(1/α) with G of the gamma distribution of shape 1/α has that density."""
    random = np.random.default_rng(0)
    values = scale * random.gamma(1 / shape, size=200_000) ** (1 / shape) * random.choice((-1, 1), 200_000)
    found, variance = symmetric(values.astype(np.float32))
    assert found == pytest.approx(shape, rel=0.05)
    assert variance == pytest.approx(float(values.var()), rel=0.01)


def test_the_sides_of_an_asymmetric_gaussian_are_found() -> None:
    """Halves of normal distributions, each as often as it is wide; the mean is (σr - σl) Γ(2/α) / √(Γ(1/α) Γ(3/α)), for α = 2 (σr - σl) √(2/π)."""
    random = np.random.default_rng(0)
    left, right = 1.0, 3.0
    values = np.r_[-left * np.abs(random.normal(size=100_000)), right * np.abs(random.normal(size=300_000))].astype(np.float32)
    shape, mean, below, above = asymmetric(values)
    assert shape == pytest.approx(2, rel=0.06)
    assert (below, above) == (pytest.approx(left**2, rel=0.02), pytest.approx(right**2, rel=0.02))
    assert mean == pytest.approx((right - left) * np.sqrt(2 / np.pi), rel=0.03)


def test_luma_is_brought_to_local_mean_0() -> None:
    picture = np.random.default_rng(0).normal(100, 20, (64, 64)).astype(np.float32)
    even, deviation = evened(picture)
    assert abs(float(even.mean())) < 0.02
    assert 0.7 < float(even.std()) < 1.1
    np.testing.assert_allclose(evened(3 * picture)[1], 3 * deviation, rtol=1e-3)
    assert np.abs(evened(np.full((20, 20), 90, np.float32))[0]).max() < 1e-3


def test_the_first_numbers_are_those_of_brisque_elsewhere() -> None:
    """piq's, of the first scale, but for its border: it fills with nought what lies outside."""
    brisque = pytest.importorskip("piq.brisque")
    torch = pytest.importorskip("torch")
    photo = np.ascontiguousarray(pytest.importorskip("skimage.data").astronaut())
    luma = np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), np.float32)
    theirs = brisque._natural_scene_statistics(torch.from_numpy(luma)[None, None], 7, 7 / 6).numpy().ravel()
    ours = natural_statistics(photo)[: len(theirs)]
    for at, name in enumerate(STATISTICS[: len(theirs)]):
        value = float(ours[at]) if name.startswith("mean") else float(np.exp(ours[at]))
        assert value == pytest.approx(float(theirs[at]), rel=0.05, abs=0.01), name


def test_they_follow_blur_and_noise() -> None:
    photo = np.ascontiguousarray(pytest.importorskip("skimage.data").chelsea())
    soft = np.asarray(cv2.GaussianBlur(photo, (0, 0), 3), np.uint8)
    noisy = (photo + np.random.default_rng(0).normal(0, 15, photo.shape)).clip(0, 255).astype(np.uint8)
    plain, low, high = (dict(zip(STATISTICS, natural_statistics(picture), strict=False)) for picture in (photo, soft, noisy))
    assert low["deviation_mean"] < plain["deviation_mean"] < high["deviation_mean"]
    assert max(plain["shape"], low["shape"]) < high["shape"]  # noise is normal; edges in soft surroundings are rare and large


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (31, 33), (64, 64), (500, 3)])
@pytest.mark.parametrize("fill", [0, 255, None])
def test_odd_photos_give_finite_statistics(size: tuple[int, int], fill: int | None) -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (*size, 3), np.uint8) if fill is None else np.full((*size, 3), fill, np.uint8)
    found = natural_statistics(picture)
    assert found.shape == (SCALES * len(STATISTICS),) == (75,)
    assert np.isfinite(found).all()
