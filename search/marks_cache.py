"""Scores and tags in the derived cache: one SQLite file for all encoders, beside the caches of their vectors, and attached to whichever is open.

It lies in `cache/marks-<machine>-<people>.sqlite`, named by the states of what machines wrote and of what people said of tags, so that to score or tag photos does
not rewrite the nearest indices, and to confirm or reject a tag changes a copy. The tables, in the schema `marks`: `photos`, a row for each photo that has a score or a tag, in the order of the digests, with a column for each
of `SCORE_COLUMNS`; `extra`, scores on other axes; `names` of tags; `tagged`, which photo has which; `said`, what people said (see `marks_labels`). For reading there are the views `scores` (digest, axis,
value) and `tags` (digest, tag, precision, human), quick for given digests or tags.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess import LibraryDamaged, StorageFull

from .library import Library, storage_errors
from .schema import SCORE_COLUMNS, sql_columns

if TYPE_CHECKING:
    from .store import Store

_VIEW = " UNION ALL ".join(
    f"""SELECT digest, '{column.name}' AS axis, "{column.name}" AS value FROM photos WHERE "{column.name}" IS NOT NULL"""  # noqa: S608
    for column in SCORE_COLUMNS
)
_TABLES = (
    f"CREATE TABLE photos (photo INTEGER PRIMARY KEY, digest TEXT, {sql_columns(SCORE_COLUMNS)})",
    "CREATE TABLE axes (axis TEXT PRIMARY KEY, photos INTEGER)",
    "CREATE TABLE extra (axis TEXT, photo INTEGER, value REAL, PRIMARY KEY (axis, photo)) WITHOUT ROWID",
    "CREATE TABLE names (tag INTEGER PRIMARY KEY, key TEXT UNIQUE, name TEXT)",
    "CREATE TABLE tagged (photo INTEGER, tag INTEGER, precision REAL, human INTEGER, PRIMARY KEY (photo, tag)) WITHOUT ROWID",
    "CREATE TABLE said (photo INTEGER, tag INTEGER, confirmed INTEGER, machine REAL, PRIMARY KEY (photo, tag)) WITHOUT ROWID",
    f"CREATE VIEW scores AS {_VIEW} UNION ALL SELECT digest, axis, value FROM extra JOIN photos USING (photo)",  # noqa: S608 (our names)
    "CREATE VIEW tags AS SELECT photos.digest AS digest, names.name AS tag, tagged.precision AS precision, tagged.human AS human"
    " FROM tagged JOIN photos ON photos.photo = tagged.photo JOIN names ON names.tag = tagged.tag",
)
_INDICES = (
    "CREATE UNIQUE INDEX photos_by_digest ON photos (digest)",
    "CREATE INDEX names_by_name ON names (name COLLATE NOCASE)",
    "CREATE INDEX tagged_by_tag ON tagged (tag, photo, precision, human)",
)


@dataclass(frozen=True, slots=True)
class Marks:
    """What is known of a photo beside its row: scores by axis, and its tags with their precision, those that people confirmed first, then the surest."""

    scores: dict[str, float] = field(default_factory=dict)
    tags: tuple[tuple[str, float], ...] = ()


def marks_of(database: sqlite3.Connection, digests: Sequence[str]) -> dict[str, Marks]:
    """The marks of photos, by digest, from an open cache; photos without any are not there."""
    names = [column.name for column in SCORE_COLUMNS]
    columns = ", ".join(f'"{name}"' for name in names)
    found = {}
    for digest in dict.fromkeys(digests):
        row = database.execute(f"SELECT photo, {columns} FROM marks.photos WHERE digest = ?", (digest,)).fetchone()  # noqa: S608 (our names)
        if row is not None:
            more = database.execute("SELECT axis, value FROM marks.axes CROSS JOIN marks.extra USING (axis) WHERE photo = ?", row[:1])
            tags = database.execute(
                "SELECT name, precision FROM marks.tagged JOIN marks.names USING (tag) WHERE photo = ? ORDER BY human DESC, precision DESC, name",
                row[:1],
            )
            scores = {name: value for name, value in zip(names, row[1:], strict=True) if value is not None}
            found[digest] = Marks(scores | dict(more.fetchall()), tuple(tags.fetchall()))
    return found


def attach_marks(library: Library, database: sqlite3.Connection) -> None:
    """Attach the scores and tags in the store's present state as the schema `marks`; made first where they are missing, and made anew where they are damaged. Where
    they cannot be written, they are made in a temporary file that goes with the connection."""
    stamp = library.marks_stamp()
    if stamp is None:
        database.execute("ATTACH ':memory:' AS marks")
        create_tables(database, "marks")
        return
    for _ in range(2):
        file = library.cache / _name(stamp)
        if not file.is_file():
            try:
                file = make_marks(_store(library))
            except (StorageFull, LibraryDamaged):
                break
        try:
            database.execute("ATTACH ? AS marks", (f"{file.as_uri()}?mode=ro&immutable=1",))
            database.execute("SELECT 1 FROM marks.photos, marks.names, marks.axes LIMIT 1").fetchone()
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):  # it may not have come to be attached
                database.execute("DETACH marks")
            with contextlib.suppress(OSError):
                file.unlink()  # unless another process has just replaced it by a newer one
        else:
            return
    try:
        database.execute("ATTACH '' AS marks")
        _write(_store(library), database, "marks")
    except sqlite3.Error as error:
        raise LibraryDamaged(
            f"The scores and tags of {library.folder} cannot be gathered: {error}. `pellucid doctor` says more."
        ) from error


def _store(library: Library) -> Store:
    from .store import Store  # only here: a search that finds its cache must not pay for importing it

    return Store(library)


def make_marks(store: Store) -> Path:
    """Write the cache of scores and tags, and remove stale ones; gives its file. A million tags and 2.4 million scores take 3 s, what people say 0.1 s.

    Raises:
        StorageFull, LibraryDamaged: it cannot be written.
    """
    library = store.library
    stamp = library.marks_stamp() or ("none", "none")
    final = library.cache / _name(stamp)
    if final.is_file():
        return final
    fresh = final.with_name(f"{final.name}.{os.getpid()}.{threading.get_ident()}.new")
    with storage_errors(library.folder):
        library.cache.mkdir(parents=True, exist_ok=True)
        try:
            fresh.unlink(missing_ok=True)
            before = next(library.cache.glob(_name((stamp[0], "*"))), None)
            try:
                _fill(store, fresh, before)
            except (sqlite3.Error, OSError):
                if before is None:
                    raise
                fresh.unlink(missing_ok=True)
                _fill(store, fresh, None)  # the one before was damaged, or has just been removed
            with fresh.open("rb+") as written:
                os.fsync(written.fileno())
            try:
                fresh.replace(final)
            except OSError:
                if not final.is_file():
                    raise
        except sqlite3.Error as error:
            if "full" in str(error) or shutil.disk_usage(library.cache).free < 1_000_000:
                raise StorageFull(
                    f"The disk of {library.cache} is full. The store is kept; free some space and run the same command again."
                ) from error
            raise LibraryDamaged(f"The cache in {library.cache} cannot be written: {error}.") from error
        finally:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
    for other in library.cache.glob("marks-*"):
        if other.name not in (final.name, _name(library.marks_stamp() or stamp)) and not _young(other):
            with contextlib.suppress(OSError):  # a reader may hold it
                other.unlink()
    return final


def _name(stamp: tuple[str, str]) -> str:
    return f"marks-{'-'.join(stamp)}.sqlite"


def _fill(store: Store, file: Path, before: Path | None) -> None:
    """Write the cache into a file; from the one before, which differs in what people said, where there is one."""
    from .marks_labels import write_labels

    if before is not None:
        shutil.copyfile(before, file)
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        if before is None:
            _write(store, database, "main")
        else:
            write_labels(store, database, "main")
        database.commit()


def _young(file: Path) -> bool:
    """Whether another process may still be writing it."""
    try:
        return file.name.endswith(".new") and time.time() - file.stat().st_mtime < 600
    except OSError:
        return False


def create_tables(database: sqlite3.Connection, schema: str) -> None:
    """Make the tables and views, empty, in a schema of a database."""
    for statement in _TABLES:
        database.execute(_in(statement, schema))


def create_indices(database: sqlite3.Connection, schema: str) -> None:
    """Make the indices, which is quicker when the tables are full."""
    for statement in _INDICES:
        database.execute(_in(statement, schema))


def _in(statement: str, schema: str) -> str:
    """A statement that creates something, in a schema."""
    for kind in ("TABLE", "VIEW", "UNIQUE INDEX", "INDEX"):
        if statement.startswith(f"CREATE {kind} "):
            return statement.replace(f"CREATE {kind} ", f"CREATE {kind} {schema}.", 1)
    raise ValueError(statement)


def _write(store: Store, database: sqlite3.Connection, schema: str) -> None:
    from .marks_labels import write_labels
    from .marks_rows import Rows

    create_tables(database, schema)
    rows = Rows.read(store)
    for table, count, parts in rows.tables():
        insert = f"INSERT INTO {schema}.{table} VALUES ({', '.join('?' * count)})"  # noqa: S608 (our names)
        for part in parts:
            database.executemany(insert, part)
    create_indices(database, schema)
    write_labels(store, database, schema)
    database.commit()
