from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.tiles import padded_length, tiled
from preprocess import InputError


@given(length=st.integers(1, 900), tile=st.integers(2, 200), share=st.floats(0, 0.99))
def test_tiles_cover_everything_and_their_weights_add_up_to_one(length: int, tile: int, share: float) -> None:
    overlap = int(share * tile)
    axis = tiled(length, tile, overlap)
    total, seen = np.zeros(length), np.zeros(length, int)
    for start, weights in zip(axis.starts, axis.weights, strict=True):
        total[start : start + axis.tile] += weights
        seen[start : start + axis.tile] += 1
    assert seen.min() >= 1
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert axis.starts[0] == 0
    assert axis.starts[-1] + axis.tile == length
    assert sum(axis.steps) == length
    assert axis.weights.min() >= 0
    shared = [before + axis.tile - start for before, start in zip(axis.starts, axis.starts[1:], strict=False)]
    assert all(pixels >= overlap for pixels in shared)


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "starts"),
    [
        (1, 8, 2, (0,)),
        (8, 8, 2, (0,)),
        (9, 8, 2, (0, 1)),
        (14, 8, 2, (0, 6)),
        (15, 8, 2, (0, 4, 7)),
        (24, 8, 0, (0, 8, 16)),
        (4000, 768, 96, (0, 646, 1293, 1939, 2586, 3232)),
    ],
)
def test_as_few_tiles_as_cover_the_length(length: int, tile: int, overlap: int, starts: tuple[int, ...]) -> None:
    assert tiled(length, tile, overlap).starts == starts


def test_one_tile_fades_into_the_next_without_a_step() -> None:
    first, second = tiled(1000, 600, 200).weights
    faded = first[400:]
    assert faded[0] > 0.99  # the next one has just begun
    assert faded[-1] < 0.01
    assert np.all(np.diff(faded) < 0)
    assert np.abs(np.diff(faded)).max() < 0.02  # a straight line over 200 pixels would have steps of 0.005
    np.testing.assert_allclose(second[:200], 1 - faded, atol=1e-6)


@pytest.mark.parametrize(("length", "tile", "overlap"), [(0, 8, 2), (10, 8, 8), (10, 0, 0), (10, 8, -1)])
def test_impossible_tiles_are_refused(length: int, tile: int, overlap: int) -> None:
    with pytest.raises(InputError, match="cannot cover"):
        tiled(length, tile, overlap)


@pytest.mark.parametrize(
    ("length", "stride", "least", "padded"), [(1, 8, 1, 8), (8, 8, 1, 8), (9, 8, 1, 16), (3, 16, 64, 64), (70, 32, 64, 96), (5, 1, 1, 5)]
)
def test_lengths_are_padded_to_the_stride(length: int, stride: int, least: int, padded: int) -> None:
    assert padded_length(length, stride, least) == padded
