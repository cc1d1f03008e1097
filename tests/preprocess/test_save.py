"""An edited photo keeps what the original said, is whole or not there, and is never written over anything."""

from __future__ import annotations

import errno
import io
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from preprocess import ImageCorrupt, ImageTooLarge, ImageUnsupported, InputError, Limits, StorageFull, decode, read_image
from preprocess.metadata import upright_exif
from preprocess.original import Original, decode_original, read_original
from preprocess.save import edited_name, encode_edited, write_whole

Encode = Callable[..., bytes]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKER_NOTE = b"MAKER\0" + bytes(range(200))
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    b' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    b' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" tiff:Orientation="6" tiff:ImageWidth="96" GCamera:MotionPhoto="1">'
    b"<dc:subject><rdf:Bag><rdf:li>fog</rdf:li></rdf:Bag></dc:subject><xmp:Thumbnails><rdf:Alt>OLD</rdf:Alt></xmp:Thumbnails>"
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def tiff_block(
    order: str, orientation: int = 6, size: tuple[int, int] = (96, 64), thumbnail: bytes = b"\xff\xd8THUMB\xff\xd9", tail: bytes = b""
) -> bytes:
    """An EXIF block as cameras write it: two directories, exposure and position inside the first, a thumbnail in the second."""
    values = bytearray()
    base = 8 + (2 + 5 * 12 + 4) + (2 + 4 * 12 + 4) + (2 + 4 * 12 + 4) + (2 + 2 * 12 + 4)

    def entry(tag: int, kind: int, count: int, value: int | bytes) -> bytes:
        if isinstance(value, int):
            return struct.pack(order + "HHI", tag, kind, count) + (
                struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value)
            )
        if len(value) <= 4:
            return struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")
        at = base + len(values)
        values.extend(value)
        return struct.pack(order + "HHII", tag, kind, count, at)

    def directory(entries: list[bytes], following: int) -> bytes:
        return struct.pack(order + "H", len(entries)) + b"".join(entries) + struct.pack(order + "I", following)

    exif_at = 8 + 2 + 5 * 12 + 4
    gps_at = exif_at + 2 + 4 * 12 + 4
    second_at = gps_at + 2 + 4 * 12 + 4
    degrees = struct.pack(order + "6I", 52, 1, 30, 1, 105, 10)
    first = directory(
        [entry(0x010F, 2, 6, b"Nikon\0"), entry(0x0110, 2, 4, b"D70\0"), entry(0x0112, 3, 1, orientation),
         entry(0x8769, 4, 1, exif_at), entry(0x8825, 4, 1, gps_at)], second_at,
    )  # fmt: skip
    exif = directory(
        [entry(0x9003, 2, 20, b"2020:01:02 03:04:05\0"), entry(0x927C, 7, len(MAKER_NOTE), MAKER_NOTE),
         entry(0xA002, 4, 1, size[0]), entry(0xA003, 3, 1, size[1])], 0,
    )  # fmt: skip
    gps = directory([entry(1, 2, 2, b"N\0"), entry(2, 5, 3, degrees), entry(3, 2, 2, b"W\0"), entry(4, 5, 3, degrees)], 0)
    at = base + len(values)
    values.extend(thumbnail)
    second = directory([entry(0x0201, 4, 1, at), entry(0x0202, 4, 1, len(thumbnail))], 0)
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return b"Exif\0\0" + header + first + exif + gps + second + bytes(values) + tail


def told(data: bytes) -> dict[str, Any]:
    """What a file says, as another program reads it."""
    image = Image.open(io.BytesIO(data))
    image.load()
    exif = image.getexif()
    camera, gps = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
    return {
        "size": image.size, "mode": image.mode, "make": exif.get(0x010F), "model": exif.get(0x0110), "orientation": exif.get(0x0112, 1), "taken": camera.get(0x9003),
        "note": camera.get(0x927C), "pixels": (camera.get(0xA002), camera.get(0xA003)), "gps": dict(gps),
        "thumbnail": dict(exif.get_ifd(ExifTags.IFD.IFD1)), "icc": image.info.get("icc_profile"),
        "xmp": image.info.get("xmp") or image.info.get("XML:com.adobe.xmp"), "format": image.format, "info": image.info,
    }  # fmt: skip


