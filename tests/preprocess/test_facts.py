from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from preprocess import Facts, decode, read_facts, read_image, sidecar_keywords
from preprocess.keywords import iptc_keywords, xmp_keywords

B, G = ExifTags.Base, ExifTags.GPS
Encode = Callable[..., bytes]


def facts_of(base: dict[int, Any] | None = None, camera: dict[int, Any] | None = None, gps: dict[int, Any] | None = None) -> Facts:
    image = Image.new("RGB", (4, 4))
    exif = image.getexif()
    exif.update(base or {})
    exif.get_ifd(ExifTags.IFD.Exif).update(camera or {})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps or {})
    return read_facts(image)


def test_known_photos(real: Path) -> None:
    def facts(name: str) -> Facts:
        return read_image(real / "formats" / name).facts

    nikon = facts("exif/jpg__gps__DSCN0010.jpg")
    assert (nikon.taken_at, nikon.camera, nikon.iso, nikon.f_number) == ("2008-10-22T16:28:39", "NIKON COOLPIX P6000", 64, 5.9)
    assert (nikon.latitude, nikon.longitude) == pytest.approx((43.467448, 11.885127), abs=1e-6)
    canon = facts("exif/jpg__Canon_DIGITAL_IXUS_400.jpg")
    assert (canon.camera, canon.exposure_s, canon.focal_length_mm) == ("Canon DIGITAL IXUS 400", 0.005, 15.4375)
    phone = facts("heic/heic__IMG_5195.HEIC")
    assert phone.taken_at == "2021-04-11T15:47:53-05:00"
    assert phone.lens == "iPhone 11 Pro Max back triple camera 4.25mm f/1.8"
    assert (phone.latitude, phone.longitude) == pytest.approx((39.051344, -94.288772), abs=1e-6)
    assert phone.altitude_m == pytest.approx(260.56, abs=0.01)
    assert facts("exif/jpg__Nikon_D70.jpg").camera == "NIKON D70"
    assert facts("exif/jpg__xmp__BlueSquare.jpg").keywords == ("XMP", "Blue Square", "test file", "Photoshop", ".jpg")
    assert facts("phone/metadata__tags__picasa.jpg").keywords == ("Frost", "Yard")
    assert facts("exif/jpg__PaintTool_sample.jpg") == Facts()
    assert facts("phone/metadata__gps-position__empty_gps.jpg").latitude is None


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        ({}, None),
        ({B.DateTimeOriginal: "0000:00:00 00:00:00"}, None),
        ({B.DateTimeOriginal: "    :  :     :  :  "}, None),
        ({B.DateTimeOriginal: "2020:13:01 00:00:00"}, None),
        ({B.DateTimeOriginal: "2021:02:29 00:00:00"}, None),
        ({B.DateTimeOriginal: "1066:10:14 09:00:00"}, None),
        ({B.DateTimeOriginal: 20200101}, None),
        ({B.DateTimeOriginal: b"2020:01:02 03:04:05\0"}, "2020-01-02T03:04:05"),
        ({B.DateTimeOriginal: "2020-01-02T03:04:05.25"}, "2020-01-02T03:04:05"),
        ({B.DateTimeOriginal: "2020:01:02 03:04:05", B.OffsetTimeOriginal: "+02:00"}, "2020-01-02T03:04:05+02:00"),
        ({B.DateTimeOriginal: "2020:01:02 03:04:05", B.OffsetTimeOriginal: "Z"}, "2020-01-02T03:04:05+00:00"),
        ({B.DateTimeOriginal: "2020:01:02 03:04:05", B.OffsetTimeOriginal: "+99:00"}, "2020-01-02T03:04:05"),
        ({B.DateTimeOriginal: "0000:00:00 00:00:00", B.DateTimeDigitized: "2020:01:02 03:04:05"}, "2020-01-02T03:04:05"),
    ],
)
def test_taken_at(camera: dict[int, Any], expected: str | None) -> None:
    assert facts_of(camera=camera).taken_at == expected


