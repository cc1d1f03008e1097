"""A photo read to be edited: upright pixels in the picture's own colours, and what the edited file keeps of the original."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, JpegImagePlugin

from .colors import to_rgb
from .image import Limits, RgbImage, read_as, read_bytes, turn_of
from .metadata import Metadata, read_metadata

_LOSSY = frozenset({"JPEG", "MPO", "HEIF", "AVIF", "JPEG2000"})


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """What was read. `pixels` are upright RGB in the colour space of `profile`, an ICC profile; without one, that is sRGB by convention.

    `alpha` is UInt8["height width"] where the picture has transparency; colours below it are as the file holds them. `grey` says that the file
    has no colours, so that none are written. `lossless`, `sampling` (Pillow's number of a JPEG's chroma subsampling) and `compression` (of a
    TIFF) say how the file was encoded.
    """

    name: str
    pixels: RgbImage
    alpha: NDArray[np.uint8] | None
    grey: bool
    profile: bytes
    metadata: Metadata
    lossless: bool
    sampling: int | None
    compression: str | None


def read_original(path: str | os.PathLike[str], limits: Limits | None = None) -> Original:
    """Read a photo for editing, through the same checks as `read_image`.

    The samples of RGB, grey and palette files of 8 bits are taken as they are, and keep their ICC profile. Other modes (CMYK, Lab, YCbCr, 16 or
    32 bits) become 8-bit sRGB as `decode` makes them, without a profile; of RGB with 16 bits a sample, Pillow gives the high 8, and the profile
    stays true. Of an animation or a file with several pictures, the first; of a camera raw file, the preview.

    Raises:
        ImageError, MissingExtra: see `read_bytes` and `decode`.
    """
    return decode_original(read_bytes(path, limits), os.fspath(path), limits)


def peek_size(data: bytes, name: str, limits: Limits | None = None) -> tuple[int, int]:
    """Width and height as the header says, before pixels are decoded.

    Raises:
        ImageError, MissingExtra: see `decode`.
    """
    return read_as(data, name, limits, lambda opened: opened.size)


def decode_original(data: bytes, name: str, limits: Limits | None = None) -> Original:
    """`read_original` of bytes that were read already.

    Raises:
        ImageError, MissingExtra: see `decode`.
    """
    return read_as(data, name, limits, lambda opened: _original(opened, name, data))


def _original(opened: ImageFile.ImageFile, name: str, data: bytes) -> Original:
    opened.load()
    grey = opened.mode.startswith(("1", "L", "I", "F")) and opened.mode != "LAB"
    picture, profile = _own_colours(opened)
    sampling = JpegImagePlugin.get_sampling(opened) if isinstance(opened, JpegImagePlugin.JpegImageFile) else -1
    turn = turn_of(opened)
    if turn is not None:
        picture = picture.transpose(turn)
    return Original(
        name=name,
        pixels=np.asarray(picture.convert("RGB")),
        alpha=np.asarray(picture.getchannel("A")) if "A" in picture.getbands() else None,
        grey=grey,
        profile=profile,
        metadata=read_metadata(opened, picture.size),
        lossless=b"VP8 " not in _riff_chunks(data) if opened.format == "WEBP" else opened.format not in _LOSSY,
        sampling=sampling if sampling in (0, 1, 2) else None,
        compression=opened.info.get("compression") if opened.format == "TIFF" else None,
    )


def _own_colours(image: Image.Image) -> tuple[Image.Image, bytes]:
    """The picture in one of the modes L, LA, RGB and RGBA, and the profile that its samples are meant in."""
    profile = image.info.get("icc_profile")
    profile = profile if isinstance(profile, bytes) else b""
    mode = image.mode
    if mode in ("L", "LA", "La"):
        if mode == "La" or (mode == "L" and image.has_transparency_data):
            image = image.convert("LA")
    elif mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX"):  # a palette is RGB, and the profile is about its entries
        wanted = "RGBA" if image.has_transparency_data else "RGB"
        image = image if mode == wanted else image.convert(wanted)
    else:
        return to_rgb(image), b""
    return image, profile


def _riff_chunks(data: bytes) -> set[bytes]:
    """The kinds of chunks of a WebP file; for an animation, those of its first frame too."""
    kinds: set[bytes] = set()
    at = 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        kinds.add(kind)
        at += 8 + 16 if kind == b"ANMF" else 8 + size + size % 2  # a frame's own chunks come after its 16 bytes
        if kind in (b"VP8 ", b"VP8L"):
            break
    return kinds
