"""Colours that people tell apart, also those who see fewer of them, and ink that can be read on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, 0-255, sRGB."""

# Okabe and Ito, "Color Universal Design", 2002 (revised 2008). Their black is left out: it hides what is dark.
OKABE_ITO: tuple[Colour, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
"""Orange, sky blue, bluish green, yellow, blue, vermillion, reddish purple."""

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

# What people with no red or no green cones see, in linear RGB: Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of
# Color Vision Deficiency", TVCG 2009, severity 1.0. Together they are 2 % of men; tritanopes are one in 10,000.
_VISIONS = np.array([
    np.eye(3),
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
])  # fmt: skip

# Linear RGB to OKLab, in which distances are as large as they look: Ottosson, "A perceptual color space for image processing", 2020.
_TO_CONES = np.array([
    [0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005],
])  # fmt: skip
_TO_LAB = np.array([
    [0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099], [0.0259040371, 0.7827717662, -0.8086757660],
])  # fmt: skip

_LEVELS = (*range(0, 256, 32), 255)  # of each channel, for generated colours
_LIGHTNESS, _CHROMA = (0.4, 0.92), 0.09  # neither near black or white, nor grey, in OKLab
# Distances wanted, in OKLab: the first that can be had. Okabe and Ito's own are at least 0.076 (normal, red-blind and green-blind sight); 21 labels keep
# 0.06, 34 keep 0.04; more than some 80 cannot all be told apart by anybody, but none are the same.
_APART = (0.12, 0.09, 0.06, 0.04, 0.02, 1e-6)


def colours_for(names: Sequence[str], taken: Iterable[Colour] = ()) -> list[Colour]:
    """A colour for each name: those of Okabe and Ito that are not taken, in their order; then, for each of the rest, `colour_for` it."""
    taken = list(taken)
    chosen = [colour for colour in OKABE_ITO if colour not in taken][: len(names)]
    nearest = _nearest([*taken, *chosen])
    for name in names[len(chosen) :]:
        chosen.append(_first(name, nearest))
        nearest = np.minimum(nearest, _nearest(chosen[-1:]))
    return chosen


def colour_for(name: str, taken: Iterable[Colour] = ()) -> Colour:
    """A colour for a name, always the same one for the same name and colours taken, on all machines.

    Candidates come in an order that the name decides; the first is chosen that is far enough from all taken ones in normal,
    red-blind and green-blind sight. With ever more taken, what is far enough shrinks; after more than 500, colours come again.
    """
    return _first(name, _nearest(list(taken)))


def contrast_ratio(a: Colour, b: Colour) -> float:
    """WCAG 2.2's contrast ratio, from 1 to 21; text needs 4.5.

    >>> round(contrast_ratio((255, 255, 255), (0, 0, 0)), 1)
    21.0
    """
    lighter, darker = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever is read better on the colour: the better of the two always reaches √21 = 4.58."""
    return max((BLACK, WHITE), key=lambda ink: contrast_ratio(ink, colour))


def hex_of(colour: Colour) -> str:
    """As in CSS.

    >>> hex_of((230, 159, 0))
    '#e69f00'
    """
    return "#" + bytes(colour).hex()


def _luminance(colour: Colour) -> float:
    return float(_linear(np.array(colour)) @ (0.2126, 0.7152, 0.0722))


def _linear(colours: NDArray[np.generic]) -> NDArray[np.float64]:
    values = np.asarray(colours, np.float64) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _seen(colours: NDArray[np.generic]) -> NDArray[np.float64]:
    """OKLab as each vision sees the colours, Float64["vision colour 3"]."""
    seen = np.einsum("vij,cj->vci", _VISIONS, _linear(colours)).clip(0, 1)
    return np.asarray(np.cbrt(seen @ _TO_CONES.T) @ _TO_LAB.T, np.float64)


@cache
def _candidates() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The colours of a lattice that can be generated, and how they are seen."""
    lattice = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij"), -1).reshape(-1, 3)
    seen = _seen(lattice)
    lightness, chroma = seen[0, :, 0], np.hypot(seen[0, :, 1], seen[0, :, 2])
    good = (lightness >= _LIGHTNESS[0]) & (lightness <= _LIGHTNESS[1]) & (chroma >= _CHROMA)
    return lattice[good], seen[:, good]


def _nearest(taken: Sequence[Colour]) -> NDArray[np.float64]:
    """Of each candidate, the distance to the nearest taken colour, in the sight in which that is least."""
    colours, seen = _candidates()
    if not taken:
        return np.full(len(colours), np.inf)
    others = _seen(np.array(taken))
    return np.asarray(np.linalg.norm(seen[:, :, None] - others[:, None], axis=-1).min((0, 2)), np.float64)


def _first(name: str, nearest: NDArray[np.float64]) -> Colour:
    """The first candidate, in the order that the name decides, of those that are far enough from what is taken."""
    order = np.argsort(_scrambled(name, len(nearest)), kind="stable")
    found = next((int(np.argmax(good)) for apart in _APART if (good := nearest[order] >= apart).any()), 0)
    red, green, blue = map(int, _candidates()[0][order[found]])
    return red, green, blue


def _scrambled(name: str, count: int) -> NDArray[np.uint64]:
    """Numbers that look random and are decided by the name: splitmix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014)."""
    seed = np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + seed
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return state ^ (state >> np.uint64(31))
