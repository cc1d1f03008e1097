"""The gate: clear photos stay, hazy ones are dehazed, and what did not get better is refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from preprocess import InputError, RgbImage, haze_density, load_rule
from preprocess.gate import HAZE_THRESHOLD, Gate
from preprocess.improvement import ImprovementOptions, measure_change, refusal


class Fixed:
    """A dehazer that answers with a prepared picture, and counts."""

    id = "fixed-1"

    def __init__(self, answer: RgbImage) -> None:
        self.answer, self.calls = answer, 0

    def __call__(self, pixels: RgbImage) -> RgbImage:
        self.calls += 1
        return self.answer.copy()


@pytest.fixture(scope="module")
def clear(skimage_photos: Path) -> RgbImage:
    """A street-like photo with a bright flat sky on its upper third."""
    pixels = np.asarray(Image.open(skimage_photos / "coffee.png").convert("RGB").resize((300, 200))).copy()
    pixels[:70] = np.linspace(222, 200, 70, dtype=np.uint8)[:, None, None]
    return pixels


@pytest.fixture(scope="module")
def hazy(clear: RgbImage) -> RgbImage:
    return (clear * 0.35 + 210 * 0.65).round().astype(np.uint8)


def test_a_clear_photo_is_left_alone(clear: RgbImage) -> None:
    dehazer = Fixed(clear)
    gate = Gate(dehazer)
    assert gate.id == "auto-1+fixed-1"  # another dehazer is another rule
    judged = gate.judge(clear)
    assert (judged.haze, judged.pixels, judged.enhancer, judged.reason) == (haze_density(clear), None, None, "clear")
    assert dehazer.calls == 0
    same = gate(clear)
    assert (same == clear).all()
    assert same is not clear


def test_a_hazy_photo_is_dehazed_by_the_dehazer_it_names(clear: RgbImage, hazy: RgbImage) -> None:
    gate = Gate(Fixed(clear))
    judged = gate.judge(hazy)
    assert judged.haze >= HAZE_THRESHOLD
    assert judged.pixels is not None
    assert (judged.pixels == clear).all()
    assert (judged.enhancer, judged.reason) == ("fixed-1", "")
    assert (gate(hazy) == clear).all()


def test_the_threshold_is_the_first_density_that_passes(clear: RgbImage, hazy: RgbImage) -> None:
    density = haze_density(hazy)
    assert Gate(Fixed(clear), density).judge(hazy).pixels is not None
    assert Gate(Fixed(clear), np.nextafter(density, 1)).judge(hazy).reason == "clear"


def test_what_did_not_get_better_is_not_kept(hazy: RgbImage) -> None:
    judged = Gate(Fixed(hazy)).judge(hazy)
    assert (judged.pixels, judged.enhancer, judged.reason) == (None, None, "no gain in contrast")
    assert judged.haze >= HAZE_THRESHOLD
    assert (Gate(Fixed(hazy))(hazy) == hazy).all()


def blurred(pixels: RgbImage) -> RgbImage:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(6)))


def dimmed(pixels: RgbImage) -> RgbImage:
    return (pixels * 0.3 + 30).astype(np.uint8)


def white_sky(pixels: RgbImage) -> RgbImage:
    burnt = pixels.copy()
    burnt[:40] = 255
    return burnt


def black_ground(pixels: RgbImage) -> RgbImage:
    sunk = pixels.copy()
    sunk[-60:, :100] = 0
    return sunk


def tinted(pixels: RgbImage) -> RgbImage:
    return (pixels * np.array([1.0, 0.82, 0.6])).astype(np.uint8)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda pixels: pixels, ""),
        (dimmed, "no gain in contrast"),
        (blurred, "no gain in sharpness"),
        (white_sky, "clipped sky"),
        (black_ground, "clipped pixels"),
        (tinted, "colour cast"),
    ],
)
def test_each_failure_is_named(clear: RgbImage, hazy: RgbImage, spoil: Callable[[RgbImage], RgbImage], reason: str) -> None:
    """The picture without its haze, spoilt in one way each."""
    assert refusal(hazy, spoil(clear)) == reason


def test_what_was_clipped_before_does_not_count(clear: RgbImage, hazy: RgbImage) -> None:
    before, after = hazy.copy(), clear.copy()
    before[:40] = after[:40] = 255
    change = measure_change(before, after)
    assert (change.clipped, change.sky_clipped) == (0, 0)
    assert refusal(before, after) == ""


def test_options_say_how_much_is_too_much(clear: RgbImage, hazy: RgbImage) -> None:
    assert refusal(hazy, clear, ImprovementOptions(min_contrast=50)) == "no gain in contrast"
    assert refusal(hazy, tinted(clear), ImprovementOptions(max_cast=1000)) == ""


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (700, 2), (3, 3)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_odd_pictures_are_compared_without_warnings(size: tuple[int, int], value: int) -> None:
    flat = np.full((*size, 3), value, np.uint8)
    assert refusal(flat, flat) == "no gain in contrast"
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    change = measure_change(flat, noise)
    assert np.isfinite([change.contrast, change.sharpness, change.clipped, change.sky_clipped, change.cast]).all()


def test_pictures_of_two_sizes_are_refused(clear: RgbImage) -> None:
    with pytest.raises(InputError, match="keeps the size"):
        refusal(clear, clear[1:])


def test_auto_is_the_gate() -> None:
    rule = load_rule("auto")
    assert isinstance(rule, Gate)
    assert rule.id == "auto-1+dark-channel-search-1"
