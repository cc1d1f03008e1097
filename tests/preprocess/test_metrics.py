"""PSNR, SSIM and CIEDE2000 against known values, against their definitions and on made-up pairs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from preprocess import DEHAZERS, ImageCorrupt, InputError, MissingExtra, UnknownName
from preprocess.dehaze_evaluation import HAZY, METHODS, DehazeFigures, evaluate_dehazers, find_pairs
from preprocess.metrics import Reference

pytest.importorskip("skimage", reason="the extra eval is not installed")


def grain(seed: int, size: tuple[int, int] = (40, 50)) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_a_picture_is_like_itself() -> None:
    found = Reference(grain(1)).compare(grain(1))
    assert (found.psnr, found.ciede2000) == (float("inf"), 0)
    assert found.ssim == pytest.approx(1)


@pytest.mark.parametrize(("step", "psnr"), [(1, 48.1308), (10, 28.1308), (51, 13.9794)])
def test_psnr_of_a_constant_difference(step: int, psnr: float) -> None:
    """20 log10(255 / step)."""
    flat = np.full((20, 30, 3), 100, np.uint8)
    assert Reference(flat).compare(flat + np.uint8(step)).psnr == pytest.approx(psnr, abs=1e-4)


def test_psnr_is_over_all_channels() -> None:
    flat = np.full((20, 30, 3), 100, np.uint8)
    red = flat.copy()
    red[..., 0] += 10
    assert Reference(flat).compare(red).psnr == pytest.approx(28.1308 + 10 * np.log10(3), abs=1e-4)


def test_ssim_of_constant_pictures_is_its_first_factor() -> None:
    """Without variance, equation 13 is (2ab + C1) / (a² + b² + C1) with C1 = (0.01 · 255)²."""
    dark, light = (np.full((20, 30, 3), value, np.uint8) for value in (50, 100))
    c1 = (0.01 * 255) ** 2
    assert Reference(dark).compare(light).ssim == pytest.approx((2 * 50 * 100 + c1) / (50**2 + 100**2 + c1), abs=1e-6)


def plain_ssim(a: Any, b: Any) -> float:
    """Equation 13 of Wang et al. written out: an 11×11 Gaussian window, where it lies inside, one channel."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / np.outer(line, line).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = (part[y : y + 11, x : x + 11].astype(float) for part in (a, b))
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq, cov = (window * p * p).sum() - mp**2, (window * q * q).sum() - mq**2, (window * p * q).sum() - mp * mq
            values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return float(np.mean(values))


def test_ssim_is_that_of_the_paper_on_each_channel() -> None:
    a, b = grain(1, (16, 20)), (grain(1, (16, 20)) // 2 + grain(2, (16, 20)) // 4).astype(np.uint8)
    wanted = np.mean([plain_ssim(a[..., channel], b[..., channel]) for channel in range(3)])
    assert Reference(a).compare(b).ssim == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    # Grey has no hue or chroma, so the formula is ΔL' / S_L: L* is 0 and 100 for black and white, whose S_L is 1.0 (their mean is 50).
    [((0, 0, 0), (255, 255, 255), 100.0), ((10, 20, 30), (10, 20, 30), 0.0)],
)
def test_ciede2000_of_known_colours(one: tuple[int, ...], other: tuple[int, ...], difference: float) -> None:
    a, b = (np.full((12, 12, 3), colour, np.uint8) for colour in (one, other))
    assert Reference(a).compare(b).ciede2000 == pytest.approx(difference, abs=0.01)


def test_against_scikit_images_own_functions() -> None:
    from skimage import color, metrics

    a, b = grain(3), grain(4)
    found = Reference(a).compare(b)
    assert found.psnr == pytest.approx(metrics.peak_signal_noise_ratio(a, b, data_range=255), abs=1e-4)
    assert found.ciede2000 == pytest.approx(color.deltaE_ciede2000(color.rgb2lab(a), color.rgb2lab(b)).mean())


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_give_no_warning(value: int) -> None:
    flat = np.full((12, 12, 3), value, np.uint8)
    found = Reference(flat).compare(255 - flat)
    assert found.psnr == pytest.approx(0)
    assert found.ssim < 0.001


def test_sizes() -> None:
    with pytest.raises(InputError, match="one size"):
        Reference(grain(1)).compare(grain(1)[1:])
    with pytest.raises(InputError, match="11"):
        Reference(grain(1)[:10])


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pellucid\[eval\]'"):
        Reference(grain(1))


# Pairs


class Brighter:
    """Takes back a veil of 40: exactly what the made-up pairs have."""

    id = "brighter-1"

    def __call__(self, pixels: Any) -> Any:
        return pixels - np.uint8(40)


@pytest.fixture
def brighter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEHAZERS, "brighter", lambda _preset: Brighter())  # type: ignore[arg-type]
    monkeypatch.setitem(METHODS, "brighter", ("brighter", "default"))  # type: ignore[index]


