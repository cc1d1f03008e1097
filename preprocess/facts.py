"""When, where and with what a photo was taken, from its EXIF, XMP and IPTC blocks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from PIL import ExifTags, Image

from .keywords import clean, iptc_keywords, unique, xmp_keywords

T = TypeVar("T")
_Tags = Mapping[int, Any]

_IPTC_IN_PHOTOSHOP = 0x0404
_IPTC_IN_TIFF = 33723
_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d")
_FIRST_PHOTO, _LAST_PHOTO = 1826, 2100  # years; outside them, a camera's clock was never set


@dataclass(frozen=True, slots=True)
class Facts:
    """What the file says about the moment it was taken. Everything may be missing, and anything malformed is None.

    `taken_at` is ISO 8601 in local time, with an offset (`+02:00`) only where the camera wrote one. Latitude and longitude are degrees,
    north and east positive, and come together or not at all. `altitude_m` is above sea level.
    """

    taken_at: str | None = None
    camera: str | None = None
    lens: str | None = None
    exposure_s: float | None = None
    f_number: float | None = None
    iso: int | None = None
    focal_length_mm: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    keywords: tuple[str, ...] = ()


def read_facts(image: Image.Image) -> Facts:
    """The facts of an opened image. Never raises. Call it after `image.load()`: PNG may keep its EXIF after the pixels."""
    base, camera, gps = _guard(lambda: _exif(image)) or ({}, {}, {})
    where = _guard(lambda: _coordinates(gps)) or (None, None)
    return Facts(
        taken_at=_guard(lambda: _taken_at(base, camera)),
        camera=_guard(lambda: _camera(base)),
        lens=_guard(lambda: _text(camera.get(ExifTags.Base.LensModel))),
        exposure_s=_guard(lambda: _positive(camera.get(ExifTags.Base.ExposureTime), most=1e6)),
        f_number=_guard(lambda: _positive(camera.get(ExifTags.Base.FNumber), most=1e3)),
        iso=_guard(lambda: _iso(camera.get(ExifTags.Base.ISOSpeedRatings))),
        focal_length_mm=_guard(lambda: _positive(camera.get(ExifTags.Base.FocalLength), most=1e5)),
        latitude=where[0],
        longitude=where[1],
        altitude_m=_guard(lambda: _altitude(gps)),
        keywords=_guard(lambda: _keywords(image)) or (),
    )


def _guard(read: Callable[[], T]) -> T | None:
    """What `read` returns, or None: a hostile EXIF block can make any line raise anything, and a fact never costs the photo."""
    try:
        return read()
    except Exception:
        return None


def _exif(image: Image.Image) -> tuple[_Tags, _Tags, _Tags]:
    exif = image.getexif()
    camera = _guard(lambda: exif.get_ifd(ExifTags.IFD.Exif)) or {}
    gps = _guard(lambda: exif.get_ifd(ExifTags.IFD.GPSInfo)) or {}
    return exif, camera, gps


def _taken_at(base: _Tags, camera: _Tags) -> str | None:
    tags = ExifTags.Base
    candidates = (
        (camera.get(tags.DateTimeOriginal), camera.get(tags.OffsetTimeOriginal)),
        (camera.get(tags.DateTimeDigitized), camera.get(tags.OffsetTimeDigitized)),
        (base.get(tags.DateTime), camera.get(tags.OffsetTime)),
    )
    return next((moment for date, offset in candidates if (moment := _moment(_text(date), _text(offset)))), None)


def _moment(date: str | None, offset: str | None) -> str | None:
    """`2008:10:22 16:28:39` as `2008-10-22T16:28:39`; some programs write `-` or `/` or `T` where the standard has `:` and a space."""
    numbers = re.fullmatch(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.\d+)?", date or "", re.ASCII)
    if numbers is None:
        return None
    try:
        moment = datetime(*map(int, numbers.groups()))  # type: ignore[arg-type]  # six numbers, in local time
    except ValueError:  # 0000:00:00
        return None
    if not _FIRST_PHOTO <= moment.year <= _LAST_PHOTO:
        return None
    zone = "+00:00" if offset == "Z" else offset if offset and _OFFSET.fullmatch(offset) else ""
    return moment.isoformat() + zone


def _camera(base: _Tags) -> str | None:
    """`Canon` and `Canon DIGITAL IXUS 400` make `Canon DIGITAL IXUS 400`."""
    make, model = _text(base.get(ExifTags.Base.Make)), _text(base.get(ExifTags.Base.Model))
    if not make or not model:
        return model or make
    return model if model.casefold().startswith(make.split()[0].casefold()) else clean(f"{make} {model}")


def _iso(value: object) -> int | None:
    number = _positive(value[0] if isinstance(value, tuple) else value, most=1e8)
    return int(number) if number is not None and number >= 1 else None


def _coordinates(gps: _Tags) -> tuple[float, float] | None:
    """Both or neither. Without `N`/`S` and `E`/`W` the sign is unknown, and (0, 0) is what cameras write before they have a fix."""
    tags = ExifTags.GPS
    latitude = _degrees(gps.get(tags.GPSLatitude), gps.get(tags.GPSLatitudeRef), "NS", most=90)
    longitude = _degrees(gps.get(tags.GPSLongitude), gps.get(tags.GPSLongitudeRef), "EW", most=180)
    return (latitude, longitude) if latitude is not None and longitude is not None else None


def _degrees(value: object, ref: object, refs: str, most: float) -> float | None:
    sign = (_text(ref) or " ")[0].upper()
    if sign not in refs or not isinstance(value, tuple) or not 1 <= len(value) <= 3:
        return None
    parts = [_number(part) for part in value]
    if any(part is None or part < 0 for part in parts):
        return None
    degrees = sum((part or 0.0) / 60.0**power for power, part in enumerate(parts))
    if degrees > most:
        return None
    return round(-degrees if sign == refs[1] else degrees, 8)


def _altitude(gps: _Tags) -> float | None:
    altitude = _number(gps.get(ExifTags.GPS.GPSAltitude))
    if altitude is None or not -20_000 < altitude < 1_000_000:
        return None
    ref = gps.get(ExifTags.GPS.GPSAltitudeRef)
    below = (ref[-1:] if isinstance(ref, bytes) else bytes([int(ref or 0)])) == b"\x01"
    return -altitude if below else altitude


def _keywords(image: Image.Image) -> tuple[str, ...]:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    photoshop = image.info.get("photoshop")
    iptc = photoshop.get(_IPTC_IN_PHOTOSHOP) if isinstance(photoshop, dict) else getattr(image, "tag_v2", {}).get(_IPTC_IN_TIFF)
    return unique((*xmp_keywords(xmp if isinstance(xmp, bytes | str) else None), *iptc_keywords(iptc)))


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return clean(value) or None if isinstance(value, str) else None


def _number(value: object) -> float | None:
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _positive(value: object, most: float) -> float | None:
    number = _number(value)
    return number if number is not None and 0 < number <= most else None
