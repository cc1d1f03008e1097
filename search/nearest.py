"""Nearest rows by cosine similarity. Every index in `INDEXES` passes `tests/search/test_nearest.py`, the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .encode import Vectors


class NearestIndex(Protocol):
    """Rows of unit vectors, numbered from 0, that can be asked for their nearest.

    `search` gives at most k (similarity, row) pairs a query, larger similarity first, equal ones by row; never a padding row.
    """

    def __len__(self) -> int: ...

    def search(self, queries: Vectors, k: int, among: NDArray[np.int64] | None = None) -> list[tuple[Vectors, NDArray[np.int64]]]:
        """The k nearest of each query, only among the given row numbers where there are any given."""
        ...

    def rows(self, numbers: NDArray[np.int64]) -> Vectors:
        """The stored rows, as Float32["number dim"]."""
        ...


class IndexKind(Protocol):
    """How an index is made and read back."""

    def write(self, vectors: NDArray[np.floating], file: Path, *more: NDArray[np.floating]) -> None:
        """Make an index of unit rows, those of `more` behind the first ones, and write it."""
        ...

    def read(self, file: Path) -> NearestIndex:
        """Open an index, memory-mapped where the kind allows it."""
        ...


def _flat() -> IndexKind:
    from ._faiss import FlatKind

    return FlatKind()


INDEXES: Mapping[str, Callable[[], IndexKind]] = {"flat": _flat}
