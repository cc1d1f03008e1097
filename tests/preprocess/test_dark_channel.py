"""The dark channel prior, equation by equation, against naive references; and what is done about its failures."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from preprocess import InputError
from preprocess.dark_channel import PRESETS, DarkChannel, DarkChannelOptions, atmospheric_light, dark_channel, ratio_table
from preprocess.guided_filter import GuidedFilter
from preprocess.recovery import Veil, noise_level, recover

PAPER, DEFAULT = PRESETS["paper"], PRESETS["default"]


def naive_dark_channel(values: Any, radius: int) -> Any:
    """Equation 5, pixel by pixel."""
    out = np.empty(values.shape[:2], values.dtype)
    for y, x in np.ndindex(*out.shape):
        out[y, x] = values[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1].min()
    return out


def grain(height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def clear() -> Any:
    data = pytest.importorskip("skimage.data", reason="the real photos of scikit-image are not installed")
    return cv2.resize(data.coffee(), (450, 300), interpolation=cv2.INTER_AREA)


def hazed(clear: Any, t: Any, light: Any, noise: float = 0.0) -> Any:
    """Equation 1, with sensor noise."""
    values = clear * t + np.asarray(light, np.float64) * (1 - t) + np.random.default_rng(3).normal(0, noise, clear.shape)
    return np.rint(values.clip(0, 255)).astype(np.uint8)


def psnr(one: Any, other: Any) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(np.float64) - other) ** 2)))


# Equations


@pytest.mark.parametrize("radius", [0, 1, 7, 60])
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (4, 1), (33, 21)])
def test_dark_channel_is_equation_5(size: tuple[int, int], radius: int) -> None:
    pixels = grain(*size)
    np.testing.assert_array_equal(dark_channel(pixels, radius), naive_dark_channel(pixels, radius))


@pytest.mark.parametrize("light", [1.0, 90.4, 200.0, 255.0])
def test_ratios_by_table_are_those_by_division(light: float) -> None:
    exact = np.arange(256) / light
    inside = exact < 1.99
    np.testing.assert_allclose(ratio_table(light)[inside] / 32768, exact[inside], atol=0.5 / 32768 + 1e-9)
    assert (ratio_table(light)[~inside] / 32768 > 1.98).all()


@pytest.mark.parametrize("brightest", [0.0001, 0.001, 0.05, 1.0])
@pytest.mark.parametrize("how", ["brightest", "mean"])
def test_atmospheric_light_is_that_of_a_whole_sort(how: Any, brightest: float) -> None:
    pixels = grain(60, 70, 5) // 2 + np.linspace(120, 0, 60).astype(np.uint8)[:, None, None]
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    dark = naive_dark_channel(pixels, 3)
    wanted = max(1.0, brightest * dark.size)
    among = min((dark >= value for value in np.unique(dark)), key=lambda mask: abs(math.log(mask.sum() / wanted)))
    found = atmospheric_light(pixels, grey, replace(PAPER, radius=3, brightest=brightest, light=how))
    if how == "mean":
        np.testing.assert_allclose(found, pixels[among].mean(0), rtol=1e-5)
    else:
        candidates = pixels[among][grey[among] == grey[among].max()]
        assert any(np.array_equal(found, candidate) for candidate in candidates)


def test_transmission_is_equation_12_refined() -> None:
    pixels = hazed(grain(70, 90, 2), 0.6, (210, 200, 190))
    haze = DarkChannel(replace(PAPER, eps=1e3, refine_radius=1, refine_step=1)).estimate(
        pixels
    )  # an eps so large that only the means are left
    rough = 1 - 0.95 * naive_dark_channel((pixels / haze.light).astype(np.float32), 7)
    window = {"ksize": (3, 3), "borderType": cv2.BORDER_CONSTANT, "normalize": False}
    count = cv2.boxFilter(np.ones_like(rough), -1, **window)
    smooth = rough
    for _ in range(2):
        smooth = cv2.boxFilter(smooth, -1, **window) / count
    np.testing.assert_allclose(haze.transmission, smooth.clip(0.1, 1), atol=1e-3)


@pytest.mark.parametrize("t0", [0.1, 0.4])
@pytest.mark.parametrize("size", [(53, 47), (1, 1), (4, 1), (1, 4), (3, 1), (700, 90)])
def test_recovery_is_equation_22(size: tuple[int, int], t0: float) -> None:
    pixels, light = grain(*size, 8), np.float32([200, 180, 255])
    slope, offset = (np.random.default_rng(seed).random(size, np.float32) for seed in (1, 2))
    veil = Veil(light, GuidedFilter(slope / 255, offset / 2, 1), t0)
    t = (slope / 255 * cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) + offset / 2).clip(t0, 1)[..., None].astype(np.float64)
    exact = ((pixels - light) / t + light).clip(0, 255)
    assert np.abs(recover(pixels, veil) - exact).max() < 0.51


# The whole


@pytest.mark.parametrize(("preset", "least"), [("paper", 19.0), ("default", 19.0)])
@pytest.mark.parametrize("strength", [0.5, 0.7])
def test_known_haze_is_undone(clear: Any, preset: str, least: float, strength: float) -> None:
    t = np.linspace(strength - 0.15, strength + 0.15, clear.shape[0])[:, None, None]
    light = np.array([225, 228, 232])
    hazy = hazed(clear, t, light)
    hazy[:30, :60] = light  # a bit of what is infinitely far, so that there is something to see the light in
    dehazer = DarkChannel(PRESETS[preset])
    assert np.abs(dehazer.estimate(hazy).light - light).max() < 8
    assert psnr(clear, dehazer(hazy)) > least > psnr(clear, hazy)


def test_the_estimate_is_what_the_call_uses(clear: Any) -> None:
    hazy = hazed(clear, 0.5, (220, 220, 220))
    dehazer = DarkChannel(PAPER)
    haze = dehazer.estimate(hazy)
    assert haze.transmission.shape == hazy.shape[:2]
    assert haze.transmission.dtype == haze.light.dtype == np.float32
    by_hand = (hazy - haze.light) / haze.transmission[..., None].astype(np.float64) + haze.light
    assert np.abs(dehazer(hazy) - by_hand.clip(0, 255)).max() < 0.51


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("value", [0, 1, 100, 254, 255])
def test_a_constant_picture_stays(preset: str, value: int) -> None:
    pixels = np.full((40, 60, 3), value, np.uint8)
    np.testing.assert_array_equal(DarkChannel(PRESETS[preset])(pixels), pixels)


@pytest.mark.parametrize("preset", PRESETS)
def test_grey_stays_grey(preset: str, clear: Any) -> None:
    result = DarkChannel(PRESETS[preset])(np.repeat(clear[..., :1], 3, 2)).astype(int)
    assert np.ptp(result, axis=2).max() == 0


def test_a_larger_copy_gives_the_same_picture_larger(clear: Any) -> None:
    """The default window grows with the picture; the published one does not."""
    hazy = hazed(clear, np.linspace(0.3, 0.7, clear.shape[0])[:, None, None], (225, 225, 225))
    large = cv2.resize(hazy, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    differences = []
    for options in (DEFAULT, PAPER):
        dehazer = DarkChannel(options)
        back = cv2.resize(dehazer(large), hazy.shape[1::-1], interpolation=cv2.INTER_AREA)
        differences.append(np.abs(back.astype(int) - dehazer(hazy)).mean())
    assert differences[0] < 5
    assert differences[0] < 0.8 * differences[1]


# The failures


def test_sky_keeps_its_colour_and_its_peace(clear: Any) -> None:
    hazy = hazed(clear, 0.5, (205, 210, 215))
    hazy[:120] = hazed(np.full((120, 450, 3), (190, 205, 225), np.uint8), 0.3, (205, 210, 215), 1.0)
    with_it, without = (DarkChannel(replace(DEFAULT, sky=sky))(hazy)[:90].astype(float) for sky in (DEFAULT.sky, 0.0))
    before = hazy[:90].astype(float)
    for statistic in (lambda x: np.abs(x.mean((0, 1)) - before.mean((0, 1))).max(), lambda x: x.std((0, 1)).max()):
        assert statistic(with_it) < 0.75 * statistic(without)


def test_brightness_is_given_back_but_no_more_than_there_was(clear: Any) -> None:
    hazy = hazed(clear // 2, 0.6, (150, 150, 150))
    dark, some, most = (DarkChannel(replace(DEFAULT, brightness=share))(hazy).mean() for share in (0.0, 0.5, 1.0))
    assert dark < some < most <= hazy.mean() + 1
    night = clear // 12
    assert DarkChannel(replace(DEFAULT, brightness=1.0))(night).mean() <= night.mean() + 1


def test_noise_is_held_down(clear: Any) -> None:
    quiet, noisy = (hazed(clear, 0.3, (220, 220, 220), noise) for noise in (0.0, 5.0))
    with_it, without = (DarkChannel(replace(DEFAULT, max_noise=limit)) for limit in (DEFAULT.max_noise, math.inf))
    assert psnr(clear, with_it(noisy)) > psnr(clear, without(noisy)) + 0.3
    assert noise_level(with_it(noisy)) < 0.7 * noise_level(without(noisy))
    np.testing.assert_array_equal(with_it(quiet), without(quiet))  # what has no noise, loses no detail


def test_the_guide_leaves_less_of_a_halo() -> None:
    """Something near before something far: along the edge, the rough map is wrong by the window; the guided filter puts that right."""
    far, near = np.float32([200, 195, 190]), np.float32([60, 30, 5])
    pixels = np.tile(np.uint8(far), (200, 300, 1))
    pixels[:, :150] = near
    pixels[:10, 200:] = 205
    refined = DarkChannel(replace(DEFAULT, sky=0.0)).estimate(pixels).transmission[100:]
    rough = DarkChannel(replace(DEFAULT, sky=0.0, eps=1e6)).estimate(pixels).transmission[100:]
    true_far, true_near = refined[:, 250].mean(), refined[:, 50].mean()
    halo = [np.abs(t[:, 152:160] - true_far).mean() / (true_near - true_far) for t in (refined, rough)]
    assert halo[0] < 0.6 * halo[1]


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0])
def test_noise_is_measured(sigma: float) -> None:
    ramp = (
        np.linspace(60, 190, 400)[:, None] + np.random.default_rng(0).normal(0, sigma, (300, 400, 1, 1))[..., 0].transpose(1, 0, 2)[..., 0]
    )
    pixels = np.repeat(np.rint(ramp.clip(0, 255)).astype(np.uint8)[..., None], 3, 2)
    assert noise_level(pixels) == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (7, 900), (900, 7), (8, 8), (9, 17), (50, 50)])
def test_flat_pictures_have_no_noise(size: tuple[int, int], value: int) -> None:
    assert noise_level(np.full((*size, 3), value, np.uint8)) == 0


# Against the yardstick


def benchmark() -> Any:
    pytest.importorskip("skimage", reason="the benchmark needs scikit-image")
    file = Path(__file__).parents[2] / "benchmarks" / "dehaze.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_dehazing", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_published_preset_is_as_good_as_a_plain_implementation() -> None:
    module = benchmark()
    paper = DarkChannel(PAPER)
    pairs = list(module.made_pairs((465, 345)))
    ours, plain, both = (np.mean([measure(clear, hazy) for clear, hazy in pairs]) for measure in (
        lambda clear, hazy: psnr(clear, paper(hazy)), lambda clear, hazy: psnr(clear, module.plain(hazy)),
        lambda _, hazy: psnr(module.plain(hazy), paper(hazy)),
    ))  # fmt: skip
    assert ours > plain - 0.05
    assert both > 25


def test_on_real_pairs(shared: Any) -> None:
    """Every fifth of the indoor pairs; benchmarks/dehaze.py has them all."""
    folder = shared("eval/sots-indoor")
    files = sorted((folder / "hazy").iterdir())[::5]
    figures = {}
    for name, options in PRESETS.items():
        dehazer = DarkChannel(options)
        figures[name] = np.mean([
            psnr(np.asarray(Image.open(folder / "clear" / (file.stem.split("_")[0] + file.suffix)).convert("RGB")),
                 dehazer(np.asarray(Image.open(file).convert("RGB"))))
            for file in files
        ])  # fmt: skip
    assert figures["default"] > figures["paper"] + 1
    assert figures["default"] > 20.5


# Options


@pytest.mark.parametrize(
    ("name", "value"),
    [("omega", 0), ("omega", 1.1), ("t0", 0), ("t0", 2), ("radius", -1), ("side", -5), ("brightest", 0), ("light", "median"), ("eps", 0),
     ("refine_radius", 0), ("refine_step", 0), ("sky", 1.5), ("brightness", -0.1), ("max_noise", 0), ("omega", math.nan)],
)  # fmt: skip
def test_options_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"option {name} "):
        replace(PAPER, **{name: value})


def test_the_paper_preset_is_the_published_setting() -> None:
    published = DarkChannelOptions(
        "dark-channel-paper-1", side=0, radius=7, brightest=0.001, light="brightest", omega=0.95, refine_radius=60, eps=1e-4, t0=0.1,
        sky=0.0, brightness=0.0, max_noise=math.inf,
    )  # fmt: skip
    assert published == PAPER


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 0, 3), np.uint8)],
    ids=["grey", "with alpha", "float", "no rows", "no columns"],
)  # fmt: skip
def test_what_is_no_picture(pixels: Any) -> None:
    for method in (DarkChannel(DEFAULT), DarkChannel(DEFAULT).estimate):
        with pytest.raises(InputError, match="8-bit RGB of shape"):
            method(pixels)