def again(original: Original, name: str) -> bytes:
    return encode_edited(original, original.pixels, name)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_profile_and_position_are_kept_and_true(format_: str, order: str, scene: Image.Image, encoded: Encode) -> None:
    options: dict[str, Any] = {"quality": 95} if format_ == "JPEG" else {"lossless": True} if format_ == "WEBP" else {}
    if format_ == "TIFF":  # its first directory holds the photo's own tags
        exif = Image.Exif()
        exif.load(tiff_block(order))
        source = encoded(scene, format_, exif=exif, icc_profile=SRGB)
    else:
        source = encoded(scene, format_, exif=tiff_block(order), icc_profile=SRGB, **options)
    original = decode_original(source, f"a.{format_.lower()}")
    assert original.pixels.shape == (96, 64, 3)
    before, after = told(source), told(again(original, f"a.{format_.lower()}"))
    assert (after["format"], after["mode"], after["size"], after["orientation"], after["pixels"]) == (format_, "RGB", (64, 96), 1, (64, 96))
    assert (after["make"], after["model"], after["taken"], after["note"]) == ("Nikon", "D70", "2020:01:02 03:04:05", MAKER_NOTE)
    assert after["gps"] == before["gps"]
    assert len(after["gps"]) == 4
    assert after["icc"] == SRGB
    assert after["thumbnail"] == {}


@pytest.mark.parametrize("order", "<>")
def test_of_an_exif_block_only_what_must_change_does(order: str) -> None:
    block = tiff_block(order, tail=b"what comes behind")
    out = upright_exif(block, (64, 96))
    assert len(out) == len(block)
    assert b"THUMB" not in out
    assert out.endswith(b"what comes behind")
    assert out.index(MAKER_NOTE) == block.index(MAKER_NOTE)  # its offsets count from the start of the block
    changed = [at for at in range(len(block)) if block[at] != out[at]]
    # Orientation, width and height, the link to the second directory, the thumbnail's 9 bytes; some bytes were zero before too.
    assert len(changed) <= 1 + 2 + 2 + 4 + 9
    assert upright_exif(out, (64, 96)) == out


def test_a_thumbnail_at_the_end_is_cut_off() -> None:
    block = tiff_block("<")
    assert upright_exif(block, (64, 96)) == upright_exif(tiff_block("<", tail=b"x"), (64, 96))[: len(block) - 9]


def test_a_side_beyond_16_bits_becomes_a_long() -> None:
    exif = Image.Exif()
    exif.load(upright_exif(tiff_block(">"), (70_000, 96_000)))
    assert exif.get_ifd(ExifTags.IFD.Exif)[0xA003] == 96_000


@pytest.mark.parametrize("length", [0, 3, 8, 9, 13, 30, 60, 100])
def test_an_exif_block_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"EXIF|TIFF"):
        upright_exif(tiff_block("<")[: 6 + length], (64, 96))


def test_hostile_exif_blocks_never_cost_the_photo(scene: Image.Image, encoded: Encode) -> None:
    rng = np.random.default_rng(4)
    whole = tiff_block(">")
    for _ in range(150):
        block = bytearray(whole)
        for at in rng.integers(6, len(block), 6):
            block[at] = rng.integers(256)
        data = encoded(scene, "JPEG", exif=bytes(block))
        out = again(decode_original(data, "a.jpg"), "a.jpg")
        assert decode(out, "a.jpg").pixels.shape == decode(data, "a.jpg").pixels.shape


def test_xmp_is_kept_and_true(scene: Image.Image, encoded: Encode) -> None:
    for format_ in ("JPEG", "PNG", "WEBP", "TIFF"):
        name = f"a.{format_.lower()}"
        out = again(decode_original(encoded(scene, "JPEG", exif=tiff_block("<"), xmp=XMP), name), name)
        packet = told(out)["xmp"]
        packet = packet.encode() if isinstance(packet, str) else packet
        assert b'tiff:Orientation="1"' in packet
        assert b"<rdf:li>fog</rdf:li>" in packet
        for gone in (b"Thumbnails", b"OLD", b"MotionPhoto=", b"ImageWidth="):
            assert gone not in packet
        assert decode(out, name).facts.keywords == ("fog",)
        assert decode(out, name).pixels.shape == (96, 64, 3)