@pytest.mark.parametrize(
    ("make", "model", "expected"),
    [
        (None, None, None),
        ("Canon", None, "Canon"),
        (None, "X100", "X100"),
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D70", "NIKON D70"),
        ("SONY", "DSC-T1", "SONY DSC-T1"),
        ("  \0\0", "\x07Be\x1b[31mll\0", "Be [31mll"),
        ("A" * 500, None, "A" * 200),
        (7, (1, 2), None),
    ],
)
def test_camera(make: object, model: object, expected: str | None) -> None:
    assert facts_of({B.Make: make, B.Model: model}).camera == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (IFDRational(1, 200), 0.005),
        (0.5, 0.5),
        ((IFDRational(1, 4),), 0.25),
        (IFDRational(0, 0), None),
        (IFDRational(1, 0), None),
        (IFDRational(0, 1), None),
        (-1.0, None),
        (float("inf"), None),
        (float("nan"), None),
        (1e300, None),
        ("fast", None),
        ((1, 2), None),
        (None, None),
    ],
)
def test_numbers(value: object, expected: float | None) -> None:
    facts = facts_of(camera={B.ExposureTime: value, B.FNumber: value, B.FocalLength: value})
    assert (facts.exposure_s, facts.f_number, facts.focal_length_mm) == (expected,) * 3


@pytest.mark.parametrize(
    ("value", "expected"), [(100, 100), ((400, 0), 400), ((), None), (0, None), (-5, None), ("x", None), (10**12, None)]
)
def test_iso(value: object, expected: int | None) -> None:
    assert facts_of(camera={B.ISOSpeedRatings: value}).iso == expected


def place(latitude: object, longitude: object, north: object = "N", east: object = "E") -> dict[int, Any]:
    return {G.GPSLatitude: latitude, G.GPSLongitude: longitude, G.GPSLatitudeRef: north, G.GPSLongitudeRef: east}


@pytest.mark.parametrize(
    ("gps", "expected"),
    [
        ({}, (None, None)),
        (place((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), (0.0, 0.0)),
        (place((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), None, None), (None, None)),
        (place((33.0, 30.0, 0.0), (70.0, 45.0, 36.0), "S", "W"), (-33.5, -70.76)),
        (place((33.0, 30.0, 0.0), (70.0, 45.0, 36.0), b"S\0", b"w\0"), (-33.5, -70.76)),
        (place((33.5,), (70.76,)), (33.5, 70.76)),
        (place((90.0, 0.0, 1.0), (0.0, 0.0, 0.0)), (None, None)),
        (place((0.0, 0.0, 0.0), (181.0, 0.0, 0.0)), (None, None)),
        (place((-3.0, 0.0, 0.0), (1.0, 0.0, 0.0)), (None, None)),
        (place((IFDRational(1, 0), 0.0, 0.0), (1.0, 0.0, 0.0)), (None, None)),
        (place((1.0, 2.0, 3.0, 4.0), (1.0, 0.0, 0.0)), (None, None)),
        (place("12", "13"), (None, None)),
        (place((1.0, 0.0, 0.0), (1.0, 0.0, 0.0), "X", "E"), (None, None)),
    ],
)
def test_coordinates(gps: dict[int, Any], expected: tuple[float | None, float | None]) -> None:
    facts = facts_of(gps=gps)
    assert (facts.latitude, facts.longitude) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("altitude", "ref", "expected"),
    [
        (100.5, 0, 100.5),
        (100.5, b"\0", 100.5),
        (11.0, b"\x01", -11.0),
        (11.0, 1, -11.0),
        (11.0, None, 11.0),
        (1e9, 0, None),
        (11.0, "x", None),
    ],
)
def test_altitude(altitude: float, ref: object, expected: float | None) -> None:
    assert facts_of(gps={G.GPSAltitude: altitude, G.GPSAltitudeRef: ref}).altitude_m == expected


RDF = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:digiKam="http://www.digikam.org/ns/1.0/">'
    "<rdf:Description>%s</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def bag(tag: str, *words: str, kind: str = "Bag") -> str:
    return f"<{tag}><rdf:{kind}>{''.join(f'<rdf:li>{word}</rdf:li>' for word in words)}</rdf:{kind}></{tag}>"


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (None, ()),
        ("", ()),
        ("not xml", ()),
        (RDF % "", ()),
        (RDF % bag("dc:subject", "sea", " Sea ", "sun set", ""), ("sea", "sun set")),
        (RDF % bag("dc:subject", "写真", "été", kind="Seq"), ("写真", "été")),
        (RDF % bag("lr:hierarchicalSubject", "Places|Italy|Rome"), ("Places", "Italy", "Rome")),
        (RDF % bag("digiKam:TagsList", "People/Ann", kind="Seq"), ("People", "Ann")),
        (RDF % (bag("lr:hierarchicalSubject", "a|b") + bag("dc:subject", "b", "c")), ("b", "c", "a")),
        (RDF % bag("dc:subject", "x" * 500), ("x" * 200,)),
        ('<?xpacket begin="\ufeff"?>' + RDF % bag("dc:subject", "sea") + '<?xpacket end="w"?>\0', ("sea",)),
        ('<?xml version="1.0" encoding="utf-16"?>' + RDF % bag("dc:subject", "sea"), ("sea",)),
        ('<!DOCTYPE x [<!ENTITY e "boom">]>' + RDF % bag("dc:subject", "&e;"), ()),
        ((RDF % bag("dc:subject", "sea"))[:-20], ()),
        (RDF % bag("dc:subject", "y" * 1_100_000), ()),
        ("<a>" * 100_000, ()),
    ],
)
@pytest.mark.timeout(30)
def test_xmp_keywords(packet: str | None, expected: tuple[str, ...]) -> None:
    assert xmp_keywords(packet) == expected
    assert xmp_keywords(packet.encode() if packet else None) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-7", "cp037"])
