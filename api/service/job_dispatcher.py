"""Starts jobs, each in a process of its own: those that write one after the other, those that only read beside them."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from preprocess import PellucidError

from .job_files import JobFiles, remove
from .job_listeners import Listeners
from .job_process import COMMAND, settings_variables
from .job_run import JobRun

if TYPE_CHECKING:
    from ..settings import Settings
    from .job import Job
    from .job_store import JobStore

BUSY_S, IDLE_S = 1.0, 600.0
_LOG = logging.getLogger("pellucid.service")


class JobDispatcher:
    """The jobs that run, and the loop that starts them. `wake` is held while it writes down what it starts: whoever takes it may wait for the disk."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.files = settings, JobFiles(settings.library.expanduser().absolute())
        self.command = COMMAND
        self.closing, self.listeners = False, Listeners()
        self.wake = threading.Condition()
        self.runs: dict[str, tuple[JobRun, threading.Thread]] = {}
        self._expires = 0.0

    def ring(self, job_id: str) -> None:
        """Wake those who watch a job, and what starts jobs: places may have changed."""
        with self.wake:
            self.wake.notify_all()
        self.listeners.ring(job_id)

    def dispatch(self, store: JobStore) -> None:
        """Start what may be started, until the service closes."""
        while not self.closing:
            wait_s = IDLE_S
            try:
                self._expire(store)
                with self.wake:
                    while not self.closing and (job := self._startable(store)) is not None:
                        if job.writes and (holder := self.files.holder()) is not None:
                            wait_s = BUSY_S
                            self._tell_waiting(store, job, holder)
                            job = self._startable(store, writes=False)
                        if job is None or not self._begin(store, job):
                            break
                    if not self.closing:
                        self.wake.wait(wait_s)
            except PellucidError as error:
                _LOG.warning("jobs wait: %s", error)
                time.sleep(BUSY_S)
            except Exception:  # one strange job must not keep all others waiting for ever
                _LOG.exception("jobs wait")
                time.sleep(BUSY_S)

    def _startable(self, store: JobStore, *, writes: bool = True) -> Job | None:
        """The first job that waits and has a place: one that writes, and one that only reads, at a time."""
        taken = {run.job.writes for run, _ in self.runs.values()} | ({True} if not writes else set())
        return next((job for job in store.open_jobs() if job.state == "waiting" and job.writes not in taken), None)

    def _begin(self, store: JobStore, job: Job) -> bool:
        started = store.move(job.id, "running", progress=None)
        if started is None:
            return False
        run = JobRun(started, store, self.files, settings_variables(self.settings), self.command, lambda: self.listeners.ring(job.id))
        thread = threading.Thread(target=self._run, args=(run,), name=f"job-{job.id}", daemon=True)
        self.runs[job.id] = (run, thread)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads
            del self.runs[job.id]
            store.move(job.id, "waiting", attempts=job.attempts)
            return False
        self.listeners.ring(job.id)
        return True

    def _run(self, run: JobRun) -> None:
        try:
            run.run()
        finally:
            with self.wake:
                del self.runs[run.job.id]
            self.ring(run.job.id)

    def _tell_waiting(self, store: JobStore, job: Job, holder: str) -> None:
        stage = f"waiting until the library is free: it is held by {holder}"
        if (job.progress or {}).get("stage") != stage:
            store.tell(job.id, {"stage": stage, "done": 0, "total": None, "eta_s": None})
            self.listeners.ring(job.id)

    def _expire(self, store: JobStore) -> None:
        if time.monotonic() >= self._expires:
            self._expires = time.monotonic() + IDLE_S
            for name in store.expire():
                remove(self.files.results / name)