def test_a_hostile_xmp_packet_takes_no_time(scene: Image.Image, encoded: Encode) -> None:
    for packet in (b"<xmp:Thumbnails>" * 4000, b"<Container:Directory" * 3000, b" GCamera:a='" * 5000, b"<tiff:ImageWidth>" * 3500):
        start = time.perf_counter()
        decode_original(encoded(scene, "JPEG", xmp=packet), "a.jpg")
        assert time.perf_counter() - start < 2


def test_iptc_keywords_comment_and_resolution_are_kept(scene: Image.Image, encoded: Encode) -> None:
    iptc = b"\x1c\x02\x19\0\x04mist"
    resource = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + iptc + b"\0"
    extra = b"\xff\xed" + (len(resource) + 2).to_bytes(2, "big") + resource
    data = encoded(scene, "JPEG", extra=extra, comment="by hand", dpi=(300, 300))
    out = again(decode_original(data, "a.jpg"), "a.jpg")
    assert decode(out, "a.jpg").facts.keywords == ("mist",)
    assert told(out)["info"]["comment"] == b"by hand"
    assert told(out)["info"]["dpi"] == (300, 300)
    tiff = again(decode_original(data, "a.tif"), "a.tif")
    assert decode(tiff, "a.tif").facts.keywords == ("mist",)


def test_metadata_too_long_for_a_jpeg_costs_the_maker_note_first(scene: Image.Image, encoded: Encode) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Nikon"
    exif[int(ExifTags.IFD.Exif)] = {0x9003: "2020:01:02 03:04:05", 0x927C: b"n" * 70_000}
    data = encoded(scene, "PNG", exif=exif.tobytes())
    out = told(again(decode_original(data, "a.jpg"), "a.jpg"))
    assert (out["make"], out["taken"], out["note"]) == ("Nikon", "2020:01:02 03:04:05", None)
    assert told(again(decode_original(data, "a.png"), "a.png"))["note"] == b"n" * 70_000


# Colours


def wide(pixels: Image.Image) -> tuple[Image.Image, bytes]:
    """The picture with a profile that is not sRGB: red and green change places."""
    profile = bytearray(SRGB)
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    at = profile.index(b"s\0R\0G\0B")
    profile[at : at + 7] = b"n\0o\0p\0e"
    return pixels, bytes(profile)


@pytest.mark.parametrize(
    ("format_", "mode"), [(f, m) for f in ("PNG", "TIFF") for m in ("RGB", "RGBA", "L", "LA", "P")] + [("WEBP", "RGB"), ("WEBP", "RGBA")]
)
def test_samples_and_profile_stay_as_they_are(format_: str, mode: str, scene: Image.Image, encoded: Encode) -> None:
    picture, profile = wide(scene.quantize(8) if mode == "P" else scene.convert(mode))
    if mode.endswith("A"):
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    options = {"lossless": True, "exact": True} if format_ == "WEBP" else {}
    original = decode_original(encoded(picture, format_, icc_profile=profile, **options), "a")
    out = Image.open(io.BytesIO(again(original, f"a.{format_.lower()}")))
    wanted = picture.convert("RGB") if mode == "P" else picture
    assert (out.mode, out.info.get("icc_profile")) == (wanted.mode, profile)
    assert np.array_equal(np.asarray(out), np.asarray(wanted))


def test_display_profiles_of_jpeg_are_not_converted(scene: Image.Image, encoded: Encode) -> None:
    picture, profile = wide(scene)
    data = encoded(picture, "JPEG", quality=95, icc_profile=profile)
    original = decode_original(data, "a.jpg")
    assert np.array_equal(original.pixels, np.asarray(Image.open(io.BytesIO(data))))
    assert original.profile == profile
    assert not np.array_equal(original.pixels, decode(data, "a.jpg").pixels)  # those are in sRGB


