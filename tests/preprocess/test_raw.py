from __future__ import annotations

import builtins
import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from preprocess import ImageCorrupt, ImageUnsupported, MissingExtra, decode
from preprocess._raw import _encoded

Encode = Callable[..., bytes]


def dng(jpeg: bytes, size_wh: tuple[int, int], orientation: int) -> bytes:
    """The smallest DNG: a JPEG preview in the first directory, 64×48 sensor values in a second one."""
    blob = bytearray()
    base = 8

    def put(data: bytes) -> int:
        at = base + len(blob)
        blob.extend(data + b"\0" * (len(data) % 2))
        return at

    def directory(entries: list[tuple[int, int, int, bytes]]) -> int:
        rows = b""
        for tag, kind, count, value in sorted(entries):
            held = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", put(value))
            rows += struct.pack("<HHI", tag, kind, count) + held
        return put(struct.pack("<H", len(entries)) + rows + b"\0\0\0\0")

    def short(tag: int, *values: int) -> tuple[int, int, int, bytes]:
        return tag, 3, len(values), struct.pack(f"<{len(values)}H", *values)

    def long(tag: int, *values: int) -> tuple[int, int, int, bytes]:
        return tag, 4, len(values), struct.pack(f"<{len(values)}I", *values)

    def text(tag: int, value: bytes) -> tuple[int, int, int, bytes]:
        return tag, 2, len(value) + 1, value + b"\0"

    def common(width: int, height: int, data: bytes) -> list[tuple[int, int, int, bytes]]:
        return [long(256, width), long(257, height), long(273, put(data)), long(278, height), long(279, len(data))]

    sensor = np.full((48, 64), 2000, "<u2").tobytes()
    raw = directory(
        [
            *common(64, 48, sensor),
            *(long(254, 0), short(258, 16), short(259, 1), short(262, 32803), short(277, 1)),
            *(short(33421, 2, 2), (33422, 1, 4, bytes([0, 1, 1, 2])), short(50714, 0), long(50717, 4095)),
        ]
    )
    matrix = struct.pack("<18i", *(n for value in (1, 0, 0, 0, 1, 0, 0, 0, 1) for n in (value, 1)))
    first = directory(
        [
            *common(*size_wh, jpeg),
            *(long(254, 1), short(258, 8, 8, 8), short(259, 7), short(262, 6), short(277, 3), short(274, orientation), long(330, raw)),
            *(text(271, b"Maker"), text(272, b"Model One"), text(50708, b"Maker Model One")),
            *((50706, 1, 4, bytes([1, 4, 0, 0])), (50707, 1, 4, bytes([1, 1, 0, 0]))),
            *((50721, 10, 9, matrix), short(50778, 21), (50728, 5, 3, struct.pack("<6I", 1, 1, 1, 1, 1, 1))),
        ]
    )
    return b"II*\0" + struct.pack("<I", first) + bytes(blob)


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_preview_of_a_dng_upright(orientation: int, scene: Image.Image, encoded: Encode) -> None:
    pytest.importorskip("rawpy")
    stored = scene.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else scene
    photo = decode(dng(encoded(stored, "JPEG", quality=95), stored.size, orientation), "IMG.DNG")
    assert (photo.width, photo.height, photo.format) == (96, 64, "JPEG")
    assert np.abs(photo.pixels[10, 10].astype(int) - scene.getpixel((10, 10))).max() < 20


@pytest.mark.parametrize(
    ("data", "name"), [(b"II*\0\x08\0\0\0\0\0", "a.nef"), (b"FUJIFILMCCD-RAW 0201", "a.jpg"), (b"\0\0\0\x18ftypcrx " + b"\0" * 50, "a.cr3")]
)
def test_damaged_raw_files(data: bytes, name: str) -> None:
    pytest.importorskip("rawpy")
    with pytest.raises((ImageCorrupt, ImageUnsupported), match=name):
        decode(data, name)


def test_without_rawpy(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def no_rawpy(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "rawpy":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "rawpy", raising=False)
    monkeypatch.setattr(builtins, "__import__", no_rawpy)
    with pytest.raises(MissingExtra, match=r"a\.dng is a camera raw file.+pip install 'pellucid\[raw\]'"):
        decode(b"II*\0\x08\0\0\0\0\0", "a.dng")


class Thumb:
    def __init__(self, data: Any) -> None:
        self.data = data


@pytest.mark.parametrize("is_jpeg", [True, False])
def test_the_turn_is_written_where_the_preview_has_none(is_jpeg: bool, scene: Image.Image, encoded: Encode) -> None:
    stored = scene.transpose(Image.Transpose.ROTATE_90)
    thumb = Thumb(encoded(stored, "JPEG") if is_jpeg else np.asarray(stored))
    photo = decode(_encoded(thumb, 6, is_jpeg=is_jpeg), "x")
    assert (photo.width, photo.height) == (96, 64)
