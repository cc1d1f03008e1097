"""Write an edited photo as a new file: the original's format, colour profile and metadata, whole or not at all."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from .errors import ImageUnsupported, InputError, StorageFull
from .formats import FORMATS
from .image import RgbImage
from .metadata import writable_exif
from .original import Original
from .storage import FULL, move_to_new, temporary_beside

QUALITY = 95
_WRITTEN: Mapping[str, str] = {suffix: name for name in ("JPEG", "PNG", "WebP", "TIFF") for suffix in FORMATS[name].suffixes}
_TO_PNG = frozenset(suffix for name in ("BMP", "GIF", "PNM") for suffix in FORMATS[name].suffixes)

# A block of a JPEG holds 65,533 bytes; XMP has 29 of its own before it, IPTC 26.
_MAX_BLOCK = 65_533
_TIFF_COMPRESSIONS = frozenset({"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "lzma", "zstd"})
_DIRECTORIES = (int(ExifTags.IFD.Exif), int(ExifTags.IFD.GPSInfo))  # which libtiff, needed to compress, cannot write


def edited_name(name: str) -> str:
    """The file name of the edited copy of a photo: its own where its format can be written, otherwise with `.jpg` or `.png` behind it.

    JPEG, PNG, WebP and TIFF stay what they are. Formats without loss that are not written (BMP, GIF, PNM) become PNG; HEIC, AVIF, JPEG 2000 and
    previews of camera raw files become JPEG. The name alone decides, so two photos never share a copy, and a second run finds it unread.

    >>> edited_name("a.JPG"), edited_name("a.HEIC"), edited_name("a.gif")
    ('a.JPG', 'a.HEIC.jpg', 'a.gif.png')
    """
    suffix = PurePath(name).suffix.lower()
    if suffix in _WRITTEN:
        return name
    return name + (".png" if suffix in _TO_PNG else ".jpg")


def encode_edited(original: Original, pixels: RgbImage, name: str) -> bytes:
    """A file's bytes with the edited pixels, in the format that the end of `name` says, with the original's profile and metadata.

    JPEG is written with quality 95 and the original's chroma subsampling (4:4:4 where it was no JPEG), WebP without loss where the original had
    none and with quality 95 otherwise, TIFF in its compression if that is one without loss, otherwise LZW, and uncompressed where it has exposure
    or position in its EXIF, which could not be kept otherwise. Transparency is kept, in JPEG put on white.

    Raises:
        ImageUnsupported: the format cannot hold such a picture, such as a JPEG of 70,000 pixels in width.
    """
    if pixels.shape != original.pixels.shape:
        raise InputError(f"The edited pixels of {original.name} have the shape {pixels.shape}, not {original.pixels.shape}.")
    kind = _WRITTEN[PurePath(name).suffix.lower()]
    picture = _picture(original, pixels, with_alpha=kind != "JPEG")
    buffer = io.BytesIO()
    try:
        picture.save(buffer, kind.upper(), **_OPTIONS[kind](original))
    except Exception as error:
        raise ImageUnsupported(f"{original.name} cannot be written as {kind}: {error}. Convert it to PNG or TIFF first.") from error
    return buffer.getvalue()


def write_whole(file: Path, data: bytes, *, force: bool = False) -> None:
    """Write a file through a temporary name in its folder, so that a kill leaves either all of it or nothing.

    Without `force`, a file that is there, a link too, is never replaced. With it, a link is replaced itself, not what it points to.

    Raises:
        InputError: a file is there, or the folder cannot be written.
        StorageFull: the disk took no more.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InputError(f"{file.parent} is a file, not a folder. Name another folder.") from error
    except OSError as error:
        raise _refused(file, error) from error
    fresh = temporary_beside(file)
    try:
        try:
            with fresh.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            if force:
                fresh.replace(file)
            else:
                move_to_new(fresh, file)
        finally:
            fresh.unlink(missing_ok=True)
    except FileExistsError as error:
        raise InputError(f"{file} exists already. To make it anew: --force") from error
    except OSError as error:
        raise _refused(file, error) from error


def _refused(file: Path, error: OSError) -> InputError | StorageFull:
    if error.errno in FULL:
        return StorageFull(f"{file} could not be written: {error.strerror}. Free some space and run the same command again.")
    if error.errno == errno.ENAMETOOLONG:
        return InputError(f"{file} cannot be written: the name is too long. Give the photo a shorter name.")
    return InputError(f"{file} cannot be written: {error.strerror or error}. Name a folder that can be written to.")


def _picture(original: Original, pixels: RgbImage, with_alpha: bool) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if original.grey:
        picture = picture.convert("L")
    if original.alpha is None:
        return picture
    alpha = Image.fromarray(original.alpha)
    if with_alpha:
        picture.putalpha(alpha)
        return picture
    on_white = Image.new(picture.mode, picture.size, "white")
    on_white.paste(picture, mask=alpha)
    return on_white


def _common(original: Original) -> dict[str, Any]:
    """Options that all four formats take; a profile or resolution that is left out must not be taken from anywhere else."""
    options: dict[str, Any] = {"icc_profile": original.profile or None}
    if original.metadata.dpi is not None:
        options["dpi"] = original.metadata.dpi
    return options


def _jpeg(original: Original) -> dict[str, Any]:
    told = original.metadata
    exif = told.exif
    if len(exif) > _MAX_BLOCK:  # of another format, or of several blocks in a row
        exif = next((block for keep in (True, False) if len(block := writable_exif(exif, keep).tobytes()) <= _MAX_BLOCK), b"")
    options = {**_common(original), "quality": QUALITY, "subsampling": original.sampling or 0, "exif": exif, "comment": told.comment}
    if 0 < len(told.xmp) <= _MAX_BLOCK - 29:
        options["xmp"] = told.xmp
    if told.iptc:
        resource = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(told.iptc).to_bytes(4, "big") + told.iptc + b"\0" * (len(told.iptc) % 2)
        options["extra"] = b"\xff\xed" + (len(resource) + 2).to_bytes(2, "big") + resource
    return options


def _png(original: Original) -> dict[str, Any]:
    chunks = PngImagePlugin.PngInfo()
    if original.metadata.xmp:
        chunks.add_itxt("XML:com.adobe.xmp", original.metadata.xmp.decode("utf-8", "replace"))
    return {**_common(original), "exif": original.metadata.exif, "pnginfo": chunks}


def _webp(original: Original) -> dict[str, Any]:
    """WebP has no grey: a grey picture is written as RGB, which a profile of greys does not fit."""
    told = replace(original, profile=b"") if original.grey else original
    options = {**_common(told), "exif": told.metadata.exif, "xmp": told.metadata.xmp, "lossless": told.lossless, "exact": True}
    return {**options, "quality": 80 if told.lossless else QUALITY}  # without loss, the number only says how long to try


def _tiff(original: Original) -> dict[str, Any]:
    told = original.metadata
    exif = writable_exif(told.exif) if told.exif else Image.Exif()
    if told.xmp:
        exif[700] = told.xmp
    if told.iptc:
        exif[33723] = told.iptc
    lossless = original.compression in _TIFF_COMPRESSIONS
    compression = "raw" if any(block in exif for block in _DIRECTORIES) else original.compression if lossless else "tiff_lzw"
    return {**_common(original), "exif": exif, "compression": compression}


_OPTIONS = {"JPEG": _jpeg, "PNG": _png, "WebP": _webp, "TIFF": _tiff}
