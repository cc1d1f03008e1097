"""Jobs in processes of their own, with small ones that do what a test says: order, crashes, cancelling, restarts."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.service import job_events, job_runner
from api.service.job import Job
from api.service.job_pace import Pace
from api.service.job_process import settings_variables
from api.service.job_runner import Jobs
from api.service.job_store import Asking, KeyReused
from api.service.workers import Overloaded
from api.settings import load_settings
from search import Library

CHILD = """
import json, os, signal, sys, time
request = json.loads(sys.stdin.readline())
def say(**message):
    print(json.dumps(message), flush=True)
def finish(**outcome):
    say(ended="finished", outcome=outcome, result=None)
exec(request["options"]["code"])
"""
COMMAND = (sys.executable, "-I", "-S", "-c", CHILD)
FINISH, CRASH = "finish(done=1)", "os._exit(77)"
HANG = "say(log='on'); time.sleep(60)"
POLITE = """
try:
    say(log='on'); time.sleep(60)
except KeyboardInterrupt:
    say(ended='interrupted', outcome={'done': 3}, result=None)
"""
DEAF = "signal.signal(signal.SIGINT, signal.SIG_IGN); say(log='on'); time.sleep(60)"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX systems")


def made(library: Path) -> Jobs:
    jobs = Jobs(load_settings(library=library))
    jobs.command = COMMAND
    return jobs


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


@pytest.fixture
def jobs(make_jobs: Callable[[], Jobs]) -> Jobs:
    return make_jobs()


def ask(jobs: Jobs, code: str, kind: Any = "index") -> str:
    return jobs.submit(Asking(kind, {"code": code}))[0].id


def until(jobs: Jobs, job_id: str, met: Callable[[Job], bool] = lambda job: job.ended, seconds: float = 40) -> Job:
    """The job when it meets a condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        job = jobs.get(job_id)
        assert job is not None
        if met(job):
            return job
        time.sleep(0.01)
    raise AssertionError(f"{job} never did")


def lines(jobs: Jobs, job_id: str) -> list[str]:
    return [event.data["line"] for event in jobs.events(job_id, 0) if event.kind == "log"]


def begun(jobs: Jobs, job_id: str) -> Job:
    return until(jobs, job_id, lambda _job: "on" in lines(jobs, job_id))


def test_nothing_is_made_before_the_first_job(jobs: Jobs) -> None:
    jobs.start()
    assert (jobs.get("x"), jobs.page(), set(jobs.counts().values())) == (None, ([], 0), {0})
    assert not jobs.files.folder.exists()
    job = until(jobs, ask(jobs, FINISH))
    assert (job.state, job.outcome, job.error, job.attempts) == ("finished", {"done": 1}, None, 1)
    assert jobs.counts()["finished"] == 1
    Library(jobs.files.library, create=True)  # its folder may still become a library


ENDS = [
    ("say(ended='failed', error='No photo meets the condition.')", "failed", "No photo meets the condition."),
    (CRASH, "failed", "ended with code 77"),
    ("print('deep trouble', file=sys.stderr); os._exit(3)", "failed", "It last said: deep trouble"),
    ("os.kill(os.getpid(), signal.SIGKILL)", "failed", "ended by SIGKILL. The system does that where memory runs out"),
    ("os.kill(os.getpid(), signal.SIGSEGV)", "failed", "ended by SIGSEGV"),
    ("raise ValueError('odd')", "failed", "ValueError: odd"),
    ("pass", "failed", "ended with code 0 before its work was done"),
    ("print('no json'); print('[1]'); finish()", "finished", None),
    ("say(ended='interrupted', outcome=None, result=None)", "interrupted", "ask for it again"),
    ("say(ended='failed', error='caf\\udce9')", "failed", r"caf\udce9"),
]


@pytest.mark.parametrize(("code", "state", "error"), ENDS)
def test_every_end_has_its_state_and_its_reason(jobs: Jobs, code: str, state: str, error: str | None) -> None:
    job = until(jobs, ask(jobs, code))
    assert job.state == state
    assert (job.error is None) if error is None else (error in str(job.error)), job.error
    assert not list(jobs.files.results.iterdir())
    assert until(jobs, ask(jobs, FINISH)).state == "finished"  # and the service goes on


def test_writers_follow_each_other_in_order_and_a_reader_goes_beside_them(jobs: Jobs, tmp_path: Path) -> None:
    mark = f"""
open({str(tmp_path / "log")!r}, 'a').write(request['options']['name'] + '+')
time.sleep(0.2)
open({str(tmp_path / "log")!r}, 'a').write(request['options']['name'] + '-')
finish()
"""
    first = jobs.submit(Asking("index", {"code": HANG}))[0].id
    begun(jobs, first)
    writers = [jobs.submit(Asking("tag", {"code": mark, "name": name}))[0].id for name in "ab"]
    reader = jobs.submit(Asking("export", {"code": FINISH}))[0].id
    assert until(jobs, reader).state == "finished"
    assert [until(jobs, one, lambda job: True).state for one in (first, *writers)] == ["running", "waiting", "waiting"]
    jobs.cancel(first)
    assert [until(jobs, one).state for one in writers] == ["finished", "finished"]
    assert (tmp_path / "log").read_text() == "a+a-b+b-"


