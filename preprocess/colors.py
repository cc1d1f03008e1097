"""Any Pillow mode to 8-bit RGB, in sRGB, on white."""

from __future__ import annotations

import io
import logging

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_log = logging.getLogger(__name__)

_BITS_PER_SAMPLE = 258  # the TIFF tag


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture as people see it in a viewer: 8 bits, sRGB, transparent parts on white.

    An ICC profile is applied; one that is broken or does not fit the mode is ignored. 16-bit values are scaled, not clipped.
    """
    if image.mode.startswith(("I", "F")):
        image = _to_8_bits(image)
    elif image.mode == "La":
        image = image.convert("LA")
    if not image.has_transparency_data:
        return _opaque_to_rgb(image)
    with_alpha = image.convert("RGBA")
    # A grey profile fits only a grey picture, so grey stays grey until the profile has been applied.
    opaque = image.convert("L") if image.mode == "LA" else with_alpha.convert("RGB")
    opaque.info = {"icc_profile": image.info.get("icc_profile")}
    on_white = Image.new("RGB", image.size, "white")
    on_white.paste(_opaque_to_rgb(opaque), mask=with_alpha.getchannel("A"))
    return on_white


def _opaque_to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("1", "P", "PA", "RGBX", "HSV", "YCbCr"):
        profile = image.info.get("icc_profile")
        image = image.convert("L" if image.mode == "1" else "RGB")
        image.info["icc_profile"] = profile
    profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        image = _to_srgb(image, profile)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Apply the profile, or return the picture as it is where that cannot be done."""
    try:
        from PIL import ImageCms

        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode == "RGB" and "sRGB" in (source.profile.profile_description or ""):
            return image  # most photos: the transform would cost 0.1 s for 12 megapixels and change nothing
        target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return ImageCms.profileToProfile(image, source, target, outputMode="RGB") or image
    except Exception as error:  # a damaged profile can fail anywhere in the colour library
        _log.debug("colour profile ignored: %s", error)
        return image


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Grey of 12, 16 or 32 bits, or of floats, to mode `L`.

    Unsigned 16-bit values use their full range, also where the brightest pixel is dark. Floats in [0, 1] are fractions and floats in
    [0, 255] are bytes, as writers mean them. What is left (signed or 32-bit numbers, as in elevation data) has no agreed
    white, and is stretched between its least and its greatest value.
    """
    values: NDArray[np.generic] = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray(_scale_table(_white(image))[values.astype(np.uint16, copy=False)])
    numbers = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    if low >= 0 and image.mode == "F" and high <= 255:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    elif low >= 0 and image.mode == "I" and high <= 65535:
        low, high = 0.0, 65535.0  # how Pillow holds a 16-bit PGM
    scaled = (numbers - low) * (255.0 / max(high - low, 1e-12))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _white(image: Image.Image) -> int:
    """The greatest value that a 16-bit sample can have: 4095 in a 12-bit TIFF."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))
    return (1 << bits[0]) - 1 if isinstance(bits, tuple) and bits and bits[0] in range(9, 17) else 65535


def _scale_table(white: int) -> NDArray[np.uint8]:
    """65,536 bytes: the 8-bit value of every 16-bit value. A table needs no wide copy of the picture."""
    return np.rint(np.minimum(np.arange(65536), white) * (255.0 / white)).astype(np.uint8)
