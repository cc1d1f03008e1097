"""64 bits of what a picture looks like: copies that were resized, compressed, brightened or turned have nearly the same.

The bits are signs of the lowest frequencies of the picture's discrete cosine transform, as in pHash (Zauner, "Implementation and benchmarking of perceptual image hash
functions", 2010). Three things differ. The frequencies (u, v) are those with u + v ≤ 10, not a square of 8×8, and the signs are compared with 0, not with the median: at the distance that one of
100,000 pairs of different photos reaches, they know 91 % of copies that lost a tenth of the picture, where the square and the median know 82 % and the difference hash 39 %
(benchmarks/duplicates.py --hashes). With 0, a mirrored picture has the same bits with those of odd frequencies flipped, and a turned one has the same at other places: the hashes of all eight turns
follow from one (`turns`), and nobody has to see the picture again. And a picture without any detail has the hash 0, so that blank ones are known as such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._opencv import cv2

if TYPE_CHECKING:
    from .image import RgbImage

Hashes: TypeAlias = NDArray[np.uint64]
"""Perceptual hashes, UInt64["photo"]."""

FLAT = 0
"""The hash of a picture without detail: it says nothing of what is seen, or all."""

_SIDE = 32  # of the thumbnail that is transformed
_LEAST = 128  # pixels on the short side that halving keeps; an odd row that it drops is then less than a hundredth of the picture
_FLAT_LEVELS = 1.0  # of 255: the deviation of luma below which all detail may come from JPEG
_PAIRS = tuple((u, v) for u in range(11) for v in range(11) if 0 < u + v <= 10 and (u, v) != (5, 5))  # 64; (5, 5) is one too many
_U, _V = (np.array(places) for places in zip(*_PAIRS, strict=True))
_SWAPPED = np.array([_PAIRS.index((v, u)) for u, v in _PAIRS])
_COSINES = np.cos(np.pi * np.outer(np.arange(11), 2 * np.arange(_SIDE) + 1) / (2 * _SIDE)).astype(np.float32)

TURNS = (
    "as it is",
    "mirrored",
    "upside down",
    "turned by 180°",
    "transposed",
    "turned by 90°",
    "turned by 270°",
    "transposed the other way",
)
"""What was done to a picture to get each row of `turns`; a turn is counter-clockwise."""


def picture_hash(pixels: RgbImage) -> int:
    """The perceptual hash of a photo, UInt8["height width 3"], from 0 to 2^64 - 1; 0 where there is nothing to see. It takes 0.2 ms for 500 pixels.

    Decoded at 1/2, 1/4 or 1/8 of its size, a photo has the same hash up to a bit or two. The whole picture counts, whatever its shape: it is squashed to a square.
    """
    return luma_hash(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8))


def luma_hash(luma: NDArray[np.uint8]) -> int:
    """The same of the photo's luma, UInt8["height width"]."""
    luma = halved(luma, _LEAST)
    small = np.asarray(cv2.resize(luma, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.float32)
    small -= small.mean()
    if float(small.std()) < _FLAT_LEVELS:
        return FLAT
    waves = _COSINES @ small @ _COSINES.T
    return int.from_bytes(np.packbits(waves[_U, _V] > 0).tobytes(), "big")


def turns(hashes: Hashes) -> NDArray[np.uint64]:
    """The hashes that pictures would have mirrored and turned, UInt64["turn photo"], in the order of `TURNS`; flat ones stay flat.

    With x to the right and v its frequency, a mirror turns cos(πv(2x + 1)/2n) into (-1)^v times itself, and a transposition swaps u and v.

    >>> turns(np.array([picture_hash(np.zeros((9, 9, 3), np.uint8))], np.uint64)).tolist()
    [[0], [0], [0], [0], [0], [0], [0], [0]]
    """
    odd_u, odd_v = _mask(_U % 2 == 1), _mask(_V % 2 == 1)
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1)
    swapped = np.packbits(np.ascontiguousarray(bits[:, _SWAPPED]), axis=1).view(">u8").astype(np.uint64).ravel()
    # Turned by 90° to the left, the rows of a picture are its columns from right to left: it is transposed, then put upside down.
    out = np.stack([base ^ mask for base in (hashes, swapped) for mask in (np.uint64(0), odd_v, odd_u, odd_u ^ odd_v)])
    out = out[[0, 1, 2, 3, 4, 6, 5, 7]]
    return np.where(hashes == FLAT, np.uint64(FLAT), out)


def distances(first: Hashes, second: Hashes) -> NDArray[np.uint8]:
    """How many bits differ, from 0 to 64; about 32 for unrelated pictures, hardly ever fewer than 14.

    >>> distances(np.array([0b1011], np.uint64), np.array([0b0110], np.uint64)).tolist()
    [3]
    """
    return np.asarray(np.bitwise_count(first ^ second), np.uint8)


def hash_text(value: int) -> str:
    """As the store keeps it: 16 hexadecimal digits."""
    return f"{value:016x}"


def halved(pixels: NDArray[np.uint8], least: int) -> NDArray[np.uint8]:
    """A picture brought down by halves, each pixel the mean of four, to fewer than twice `least` pixels on its short side; never below `least`.

    A JPEG is decoded at a half, a quarter or an eighth of its size, so that whichever it was, the result is the same size.
    """
    while min(pixels.shape[:2]) >= 2 * least:
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
        pixels = np.asarray(cv2.resize(pixels[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return pixels


def _mask(bits: NDArray[np.bool_]) -> np.uint64:
    return np.uint64(int.from_bytes(np.packbits(bits).tobytes(), "big"))
