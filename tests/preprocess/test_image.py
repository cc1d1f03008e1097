from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocess import (
    ImageCorrupt,
    ImageError,
    ImageTooLarge,
    ImageUnreadable,
    ImageUnsupported,
    ImageVanished,
    Limits,
    decode,
    read_bytes,
    read_image,
)

Encode = Callable[..., bytes]


def with_orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


TURNED_AWAY = {  # what a camera stores for an upright scene, by EXIF orientation
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("side", [None, 8])
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", TURNED_AWAY)
def test_every_orientation_is_upright(orientation: int, format_: str, side: int | None, scene: Image.Image, encoded: Encode) -> None:
    turn = TURNED_AWAY[orientation]
    stored = scene if turn is None else scene.transpose(turn)
    options = {} if format_ in ("PNG", "TIFF") else {"quality": 95}
    # As bytes: only then does pillow-heif also write the rotation that HEIF readers go by.
    exif = with_orientation(orientation).tobytes()
    photo = decode(encoded(stored, format_, exif=exif, **options), "x", side=side)
    assert (photo.width, photo.height) == (96, 64)
    height, width = photo.pixels.shape[:2]
    assert width * 64 == height * 96
    for y, x in ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)):
        expected = scene.getpixel((int(x * 96), int(y * 64)))
        assert np.abs(photo.pixels[int(y * height), int(x * width)].astype(int) - expected).max() < 40


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(value: int, scene: Image.Image, encoded: Encode) -> None:
    assert decode(encoded(scene, "JPEG", exif=with_orientation(value)), "x").pixels.shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("side", "expected"), [(None, 800), (1, 100), (33, 100), (34, 200), (66, 200), (100, 400), (134, 800), (400, 800), (5000, 800)]
)
def test_reduced_decode_keeps_three_times_the_short_side(side: int | None, expected: int, encoded: Encode) -> None:
    photo = decode(encoded(Image.new("RGB", (1600, 800)), "JPEG"), "x.jpg", side=side)
    assert photo.pixels.shape == (expected, expected * 2, 3)
    assert (photo.width, photo.height) == (1600, 800)


def test_pixels_are_contiguous_and_frozen(scene: Image.Image, encoded: Encode) -> None:
    pixels = decode(encoded(scene, "PNG"), "x").pixels
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert not pixels.flags.writeable


def test_content_decides_not_the_name(scene: Image.Image, encoded: Encode) -> None:
    assert decode(encoded(scene, "JPEG"), "really.png").format == "JPEG"
    assert decode(encoded(scene, "PNG"), "really.dng").format == "PNG"
    assert decode(encoded(scene, "GIF"), "no-extension").format == "GIF"


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


BOMBS = {
    "png": png_claiming(50_000, 50_000),
    "ppm": b"P6 50000 50000 255\n" + b"\0" * 100,
    "bmp": b"BM"
    + struct.pack("<IHHI", 1000, 0, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0)
    + b"\0" * 100,
    "gif": b"GIF89a"
    + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
    + b","
    + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0)
    + b"\x02\x01\x00\x00;",
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused_by_their_header(kind: str) -> None:
    with pytest.raises(ImageTooLarge, match=r"bomb\.\w+ has \d+ MP; the limit is 180 MP\. Raise it with --max-megapixels\."):
        decode(BOMBS[kind], f"bomb.{kind}")


def test_only_our_limit_counts(encoded: Encode) -> None:
    data = encoded(Image.new("L", (10_000, 9_500)), "PNG", compress_level=1)  # 95 MP: Pillow's own warning starts at 89
    assert decode(data, "x.png").pixels.shape == (9_500, 10_000, 3)
    with pytest.raises(ImageTooLarge, match="has 95 MP; the limit is 90 MP"):
        decode(data, "x.png", Limits(max_pixels=90_000_000))


def test_just_over_the_limit_does_not_say_that_100_is_over_100(encoded: Encode) -> None:
    with pytest.raises(ImageTooLarge, match=r"0\.000101 MP; the limit is 0\.000100 MP"):
        decode(encoded(Image.new("RGB", (101, 1)), "PNG"), "x.png", Limits(max_pixels=100))
    assert decode(encoded(Image.new("RGB", (100, 1)), "PNG"), "x.png", Limits(max_pixels=100)).pixels.shape == (1, 100, 3)


