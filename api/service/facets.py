"""What a library can be filtered by: counts over all photos that meet a condition, by SQL over the open cache."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from search import matching_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .derived_pool import Opened
    from .state import Service

MOST_VALUES = 200
"""Values of a facet that are named; those with most photos."""
NO_FACETS: Mapping[str, Any] = {
    "photos": 0, "taken": None, "cameras": [], "years": [], "formats": [], "tags": [], "regions": [], "haze": [0] * 10, "quality": [0] * 10, "scored": [], "located": 0,
}  # fmt: skip
"""Where there are no photos."""
_PICKED = "CREATE TEMP TABLE picked (photo INTEGER PRIMARY KEY, image INTEGER, mark INTEGER)"
_HERE = "digest IN (SELECT digest FROM images)"
_QUALITY = "SELECT quality AS value FROM temp.picked JOIN marks.photos AS own ON own.photo = mark"
_EVERY_QUALITY = f"SELECT quality AS value FROM marks.photos WHERE {_HERE}"  # noqa: S608 (ours)
_TAGS = """SELECT names.name AS value, count(*) AS photos FROM temp.picked CROSS JOIN marks.tagged AS tagged ON tagged.photo = mark
    CROSS JOIN marks.names AS names ON names.tag = tagged.tag"""
_EVERY_TAG = f"""SELECT names.name AS value, count(*) AS photos FROM marks.tagged AS tagged CROSS JOIN marks.names AS names ON names.tag = tagged.tag
    WHERE tagged.photo NOT IN (SELECT photo FROM marks.photos WHERE NOT {_HERE})"""  # noqa: S608 (ours)
"""Of all photos, without the detour by which photos have them: 600,000 tags take a third of the time. People may have said something of photos that are gone."""
_ROWS = "SELECT vector, min(rowid) FROM images GROUP BY vector"


def facets(service: Service, opened: Opened, where: str | None) -> dict[str, Any]:
    """The fields of `FacetsGiven`; kept for each state of the library.

    Raises:
        FilterError: the condition is wrong.
    """
    found: dict[str, Any] = service.facets.get((opened.state, where), lambda: _facets(opened.derived.database, where))
    return found


def _facets(database: sqlite3.Connection, where: str | None) -> dict[str, Any]:
    among = None if where is None else matching_vectors(database, where)
    database.execute("PRAGMA temp_store = MEMORY")
    try:
        count = _pick(database, among)
        return {
            "photos": count, "taken": _taken(database), "cameras": _counts(database, "camera"), "years": _counts(database, "substr(taken_at, 1, 4)"),
            "formats": _counts(database, "format"), "tags": _tags(database, among is None), "regions": _regions(database, among is None),
            "haze": _tenths(database, "SELECT haze AS value FROM temp.picked JOIN images ON images.rowid = image"),
            "quality": _tenths(database, _EVERY_QUALITY if among is None else _QUALITY),
            "scored": [axis for (axis,) in database.execute("SELECT axis FROM marks.axes WHERE photos > 0 ORDER BY axis")],
            "located": _one(database, "SELECT count(*) FROM temp.picked JOIN images ON images.rowid = image WHERE latitude IS NOT NULL AND longitude IS NOT NULL"),
        }  # fmt: skip
    finally:
        database.execute("DROP TABLE IF EXISTS temp.picked")
        database.commit()


def _pick(database: sqlite3.Connection, among: NDArray[np.int64] | None) -> int:
    """Note the photos that count, each with one row of its copies and its number among those that have scores or tags; how many they are."""
    database.execute("DROP TABLE IF EXISTS temp.picked")
    database.execute(_PICKED)
    rows = np.array(database.execute(_ROWS).fetchall(), np.int64).reshape(-1, 2)
    if among is not None:
        rows = rows[np.isin(rows[:, 0], among)]
    database.executemany("INSERT INTO temp.picked (photo, image) VALUES (?, ?)", rows.tolist())
    if among is not None and database.execute("SELECT 1 FROM marks.photos LIMIT 1").fetchone() is not None:
        database.execute(
            "UPDATE temp.picked SET mark = (SELECT own.photo FROM images JOIN marks.photos AS own ON own.digest = images.digest WHERE images.rowid = image)"
        )
    return len(rows)


def _one(database: sqlite3.Connection, statement: str) -> int:
    return int(database.execute(statement).fetchone()[0])


def _taken(database: sqlite3.Connection) -> tuple[str, str] | None:
    row = database.execute("SELECT min(taken_at), max(taken_at) FROM temp.picked JOIN images ON images.rowid = image").fetchone()
    return None if row[0] is None else (str(row[0]), str(row[1]))


def _counts(database: sqlite3.Connection, expression: str) -> list[dict[str, Any]]:
    return _values(database, f"SELECT {expression} AS value, count(*) AS photos FROM temp.picked JOIN images ON images.rowid = image")  # noqa: S608 (ours)


def _tags(database: sqlite3.Connection, every: bool) -> list[dict[str, Any]]:
    return _values(database, _EVERY_TAG if every else _TAGS, "names.tag")


def _regions(database: sqlite3.Connection, every: bool) -> list[dict[str, Any]]:
    """Photos by the labels of their regions. A label that a photo has twice counts once; spellings in capitals are the same one."""
    only = "" if every else " WHERE photo IN (SELECT photo FROM temp.picked)"
    return _values(
        database,
        f"SELECT min(label) AS value, count(*) AS photos FROM (SELECT DISTINCT photo, label COLLATE NOCASE AS label FROM regions{only})",  # noqa: S608 (ours)
        "label COLLATE NOCASE",
    )


def _values(database: sqlite3.Connection, select: str, group: str = "value") -> list[dict[str, Any]]:
    rows = database.execute(f"{select} GROUP BY {group} HAVING value IS NOT NULL ORDER BY photos DESC, value LIMIT {MOST_VALUES}")
    return [{"value": str(value), "photos": int(photos)} for value, photos in rows]


def _tenths(database: sqlite3.Connection, select: str) -> list[int]:
    """How many values lie in each tenth from 0 to 1; 1 itself is in the last."""
    counts = [0] * 10
    for tenth, photos in database.execute(
        f"SELECT max(0, min(9, CAST(value * 10 AS INTEGER))) AS tenth, count(*) FROM ({select}) WHERE value IS NOT NULL GROUP BY tenth"  # noqa: S608 (ours)
    ):
        counts[int(tenth)] = int(photos)
    return counts
