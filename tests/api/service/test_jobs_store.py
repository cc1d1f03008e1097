"""Jobs on disk: which state may follow on which, what a key names, what watchers are told, and what is forgotten when."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.service.job import ENDED, STATES, TRANSITIONS
from api.service.job_store import Asking, JobStore, KeyReused
from preprocess import LibraryDamaged, StorageFull

WAYS = {
    "waiting": {"running", "cancelled", "failed"},
    "running": {"finished", "failed", "cancelled", "interrupted", "waiting"},
    "finished": set(),
    "failed": set(),
    "cancelled": set(),
    "interrupted": set(),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = JobStore(tmp_path / "jobs.sqlite")
    yield store
    store.close()


def brought(store: JobStore, state: str) -> str:
    """A job in a state."""
    job, _ = store.add(Asking("index", {}))
    if state not in ("waiting", "running"):
        store.move(job.id, "running")
    if state != "waiting":
        store.move(job.id, state)
    return job.id


def test_the_table_of_states_is_the_one_that_is_meant() -> None:
    assert {state: set(after) for state, after in TRANSITIONS.items()} == WAYS
    assert set(WAYS) == set(STATES)
    assert {state for state, after in WAYS.items() if not after} == ENDED


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_a_state_follows_only_where_the_table_says_so(store: JobStore, before: str, after: str) -> None:
    job_id = brought(store, before)
    moved = store.move(job_id, after)
    if after in WAYS[before]:
        assert moved is not None
        assert store.known(job_id).state == after
    else:
        assert moved is None
        assert store.known(job_id).state == before


def test_times_and_attempts(store: JobStore) -> None:
    job, new = store.add(Asking("index", {"roots": ["/été"]}, "desk"))
    assert (new, job.state, job.attempts, job.owner, job.options) == (True, "waiting", 0, "desk", {"roots": ["/été"]})
    first = store.move(job.id, "running")
    store.move(job.id, "waiting")
    second = store.move(job.id, "running")
    assert first
    assert second
    assert (first.attempts, second.attempts) == (1, 2)
    assert first.started_at == second.started_at
    ended = store.move(job.id, "finished", outcome={"found": 3})
    assert ended
    assert ended.ended_at
    assert ended.ended_at >= ended.created_at
    assert ended.outcome == {"found": 3}


def test_the_same_key_and_body_are_the_same_job(store: JobStore) -> None:
    job, new = store.add(Asking("index", {}, "desk", "k1", "body"))
    assert new
    assert store.add(Asking("index", {}, "desk", "k1", "body")) == (job, False)
    other, new = store.add(Asking("index", {}, "phone", "k1", "another"))  # keys of others are others
    assert new
    assert other.id != job.id
    with pytest.raises(KeyReused):
        store.add(Asking("index", {}, "desk", "k1", "another"))
    assert store.counts()["waiting"] == 2


def test_a_job_is_given_as_it_was_added(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """However soon it is begun by another thread."""
    writing = store.writing

    @contextmanager
    def and_begun() -> Iterator[sqlite3.Connection]:
        with writing() as database:
            yield database
        store.database.execute("UPDATE jobs SET state = 'running'")

    monkeypatch.setattr(store, "writing", and_begun)
    job, _ = store.add(Asking("index", {}))
    assert (job.state, store.known(job.id).state) == ("waiting", "running")


def test_a_key_is_forgotten_after_a_day(store: JobStore) -> None:
    store.add(Asking("index", {}, "desk", "k1", "body"))
    store.database.execute("UPDATE keys SET created_at = '2020-01-01T00:00:00.000Z'")
    _, new = store.add(Asking("index", {}, "desk", "k1", "another"))
    assert new


def test_watchers_get_the_latest_progress_and_every_state(store: JobStore) -> None:
    job_id = brought(store, "running")
    for done in range(5):
        store.tell(job_id, {"stage": "reading", "done": done, "total": 5, "eta_s": None})
    store.log(job_id, "a line")
    events = store.events(job_id)
    assert [event.kind for event in events] == ["state", "state", "progress", "log"]
    assert events[2].data["done"] == 4
    assert store.events(job_id, events[2].number) == events[3:]
    assert store.known(job_id).progress == events[2].data


def test_of_many_lines_the_latest_stay(store: JobStore) -> None:
    job_id = brought(store, "running")
    for at in range(205):
        store.log(job_id, f"line {at}")
    lines = [event.data["line"] for event in store.events(job_id) if event.kind == "log"]
    assert lines == [f"line {at}" for at in range(5, 205)]


def test_results_go_after_a_week_and_jobs_after_a_month(store: JobStore) -> None:
    job_ids = [brought(store, "running") for _ in range(3)]
    for job_id in job_ids:
        store.move(job_id, "finished", result=f"{job_id}-coco.zip")
    assert store.expire() == []
    for job_id, age in zip(job_ids, ("-8 days", "-40 days", "-6 days"), strict=True):
        store.database.execute("UPDATE jobs SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?) WHERE id = ?", (age, job_id))
    assert set(store.expire()) == {f"{job_id}-coco.zip" for job_id in job_ids[:2]}
    assert store.known(job_ids[0]).result is None
    assert store.get(job_ids[1]) is None
    assert store.events(job_ids[1]) == []
    assert store.results() == {f"{job_ids[2]}-coco.zip"}


def test_pages_go_backwards(store: JobStore) -> None:
    ids = [brought(store, "waiting") for _ in range(5)]
    first, total = store.page(None, 2)
    assert ([job.id for job in first], total) == (ids[:2:-1], 5)
    second, _ = store.page(first[-1].number, 9)
    assert [job.id for job in second] == ids[2::-1]
    assert store.page(None, 9, ("running",)) == ([], 0)


def test_it_is_there_again_when_the_file_is_opened_again(store: JobStore) -> None:
    job_id = brought(store, "running")
    again = JobStore(store.file)  # as after a kill: the other one was never closed
    assert again.known(job_id).state == "running"
    again.close()


def test_a_full_disk_and_a_damaged_file_have_their_remedies(store: JobStore, tmp_path: Path) -> None:
    job_id = brought(store, "running")
    pages = store.database.execute("PRAGMA page_count").fetchone()[0]
    store.database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFull, match="Free some space"):
        store.tell(job_id, {"stage": "x" * 2_000_000, "done": 0, "total": None, "eta_s": None})
    assert store.known(job_id).progress is None  # all of it or nothing
    store.database.execute("PRAGMA max_page_count = 100000")
    store.tell(job_id, {"stage": "on", "done": 1, "total": None, "eta_s": None})
    (tmp_path / "other.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(LibraryDamaged, match="Move it away"):
        JobStore(tmp_path / "other.sqlite")


def test_the_file_is_written_ahead(store: JobStore) -> None:
    with sqlite3.connect(store.file) as other:
        assert other.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    other.close()
