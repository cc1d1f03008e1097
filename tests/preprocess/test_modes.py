"""Every way to hold colours ends as the same 8-bit RGB."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from preprocess import decode

Encode = Callable[..., bytes]
ORANGE = (230, 120, 20)


def first_pixel(data: bytes) -> tuple[int, ...]:
    photo = decode(data, "x")
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.shape == (photo.height, photo.width, 3)
    return tuple(int(value) for value in photo.pixels[photo.height // 2, photo.width // 2])


def flat(mode: str, value: object) -> Image.Image:
    return Image.new(mode, (32, 32), value)  # type: ignore[arg-type]


def grey16(value: int) -> Image.Image:
    return Image.frombytes("I;16", (32, 32), np.full((32, 32), value, "<u2").tobytes())


ROWS: dict[str, tuple[Callable[[], Image.Image], str, tuple[int, int, int]]] = {
    "RGB": (lambda: flat("RGB", ORANGE), "PNG", ORANGE),
    "L": (lambda: flat("L", 77), "PNG", (77, 77, 77)),
    "1 black": (lambda: flat("1", 0), "PNG", (0, 0, 0)),
    "1 white": (lambda: flat("1", 1), "TIFF", (255, 255, 255)),
    "P": (lambda: flat("RGB", ORANGE).quantize(4), "PNG", ORANGE),
    "P GIF": (lambda: flat("RGB", ORANGE).quantize(4), "GIF", ORANGE),
    "RGBA opaque": (lambda: flat("RGBA", (*ORANGE, 255)), "PNG", ORANGE),
    "RGBA clear is white, whatever lies below": (lambda: flat("RGBA", (*ORANGE, 0)), "PNG", (255, 255, 255)),
    "RGBA half": (lambda: flat("RGBA", (0, 0, 0, 128)), "PNG", (127, 127, 127)),
    "RGBA WebP": (lambda: flat("RGBA", (*ORANGE, 0)), "WEBP", (255, 255, 255)),
    "RGBA TIFF": (lambda: flat("RGBA", (0, 0, 0, 128)), "TIFF", (127, 127, 127)),
    "LA": (lambda: flat("LA", (0, 128)), "PNG", (127, 127, 127)),
    "CMYK JPEG (Adobe, inverted)": (lambda: flat("CMYK", (0, 255, 255, 0)), "JPEG", (254, 0, 0)),
    "CMYK TIFF": (lambda: flat("CMYK", (0, 255, 255, 0)), "TIFF", (255, 0, 0)),
    "YCbCr TIFF": (lambda: flat("RGB", ORANGE).convert("YCbCr"), "TIFF", ORANGE),
    "LAB TIFF": (lambda: flat("LAB", (255, 128, 128)), "TIFF", (255, 255, 255)),
    "I;16 PNG is scaled": (lambda: grey16(32768), "PNG", (128, 128, 128)),
    "I;16 TIFF is scaled": (lambda: grey16(65535), "TIFF", (255, 255, 255)),
    "I;16 dark stays dark": (lambda: grey16(257), "TIFF", (1, 1, 1)),
    "I 16-bit PGM": (lambda: flat("I", 32768), "PPM", (128, 128, 128)),
    "F fraction": (lambda: flat("F", 0.5), "TIFF", (128, 128, 128)),
    "F byte": (lambda: flat("F", 77.0), "TIFF", (77, 77, 77)),
}


@pytest.mark.parametrize("row", ROWS)
def test_modes(row: str, encoded: Encode) -> None:
    make, format_, expected = ROWS[row]
    assert np.abs(np.subtract(first_pixel(encoded(make(), format_)), expected)).max() <= 2


def test_transparent_palette_and_colour_key(encoded: Encode) -> None:
    palette = flat("RGB", ORANGE).quantize(4)
    assert first_pixel(encoded(palette, "PNG", transparency=palette.getpixel((0, 0)))) == (255, 255, 255)
    assert first_pixel(encoded(palette, "GIF", transparency=palette.getpixel((0, 0)))) == (255, 255, 255)
    assert first_pixel(encoded(palette, "PNG", transparency=bytes([0] * 4))) == (255, 255, 255)
    assert first_pixel(encoded(flat("RGB", ORANGE), "PNG", transparency=ORANGE)) == (255, 255, 255)
    assert first_pixel(encoded(flat("L", 9), "PNG", transparency=9)) == (255, 255, 255)


def test_elevations_are_stretched_and_nan_is_no_trouble(encoded: Encode) -> None:
    heights = np.linspace(-400, 8000, 32 * 32, dtype=np.float32).reshape(32, 32)
    pixels = decode(encoded(Image.fromarray(heights), "TIFF"), "x").pixels
    assert (int(pixels.min()), int(pixels.max())) == (0, 255)
    heights[:] = np.nan
    assert first_pixel(encoded(Image.fromarray(heights), "TIFF")) == (0, 0, 0)
    depths = np.tile(np.arange(32, dtype=np.int32) * 1_000_000, (32, 1))
    assert decode(encoded(Image.fromarray(depths), "TIFF"), "x").pixels.max() == 255


def swapped_profile() -> bytes:
    """An sRGB profile whose red and green primaries changed places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    at = profile.index(b"s\0R\0G\0B")
    profile[at : at + 7] = b"n\0o\0p\0e"
    return bytes(profile)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_profile_is_applied(format_: str, encoded: Encode) -> None:
    options = {"quality": 95} if format_ in ("JPEG", "WEBP") else {}
    pixel = first_pixel(encoded(flat("RGB", (255, 0, 0)), format_, icc_profile=swapped_profile(), **options))
    assert pixel[1] > 200 > 60 > pixel[0]


def test_a_profile_is_applied_below_transparency(encoded: Encode) -> None:
    pixel = first_pixel(encoded(flat("RGBA", (255, 0, 0, 255)), "PNG", icc_profile=swapped_profile()))
    assert pixel[1] > 200 > 60 > pixel[0]


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "CMYK", "1", "P"])
@pytest.mark.parametrize("profile", [b"", b"nonsense", b"\0" * 200, swapped_profile()[:300], swapped_profile()], ids=range(5))
def test_a_profile_that_is_broken_or_does_not_fit_is_ignored(mode: str, profile: bytes, encoded: Encode) -> None:
    grey = flat("RGB", (60, 60, 60))
    image = grey.quantize(4) if mode == "P" else grey.convert(mode)
    data = encoded(image, "TIFF", icc_profile=profile)
    if mode == "1":
        assert decode(data, "x").pixels.max() in (0, 255)
        return
    assert np.abs(np.subtract(first_pixel(data), (60, 60, 60))).max() <= 3


def test_the_first_frame_of_an_animation(encoded: Encode) -> None:
    frames = [flat("RGB", ORANGE), flat("RGB", (0, 0, 255))]
    for format_ in ("GIF", "PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if format_ == "WEBP" else {}
        data = encoded(frames[0], format_, save_all=True, append_images=frames[1:], **options)
        assert np.abs(np.subtract(first_pixel(data), ORANGE)).max() <= 2
