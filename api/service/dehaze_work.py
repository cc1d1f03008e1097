"""A picture that was sent, without its haze."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from .uploads import read_sent

if TYPE_CHECKING:
    from .model_work import Sent
    from .state import Service

_LARGE_PIXELS = 24_000_000  # pictures with more are dehazed one at a time: at 12 bytes a pixel each would take 0.3 GB and more
_STARTS = {".jpg": (b"\xff\xd8\xff",), ".png": (b"\x89PNG\r\n",), ".tif": (b"II*\0", b"MM\0*"), ".bmp": (b"BM",), ".gif": (b"GIF8",),
           ".ppm": tuple(f"P{kind}".encode() for kind in range(1, 7))}  # fmt: skip
MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".tif": "image/tiff"}
"""Of what is written, by its suffix."""


@dataclass(frozen=True, slots=True, eq=False)
class Dehazed:
    """A picture's bytes in a format of `MEDIA_TYPES`; its haze in [0, 1], what dehazed it, and why nothing did where that is "none"."""

    data: bytes
    media_type: str
    haze: float
    method: str
    reason: str


@dataclass(frozen=True, slots=True)
class DehazeAsked:
    """How a picture is dehazed: by which dehazer and preset, and whether one that is hardly hazy is left as it is."""

    method: str = "auto"
    preset: str = "default"
    only_hazy: bool = False


def dehaze(service: Service, sent: Sent, asked: DehazeAsked) -> Dehazed:
    """A picture without its haze, in the format that it has where that is written, with its EXIF and profile; as it was where it is left alone.

    Raises:
        ImageError: it is no picture.
        UnknownName: there is no such method or preset.
    """
    from preprocess import HAZE_THRESHOLD, decode_original, encode_edited, haze_density, load_dehazer, peek_size, rule_of

    rule, data, name = rule_of(load_dehazer(asked.method, asked.preset)), sent.data, sent.name
    suffix, same = written_as(data, name)
    width, height = read_sent(service.limits, data, name, lambda shown, limits: peek_size(data, shown, limits))
    with service.models.one_large if width * height > _LARGE_PIXELS else contextlib.nullcontext():
        original = read_sent(service.limits, data, name, lambda shown, limits: decode_original(data, shown, limits))
        haze = haze_density(original.pixels) if asked.only_hazy else 1.0
        pixels, method, reason = None, "none", "clear"
        if haze >= HAZE_THRESHOLD:
            judged = rule.judge(original.pixels)
            haze, pixels, method, reason = judged.haze, judged.pixels, judged.enhancer or "none", judged.reason
        if pixels is None and same:
            made = data
        else:
            made = encode_edited(original, original.pixels if pixels is None else pixels, f"picture{suffix}")
    return Dehazed(made, MEDIA_TYPES[suffix], haze, method, reason)


def written_as(data: bytes, name: str) -> tuple[str, bool]:
    """The suffix of the format in which a picture is written after it was edited, and whether it has that format already; the content says so, not the name.

    >>> written_as(b"GIF89a", "a.jpg"), written_as(b"RIFF....WEBPVP8 ", ""), written_as(b"II*\\0", "a.dng")
    (('.png', False), ('.webp', True), ('.jpg', False))
    """
    from preprocess import RAW_SUFFIXES

    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp", True
    suffix = next((suffix for suffix, starts in _STARTS.items() if data.startswith(starts)), "")
    if suffix == ".tif" and (data[8:10] == b"CR" or PurePath(name).suffix.lower() in RAW_SUFFIXES):
        return ".jpg", False
    if suffix in MEDIA_TYPES:
        return suffix, True
    return (".png" if suffix else ".jpg"), False
