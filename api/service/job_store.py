"""Jobs on disk: a SQLite file that outlives the service, with what each job said."""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from .job import ENDED, STATES, TRANSITIONS, Job
from .job_database import JobDatabase
from .schemas_jobs import JobKind, JobState

KEEP_KEYS = timedelta(days=1)
KEEP_RESULTS = timedelta(days=7)
KEEP_JOBS = timedelta(days=30)
MOST_LINES = 200  # of a job's log
_COLUMNS = ", ".join(column.name for column in fields(Job))
_JSON = ("options", "progress", "outcome")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a job said: `state`, `progress` or `log`. Numbers rise over all jobs."""

    number: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asking:
    """A request for a job by `owner`, the id of a caller's key. With an idempotency `key`, the same `body` asked again by the same owner is the same job."""

    kind: JobKind
    options: dict[str, Any]
    owner: str = "local"
    key: str | None = None
    body: str = ""


class KeyReused(Exception):
    """A key that named another request within the last day."""


def now() -> str:
    """UTC, ISO 8601, to the millisecond, so that texts sort by time."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _before(age: timedelta) -> str:
    return (datetime.now(UTC) - age).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JobStore(JobDatabase):
    """The jobs of one library. Safe to call from many threads; one process at a time writes.

    Raises:
        LibraryDamaged: the file does not open. StorageFull: the disk took no more; so do all that write.
    """

    def add(self, asking: Asking) -> tuple[Job, bool]:
        """The job, and whether it is new: the same key with the same body gives the job that it gave before.

        Raises:
            KeyReused: the key named another request.
        """
        with self.writing() as database:
            database.execute("DELETE FROM keys WHERE created_at < ?", (_before(KEEP_KEYS),))
            if (known := self.earlier(asking)) is not None:
                return known, False
            job_id, at = secrets.token_hex(8), now()
            database.execute(
                "INSERT INTO jobs (id, kind, state, options, owner, created_at) VALUES (?, ?, 'waiting', ?, ?, ?)",
                (job_id, asking.kind, json.dumps(asking.options), asking.owner, at),
            )
            if asking.key is not None:
                database.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)", (asking.owner, asking.key, asking.body, job_id, at))
            self._say(database, job_id, "state", {"state": "waiting"})
            return self.known(job_id), True  # as it was added: behind the transaction it may run already

    def earlier(self, asking: Asking) -> Job | None:
        """The job that the same owner, key and body gave within the last day, or none.

        Raises:
            KeyReused: the key named another request.
        """
        row = self._named(asking.owner, asking.key)
        if row is None:
            return None
        if row["body"] != asking.body:
            raise KeyReused(asking.key)
        return self.get(row["job"])

    def has_key(self, owner: str, key: str | None) -> bool:
        """Whether the owner's key named a request within the last day."""
        return self._named(owner, key) is not None

    def _named(self, owner: str, key: str | None) -> sqlite3.Row | None:
        statement = "SELECT body, job FROM keys WHERE owner = ? AND key = ? AND created_at >= ?"
        return next(iter(self.rows(statement, owner, key, _before(KEEP_KEYS))), None)  # without a key, none

    def get(self, job_id: str) -> Job | None:
        """One job, or none."""
        rows = self.rows(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", job_id)  # noqa: S608 (our own names)
        return _job(rows[0]) if rows else None

    def known(self, job_id: str) -> Job:
        """One job that is known to be there."""
        job = self.get(job_id)
        if job is None:
            raise KeyError(job_id)
        return job

    def page(self, before: int | None, limit: int, states: tuple[JobState, ...] = STATES) -> tuple[list[Job], int]:
        """Jobs in these states, the latest first, from a number on downwards; and how many there are in all."""
        marks = ", ".join("?" * len(states))
        statement = f"SELECT {_COLUMNS} FROM jobs WHERE state IN ({marks}) AND number < ? ORDER BY number DESC LIMIT ?"  # noqa: S608
        rows = self.rows(statement, *states, 2**62 if before is None else before, limit)
        total = self.rows(f"SELECT count(*) FROM jobs WHERE state IN ({marks})", *states)[0][0]  # noqa: S608
        return [_job(row) for row in rows], int(total)

    def open_jobs(self) -> list[Job]:
        """Jobs that have not ended, in the order in which they came."""
        statement = f"SELECT {_COLUMNS} FROM jobs WHERE state IN ('waiting', 'running') ORDER BY number"  # noqa: S608
        return [_job(row) for row in self.rows(statement)]

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        found = {row[0]: int(row[1]) for row in self.rows("SELECT state, count(*) FROM jobs GROUP BY state")}
        return {state: found.get(state, 0) for state in STATES}

    def move(self, job_id: str, state: JobState, **facts: Any) -> Job | None:
        """Bring a job into another state, with other facts; none where that may not follow on the one it is in.

        The state and what came of the job are written in one step.
        """
        with self.writing() as database:
            job = self.known(job_id)
            if state not in TRANSITIONS[job.state]:
                return None
            at = now()
            if state == "running":
                facts = {"started_at": job.started_at or at, "attempts": job.attempts + 1, **facts}
            elif state in ENDED:
                facts = {"ended_at": at, **facts}
            self._update(database, job_id, {"state": state, **facts})
            told = {"state": state} | {name: facts[name] for name in ("error",) if facts.get(name)}
            self._say(database, job_id, "state", told)
        return self.known(job_id)

    def ask_to_stop(self, job_id: str) -> Job:
        """Mark a job as one that is to stop; one that waits is cancelled at once."""
        with self.writing() as database:
            job = self.known(job_id)
            if job.state == "waiting":
                self._update(database, job_id, {"state": "cancelled", "ended_at": now(), "cancelling": 1})
                self._say(database, job_id, "state", {"state": "cancelled"})
            elif job.state == "running" and not job.cancelling:
                self._update(database, job_id, {"cancelling": 1})
                self._say(database, job_id, "state", {"state": "running", "cancelling": True})
        return self.known(job_id)

    def tell(self, job_id: str, progress: dict[str, Any]) -> None:
        """Keep how far a job is; only the latest is kept."""
        with self.writing() as database:
            self._update(database, job_id, {"progress": progress})
            database.execute("DELETE FROM events WHERE job = ? AND kind = 'progress'", (job_id,))
            self._say(database, job_id, "progress", progress)

    def log(self, job_id: str, line: str) -> None:
        """Keep a line for those who watch; of many, the latest."""
        with self.writing() as database:
            self._say(database, job_id, "log", {"at": now(), "line": line[:2_000]})
            database.execute(
                "DELETE FROM events WHERE job = ?1 AND kind = 'log' AND number <= "
                "(SELECT number FROM events WHERE job = ?1 AND kind = 'log' ORDER BY number DESC LIMIT 1 OFFSET ?2)",
                (job_id, MOST_LINES),
            )

    def events(self, job_id: str, after: int = 0) -> list[Event]:
        """What a job said behind a number."""
        rows = self.rows("SELECT number, kind, data FROM events WHERE job = ? AND number > ? ORDER BY number", job_id, after)
        return [Event(int(row["number"]), row["kind"], json.loads(row["data"])) for row in rows]

    def expire(self) -> list[str]:
        """Forget results after a week and jobs after a month; the names of the results' files that may go."""
        with self.writing() as database:
            old = (_before(KEEP_RESULTS),)
            files = [row[0] for row in database.execute("SELECT result FROM jobs WHERE result IS NOT NULL AND ended_at < ?", old)]
            database.execute("UPDATE jobs SET result = NULL WHERE result IS NOT NULL AND ended_at < ?", old)
            gone = "SELECT id FROM jobs WHERE ended_at < ?"
            database.execute(f"DELETE FROM events WHERE job IN ({gone})", (_before(KEEP_JOBS),))  # noqa: S608
            database.execute("DELETE FROM jobs WHERE ended_at < ?", (_before(KEEP_JOBS),))
        return files

    def results(self) -> set[str]:
        """Names of all files that are results."""
        return {str(row[0]) for row in self.rows("SELECT result FROM jobs WHERE result IS NOT NULL")}

    def _update(self, database: sqlite3.Connection, job_id: str, facts: dict[str, Any]) -> None:
        names = ", ".join(f"{name} = ?" for name in facts)
        values = [json.dumps(value) if name in _JSON and value is not None else value for name, value in facts.items()]
        database.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*values, job_id))  # noqa: S608 (our own names)

    def _say(self, database: sqlite3.Connection, job_id: str, kind: str, data: dict[str, Any]) -> None:
        database.execute("INSERT INTO events (job, kind, data) VALUES (?, ?, ?)", (job_id, kind, json.dumps(data)))


def _job(row: sqlite3.Row) -> Job:
    facts: dict[str, Any] = dict(row)
    for name in _JSON:
        facts[name] = None if facts[name] is None else json.loads(facts[name])
    return Job(**facts | {"cancelling": bool(facts["cancelling"])})