def deep(value: int) -> Image.Image:
    return Image.frombytes("I;16", (32, 32), np.full((32, 32), value, "<u2").tobytes())


@pytest.mark.parametrize(
    ("make", "format_", "mode"),
    [
        (lambda: Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", "RGB"),
        (lambda: Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "TIFF", "RGB"),
        (lambda: Image.new("LAB", (32, 32), (200, 128, 128)), "TIFF", "RGB"),
        (lambda: Image.new("1", (32, 32), 1), "PNG", "L"),
        (lambda: deep(32768), "PNG", "L"),
        (lambda: deep(32768), "TIFF", "L"),
        (lambda: Image.new("F", (32, 32), 0.5), "TIFF", "L"),
    ],
    ids=["CMYK JPEG", "CMYK TIFF", "Lab", "1 bit", "16-bit PNG", "16-bit TIFF", "float"],
)
def test_other_modes_become_8_bit_srgb_without_a_profile(make: Callable[[], Image.Image], format_: str, mode: str, encoded: Encode) -> None:
    data = encoded(make(), format_, icc_profile=SRGB)
    original = decode_original(data, "a")
    seen = decode(data, "a").pixels
    assert np.array_equal(original.pixels, seen)
    out = again(original, f"a.{format_.lower()}")
    image = Image.open(io.BytesIO(out))
    assert (image.mode, image.info.get("icc_profile")) == (mode, None)
    assert np.abs(np.subtract(decode(out, "a").pixels, seen, dtype=np.int16)).max() <= 2


def test_a_grey_picture_stays_grey_whatever_the_edit_did(scene: Image.Image, encoded: Encode) -> None:
    original = decode_original(encoded(scene.convert("L"), "JPEG"), "a.jpg")
    tinted = original.pixels.copy()
    tinted[..., 0] //= 2
    assert Image.open(io.BytesIO(encode_edited(original, tinted, "a.jpg"))).mode == "L"


def test_transparency_is_kept_or_put_on_white(scene: Image.Image, encoded: Encode) -> None:
    half = scene.copy()
    half.putalpha(0)
    data = encoded(half, "PNG")
    original = decode_original(data, "a.png")
    assert np.array_equal(original.pixels, np.asarray(scene))  # colours below it, as the file holds them
    assert Image.open(io.BytesIO(again(original, "a.png"))).getchannel("A").getextrema() == (0, 0)
    assert decode(again(original, "a.jpg"), "a.jpg").pixels.min() == 255
    palette = scene.quantize(4)
    keyed = decode_original(encoded(palette, "PNG", transparency=palette.getpixel((0, 0))), "a.png")
    assert np.array_equal(Image.open(io.BytesIO(again(keyed, "a.png"))).getchannel("A"), decode_alpha(palette))


def decode_alpha(palette: Image.Image) -> Any:
    return np.where(np.asarray(palette) == palette.getpixel((0, 0)), 0, 255)


def test_the_encoding_follows_the_original(scene: Image.Image, encoded: Encode) -> None:
    from PIL import JpegImagePlugin

    for sampling in (0, 1, 2):
        out = again(decode_original(encoded(scene, "JPEG", subsampling=sampling), "a.jpg"), "a.jpg")
        image = Image.open(io.BytesIO(out))
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        assert JpegImagePlugin.get_sampling(image) == sampling
        assert image.quantization[0][0] <= 2  # quality 95
    for options, lossless in (({"lossless": True}, True), ({"quality": 80}, False)):
        for extra in ({}, {"icc_profile": SRGB}, {"save_all": True, "append_images": [scene.transpose(Image.Transpose.ROTATE_180)]}):
            original = decode_original(encoded(scene, "WEBP", **options, **extra), "a.webp")
            assert original.lossless is lossless
            assert (b"VP8L" in again(original, "a.webp")) is lossless
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "raw", "packbits"):
        out = again(decode_original(encoded(scene, "TIFF", compression=compression), "a.tif"), "a.tif")
        assert Image.open(io.BytesIO(out)).info["compression"] == compression
    out = again(decode_original(encoded(scene, "TIFF", compression="jpeg"), "a.tif"), "a.tif")
    assert Image.open(io.BytesIO(out)).info["compression"] == "tiff_lzw"  # without another loss