def test_a_dry_run_needs_no_place_among_writers(jobs: Jobs) -> None:
    begun(jobs, ask(jobs, HANG))
    dry = jobs.submit(Asking("index", {"code": FINISH, "dry_run": True}))[0].id
    assert until(jobs, dry).state == "finished"


def test_progress_gets_an_eta_and_watchers_are_rung(jobs: Jobs) -> None:
    rung: list[int] = []
    code = "say(progress={'stage': 'reading', 'done': 1, 'total': 9}); time.sleep(0.1); say(progress={'stage': 'reading', 'done': 9, 'total': 9}); finish()"
    begun(jobs, blocker := ask(jobs, HANG))
    job_id = ask(jobs, code)
    with jobs.listeners.listening(job_id, lambda: rung.append(1)):
        jobs.cancel(blocker)
        job = until(jobs, job_id)
    assert job.progress == {"stage": "reading", "done": 9, "total": 9, "eta_s": None}
    assert len(rung) >= 3
    assert jobs.watchers == 0


def test_cancelling_ends_at_the_safe_point(jobs: Jobs) -> None:
    begun(jobs, job_id := ask(jobs, POLITE))
    waiting = ask(jobs, FINISH)
    assert jobs.cancel(waiting).state == "cancelled"  # type: ignore[union-attr]
    asked = jobs.cancel(job_id)
    assert asked is not None
    assert asked.cancelling
    job = until(jobs, job_id)
    assert (job.state, job.outcome, job.given().cancelling) == ("cancelled", {"done": 3}, False)
    assert jobs.cancel(job_id) == job  # it has ended, and stays as it is
    assert jobs.cancel("nobody") is None


def test_what_does_not_listen_is_killed(jobs: Jobs) -> None:
    jobs.kill_s = 0.3
    begun(jobs, job_id := ask(jobs, DEAF))
    jobs.cancel(job_id)
    assert until(jobs, job_id).state == "cancelled"


def test_a_job_waits_for_a_library_that_another_process_holds_and_says_so(jobs: Jobs) -> None:
    library = Library(jobs.files.library, create=True)
    with library.locked("index"):
        job_id = ask(jobs, FINISH)
        job = until(jobs, job_id, lambda job: job.progress is not None)
        assert job.state == "waiting"
        assert f"held by process {os.getpid()} on " in job.progress["stage"]  # type: ignore[index]
        assert until(jobs, ask(jobs, FINISH, "export")).state == "finished"  # which does not need it
    assert until(jobs, job_id).state == "finished"


def test_a_job_that_finds_the_library_taken_tries_again(jobs: Jobs, tmp_path: Path) -> None:
    flag = tmp_path / "tried"
    code = f"finish() if os.path.exists({str(flag)!r}) else (open({str(flag)!r}, 'w').close(), say(ended='busy', error='held by somebody'))"
    job = until(jobs, ask(jobs, code))
    assert (job.state, job.attempts) == ("finished", 1)


def test_a_result_is_a_file_that_takes_its_place_when_it_is_whole(jobs: Jobs) -> None:
    code = "open(request['place'] + '/coco.zip', 'w').write('whole'); say(ended='finished', outcome={}, result='coco.zip')"
    job = until(jobs, ask(jobs, code, "export"))
    file = jobs.result_file(job)
    assert file is not None
    assert file.read_text() == "whole"
    assert [entry.name for entry in jobs.files.results.iterdir()] == [f"{job.id}-coco.zip"]
    assert jobs.store is not None
    jobs.store.database.execute("UPDATE jobs SET ended_at = '2020-01-01T00:00:00.000Z' WHERE id = ?", (job.id,))
    jobs.store.database.execute("UPDATE jobs SET created_at = '2020-01-01T00:00:00.000Z' WHERE id = ?", (job.id,))
    jobs._expires = 0
    ask(jobs, FINISH)
    end = time.monotonic() + 40
    while file.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not file.exists()


def test_a_result_that_is_not_there_is_a_failure(jobs: Jobs) -> None:
    job = until(jobs, ask(jobs, "say(ended='finished', outcome={}, result='coco.zip')", "export"))
    assert (job.state, job.result) == ("failed", None)
    assert "could not be kept: No such file" in str(job.error)


