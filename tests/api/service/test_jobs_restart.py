"""What becomes of jobs when the service ends and the next one begins: by a stop, by a kill, beside another one, on a disk that is full."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.service.job_runner import Jobs
from api.service.job_store import Asking, JobStore
from preprocess import LibraryBusy, PellucidError, StorageFull
from tests.api.service.test_jobs_runner import COMMAND, FINISH, HANG, POLITE, ask, begun, lines, made, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX systems")


@pytest.fixture
def make_jobs(tmp_path: Path) -> Iterator[Callable[[], Jobs]]:
    """Services, one after the other, over one library."""
    every: list[Jobs] = []

    def make() -> Jobs:
        every.append(made(tmp_path / "library"))
        return every[-1]

    yield make
    for jobs in every:
        jobs.close()


def killed(jobs: Jobs) -> None:
    """The service is gone as by kill -9: nothing of it is written down any more."""
    jobs.closing = True
    assert jobs.store is not None
    jobs.store.close()
    for run, _ in jobs.runs.values():
        run.closing = True
        if run.process is not None:
            run.process.kill()
    jobs.close()


RESTARTS = [
    ("index", 1, False, "waiting", None),
    ("tag", 2, False, "waiting", None),
    ("score", 3, False, "interrupted", "3 times"),
    ("export", 1, False, "interrupted", "Ask for it again"),
    ("dehaze-batch", 1, False, "interrupted", "Ask for it again"),
    ("dataset-tag", 1, False, "interrupted", "Ask for it again"),
    ("index", 1, True, "cancelled", None),
]


@pytest.mark.parametrize(("kind", "attempts", "cancelling", "state", "error"), RESTARTS)
def test_a_job_that_ran_when_the_service_ended(
    make_jobs: Callable[[], Jobs], kind: Any, attempts: int, cancelling: bool, state: str, error: str | None
) -> None:
    before = make_jobs()
    job_id = ask(before, HANG, kind)
    begun(before, job_id)
    assert before.store is not None
    before.store.database.execute("UPDATE jobs SET attempts = ?, cancelling = ? WHERE id = ?", (attempts, cancelling, job_id))
    killed(before)
    after = make_jobs()
    after.start()
    job = after.get(job_id)
    assert job is not None
    if state == "waiting":
        assert until(after, job_id, lambda job: job.state == "running").attempts == attempts + 1
        assert any("goes on where it was" in line for line in lines(after, job_id))
    else:
        assert job.state == state
        assert error is None or error in str(job.error)


def test_after_a_restart_what_no_job_has_is_removed(make_jobs: Callable[[], Jobs]) -> None:
    before = make_jobs()
    begun(before, ask(before, HANG))
    waiting = before.submit(Asking("dataset-tag", {"code": HANG, "upload": "kept.archive"}))[0]
    begun(before, waiting.id)
    queued = before.submit(Asking("dataset-tag", {"code": FINISH, "upload": "queued.archive"}))[0]
    for name in ("kept.archive", "queued.archive", "lost.archive"):
        (before.files.uploads / name).write_text("x")
    (before.files.results / "abc.part").mkdir()
    killed(before)
    after = make_jobs()
    after.command = (*COMMAND[:-1], "import time; time.sleep(60)")
    after.start()
    assert {entry.name for entry in after.files.uploads.iterdir()} == {"queued.archive"}  # the one that ran was interrupted
    assert "abc.part" not in {entry.name for entry in after.files.results.iterdir()}
    assert queued.id in {job.id for job in after.page()[0] if not job.ended}


def test_closing_lets_jobs_end_at_their_safe_point_and_the_next_service_goes_on(make_jobs: Callable[[], Jobs]) -> None:
    before = make_jobs()
    begun(before, job_id := ask(before, POLITE))
    start = time.monotonic()
    before.close()
    assert time.monotonic() - start < 9
    after = make_jobs()
    after.start()
    assert until(after, job_id, lambda job: job.state == "running" and len(lines(after, job_id)) == 3).attempts == 1
    assert lines(after, job_id) == ["on", "The service ends; the next one goes on with the job where it was.", "on"]


def test_a_second_service_over_the_library_shows_jobs_and_runs_none(make_jobs: Callable[[], Jobs]) -> None:
    one, other = make_jobs(), make_jobs()
    begun(one, job_id := ask(one, HANG))
    assert until(other, job_id, lambda _job: True).state == "running"
    with pytest.raises(LibraryBusy, match="Another service runs the jobs"):
        ask(other, FINISH)
    one.close()
    assert until(other, ask(other, FINISH, "export")).state == "finished"


def begun_again(jobs: Jobs, job_id: str) -> None:
    until(jobs, job_id, lambda _job: lines(jobs, job_id)[-1] == "on")


def test_stops_of_the_service_are_no_attempts(make_jobs: Callable[[], Jobs]) -> None:
    jobs = make_jobs()
    begun(jobs, job_id := ask(jobs, HANG))
    for _ in range(4):
        jobs.close()
        jobs = make_jobs()
        jobs.start()
        assert until(jobs, job_id, lambda job: job.state == "running").attempts == 1
        begun_again(jobs, job_id)


def test_a_stop_interrupts_what_cannot_go_on(make_jobs: Callable[[], Jobs]) -> None:
    before = make_jobs()
    begun(before, job_id := ask(before, HANG, "export"))
    before.close()
    after = make_jobs()
    after.start()
    job = until(after, job_id)
    assert (job.state, job.attempts, job.error) == ("interrupted", 1, "The service ended while this job ran. Ask for it again.")


def full(*_: Any, **__: Any) -> None:
    raise StorageFull("The disk is full.")


def locked(folder: Path) -> Iterator[Path]:
    raise PermissionError(13, "Permission denied", str(folder))


@pytest.mark.parametrize(("owner", "name", "fault"), [(JobStore, "move", full), (Path, "iterdir", locked)])
def test_a_service_that_could_not_go_on_with_jobs_does_so_when_it_can(
    make_jobs: Callable[[], Jobs], monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, fault: Any
) -> None:
    before = make_jobs()
    begun(before, job_id := ask(before, HANG))
    killed(before)
    after = make_jobs()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fault)
        after.resume()  # which keeps no service from answering searches
        assert [job.id for job in after.page()[0]] == [job_id]  # jobs are shown, and none is taken on
        with pytest.raises(PellucidError):
            ask(after, FINISH)
    assert until(after, ask(after, FINISH, "export")).state == "finished"
    assert until(after, job_id, lambda job: job.state == "running").attempts == 2
