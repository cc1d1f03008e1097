"""`--where`: a condition on the columns of the images table, checked before it runs.

The expression is SQL as SQLite reads it. An authorizer refuses everything but reading the listed columns and a few harmless functions, so
an expression can neither change anything nor look elsewhere.
"""

from __future__ import annotations

import difflib
import re
import sqlite3
import time
from typing import TYPE_CHECKING

import numpy as np

from preprocess import FilterError

from .schema import IMAGE_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = tuple(column.name for column in IMAGE_COLUMNS)
# fmt: off
FUNCTIONS = frozenset({
    "like", "glob", "lower", "upper", "length", "substr", "substring", "instr", "trim", "coalesce", "ifnull", "nullif", "iif", "abs", "round",
    "min", "max", "date", "time", "datetime", "strftime", "julianday",
})
# fmt: on
"""Harmless, and enough to compare text, numbers and dates."""
TIMEOUT_S = 20.0
LONGEST_BYTES = 1_000_000  # of any text on the way; the keywords of a photo have at most 400,000


def matching_vectors(database: sqlite3.Connection, where: str) -> NDArray[np.int64]:
    """Row numbers, ascending and each once, of the vectors that have at least one image for which `where` holds.

    Raises:
        FilterError: the expression is wrong; the message names the columns.
    """
    statement = f"SELECT DISTINCT vector FROM images WHERE ({where}\n) ORDER BY vector"  # noqa: S608 (the authorizer confines it)
    return np.array([row[0] for row in _run(database, statement, where)], np.int64)


def _run(database: sqlite3.Connection, statement: str, where: str) -> list[tuple[int]]:
    _check_text(where)
    ends = time.monotonic() + TIMEOUT_S
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_BYTES)
    database.set_authorizer(_authorize)
    database.set_progress_handler(lambda: int(time.monotonic() > ends), 100_000)
    try:
        return database.execute(statement).fetchall()
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise FilterError(_explain(where, str(error))) from error
    finally:
        database.set_authorizer(None)
        database.set_progress_handler(None, 0)


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    if action == sqlite3.SQLITE_SELECT:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ and first == "images" and (second in NAMES or second in ("vector", "")):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and second in FUNCTIONS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _check_text(where: str) -> None:
    """Refuse what SQLite would silently misread: an empty condition, comments, and double quotes around what is no column."""
    if not where.strip():
        raise FilterError("--where is empty. Example: --where \"taken_at >= '2024-01-01'\"")
    if "\0" in where or len(where) > 10_000:
        raise FilterError("--where is too long or has a NUL in it.")
    bare = re.sub(r"'(?:[^']|'')*'", "''", where)
    if "--" in bare or "/*" in bare or ";" in bare:
        raise FilterError("--where takes one condition, without comments and semicolons.")
    depth = 0
    for sign in re.sub(r'"[^"]*"', "", bare):
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            raise FilterError(f"--where {where!r} closes a parenthesis that it never opened.")
    for word in re.findall(r'"([^"]*)"', bare):
        if word not in NAMES:
            raise FilterError(f"--where has \"{word}\" in double quotes, which name a column. Put text in single quotes: '{word}'.")
    if re.search(r"\bselect\b|\bvector\b", bare, re.IGNORECASE):
        raise FilterError("--where takes a condition on columns, not a query.")


def _explain(where: str, reason: str) -> str:
    """What is wrong with the expression, and the columns that there are."""
    columns = ", ".join(NAMES)
    unknown = re.search(r"no such column: (\S+)", reason)
    if unknown:
        name = unknown.group(1)
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"--where has no column {name!r}.{hint} Columns: {columns}."
    if "not authorized" in reason or "prohibited" in reason:
        return f"--where {where!r} uses something that is not allowed. Columns: {columns}. Functions: {', '.join(sorted(FUNCTIONS))}."
    if "interrupted" in reason:
        return f"--where {where!r} took over {TIMEOUT_S:.0f} s and was stopped. Make it simpler."
    return (
        f"--where {where!r} is not a condition: {reason}. Example: taken_at >= '2024-01-01' and camera like 'Pixel%'. Columns: {columns}."
    )
