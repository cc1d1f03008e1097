"""The SQLite file of a library's jobs: its tables, how it is read and written, and what its errors mean."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from preprocess import LibraryDamaged, StorageFull

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, options TEXT NOT NULL,
    owner TEXT NOT NULL, created_at TEXT NOT NULL, started_at TEXT, ended_at TEXT, attempts INTEGER NOT NULL DEFAULT 0,
    cancelling INTEGER NOT NULL DEFAULT 0, progress TEXT, outcome TEXT, error TEXT, result TEXT);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number);
CREATE TABLE IF NOT EXISTS keys (
    owner TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, job TEXT NOT NULL, created_at TEXT NOT NULL, PRIMARY KEY (owner, key));
CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_job ON events (job, number);
"""


class JobDatabase:
    """One open file. Safe to call from many threads, which take turns.

    Raises:
        LibraryDamaged: the file does not open. StorageFull: the disk took no more; so do all that write.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.lock = file, threading.RLock()
        with self._errors():
            self.database = sqlite3.connect(file, timeout=10, isolation_level=None, check_same_thread=False)
            self.database.row_factory = sqlite3.Row
            self.database.execute("PRAGMA journal_mode = WAL")
            self.database.execute("PRAGMA synchronous = FULL")
            self.database.executescript(_SCHEMA)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise StorageFull(f"The disk of {self.file} took no more: {error}. Free some space and ask again.") from error
            raise LibraryDamaged(f"{self.file} cannot be used: {error}. Move it away; the service makes a new one.") from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all that is written inside is kept, or none of it."""
        with self.lock, self._errors():
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield self.database
                self.database.execute("COMMIT")
            except BaseException:
                if self.database.in_transaction:  # a full disk ends it by itself
                    self.database.execute("ROLLBACK")
                raise

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """What a query finds."""
        with self.lock, self._errors():
            return self.database.execute(statement, values).fetchall()

    def close(self) -> None:
        """Let the file go."""
        with self.lock:
            self.database.close()