@pytest.mark.parametrize(
    ("name", "out"),
    [("a.jpg", "a.jpg"), ("A.JPEG", "A.JPEG"), ("a.mpo", "a.mpo"), ("a.png", "a.png"), ("é 山.webp", "é 山.webp"), ("a.TIF", "a.TIF"),
     ("a.heic", "a.heic.jpg"), ("a.avif", "a.avif.jpg"), ("a.jp2", "a.jp2.jpg"), ("a.NEF", "a.NEF.jpg"), ("a.gif", "a.gif.png"),
     ("a.bmp", "a.bmp.png"), ("a.ppm", "a.ppm.png"), ("a", "a.jpg")],
)  # fmt: skip
def test_names(name: str, out: str) -> None:
    assert edited_name(name) == out


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JPEG2000", "PPM"])
def test_every_format_that_is_read_can_be_edited(format_: str, scene: Image.Image, encoded: Encode) -> None:
    data = encoded(scene, format_)
    name = edited_name("a." + {"JPEG2000": "jp2", "HEIF": "heic"}.get(format_, format_.lower()))
    out = again(decode_original(data, "a"), name)
    assert np.abs(np.subtract(decode(out, name).pixels, decode(data, "a").pixels, dtype=np.int16)).mean() < 4
    kind = {"jpg": "JPEG", "jpeg": "JPEG"}.get(name.rpartition(".")[2], name.rpartition(".")[2].upper())
    assert Image.open(io.BytesIO(out)).format == kind


def test_heic_keeps_exif_and_is_not_turned_twice(scene: Image.Image, encoded: Encode) -> None:
    data = encoded(scene, "HEIF", exif=tiff_block("<", orientation=6), quality=95)
    original = decode_original(data, "a.heic")
    assert original.pixels.shape == decode(data, "a.heic").pixels.shape
    after = told(again(original, "a.heic.jpg"))
    assert (after["format"], after["orientation"], after["make"], after["note"]) == ("JPEG", 1, "Nikon", MAKER_NOTE)
    assert after["size"] == original.pixels.shape[1::-1]


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame(format_: str, scene: Image.Image, encoded: Encode) -> None:
    options = {"lossless": True} if format_ == "WEBP" else {}
    data = encoded(scene, format_, save_all=True, append_images=[Image.new("RGB", scene.size)], **options)
    name = edited_name(f"a.{format_.lower()}")
    out = Image.open(io.BytesIO(again(decode_original(data, "a"), name)))
    assert getattr(out, "n_frames", 1) == 1
    assert np.abs(np.subtract(out.convert("RGB"), np.asarray(scene), dtype=np.int16)).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_made_upright_once(orientation: int, scene: Image.Image, encoded: Encode) -> None:
    data = encoded(scene, "PNG", exif=tiff_block("<", orientation))
    out = again(decode_original(data, "a.png"), "a.png")
    assert np.array_equal(decode(out, "a.png").pixels, decode(data, "a.png").pixels)
    assert told(out)["orientation"] == 1


# Doors


