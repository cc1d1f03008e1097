"""Masks and their run-length encoding: exact both ways, and as COCO's own code has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from annotate.masks import (
    decode_box,
    decode_mask,
    encode_mask,
    encode_piece,
    intersection_over_union,
    mask_area,
    mask_box,
    resize_mask,
    rle_of,
    runs_of,
)
from annotate.region import Rle
from preprocess import InputError

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)
MASKS = hnp.arrays(np.bool_, SHAPES, fill=st.booleans())
few = settings(max_examples=60, deadline=None)

EDGES = {
    "one pixel outside": np.zeros((1, 1), bool),
    "one pixel inside": np.ones((1, 1), bool),
    "empty": np.zeros((5, 7), bool),
    "full": np.ones((5, 7), bool),
    "a row": np.array([[True, False, False, True, True]]),
    "a column": np.array([[False], [True], [True], [False]]),
    "touching corners": np.array([[True, False], [False, True]]),
    "the other corners": np.array([[False, True], [True, False]]),
    "chessboard": np.indices((7, 6)).sum(0) % 2 == 0,
    "last pixel": np.arange(35).reshape(5, 7) == 34,
}


@pytest.fixture(scope="module")
def coco() -> Any:
    return pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")


def spots(height: int, width: int, seed: int = 0) -> Any:
    """Irregular parts with holes, such as segmenters make."""
    import cv2

    noise = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 3) > 0.5


@pytest.mark.parametrize("mask", EDGES.values(), ids=EDGES)
def test_edges_come_back(mask: Any) -> None:
    rle = encode_mask(mask)
    assert rle.size_hw == mask.shape
    np.testing.assert_array_equal(decode_mask(rle), mask)
    assert decode_mask(rle).dtype == np.bool_


@few
@given(MASKS)
def test_every_mask_comes_back(mask: Any) -> None:
    rle = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(rle), mask)
    assert rle_of(runs_of(rle), rle.size_hw) == rle


@few
@given(MASKS)
def test_area_and_box_are_those_of_the_pixels(mask: Any) -> None:
    rle = encode_mask(mask)
    rows, columns = np.nonzero(mask)
    assert mask_area(rle) == len(rows)
    expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None
    assert mask_box(rle) == expected


@few
@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 4))
def test_runs_come_back_but_for_empty_ones(runs: list[int], height: int) -> None:
    runs = [*runs, height - sum(runs) % height]
    rle = rle_of(runs, (height, sum(runs) // height))
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    np.testing.assert_array_equal(decode_mask(rle).T.ravel(), flat)
    assert rle == encode_mask(decode_mask(rle))
    assert (runs_of(rle)[1:] > 0).all()


@few
@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), MASKS)
def test_a_piece_lies_where_it_is_put(left: int, top: int, right: int, bottom: int, piece: Any) -> None:
    whole = np.pad(piece, ((top, bottom), (left, right)))
    assert encode_piece(piece, (left, top), whole.shape) == encode_mask(whole)


@pytest.mark.parametrize("corner", [(-1, 0), (0, -1), (4, 0), (0, 3)])
def test_a_piece_must_lie_within(corner: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="does not lie within"):
        encode_piece(np.ones((2, 2), bool), corner, (4, 5))


@few
@given(SHAPES.flatmap(lambda shape: st.tuples(*[hnp.arrays(np.bool_, shape, fill=st.booleans())] * 2)))
def test_intersection_over_union(pair: tuple[Any, Any]) -> None:
    a, b = pair
    union = (a | b).sum()
    expected = (a & b).sum() / union if union else 0
    assert intersection_over_union(encode_mask(a), encode_mask(b)) == pytest.approx(expected)
    assert intersection_over_union(encode_mask(b), encode_mask(a)) == pytest.approx(expected)


def test_empty_runs_in_files_of_others_do_not_disturb() -> None:
    odd = Rle((1, 5), b"2012")  # 2 outside, 0 inside, 1 outside, 2 inside: the last is written as what it is more than the one before it
    same = encode_mask(np.array([[False, False, False, True, True]]))
    assert runs_of(odd).tolist() == [2, 0, 1, 2]
    assert intersection_over_union(odd, same) == 1
    assert mask_box(odd) == mask_box(same) == (3, 0, 5, 1)
    assert resize_mask(odd, (2, 5)) == resize_mask(same, (2, 5))


@few
@given(MASKS, st.integers(1, 30), st.integers(1, 30))
def test_resizing_takes_the_pixel_at_the_middle(mask: Any, height: int, width: int) -> None:
    small = decode_mask(resize_mask(encode_mask(mask), (height, width)))
    rows = [int((row + 0.5) * mask.shape[0] / height + 1e-9) for row in range(height)]
    columns = [int((column + 0.5) * mask.shape[1] / width + 1e-9) for column in range(width)]
    np.testing.assert_array_equal(small, mask[np.ix_(rows, columns)])


@few
@given(MASKS, st.data())
def test_a_box_of_a_mask(mask: Any, data: st.DataObject) -> None:
    left, right = sorted(data.draw(st.tuples(*[st.integers(0, mask.shape[1])] * 2).filter(lambda pair: pair[0] != pair[1])))
    top, bottom = sorted(data.draw(st.tuples(*[st.integers(0, mask.shape[0])] * 2).filter(lambda pair: pair[0] != pair[1])))
    np.testing.assert_array_equal(decode_box(encode_mask(mask), (left, top, right, bottom)), mask[top:bottom, left:right])


@pytest.mark.parametrize("box", [(-1, 0, 2, 2), (0, 0, 4, 2), (0, 0, 2, 3), (1, 1, 1, 2), (0, 2, 2, 1)])
def test_a_box_must_lie_within(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(InputError, match="does not lie within"):
        decode_box(encode_mask(np.ones((2, 3), bool)), box)


@few
@given(MASKS, st.sampled_from([1, 3, 5]))
def test_enlarging_and_reducing_are_inverse(mask: Any, factor: int) -> None:
    rle = encode_mask(mask)
    large = resize_mask(rle, (mask.shape[0] * factor, mask.shape[1] * factor))
    assert mask_area(large) == mask_area(rle) * factor**2
    assert resize_mask(large, rle.size_hw) == rle


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # within pycocotools' decode
@pytest.mark.parametrize("mask", [*EDGES.values(), spots(211, 317), spots(1, 3000), spots(3000, 1)])
def test_as_pycocotools_has_it(coco: Any, mask: Any) -> None:
    theirs = coco.encode(np.asfortranarray(mask.view(np.uint8)))
    ours = encode_mask(mask)
    assert ours.counts == theirs["counts"]
    assert list(ours.size_hw) == theirs["size"]
    np.testing.assert_array_equal(coco.decode({"size": list(ours.size_hw), "counts": ours.counts}), mask)
    assert mask_area(ours) == coco.area(theirs)
    left, top, right, bottom = mask_box(ours) or (0, 0, 0, 0)
    assert coco.toBbox(theirs).tolist() == [left, top, right - left, bottom - top]
    other = np.roll(mask, 2, axis=1)
    expected = coco.iou([theirs], [coco.encode(np.asfortranarray(other.view(np.uint8)))], [0])[0, 0]
    assert intersection_over_union(ours, encode_mask(other)) == pytest.approx(expected)


def test_long_runs_as_pycocotools_has_them(coco: Any) -> None:
    """Differences of all lengths, with both signs: 1 to 5 characters a number."""
    runs = [3, 1, 700_000, 2, 40, 90_000, 15, 16, 17, 1, 31, 32, 33, 512, 4, 1_048_576, 1, 1]
    size = (1, sum(runs))
    theirs = coco.frPyObjects({"size": list(size), "counts": runs}, *size)
    assert rle_of(runs, size).counts == theirs["counts"]
    assert runs_of(Rle(size, theirs["counts"])).tolist() == runs


@pytest.mark.parametrize(
    ("rle", "words"),
    [
        (Rle((2, 2), b""), "cut off"),
        (Rle((2, 2), b"1s"), "do not belong"),
        (Rle((2, 2), b"1 3"), "do not belong"),
        (Rle((2, 2), "1\u00e9".encode()), "do not belong"),
        (Rle((2, 2), b"1T"), "cut off"),
        (Rle((2, 2), b"12"), "do not fill"),
        (Rle((2, 2), b"13" + b"0O"), "do not fill"),
        (Rle((0, 4), b"0"), "do not fill"),
        (Rle((2, 2), b"o" * 20 + b"0"), "longer than any picture"),
        (Rle((1 << 20, 1 << 20), b"o" * 7 + b"?"), "do not fill"),
    ],
)
def test_damaged_encodings_are_refused(rle: Rle, words: str) -> None:
    with pytest.raises(InputError, match=words):
        decode_mask(rle)


@few
@given(st.binary(max_size=40), SHAPES)
def test_no_bytes_are_decoded_to_a_wrong_size(counts: bytes, size: tuple[int, int]) -> None:
    try:
        mask = decode_mask(Rle(size, counts))
    except InputError:
        return
    assert mask.shape == size


@pytest.mark.parametrize("mask", [np.zeros((3, 4), np.uint8), np.zeros((3, 4, 1), bool), np.zeros((0, 4), bool), np.zeros(4, bool)])
def test_what_is_no_mask(mask: Any) -> None:
    with pytest.raises(InputError, match="A mask is boolean"):
        encode_mask(mask)


@pytest.mark.parametrize("runs", [[1, 2], [5, -1], [2.0, 2.0], [[4]], [], ["4"]])
def test_what_are_no_runs(runs: Any) -> None:
    with pytest.raises(InputError, match="add up"):
        rle_of(runs, (2, 2))


def test_sizes_must_fit() -> None:
    one, other = encode_mask(np.ones((2, 3), bool)), encode_mask(np.ones((3, 2), bool))
    with pytest.raises(InputError, match="resize_mask"):
        intersection_over_union(one, other)
    with pytest.raises(InputError, match="at least 1 pixel"):
        resize_mask(one, (0, 3))


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_does_not_matter(order: Any) -> None:
    mask = spots(40, 60)
    assert encode_mask(np.array(mask, order=order)) == encode_mask(mask)
    assert encode_mask(np.pad(mask, 3)[3:-3, 3:-3]) == encode_mask(mask)