def make(folder: Path, clear: str, names: tuple[tuple[str, str], ...], border: int = 0) -> Path:
    for hazy, of in names:
        pixels = grain(sum(of.encode()), (40 + 2 * border, 50 + 2 * border)) // 2
        for place, name, content in (
            (clear, of, pixels),
            ("hazy", hazy, pixels[border : border + 40, border : border + 50] + np.uint8(40)),
        ):
            (folder / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(folder / place / name)
    return folder


@pytest.mark.parametrize("clear", ["clear", "gt", "GT"])
@pytest.mark.parametrize(
    ("names", "border"),
    [((("1400_1.png", "1400.png"), ("1400_10.png", "1400.png"), ("1401_3.png", "1401.png")), 10),  # RESIDE SOTS, indoor
     ((("0001_0.8_0.2.png", "0001.png"), ("0002_1_0.04.png", "0002.png")), 0)],  # and outdoor
    ids=["indoor", "outdoor"],
)  # fmt: skip
def test_the_layouts_of_reside(clear: str, names: tuple[tuple[str, str], ...], border: int, tmp_path: Path, brighter: None) -> None:
    pairs = find_pairs(make(tmp_path, clear, names, border))
    assert {(pair.hazy.name, pair.clear.name) for pair in pairs} == set(names)
    seen: list[tuple[int, int]] = []
    figures = evaluate_dehazers(pairs, ["brighter"], on_progress=lambda done, total: seen.append((done, total)))
    assert figures.pairs == len(names)
    hazy, dehazed = figures.rows
    assert (hazy.method, hazy.seconds, dehazed.method) == (HAZY, None, "brighter")
    assert hazy.psnr == pytest.approx(16.0896, abs=1e-3)  # 20 log10(255 / 40)
    assert (dehazed.psnr, dehazed.ciede2000) == (float("inf"), 0)
    assert dehazed.seconds is not None
    assert 0 <= dehazed.seconds < 1
    assert seen == [(n + 1, len(names)) for n in range(len(names))]


def test_every_method_is_a_dehazer_and_every_dehazer_is_measured() -> None:
    assert {dehazer for dehazer, _ in METHODS.values()} == set(DEHAZERS)
    assert METHODS["dark-channel-paper"] == ("dark-channel", "paper")


def test_the_limit_is_spread_evenly(tmp_path: Path) -> None:
    make(tmp_path, "gt", tuple((f"{n}_{level}.png", f"{n}.png") for n in (1, 2) for level in (1, 2, 3)))
    assert [pair.hazy.name for pair in find_pairs(tmp_path, 2)] == ["1_1.png", "2_1.png"]
    assert len(find_pairs(tmp_path, 100)) == 6


def figures_of(folder: Path) -> DehazeFigures:
    return evaluate_dehazers(find_pairs(folder), ["dark-channel"])


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder hazy"):
        figures_of(tmp_path)
    make(tmp_path, "elsewhere", (("1_1.png", "1.png"),))
    with pytest.raises(InputError, match="no folder clear or gt"):
        figures_of(tmp_path)
    (tmp_path / "gt").mkdir()
    with pytest.raises(InputError, match="has no photos"):
        figures_of(tmp_path)
    make(tmp_path, "gt", (("1_1.png", "1.png"),))
    Image.new("RGB", (50, 40)).save(tmp_path / "hazy" / "7_1.png")
    with pytest.raises(InputError, match=r"1 of 2 hazy photos have no clear one, such as .*7_1.png: .*7\.\*"):
        figures_of(tmp_path)
    (tmp_path / "hazy" / "7_1.png").unlink()
    Image.new("RGB", (50, 40)).save(tmp_path / "gt" / "1.jpg")
    with pytest.raises(InputError, match="both begin"):
        figures_of(tmp_path)
    (tmp_path / "gt" / "1.jpg").unlink()
    (tmp_path / "hazy" / "1_1.png").write_bytes(b"\x89PNG damaged")
    with pytest.raises(ImageCorrupt):
        figures_of(tmp_path)


@pytest.mark.parametrize("size", [(51, 40), (50, 42), (48, 38), (51, 41), (50 + 130, 40 + 130), (40, 50)])
def test_sizes_that_do_not_fit_are_said(size: tuple[int, int], tmp_path: Path) -> None:
    make(tmp_path, "gt", (("1_1.png", "1.png"),))
    Image.new("RGB", size).save(tmp_path / "gt" / "1.png")
    with pytest.raises(InputError, match=rf"50×40 and .* is {size[0]}×{size[1]}"):
        figures_of(tmp_path)


def test_no_pairs_and_no_such_method(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pairs"):
        evaluate_dehazers([])
    make(tmp_path, "gt", (("1_1.png", "1.png"),))
    with pytest.raises(UnknownName, match="dark-channel"):
        evaluate_dehazers(find_pairs(tmp_path), ["dark-chanel"])