@pytest.mark.timeout(30)
def test_billion_laughs_in_any_encoding(encoding: str) -> None:
    names = "abcdefghij"
    entities = '<!ENTITY a "lol">' + "".join(f'<!ENTITY {name} "{10 * f"&{below};"}">' for below, name in pairwise(names))
    packet = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE lolz [{entities}]>' + RDF % bag("dc:subject", "&j;")
    assert xmp_keywords(packet.encode(encoding)) == ()


def test_laughs_inside_a_photo_cost_only_the_keywords(encoded: Encode) -> None:
    hostile = b'<!DOCTYPE x [<!ENTITY e "boom">]><x>&e;</x>'
    photo = decode(encoded(Image.new("RGB", (8, 8)), "JPEG", xmp=hostile), "x.jpg")
    assert photo.facts == Facts()


@pytest.mark.parametrize("format_", ["JPEG", "WEBP", "AVIF", "HEIF"])
def test_keywords_in_each_format(format_: str, encoded: Encode) -> None:
    data = encoded(Image.new("RGB", (32, 32)), format_, xmp=(RDF % bag("dc:subject", "sea")).encode())
    assert decode(data, "x").facts.keywords == ("sea",)


def iptc(number: int, text: bytes) -> bytes:
    return b"\x1c\x02" + bytes([number]) + len(text).to_bytes(2, "big") + text


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (None, ()),
        (b"", ()),
        (b"\x1c", ()),
        ((1, 2, 3), ()),
        (iptc(5, b"title") + iptc(25, b"sea") + iptc(25, "Küste".encode()), ("sea", "Küste")),
        (iptc(25, "Küste".encode("latin-1")), ("Küste",)),
        (iptc(25, b"sea") + b"garbage" + iptc(25, b"sun"), ("sea",)),
        (b"\x1c\x02\x19\xff\xff" + b"x" * 50, ()),
    ],
)
def test_iptc_keywords(block: object, expected: tuple[str, ...]) -> None:
    assert iptc_keywords(block) == expected


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_keyword_readers_never_raise(data: bytes) -> None:
    xmp_keywords(data)
    iptc_keywords(b"\x1c\x02\x19" + data)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_facts_never_raise(block: bytes) -> None:
    image = Image.new("RGB", (2, 2))
    image.info["exif"] = b"Exif\0\0II*\0\x08\0\0\0" + block
    read_facts(image)


def test_sidecars(tmp_path: Path) -> None:
    photo = tmp_path / "été.jpg"
    assert sidecar_keywords(photo) == ()
    (tmp_path / "été.jpg.xmp").write_text(RDF % bag("dc:subject", "sea", "sun"), encoding="utf-8")
    (tmp_path / "été.xmp").write_text(RDF % bag("dc:subject", "Sun", "beach"), encoding="utf-8")
    assert sidecar_keywords(photo) == ("sea", "sun", "beach")
    (tmp_path / "été.xmp").write_bytes(b"\xff\xfe broken")
    assert sidecar_keywords(photo) == ("sea", "sun")


def test_sidecars_never_raise(tmp_path: Path) -> None:
    (tmp_path / "a.xmp").mkdir()
    for path in (tmp_path / "a.jpg", tmp_path / "a\0.jpg", tmp_path / ("x" * 300 + ".jpg"), Path(), Path("/"), tmp_path / "a.xmp"):
        assert sidecar_keywords(path) == ()


def test_fractions_are_read_as_written(encoded: Encode) -> None:
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {B.ExposureTime: IFDRational(Fraction(1, 125))}
    for format_ in ("JPEG", "PNG", "WEBP"):
        assert decode(encoded(Image.new("RGB", (8, 8)), format_, exif=exif), "x").facts.exposure_s == pytest.approx(0.008)
