"""Files that people and other programs made: each is decoded or refused, and nothing else ever happens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from preprocess import ImageCorrupt, ImageError, ImageUnsupported, Photo, read_image, squash


@pytest.mark.parametrize("side", [None, 80])
def test_every_odd_file_decodes_or_is_refused(side: int | None, real: Path) -> None:
    decoded = 0
    for path in sorted((real / "formats").rglob("*")):
        if not path.is_file():
            continue
        try:
            photo = read_image(path, side=side)
        except ImageError:
            pass
        else:
            decoded += 1
            check(photo, path, side)
    assert decoded > 300


def check(photo: Photo, path: Path, side: int | None) -> None:
    height, width, channels = photo.pixels.shape
    assert photo.pixels.dtype == np.uint8, path
    assert channels == 3, path
    assert photo.pixels.flags.c_contiguous, path
    if side is None:
        assert (width, height) == (photo.width, photo.height), path
    else:
        assert min(width, height) >= min(side, photo.width, photo.height), path
        assert abs(width / height - photo.width / photo.height) <= 0.05 * photo.width / photo.height, path


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("sharp/test__fixtures__truncated.jpg", ImageCorrupt),
        ("sharp/test__fixtures__truncated.png", ImageCorrupt),
        ("sharp/test__fixtures__corrupt-header.jpg", ImageCorrupt),
        ("pillow/Tests__images__truncated_jpeg.jpg", ImageCorrupt),
        ("sharp/test__fixtures__check.svg", ImageUnsupported),
        ("pillow/Tests__images__rgba.psd", ImageUnsupported),
        ("pillow/Tests__images__decompression_bomb.ico", ImageUnsupported),
    ],
)
def test_known_bad_files(name: str, error: type[ImageError], real: Path) -> None:
    with pytest.raises(error):
        read_image(real / "formats" / name)


@pytest.mark.parametrize("side", [None, 80])
def test_eight_orientations_are_one_picture(side: int | None, real: Path) -> None:
    upright = read_image(real / "orientation" / "Landscape_1.jpg", side=side)
    expected = squash(upright.pixels, 32).astype(int)
    for number in range(2, 9):
        photo = read_image(real / "orientation" / f"Landscape_{number}.jpg", side=side)
        assert (photo.width, photo.height) == (upright.width, upright.height)
        assert np.abs(squash(photo.pixels, 32) - expected).mean() < 3, number


def test_portrait_heic_stands_upright(real: Path) -> None:
    photo = read_image(real / "formats" / "heic" / "heic__IMG_5195.HEIC")
    assert (photo.width, photo.height, photo.format) == (2566, 3313, "HEIF")


def test_inverted_cmyk_is_not_a_negative(real: Path) -> None:
    photo = read_image(real / "formats" / "sharp" / "test__fixtures__Channel_digital_image_CMYK_color_no_profile.jpg")
    assert photo.pixels.mean() > 100


def test_reduced_decode_stays_close_to_the_exact_picture(real: Path) -> None:
    differences = []
    for path in sorted((real / "retrieval-coco").glob("*.jpg"))[:30] + sorted((real / "haze-real").glob("*.jpg"))[:10]:
        exact, reduced = read_image(path), read_image(path, side=80)
        differences.append(np.abs(squash(exact.pixels, 80).astype(int) - squash(reduced.pixels, 80)).mean())
    assert max(differences) < 1.5
