"""Each vector's nearest others, for all vectors of a library at once, by FAISS."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import faiss
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Vectors

EXACT_ROWS = 4_096
"""Up to so many, all are compared with all; more are sorted into cells first."""

CELLS, LOOKED_AT = 2.0, 8
"""Cells per square root of the number of rows, and in how many of them each row's neighbours are looked for."""

_PART = 2_048


def nearest_pairs(
    rows: Callable[[NDArray[np.int64]], Vectors], count: int, dim: int, k: int, on_progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:  # fmt: skip
    """The numbers of vectors, and of their k nearest others, in parts; `rows` gives unit rows by number, Float32["number dim"].

    With more than `EXACT_ROWS`, an inverted file of 2√n cells, of which each row is looked for in the nearest 8, so that the work grows with n^1.5.
    """
    if count < 2:
        return
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    index = _index(rows, count, dim)
    for at in range(0, count, _PART):
        numbers = np.arange(at, min(at + _PART, count))
        _, found = index.search(np.ascontiguousarray(rows(numbers)), min(k + 1, count))
        first = np.repeat(numbers, found.shape[1])
        second = found.ravel().astype(np.int64)
        good = (second >= 0) & (second != first)  # FAISS pads with -1
        yield first[good], second[good]
        on_progress(int(numbers[-1]) + 1, count)


def _index(rows: Callable[[NDArray[np.int64]], Vectors], count: int, dim: int) -> faiss.Index:
    if count <= EXACT_ROWS:
        index: faiss.Index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        index.train(np.zeros((1, dim), np.float32))
    else:
        cells = round(CELLS * math.sqrt(count))
        coarse = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFScalarQuantizer(coarse, dim, cells, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False)
        index.cp.niter, index.cp.seed, index.cp.spherical, index.cp.min_points_per_centroid = 5, 0, True, 1
        some = np.sort(np.random.default_rng(0).choice(count, min(count, 48 * cells), replace=False))
        index.train(np.ascontiguousarray(rows(some)))
        index.nprobe = LOOKED_AT
    for at in range(0, count, _PART):
        index.add(np.ascontiguousarray(rows(np.arange(at, min(at + _PART, count)))))
    return index
