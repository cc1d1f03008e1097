"""All photos of a library in an order, without a query: what a gallery shows before anybody asks."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from search import matching_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .derived_pool import Opened
    from .state import Service

Sort: TypeAlias = Literal["date", "path", "quality", "rating"]
Direction: TypeAlias = Literal["asc", "desc"]
_KEYS: dict[Sort, str] = {"date": "images.taken_at", "path": "NULL", "quality": "mark.quality", "rating": "mark.rating"}
_NAME = "min(images.root || char(0) || images.path)"


def ordered(service: Service, opened: Opened, where: str | None, sort: Sort, direction: Direction) -> NDArray[np.int64]:
    """The numbers of the photos' vectors that meet a condition, in an order; kept for each state of the library.

    Photos without a date or score come last, whichever way the others go; equal ones are in the order of their names.

    Raises:
        FilterError: the condition is wrong.
    """
    database = opened.derived.database

    def every() -> NDArray[np.int64]:
        return _every(database, sort, direction)

    def some() -> NDArray[np.int64]:
        rows: NDArray[np.int64] = service.orders.get((opened.state, sort, direction), every)
        if where is None:
            return rows
        return rows[np.isin(rows, matching_vectors(database, where))]

    numbers: NDArray[np.int64] = some() if where is None else service.orders.get((opened.state, sort, direction, where), some)
    return numbers


def _every(database: sqlite3.Connection, sort: Sort, direction: Direction) -> NDArray[np.int64]:
    key, way = _KEYS[sort], "DESC" if direction == "desc" else "ASC"
    join = " LEFT JOIN marks.photos AS mark ON mark.digest = images.digest" if key.startswith("mark.") else ""
    by = f"ORDER BY name {way}" if sort == "path" else f"ORDER BY key IS NULL, key {way}, name"
    rows = database.execute(f"SELECT images.vector, {key} AS key, {_NAME} AS name FROM images{join} GROUP BY images.vector {by}")  # noqa: S608 (our names)
    return np.fromiter((row[0] for row in rows), np.int64)


def aspects(database: sqlite3.Connection, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Width by height of these photos, in hundredths, from 1 on."""
    if not len(numbers):
        return numbers
    rows = np.array(database.execute("SELECT vector, ifnull(width, 1), ifnull(height, 1) FROM images").fetchall(), np.int64)
    by_number = np.full(int(rows[:, 0].max()) + 1, 100, np.int64)
    by_number[rows[:, 0]] = np.maximum(1, np.rint(100 * rows[:, 1] / np.maximum(rows[:, 2], 1)))
    found: NDArray[np.int64] = by_number[numbers]
    return found