@pytest.mark.parametrize("side", [None, 16])
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "HEIF", "JPEG2000", "BMP"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_truncated_files_are_corrupt(format_: str, keep: float, side: int | None, encoded: Encode) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8))
    data = encoded(noise, format_)
    with pytest.raises(ImageCorrupt, match=r"x\.jpg .+\. Restore it"):
        decode(data[: int(len(data) * keep)], "x.jpg", side=side)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "HEIF", "JPEG2000", "BMP", "PPM"])
def test_damaged_bytes_raise_only_image_errors(format_: str, scene: Image.Image, encoded: Encode) -> None:
    data = encoded(scene, format_)
    random = np.random.default_rng(1)
    for _ in range(25):
        damaged = bytearray(data)
        for at in random.integers(0, len(data), 6):
            damaged[at] = random.integers(0, 256)
        with contextlib.suppress(ImageError):
            decode(bytes(damaged), "x.jpg", Limits(max_pixels=10_000_000))


@pytest.mark.parametrize(
    ("data", "name", "error", "words"),
    [
        (b"", "x.jpg", ImageCorrupt, "is empty"),
        (b"hello", "x.jpg", ImageCorrupt, "not a photo inside"),
        (b"hello", "x.txt", ImageUnsupported, "Convert it to JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "x.jpg", ImageCorrupt, "not a photo inside"),
        (b"<svg/>", "x.svg", ImageUnsupported, "Convert it to JPEG"),
        (b"\xff\xd8\xff", "x.jpg", ImageCorrupt, "Restore it"),
        (b"P6 0 0 255\n", "x.ppm", ImageCorrupt, "Restore it"),
    ],
)
def test_what_is_not_a_photo(data: bytes, name: str, error: type[ImageError], words: str) -> None:
    with pytest.raises(error, match=words):
        decode(data, name)


@pytest.mark.parametrize("name", ["ä ö ü.jpg", "фото 📷.jpg", "写真.jpg", "new\nline.jpg", "-rf.jpg"])
def test_any_file_name(name: str, tmp_path: Path, scene: Image.Image, encoded: Encode) -> None:
    (tmp_path / name).write_bytes(encoded(scene, "JPEG"))
    assert read_image(tmp_path / name).width == 96
    assert read_image(os.fspath(tmp_path / name)).width == 96


def test_a_name_that_is_not_utf8(tmp_path: Path, scene: Image.Image, encoded: Encode) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.jpg"
    try:
        Path(os.fsdecode(path)).write_bytes(encoded(scene, "JPEG"))
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    assert read_image(os.fsdecode(path)).width == 96


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "big.jpg").write_bytes(b"x" * 2_000_000)
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    for name, error, words in [
        ("nothing.jpg", ImageVanished, "is not there any more"),
        ("gone.jpg", ImageVanished, "is not there any more"),
        ("empty.jpg", ImageCorrupt, "is empty"),
        (".", ImageUnsupported, "is a folder"),
        ("big.jpg", ImageTooLarge, r"2\.0 MB; the limit is 1\.0 MB"),
        ("loop.jpg", ImageUnreadable, "cannot be read"),
        ("a\0b.jpg", ImageUnreadable, "cannot be read"),
        ("x" * 300, ImageUnreadable, "cannot be read"),
    ]:
        with pytest.raises(error, match=words):
            read_bytes(tmp_path / name, Limits(max_bytes=1_000_000))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.timeout(10)
def test_pipes_and_devices_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, kind in ((tmp_path / "pipe.jpg", "pipe"), (Path("/dev/zero"), "device")):
        with pytest.raises(ImageUnsupported, match=f"is a {kind}"):
            read_image(path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(ImageUnreadable, match="Permission denied"):
        read_bytes(path)


def test_several_threads_at_once(scene: Image.Image, encoded: Encode) -> None:
    good, damaged = encoded(scene, "JPEG", exif=with_orientation(6)), encoded(scene, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")

    def one(number: int) -> tuple[int, ...]:
        return decode(good if number % 2 else damaged, "x.jpg").pixels.shape

    with ThreadPoolExecutor(8) as pool:
        shapes = list(pool.map(one, range(100)))
    assert set(shapes[1::2]) == {(96, 64, 3)}
    assert set(shapes[::2]) == {(64, 96, 3)}
