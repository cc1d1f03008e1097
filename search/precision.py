"""int8 or fp32? Measured on somebody's own photos before any vector is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from preprocess import InputError, PellucidError

from .encode import ENCODERS, EncoderOptions, load_encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from preprocess import RgbImage

    from ._onnx_clip import OnnxEncoder
    from .encode import Prepared, Vectors

LEAST_OVERLAP = 0.95
LEAST_SPEEDUP = 1.1
MOST_PHOTOS, LEAST_PHOTOS = 64, 11
NEIGHBOURS = 10


@dataclass(frozen=True, slots=True)
class Decision:
    """The precision to use and why, in one line. What was not measured is none.

    `mean_cosine` is between int8 and fp32 vectors of one photo; `overlap` in [0, 1] is the share of a photo's `neighbours` nearest in fp32
    that are its nearest in int8 too; `speedup` is int8's photos a second over fp32's.
    """

    precision: str
    line: str
    photos: int = 0
    neighbours: int = 0
    mean_cosine: float | None = None
    overlap: float | None = None
    speedup: float | None = None


def choose_precision(name: str, photos: Sequence[RgbImage], options: EncoderOptions) -> Decision:
    """The precision that `options` asks for, or, for none or "auto", the one that stands the test on `photos`.

    The int8 graph is made, kept in the model's folder, and compared with fp32 on the first 64 photos, those that look the same counted
    once. It is used where its neighbours overlap by at least 95% and it is at least 1.1 times as fast on this machine. Encoders with one
    precision have that one.

    Raises:
        UnknownName: no encoder has this name.
        WeightsError: its files are missing or damaged, or int8 was asked for and cannot be made.
        InputError: a precision was asked for that the model does not have.
    """
    from ._onnx_clip import OnnxEncoder

    asked = None if options.precision == "auto" else options.precision
    own = load_encoder(name, replace(options, precision="int8" if asked == "int8" else None))  # which has a say in the runtime
    if name in ENCODERS or type(own) is not OnnxEncoder or (own.model.precision != "fp32" and asked in (None, own.model.precision)):
        return Decision(own.recipe.precision, f"{own.recipe.precision}: {name} has no other precision here.")
    if own.model.precision != "fp32":
        raise InputError(f"{name} is {own.model.precision} itself and has no other precision. Leave --precision at auto.")
    if asked is not None:
        if asked == "int8":
            _make_int8(own)
        return Decision(asked, f"{asked}: as asked for.")
    prepared = distinct([own.prepare(pixels) for pixels in photos[:MOST_PHOTOS]])
    if len(prepared) < LEAST_PHOTOS:
        different = f"{len(prepared)} different {'photo' if len(prepared) == 1 else 'photos'}"
        return Decision("fp32", f"int8 is measured on at least {LEAST_PHOTOS} photos, and here are {different}; fp32 kept.", len(prepared))
    try:
        _make_int8(own)
        int8 = OnnxEncoder(own.folder, replace(options, precision="int8"))
        return _decided(prepared, own, int8)
    except PellucidError as error:  # a folder that cannot be written, a full disk, a graph that the tool does not take
        return Decision("fp32", f"int8 could not be tried; fp32 kept. {error}", len(prepared))


def _make_int8(encoder: OnnxEncoder) -> None:
    from ._quantize import make_int8

    make_int8(encoder.folder)


def _decided(prepared: Sequence[Prepared], fp32: OnnxEncoder, int8: OnnxEncoder) -> Decision:
    exact, rough, speedup = side_by_side(prepared, fp32, int8)
    count = neighbours_of(len(prepared))
    cosine, overlap = float((exact * rough).sum(1).mean()), neighbour_overlap(exact, rough, count)
    facts = f"int8: mean cosine {cosine:.4f}, {count} nearest neighbours overlap {np.floor(overlap * 100):.0f}% on {len(prepared)} of your photos"
    if not overlap >= LEAST_OVERLAP:
        precision, line = "fp32", f"{facts}, less than {LEAST_OVERLAP:.0%}; fp32 kept."
    elif not speedup >= LEAST_SPEEDUP:
        precision, line = "fp32", f"{facts}, but {speedup:.2f} times fp32's speed on this machine; fp32 kept."
    else:
        precision, line = "int8", f"{facts}, {speedup:.1f} times as fast; used."
    return Decision(precision, line, len(prepared), count, cosine, overlap, speedup)


def distinct(prepared: Sequence[Prepared]) -> list[Prepared]:
    """Without squares that are the same as an earlier one: a copy is a neighbour in any precision."""
    return list({square.tobytes(): square for square in prepared}.values())


def neighbours_of(photos: int) -> int:
    """How many neighbours to compare: 10, but at most a quarter of the others. Any ten of eleven photos overlap by chance."""
    return min(NEIGHBOURS, (photos - 1) // 4)


def neighbour_overlap(exact: Vectors, rough: Vectors, count: int) -> float:
    """Mean share of each row's `count` nearest in Float32["photo dim"] `exact` that are among its nearest in `rough` too, in [0, 1]; a row is
    not its own neighbour. 0 where a row is not finite.

    >>> rows = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], np.float32)
    >>> neighbour_overlap(rows, rows, 1), neighbour_overlap(rows, rows[[0, 2, 1, 3]], 1)
    (1.0, 0.0)
    """
    if not (np.isfinite(exact).all() and np.isfinite(rough).all()):
        return 0.0
    nearest = [nearest_others(rows, count).tolist() for rows in (exact, rough)]
    shared = [len(set(a) & set(b)) for a, b in zip(*nearest, strict=True)]
    return sum(shared) / (count * len(shared))


def nearest_others(rows: Vectors, count: int) -> NDArray[np.int64]:
    """Numbers of the `count` nearest other rows of each of Float32["row dim"], Int64["row count"], nearest first; equal ones by number."""
    found = []
    for start in range(0, len(rows), 1024):
        at = np.arange(start, min(start + 1024, len(rows)))
        similarities = rows[at] @ rows.T
        similarities[np.arange(len(at)), at] = -np.inf
        found.append(np.argsort(-similarities, axis=1, kind="stable")[:, :count])
    return np.concatenate(found)


def side_by_side(prepared: Sequence[Prepared], first: OnnxEncoder, second: OnnxEncoder) -> tuple[Vectors, Vectors, float]:
    """Rows of both encoders, and how many times as fast the second is.

    They take turns, and the fastest turn of each counts, so that what else the machine does hits both. Loading is not counted.
    """
    encoders = (first, second)
    for encoder in encoders:
        encoder.encode_images(prepared[:1])  # loads the tower
    turn = max(1, -(-len(prepared) // 4))
    rows: tuple[list[Vectors], list[Vectors]] = ([], [])
    fastest = [float("inf"), float("inf")]
    for at in range(0, len(prepared), turn):
        part = prepared[at : at + turn]
        for which, encoder in enumerate(encoders):
            start = time.perf_counter()
            rows[which].append(encoder.encode_images(part))
            fastest[which] = min(fastest[which], (time.perf_counter() - start) / len(part))
    return np.concatenate(rows[0]), np.concatenate(rows[1]), fastest[0] / fastest[1]
