"""Pairs of perceptual hashes that differ in a few bits, found without comparing all with all.

Multi-index hashing (Norouzi, Punjani, Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012): 64 bits are cut into four bands of 16. Of two hashes that
differ in at most 11 bits, some band differs in at most two, so each band is looked up as it is, with each bit flipped, and with each two. What is found so is compared whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from preprocess import distances, turns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from preprocess import Hashes

BANDS, WIDTH = 4, 16
MOST_BITS, MOST_TURNED_BITS = 11, 7
"""Pairs that differ in more are not looked for: 4 × 2 + 3 for pictures as they are, 4 × 1 + 3 for those that were mirrored or turned as well."""

_AT_ONCE = 4_000_000  # candidates in memory: two numbers of 8 bytes each
# Neighbouring frequencies go into different bands, so that none has all the strong ones.
_ORDER = np.arange(64).reshape(WIDTH, BANDS).T.ravel()


@dataclass(frozen=True, slots=True)
class HashPairs:
    """Pairs of photos in columns: numbers, Int64["pair"], the first below the second; each pair may come more than once."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]


def close_hashes(hashes: Hashes) -> HashPairs:
    """The pairs of hashes, each of which should be there only once, that differ in at most `MOST_BITS`, or once mirrored or turned in at most `MOST_TURNED_BITS`.

    100,000 take some seconds. Each band has 65,536 values, so that the work grows with the number of hashes, until it is several times that.
    """
    tables = [_Band(keys) for keys in _bands(hashes)]
    parts = list(_found(hashes, hashes, tables, flips=2, most=MOST_BITS))
    for turned in turns(hashes)[1:]:
        parts += _found(turned, hashes, tables, flips=1, most=MOST_TURNED_BITS)
    if not parts:
        return HashPairs(np.zeros(0, np.int64), np.zeros(0, np.int64))
    keys = np.unique(np.concatenate(parts))
    return HashPairs(keys // len(hashes), keys % len(hashes))


class _Band:
    """The hashes by the value of one band: those with value k are `members[starts[k]:starts[k + 1]]`."""

    def __init__(self, keys: NDArray[np.uint16]) -> None:
        self.members = np.argsort(keys, kind="stable")
        self.counts = np.bincount(keys, minlength=1 << WIDTH)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])

    def members_of(self, keys: NDArray[np.uint16]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Numbers of keys, and of the hashes that have this key, some at a time."""
        counts = self.counts[keys]
        (some,) = np.nonzero(counts)
        ends = np.cumsum(counts[some])
        at = 0
        while at < len(some):
            before = int(ends[at - 1]) if at else 0
            to = max(at + 1, int(np.searchsorted(ends, before + _AT_ONCE, side="right")))
            part, many = some[at:to], counts[some[at:to]]
            asked = np.repeat(part, many)
            places = np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many, many) + np.repeat(self.starts[keys[part]], many)
            yield asked, self.members[places]
            at = to


def _found(asked: Hashes, hashes: Hashes, tables: list[_Band], flips: int, most: int) -> Iterator[NDArray[np.int64]]:
    """Of pairs that are close, the smaller number times how many hashes there are, plus the larger one."""
    count = len(hashes)
    for keys, table in zip(_bands(asked), tables, strict=True):
        for mask in _masks(flips):
            for one, other in table.members_of(keys ^ mask):
                apart = one != other if asked is not hashes else one < other
                one, other = one[apart], other[apart]
                near = distances(asked[one], hashes[other]) <= most
                one, other = one[near], other[near]
                if len(one):
                    yield np.unique(np.minimum(one, other) * count + np.maximum(one, other))


def _masks(flips: int) -> list[np.uint16]:
    """All numbers of 16 bits that have at most so many."""
    return [np.uint16(sum(1 << bit for bit in bits)) for many in range(flips + 1) for bits in combinations(range(WIDTH), many)]


def _bands(hashes: Hashes) -> NDArray[np.uint16]:
    """The bands of hashes, UInt16["band photo"]."""
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1)
    packed = np.packbits(np.ascontiguousarray(bits[:, _ORDER]), axis=1)
    return np.ascontiguousarray(packed.view(np.uint16).T)