def test_a_thread_that_the_system_does_not_give_is_asked_for_again(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    start, refused = threading.Thread.start, list[str]()

    def sometimes(thread: threading.Thread) -> None:
        if thread.name.startswith("job-") and thread.name not in ("job-errors", *refused):
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", sometimes)
    first = ask(jobs, FINISH)
    until(jobs, first, lambda _job: bool(refused))
    second = ask(jobs, FINISH, "export")  # which wakes the dispatcher
    assert (until(jobs, first).state, until(jobs, first).attempts) == ("finished", 1)
    assert until(jobs, second).state in ("finished", "waiting")


def test_watchers_come_and_go_while_jobs_are_written_down(jobs: Jobs) -> None:
    begun(jobs, job_id := ask(jobs, HANG))
    taken, done = threading.Event(), threading.Event()

    def slow_disk() -> None:
        with jobs.wake:
            taken.set()
            done.wait(5)

    thread = threading.Thread(target=slow_disk)
    thread.start()
    taken.wait(5)

    async def watch() -> float:
        start = time.monotonic()
        stream = job_events.watched(jobs, job_id, 0)
        assert [(await anext(stream))[:5] for _ in range(2)] == [b"retry", b"event"]
        await stream.aclose()  # type: ignore[attr-defined]
        return time.monotonic() - start

    try:
        assert asyncio.run(watch()) < 2
    finally:
        done.set()
        thread.join()


def test_watchers_cost_nothing_when_they_are_gone(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_events, "HEARTBEAT_S", 0.05)
    begun(jobs, job_id := ask(jobs, HANG))

    async def some(count: int) -> list[bytes]:
        stream = job_events.watched(jobs, job_id, 0)
        said = [await anext(stream) for _ in range(count)]
        assert jobs.watchers == 1
        await stream.aclose()  # type: ignore[attr-defined]
        return said

    said = asyncio.run(some(5))
    assert said[0].startswith(b"retry: ")
    assert [b"event: state" in said[1], b"event: log" in said[2]] == [True, True]
    assert said[3:] == [b": ping\n\n"] * 2
    assert (jobs.watchers, jobs.listeners._rings) == (0, {})

    async def to_the_end() -> list[bytes]:
        asyncio.get_running_loop().call_later(0.2, jobs.close)
        return [piece async for piece in job_events.watched(jobs, job_id, 0)]

    assert len(asyncio.run(to_the_end())) >= 3  # and it ends with the service
    assert jobs.watchers == 0


def test_not_more_than_a_hundred_wait(jobs: Jobs) -> None:
    begun(jobs, ask(jobs, HANG))
    assert jobs.store is not None
    for _ in range(100):
        jobs.store.add(Asking("index", {"code": FINISH}))
    with pytest.raises(Overloaded):
        ask(jobs, FINISH)


def test_a_job_that_is_known_by_its_key_needs_no_room(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(jobs, ask(jobs, HANG))
    asked = Asking("index", {"code": FINISH}, key="k", body="b")
    known, _ = jobs.submit(asked)
    monkeypatch.setattr(job_runner, "MOST_WAITING", 1)
    assert jobs.submit(asked) == (known, False)
    with pytest.raises(KeyReused):
        jobs.submit(replace(asked, body="other"))
    assert jobs.reserve(asked.owner, asked.key) == jobs.files.uploads  # before an archive is received, of which nothing is known yet
    with pytest.raises(Overloaded):
        jobs.reserve(asked.owner, "k2")
    for other in (replace(asked, owner="another"), replace(asked, key="k2")):
        with pytest.raises(Overloaded):
            jobs.submit(other)


def test_a_child_sees_the_service_die(tmp_path: Path) -> None:
    """The real child's own part: its input ends, so it interrupts itself, though nobody sends a signal."""
    code = """
import time, json, api.service.job_child as child
def work(options, place, uploads, tell):
    tell.say(log=str(__import__('os').nice(0)))
    time.sleep(30)
import sys, types
sys.modules["api.service.job_work"] = types.SimpleNamespace(WORK={"index": work})
child.main()
"""
    process = subprocess.Popen([sys.executable, "-P", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    request = {"kind": "index", "options": {}, "place": str(tmp_path), "uploads": str(tmp_path), "parent": os.getpid()}
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"log": str(min(os.nice(0) + 10, 19))}
    process.stdin.close()
    assert json.loads(process.stdout.readline())["ended"] == "interrupted"
    assert process.wait(5) == 0
    process.stdout.close()


def test_a_child_gets_the_very_settings_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(library=tmp_path / "café", exclude=["*.gif", "a b"], jobs=3, include_hidden=True, max_megapixels=12.5)
    for name, value in settings_variables(settings).items():
        monkeypatch.setenv(name, value)
    (Path.cwd() / "pellucid.toml").write_text("jobs = 9")
    assert load_settings() == settings


def test_the_time_that_is_left_is_that_of_the_last_seconds() -> None:
    at = 0.0
    pace = Pace(lambda: at)
    told = []
    for second in range(60):  # ten a second for half a minute, then one
        at = float(second)
        told.append(pace.eta_s("reading", 10 * min(second, 30) + max(second - 30, 0), 1000))
    assert told[:2] == [None, None]
    assert told[10] == 90
    assert 60 <= told[30] <= 80  # type: ignore[operator]
    assert told[59] == 660  # 671 seconds at one a second: rounded, since it is no surer
    assert pace.eta_s("packing", 0, 10) is None
    assert pace.eta_s("reading", 5, None) is None