def test_the_same_checks_as_for_reading(tmp_path: Path, scene: Image.Image, encoded: Encode) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(encoded(scene, "PNG"))
    with pytest.raises(ImageTooLarge, match="limit"):
        read_original(photo, Limits(max_pixels=6143))
    with pytest.raises(ImageTooLarge, match="MB"):
        read_original(photo, Limits(max_bytes=100))
    photo.write_bytes(encoded(scene, "PNG")[:150])
    with pytest.raises(ImageCorrupt):
        read_original(photo)
    with pytest.raises(ImageUnsupported):
        read_original(tmp_path)
    (tmp_path / "page.ps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    with pytest.raises(ImageUnsupported):
        read_original(tmp_path / "page.ps")


def test_edited_pixels_have_the_size_of_the_original(scene: Image.Image, encoded: Encode) -> None:
    original = decode_original(encoded(scene, "PNG"), "a.png")
    with pytest.raises(InputError, match="shape"):
        encode_edited(original, original.pixels[1:], "a.png")


def test_what_a_format_cannot_hold_is_said(encoded: Encode) -> None:
    original = decode_original(encoded(Image.new("L", (17_000, 1)), "PNG"), "a.png")
    with pytest.raises(ImageUnsupported, match="WebP"):
        encode_edited(original, original.pixels, "a.webp")


def test_real_cameras(real: Path) -> None:
    for photo in sorted((real / "formats" / "exif").glob("*.jpg"))[::4]:
        data = photo.read_bytes()
        before, after = decode(data, photo.name), decode(again(read_original(photo), photo.name), photo.name)
        assert after.facts == before.facts, photo
        assert after.pixels.shape == before.pixels.shape


# Writing


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_written_whole_and_never_over_another(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "é 山.jpg"
    write_whole(file, b"first")
    with pytest.raises(InputError, match="--force"):
        write_whole(file, b"second")
    assert file.read_bytes() == b"first"
    write_whole(file, b"third", force=True)
    assert file.read_bytes() == b"third"
    assert names(file.parent) == [file.name]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / ("ä" * 125 + ".jpg")  # 254 bytes
    write_whole(file, b"data")
    assert file.read_bytes() == b"data"


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    original, link, dangling = tmp_path / "original.jpg", tmp_path / "link.jpg", tmp_path / "dangling.jpg"
    original.write_bytes(b"original")
    link.symlink_to(original)
    dangling.symlink_to(tmp_path / "nowhere.jpg")
    for name in (link, dangling):
        with pytest.raises(InputError):
            write_whole(name, b"new")
        write_whole(name, b"new", force=True)
        assert (name.is_symlink(), name.read_bytes()) == (False, b"new")
    assert original.read_bytes() == b"original"
    assert not (tmp_path / "nowhere.jpg").exists()


def test_without_hard_links_nothing_is_replaced_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    write_whole(tmp_path / "a", b"first")
    with pytest.raises(InputError, match="exists"):
        write_whole(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull, match="Free some space"):
        write_whole(tmp_path / "a.jpg", b"data")
    assert names(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    for place in (tmp_path / "file" / "a.jpg", tmp_path / "file" / "below" / "a.jpg"):
        with pytest.raises(InputError, match=r"Name (another|a) folder"):
            write_whole(place, b"data")
    for force in (False, True):
        with pytest.raises(InputError):
            write_whole(tmp_path / "folder.jpg", b"data", force=force)
    assert names(tmp_path) == ["file", "folder.jpg"]


def test_a_name_that_is_too_long_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"too long\. Give the photo a shorter name"):
        write_whole(tmp_path / ("x" * 300 + ".jpg"), b"data")
    assert names(tmp_path) == []


def test_a_kill_while_writing_leaves_no_half_photo(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from preprocess.save import write_whole\n"
        "os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "write_whole(Path(sys.argv[1]), bytes(1000), force=True)"
    )
    (tmp_path / "there.jpg").write_bytes(b"whole")
    for name in ("there.jpg", "new.jpg"):
        done = subprocess.run([sys.executable, "-c", code, tmp_path / name], cwd=Path(__file__).parents[2], check=False, timeout=60)
        assert done.returncode == -9
    assert (tmp_path / "there.jpg").read_bytes() == b"whole"
    assert not (tmp_path / "new.jpg").exists()
    left = [name for name in names(tmp_path) if name != "there.jpg"]
    assert len(left) == 2  # the temporary names, hidden, which no walk takes for photos
    assert all(name.startswith(".") and name.endswith(".new") for name in left)


def test_what_is_written_can_be_read(tmp_path: Path, scene: Image.Image, encoded: Encode) -> None:
    photo = tmp_path / "a photo.jpg"
    photo.write_bytes(encoded(scene, "JPEG", quality=95))
    original = read_original(photo)
    out = tmp_path / "out" / "a photo.jpg"
    write_whole(out, encode_edited(original, 255 - original.pixels, out.name))
    assert np.abs(np.subtract(255 - read_image(out).pixels, original.pixels, dtype=np.int16)).mean() < 3
