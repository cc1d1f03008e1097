"""`--where`: the photos for which a condition holds.

The condition is checked and rewritten first (see `condition`). Then an authorizer refuses everything but reading the listed columns and a few harmless
functions, so that it can neither change anything nor look elsewhere, whatever it says.
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

import numpy as np

from preprocess import FilterError

from .condition import Condition
from .condition_names import FUNCTIONS, NAMES, REGION_NAMES, SCORE_NAMES, explain

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIMEOUT_S = 20.0
LONGEST_BYTES = 1_000_000  # of any text on the way; the keywords of a photo have at most 400,000

_READABLE = {
    "images": {*NAMES, "vector", ""},
    "regions": {*REGION_NAMES, "region", "photo", ""},
    "photos": {*SCORE_NAMES, "photo", "digest", ""},
    "names": {"tag", "key", ""},
    "tagged": {"photo", "tag", ""},
    "extra": {"axis", "photo", "value", ""},
}
_JOIN = "JOIN regions AS region ON region.photo = images.vector"
_MARKS = " LEFT JOIN marks.photos AS mark ON mark.digest = images.digest"


def matching_vectors(database: sqlite3.Connection, where: str) -> NDArray[np.int64]:
    """Row numbers, ascending and each once, of the vectors that have at least one image for which `where` holds.

    Raises:
        FilterError: the expression is wrong, and the message names the columns; or it is about regions, and the library has none; or it finds nothing, and is about
            tags or scores that no photo has.
    """
    condition = Condition.parse(where)
    statement = f"SELECT DISTINCT images.vector FROM {_tables(condition)} WHERE ({condition.sql}) ORDER BY images.vector"  # noqa: S608 (confined)
    return _numbers(database, statement, where, condition)


def matching_regions(database: sqlite3.Connection, where: str) -> NDArray[np.int64] | None:
    """Row numbers, ascending and each once, of the vectors of those regions that meet the conditions on `region.` in `where`; none where it has no such
    condition outside of `count()`, so that all regions of the photos that it gives are as good.

    Raises:
        FilterError: as `matching_vectors`.
    """
    condition = Condition.parse(where)
    if not condition.joined:
        return None
    # "CROSS" and "+" keep to the order of the tables and to the index that holds all: through the one on `region`, a million rows take four times as long.
    tables = f"images{_MARKS if condition.axes else ''} CROSS {_JOIN}"
    statement = f"SELECT region.region FROM {tables} WHERE ({condition.sql}) AND +region.region IS NOT NULL"  # noqa: S608
    return np.unique(_numbers(database, statement, where, condition))


def row_statement(columns: str, where: str | None) -> str:
    """The statement that reads the images of one vector, whose number is its one parameter, each once; where there is a condition, which must have passed
    `matching_vectors`, only those for which it holds. `columns` are column names of `images`, in double quotes."""
    if where is None:
        return f"SELECT {columns} FROM images WHERE vector = ?"  # noqa: S608
    condition = Condition.parse(where, one=True)
    once = " GROUP BY images.rowid" if condition.joined else ""
    return f"SELECT {columns} FROM {_tables(condition)} WHERE images.vector = ? AND ({condition.sql}){once}"  # noqa: S608


def _tables(condition: Condition) -> str:
    """A photo without scores keeps its row, with nulls, and one without regions one row, whose region is null."""
    return f"images{_MARKS if condition.axes else ''}{f' LEFT {_JOIN}' if condition.joined else ''}"


def _numbers(database: sqlite3.Connection, statement: str, where: str, condition: Condition) -> NDArray[np.int64]:
    if condition.regions and not _has_regions(database):
        raise FilterError(f"--where {where!r} is about regions, and the library has none. Find them: pellucid index --regions builtin")
    found = _run(database, statement, where)
    if not found:
        _check_marks(database, where, condition)
    return np.array([row[0] for row in found], np.int64)


def _check_marks(database: sqlite3.Connection, where: str, condition: Condition) -> None:
    """That a condition finds nothing because there is nothing of the kind is worth an error, which no score above 0.9 is not."""
    if condition.tags and database.execute("SELECT 1 FROM marks.tagged LIMIT 1").fetchone() is None:
        raise FilterError(f"--where {where!r} is about tags, and no photo has one. Tag the photos: pellucid tag")
    scored = {axis for (axis,) in database.execute("SELECT axis FROM marks.axes")} if condition.axes else set()
    for axis in condition.axes:
        if axis not in scored:
            how = "Measure them: pellucid index" if axis.startswith("measured_") else "Score them: pellucid score"
            own = f" (there are {', '.join(sorted(scored))})" if scored and axis not in SCORE_NAMES else ""
            raise FilterError(f"--where {where!r} is about {axis!r}, on which no photo has a score{own}. {how}")


def _has_regions(database: sqlite3.Connection) -> bool:
    """Whether there is a region; a library that was made before there were any lacks the table."""
    if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'regions'").fetchone() is None:
        return False
    return database.execute("SELECT 1 FROM regions LIMIT 1").fetchone() is not None


def _run(database: sqlite3.Connection, statement: str, where: str) -> list[tuple[int]]:
    ends = time.monotonic() + TIMEOUT_S
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_BYTES)
    database.set_authorizer(_authorize)
    database.set_progress_handler(lambda: int(time.monotonic() > ends), 100_000)
    try:
        return database.execute(statement).fetchall()
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        if "interrupted" in str(error):
            raise FilterError(f"--where {where!r} took over {TIMEOUT_S:.0f} s and was stopped. Make it simpler.") from error
        raise FilterError(explain(where, str(error))) from error
    finally:
        database.set_authorizer(None)
        database.set_progress_handler(None, 0)


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    if action == sqlite3.SQLITE_SELECT:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ and second in _READABLE.get(first or "", ()):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and (second in FUNCTIONS or second == "count"):  # only `Condition` can have written a count
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
