"""Runs jobs, each in a process of its own: those that write one after the other, those that only read beside them."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from preprocess import LibraryBusy, PellucidError

from .job import ATTEMPTS, KINDS, STATES, Job
from .job_files import JobFiles, remove
from .job_process import COMMAND, settings_variables
from .job_run import JobRun
from .job_store import Asking, Event, JobStore
from .workers import Overloaded

if TYPE_CHECKING:
    from ..settings import Settings
    from .schemas_jobs import JobState

MOST_WAITING = 100
BUSY_S, IDLE_S = 1.0, 600.0
KILL_S = 60.0
"""Seconds that a job has for its safe point when it is cancelled."""
CLOSE_S = 10.0
"""The same when the service ends."""
_LOG = logging.getLogger("pellucid.service")


class Jobs:
    """The jobs of a service over one library. Its files are made when the first job is asked for; its methods block, if shortly."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.files = settings, JobFiles(settings.library.expanduser().absolute())
        self.command, self.kill_s = COMMAND, KILL_S
        self.store: JobStore | None = None
        self.closing, self.watchers = False, 0
        self._wake = threading.Condition()
        self._held: IO[str] | None = None
        self._runs: dict[str, tuple[JobRun, threading.Thread]] = {}
        self._dispatcher: threading.Thread | None = None
        self._listeners: dict[str, set[Callable[[], None]]] = {}
        self._expires = 0.0

    def start(self, *, make: bool = False) -> None:
        """Open the jobs of earlier services, and go on with them; where there are none, only with `make`.

        Raises:
            StorageFull, LibraryDamaged: the library's folder cannot be written to.
        """
        with self._wake:
            if self.closing or self._held is not None or not (make or self.files.database.is_file()):
                return
            self.files.make()
            self.store = self.store or JobStore(self.files.database)
            self._held = self.files.hold()
            if self._held is None:
                return  # another service runs the jobs; this one shows them
            self._recover(self.store)
            self._dispatcher = threading.Thread(target=self._dispatch, args=(self.store,), name="jobs", daemon=True)
            self._dispatcher.start()

    def resume(self) -> None:
        """`start` as a service begins: whatever is wrong with the jobs must not keep it from answering searches."""
        try:
            self.start()
        except PellucidError as error:
            _LOG.warning("jobs cannot be run: %s", error)

    def _recover(self, store: JobStore) -> None:
        """Jobs that ran when the service ended go on where they were, or are marked."""
        for job in store.open_jobs():
            if job.state != "running":
                continue
            if job.cancelling:
                store.move(job.id, "cancelled")
            elif not KINDS[job.kind].resumes:
                store.move(job.id, "interrupted", error="The service ended while this job ran. Ask for it again.")
            elif job.attempts >= ATTEMPTS:
                told = f"The service ended {job.attempts} times while this job ran, so it is not begun again. See the service's log, then ask for it again."
                store.move(job.id, "interrupted", error=told)
            else:
                store.move(job.id, "waiting")
                store.log(job.id, "The service ended and began anew; the job goes on where it was.")
        self.files.sweep(store.results(), {str(job.options.get("upload")) for job in store.open_jobs()})

    def _opened(self) -> JobStore:
        """The store, for those who write.

        Raises:
            LibraryBusy: another service runs this library's jobs.
        """
        self.start(make=True)
        if self.store is None or self._held is None:
            raise LibraryBusy(f"Another service runs the jobs of {self.files.library}. Ask that one, or stop it.")
        return self.store

    def reserve(self) -> Path:
        """See that one more job may be asked for, before its archive is received; the folder for that.

        Raises:
            Overloaded: too many wait. LibraryBusy: another service runs this library's jobs.
        """
        if self._opened().counts()["waiting"] >= MOST_WAITING:
            raise Overloaded(60)
        return self.files.uploads

    def submit(self, asking: Asking) -> tuple[Job, bool]:
        """The job, and whether it is new.

        Raises:
            KeyReused: the key named another request. Overloaded, LibraryBusy: as `reserve`. StorageFull: the disk took no more.
        """
        self.reserve()
        job, new = self._opened().add(asking)
        if new:
            _LOG.info("job %s: %s, asked for by %s", job.id, job.kind, job.owner)
            self._ring(job.id)
        return job, new

    def get(self, job_id: str) -> Job | None:
        """One job, or none."""
        self.start()
        return None if self.store is None else self.store.get(job_id)

    def page(self, before: int | None = None, limit: int = 50, states: tuple[JobState, ...] = STATES) -> tuple[list[Job], int]:
        """Jobs, the latest first, from a number on downwards; and how many there are."""
        self.start()
        return ([], 0) if self.store is None else self.store.page(before, limit, states)

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        return dict.fromkeys(STATES, 0) if self.store is None else self.store.counts()

    def events(self, job_id: str, after: int) -> list[Event]:
        """What a job said behind a number."""
        return [] if self.store is None else self.store.events(job_id, after)

    def result_file(self, job: Job) -> Path | None:
        """The file that a job made, while it is kept."""
        return self.files.result(job)

    def cancel(self, job_id: str) -> Job | None:
        """Stop a job at its next safe point, and after a minute at any; one that has ended stays as it is. None where there is no such job."""
        store = self._opened()
        if store.get(job_id) is None:
            return None
        job = store.ask_to_stop(job_id)
        with self._wake:
            run, _ = self._runs.get(job_id, (None, None))
        if run is not None and not job.ended:
            run.stop(self.kill_s)
        self.files.tidy(job)
        self._ring(job_id)
        return job

    @contextlib.contextmanager
    def listening(self, job_id: str, ring: Callable[[], None]) -> Iterator[None]:
        """Call `ring`, from any thread, whenever the job has something to say."""
        with self._wake:
            self._listeners.setdefault(job_id, set()).add(ring)
            self.watchers += 1
        try:
            yield
        finally:
            with self._wake:
                self.watchers -= 1
                own = self._listeners.get(job_id, set())
                own.discard(ring)
                if not own:
                    self._listeners.pop(job_id, None)

    def _ring(self, job_id: str, *, places: bool = True) -> None:
        """Wake those who watch a job; and what starts jobs, where `places` may have changed."""
        with self._wake:
            if places:
                self._wake.notify_all()
            listeners = list(self._listeners.get(job_id, ()))
        for ring in listeners:
            ring()

    def _dispatch(self, store: JobStore) -> None:
        """Start what may be started, until the service closes."""
        while not self.closing:
            wait_s = IDLE_S
            try:
                self._expire(store)
                with self._wake:
                    while not self.closing and (job := self._startable(store)) is not None:
                        if job.writes and (holder := self.files.holder()) is not None:
                            wait_s = BUSY_S
                            self._tell_waiting(store, job, holder)
                            job = self._startable(store, writes=False)
                        if job is None or not self._begin(store, job):
                            break
                    if not self.closing:
                        self._wake.wait(wait_s)
            except PellucidError as error:
                _LOG.warning("jobs wait: %s", error)
                time.sleep(BUSY_S)
            except Exception:  # one strange job must not keep all others waiting for ever
                _LOG.exception("jobs wait")
                time.sleep(BUSY_S)

    def _startable(self, store: JobStore, *, writes: bool = True) -> Job | None:
        """The first job that waits and has a place: one that writes, and one that only reads, at a time."""
        taken = {run.job.writes for run, _ in self._runs.values()} | ({True} if not writes else set())
        return next((job for job in store.open_jobs() if job.state == "waiting" and job.writes not in taken), None)

    def _begin(self, store: JobStore, job: Job) -> bool:
        started = store.move(job.id, "running", progress=None)
        if started is None:
            return False
        run = JobRun(started, store, self.files, settings_variables(self.settings), self.command, lambda: self._ring(job.id, places=False))
        thread = threading.Thread(target=self._run, args=(run,), name=f"job-{job.id}", daemon=True)
        self._runs[job.id] = (run, thread)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads
            del self._runs[job.id]
            store.move(job.id, "waiting", attempts=job.attempts)
            return False
        self._ring(job.id, places=False)
        return True

    def _run(self, run: JobRun) -> None:
        try:
            run.run()
        finally:
            with self._wake:
                del self._runs[run.job.id]
            self._ring(run.job.id)

    def _tell_waiting(self, store: JobStore, job: Job, holder: str) -> None:
        stage = f"waiting until the library is free: it is held by {holder}"
        if (job.progress or {}).get("stage") != stage:
            store.tell(job.id, {"stage": stage, "done": 0, "total": None, "eta_s": None})
            self._ring(job.id, places=False)

    def _expire(self, store: JobStore) -> None:
        if time.monotonic() >= self._expires:
            self._expires = time.monotonic() + IDLE_S
            for name in store.expire():
                remove(self.files.results / name)

    def close(self) -> None:
        """Stop running jobs at their safe points; the next service goes on with those that can."""
        with self._wake:
            self.closing = True
            self._wake.notify_all()
            runs, listeners = list(self._runs.values()), [ring for own in self._listeners.values() for ring in own]
        for ring in listeners:
            ring()
        for run, _ in runs:
            run.closing = True
            run.stop(CLOSE_S)
        for thread in [self._dispatcher, *(thread for _, thread in runs)]:
            if thread is not None:
                thread.join(CLOSE_S + 5)
        with self._wake:
            if self.store is not None:
                self.store.close()
            if self._held is not None:
                self._held.close()
            self.store = self._held = None
