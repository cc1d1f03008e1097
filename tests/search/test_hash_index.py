"""Pairs of close hashes: all that comparing every pair gives."""

from __future__ import annotations

import numpy as np
import pytest

from preprocess import distances, turns
from search.hash_index import MOST_BITS, MOST_TURNED_BITS, close_hashes


def flipped(values: np.ndarray, bits: int, random: np.random.Generator) -> np.ndarray:
    out = values.copy()
    for at in range(len(out)):
        for bit in random.choice(64, bits, replace=False):
            out[at] ^= np.uint64(1) << np.uint64(bit)
    return out


def drawn(count: int, random: np.random.Generator) -> np.ndarray:
    return random.integers(1, 2**63, count, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_what_comparing_all_with_all_finds(seed: int) -> None:
    random = np.random.default_rng(seed)
    own = drawn(150, random)
    near = [flipped(own[:50], bits, random) for bits in (1, 5, MOST_BITS, MOST_BITS + 1)]
    turned = [flipped(turns(own[50:60])[turn], bits, random) for turn in (1, 5, 7) for bits in (0, MOST_TURNED_BITS)]
    hashes = np.unique(np.concatenate([own, *near, *turned]))
    apart = distances(turns(hashes)[:, :, None], hashes[None, None])
    close = (apart[0] <= MOST_BITS) | (apart[1:].min(0) <= MOST_TURNED_BITS)
    expected = {(a, b) for a, b in np.argwhere(close | close.T).tolist() if a < b}
    found = close_hashes(hashes)
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == expected
    assert len(expected) > 150


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_hashes_have_no_pairs(count: int) -> None:
    found = close_hashes(drawn(count, np.random.default_rng(0)))
    assert len(found.first) == len(found.second) == 0


def test_candidates_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    own = drawn(60, random)
    hashes = np.unique(np.concatenate([own, flipped(own, 2, random)]))
    whole = close_hashes(hashes)
    monkeypatch.setattr("search.hash_index._AT_ONCE", 3)
    parts = close_hashes(hashes)
    assert (whole.first.tolist(), whole.second.tolist()) == (parts.first.tolist(), parts.second.tolist())
    assert len(whole.first) >= 60
