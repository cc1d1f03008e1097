"""Exact search over float16 rows by FAISS, memory-mapped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from preprocess import LibraryDamaged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Vectors


ONE_THREAD_ROWS = 200_000
"""Below this one thread answers in a few milliseconds (100,000 rows of 256: 1.8 ms); more of them would wait for each other on a busy machine."""


class FlatIndex:
    """Every row is compared: exact up to the rounding of float16 (2^-11 relative a number)."""

    def __init__(self, index: Any) -> None:
        self._index = index

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, queries: Vectors, k: int, among: NDArray[np.int64] | None = None) -> list[tuple[Vectors, NDArray[np.int64]]]:
        """The k nearest rows of each query, Float32["query dim"]."""
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        total = len(self) if among is None else len(among)
        k = min(k, total)
        if k <= 0 or not len(queries):
            return [(np.zeros(0, np.float32), np.zeros(0, np.int64)) for _ in queries]
        faiss.omp_set_num_threads(1 if len(self) < ONE_THREAD_ROWS else os.cpu_count() or 1)
        params = None
        if among is not None:
            selector = faiss.IDSelectorBatch(np.ascontiguousarray(among, dtype=np.int64))
            params = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        wide = min(k + 1, total)
        similarities, numbers = self._index.search(queries, wide, params=params)
        while (
            wide < total and (similarities[:, k - 1] <= similarities[:, -1]).any()
        ):  # a tie reaches over the end, where FAISS takes any of it
            wide = min(2 * wide, total)
            similarities, numbers = self._index.search(queries, wide, params=params)
        out = []
        for row, ids in zip(similarities, numbers, strict=True):
            real = ids >= 0  # FAISS pads with -1
            order = np.lexsort((ids[real], -row[real]))[:k]
            out.append((row[real][order], ids[real][order]))
        return out

    def rows(self, numbers: NDArray[np.int64]) -> Vectors:
        """The stored rows, as Float32["number dim"]."""
        numbers = np.ascontiguousarray(numbers, dtype=np.int64)
        if not len(numbers):
            return np.zeros((0, self._index.d), np.float32)
        return np.asarray(self._index.reconstruct_batch(numbers), dtype=np.float32)


class FlatKind:
    """Makes and opens `FlatIndex` files."""

    def write(self, vectors: NDArray[np.floating], file: Path, *more: NDArray[np.floating]) -> None:
        """Write unit rows as float16; two bytes a number. In parts, as all rows in one array would be another gigabyte for a million of 512."""
        index = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        index.train(np.zeros((1, vectors.shape[1]), np.float32))
        for rows in (vectors, *more):
            for at in range(0, len(rows), 2048):
                index.add(np.ascontiguousarray(rows[at : at + 2048], dtype=np.float32))
        faiss.write_index(index, str(file))

    def read(self, file: Path) -> FlatIndex:
        """Open without reading the rows into memory.

        Raises:
            LibraryDamaged: the file is missing or damaged.
        """
        try:
            return FlatIndex(faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC))
        except RuntimeError as error:
            raise LibraryDamaged(f"The nearest index {file} does not open. Rebuild it: pellucid compact") from error
