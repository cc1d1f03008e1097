"""Pictures to squares. `python tests/preprocess/test_resize.py` writes resize_golden.json anew, with open_clip (the extra `torch`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from preprocess import Fit, fit, reduced, squash

GOLDEN = Path(__file__).with_name("resize_golden.json")
RESIZES, INTERPOLATIONS = ("shortest", "squash", "longest"), ("bicubic", "bilinear")
SIZES_WH = [(24, 16), (17, 40), (5, 3), (1, 9), (5, 5), (131, 6)]


def slopes(width: int, height: int) -> Any:
    """Pixels with edges and slopes in all three colours, the same on every machine."""
    y, x, colour = np.mgrid[:height, :width, :3]
    return ((y * 37 + x * 59 + colour * 101 + (x * y) % 31 * 7) % 256).astype(np.uint8)


def open_clip_pixels(pixels: Any, how: Fit) -> Any:
    """What open_clip's evaluation transform makes of a picture before it becomes a tensor; nothing where it refuses the picture."""
    from open_clip.transform import image_transform

    steps = image_transform(how.side, False, resize_mode=how.resize, interpolation=how.interpolation, fill_color=how.fill).transforms
    assert [type(step).__name__ for step in steps[-2:]] == ["MaybeToTensor", "Normalize"]
    image = Image.fromarray(pixels)
    try:
        for step in steps[:-2]:
            image = step(image)
    except ValueError as error:
        if "must be > 0" in str(error):
            return None
        raise
    return np.asarray(image)


# As open_clip


@pytest.mark.parametrize("row", json.loads(GOLDEN.read_text()), ids=lambda row: "-".join(map(str, [*row["size_wh"], *row["how"][1:3]])))
def test_pixels_are_those_that_open_clip_made(row: dict[str, Any]) -> None:
    assert fit(slopes(*row["size_wh"]), Fit(*row["how"])).reshape(-1).tolist() == row["pixels"]


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("resize", RESIZES)
def test_pixels_are_those_of_the_installed_open_clip(resize: Any, interpolation: Any, skimage_photos: Path) -> None:
    pytest.importorskip("open_clip", reason="the extra torch is not installed")
    random = np.random.default_rng(5)
    pictures = [random.integers(0, 256, (height, width, 3), np.uint8) for width, height in [*SIZES_WH, *random.integers(1, 300, (40, 2))]]
    for file in skimage_photos.iterdir():
        photo = np.asarray(Image.open(file).convert("RGB"))  # some are grey
        pictures += [photo, photo[:-1, ::-2], photo.transpose(1, 0, 2)]
    compared = 0
    for at, pixels in enumerate(pictures):
        how = Fit((7, 32, 224)[at % 3], resize, interpolation, 127)
        expected = open_clip_pixels(np.ascontiguousarray(pixels), how)
        if expected is not None:
            np.testing.assert_array_equal(fit(pixels, how), expected, err_msg=f"{pixels.shape} {how}")
            compared += 1
    assert compared > 40


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(("width", "height"), [(1, 101), (303, 2), (3, 1000), (20, 3000), (8000, 40)])
def test_a_strip_is_cut_before_it_is_scaled(width: int, height: int, interpolation: Any) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    side, long = 16, max(width, height)
    length = 16 * long // min(width, height)
    whole = Image.fromarray(pixels).resize((side, length) if height == long else (length, side), Image.Resampling[interpolation.upper()])
    start = round((length - side) / 2)
    exact = whole.crop((0, start, side, start + side) if height == long else (start, 0, start + side, side))
    made = fit(pixels, Fit(side, "shortest", interpolation))
    assert np.abs(made.astype(int) - np.asarray(exact)).max() <= 2


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux tells it")
def test_a_strip_takes_little_memory() -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for resize in RESIZES:
        assert fit(np.full((1, 100_000, 3), 50, np.uint8), Fit(384, resize)).shape == (384, 384, 3)  # type: ignore[arg-type]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes; the whole strip scaled would take 59 GB


# What each way is


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 96),
    st.integers(0, 255),
    st.sampled_from(RESIZES),
    st.sampled_from([None, 3.0]),
)
def test_shape_dtype_and_constants_hold(height: int, width: int, side: int, value: int, resize: Any, gap: float | None) -> None:
    result = fit(np.full((height, width, 3), value, np.uint8), Fit(side, resize, fill=value, gap=gap))
    assert result.shape == (side, side, 3)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert (result == value).all()


def halves() -> Any:
    pixels = np.zeros((100, 400, 3), np.uint8)
    pixels[:, :200] = 255
    return pixels


def test_squash_crops_nothing() -> None:
    result = squash(halves(), 8)
    assert (result[:, :3] > 250).all()
    assert (result[:, 5:] < 5).all()


def test_shortest_keeps_the_middle() -> None:
    pixels = np.zeros((100, 400, 3), np.uint8)
    pixels[:, 150:250] = 200
    assert (fit(pixels, Fit(10, "shortest"))[:, 1:9] > 190).all()
    assert (fit(pixels.transpose(1, 0, 2), Fit(10, "shortest"))[1:9] > 190).all()


def test_longest_keeps_all_within_a_frame() -> None:
    result = fit(halves(), Fit(8, "longest", fill=90))
    assert (result[:3] == 90).all()
    assert (result[5:] == 90).all()
    assert (result[3:5, :3] > 250).all()
    assert (result[3:5, 5:] < 5).all()


def test_squash_is_fit_with_a_gap() -> None:
    pixels = slopes(400, 300)
    np.testing.assert_array_equal(squash(pixels, 16), fit(pixels, Fit(16, gap=3.0)))
    exact = fit(pixels, Fit(16))
    assert (squash(pixels, 16) != exact).any()
    assert np.abs(squash(pixels, 16).astype(int) - exact).mean() < 3


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


def main() -> None:
    rows = []
    for size_wh in SIZES_WH:
        for resize in RESIZES:
            for interpolation in INTERPOLATIONS:
                made = open_clip_pixels(slopes(*size_wh), Fit(5, resize, interpolation, 90))  # type: ignore[arg-type]
                if made is not None:
                    rows.append({"size_wh": size_wh, "how": (5, resize, interpolation, 90), "pixels": made.reshape(-1).tolist()})
    GOLDEN.write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()


@pytest.mark.parametrize(
    ("size", "short", "most", "expected"),
    [
        ((100, 60), 64, None, (100, 60)),
        ((300, 200), 100, None, (150, 100)),
        ((301, 199), 100, None, (301, 199)),
        ((300, 200), 100, 15_000, (150, 100)),
        ((300, 200), 100, 14_999, (100, 67)),
        ((1, 5000), 256, 1000, (1, 5000)),  # there is nothing left to take from its short side
        ((10, 5000), 256, 1000, (2, 625)),
    ],
)
def test_reduced(size: tuple[int, int], short: int, most: int | None, expected: tuple[int, int]) -> None:
    height, width = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    small = reduced(pixels, short, most)
    assert small.shape == (*expected, 3)
    assert abs(float(small.mean()) - float(pixels.mean())) < 3
