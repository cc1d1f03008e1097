"""Pairs of photos that show the same picture: their perceptual hashes and their vectors must agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from preprocess import distances, turns

from .hash_index import close_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from preprocess import Hashes

    from .encode import Vectors

CUTS = ((6, 0.0), (8, 0.35), (10, 0.55), (12, 0.75), (14, 0.85), (16, 0.9), (18, 0.95))
"""Bits in which hashes may differ, and how alike the vectors must be then: 0 as any two photos of the library are on average, 1 the same.

The closer the hashes, the less the vectors have to say, and the other way round. No pair of 1,400 different photos is within (979,300 pairs); the last rows were made stricter, at
the cost of crops by a fifth, because clothes, shoes and cars photographed alike on white came out as copies (see docs/duplicates.md)."""

TURNED_BITS = 5
"""What a mirrored or turned pair needs to be closer by: there are seven such ways, and one to be as it is."""

FLAT_CUT = 0.98
"""For two photos without any detail, whose hashes say nothing."""

NEIGHBOURS = 16
"""How many of a photo's nearest by vector are compared with it by hash."""

TYPICAL_SIMILARITY, TYPICAL_PHOTOS = 0.1, 200
"""Mean similarity of two photos, and how many photos it counts for: in a small library of one scene, all are alike."""

_MANY = 16  # photos of one hash, above which only so many are compared with those of another hash
_PART = 65_536

Rows = Callable[["NDArray[np.int64]"], "Vectors"]


@dataclass(frozen=True, slots=True)
class NearPairs:
    """Pairs of photos in columns, each once: their numbers, the first below the second, Int64["pair"]; the bits in which their hashes differ and how the second is
    turned, by its number in `preprocess.TURNS`, UInt8["pair"]; and the cosine similarity of their vectors, Float32["pair"]."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    bits: NDArray[np.uint8]
    turn: NDArray[np.uint8]
    similarity: Vectors

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is compared: a hash and a unit row for each photo, UInt64["photo"] and by number Float32["number dim"]; `alike` is the mean similarity of two."""

    hashes: Hashes
    rows: Rows
    dim: int
    alike: float

    def compared(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NearPairs:
        """Bits, turn and similarity of these pairs."""
        bits, turn = np.zeros(len(first), np.uint8), np.zeros(len(first), np.uint8)
        similarity = np.zeros(len(first), np.float32)
        for at in range(0, len(first), _PART):
            here = slice(at, at + _PART)
            apart = distances(turns(self.hashes[first[here]]), self.hashes[second[here]][None])
            fair = apart.astype(np.int16) + TURNED_BITS * (np.arange(len(apart)) > 0)[:, None]
            turn[here] = fair.argmin(0)
            bits[here] = np.take_along_axis(apart, turn[here][None].astype(np.int64), 0)[0]
            numbers, places = np.unique(np.concatenate([first[here], second[here]]), return_inverse=True)
            rows, half = self.rows(numbers), len(places) // 2
            for start in range(0, half, 8192):
                one, other = rows[places[start : min(start + 8192, half)]], rows[places[half + start : half + min(start + 8192, half)]]
                similarity[at + start : at + start + len(one)] = np.einsum("ij,ij->i", one, other)
        return NearPairs(first, second, bits, turn, similarity)

    def agree(self, pairs: NearPairs) -> NDArray[np.bool_]:
        """Which of the pairs show the same picture."""
        alike = (pairs.similarity - self.alike) / (1 - self.alike)
        bits = pairs.bits.astype(np.int16) + TURNED_BITS * (pairs.turn > 0)
        wanted = np.full(len(pairs), np.inf, np.float32)
        for most, cut in reversed(CUTS):
            wanted[bits <= most] = cut
        flat = (self.hashes[pairs.first] == 0).astype(np.int8) + (self.hashes[pairs.second] == 0)
        wanted[flat == 1], wanted[flat == 2] = np.inf, FLAT_CUT
        return np.asarray(alike >= wanted, np.bool_)


def mean_similarity(count: int, mean: Vectors) -> float:
    """Mean cosine similarity of two different photos, from the mean of all vectors, Float32["dim"]; drawn towards a typical value where photos are few."""
    if count < 2:
        return TYPICAL_SIMILARITY
    between = (count * float(mean @ mean) - 1) / (count - 1)
    steadied = (count * between + TYPICAL_PHOTOS * TYPICAL_SIMILARITY) / (count + TYPICAL_PHOTOS)
    return float(np.clip(steadied, -0.5, 0.9))


def near_pairs(pictures: Pictures, on_progress: Callable[[int, int], None] = lambda _done, _total: None) -> NearPairs:
    """The pairs of photos that show the same picture, sorted.

    Candidates are pairs of close hashes, and each photo's `NEIGHBOURS` nearest by vector, so that the work grows far more slowly than the number of pairs.
    """
    from ._vector_pairs import nearest_pairs

    count = len(pictures.hashes)
    if count < 2:
        none = np.zeros(0, np.int64)
        return pictures.compared(none, none)
    keys: list[NDArray[np.int64]] = []
    for first, second in _by_hash(pictures.hashes):
        keys += _agreeing(pictures, first, second)
    for first, second in nearest_pairs(pictures.rows, count, pictures.dim, NEIGHBOURS, on_progress):
        keys += _agreeing(pictures, np.minimum(first, second), np.maximum(first, second))
    merged = np.unique(np.concatenate(keys)) if keys else np.zeros(0, np.int64)
    return pictures.compared(merged // count, merged % count)


def _agreeing(pictures: Pictures, first: NDArray[np.int64], second: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Of the pairs that agree, the first number times how many photos there are, plus the second."""
    compared = pictures.compared(first, second)
    good = pictures.agree(compared)
    if good.any():
        yield first[good] * len(pictures.hashes) + second[good]


def _by_hash(hashes: Hashes) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of photos with close hashes. Flat ones are left to their vectors; so are most of those that share a hash with very many."""
    values, owner = np.unique(hashes, return_inverse=True)
    order = np.argsort(owner, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(owner, minlength=len(values)))[:-1])
    same = [group[:_MANY] for value, group in zip(values, members, strict=True) if len(group) > 1 and value != 0]
    places = [np.triu_indices(len(group), 1) for group in same]
    if same:
        yield from _ordered(np.concatenate([g[a] for g, (a, _) in zip(same, places, strict=True)]), np.concatenate([g[b] for g, (_, b) in zip(same, places, strict=True)]))  # fmt: skip
    kept = np.nonzero(values != 0)[0]
    pairs = close_hashes(values[kept])
    one, other = kept[pairs.first], kept[pairs.second]
    counts = np.array([len(group) for group in members])
    single = (counts[one] == 1) & (counts[other] == 1)
    firsts = np.array([group[0] for group in members], np.int64)
    yield from _ordered(firsts[one[single]], firsts[other[single]])
    for a, b in zip(one[~single].tolist(), other[~single].tolist(), strict=True):
        left, right = members[a][:_MANY], members[b][:_MANY]
        yield from _ordered(np.repeat(left, len(right)), np.tile(right, len(left)))


def _ordered(first: NDArray[np.int64], second: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    if len(first):
        yield np.minimum(first, second), np.maximum(first, second)
