"""The jobs of a service: asked for, looked at, cancelled; and gone on with when the service begins anew."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

from preprocess import LibraryBusy, PellucidError

from .job import STATES, Job
from .job_dispatcher import JobDispatcher
from .job_recovery import recover
from .job_store import Asking, Event, JobStore
from .workers import Overloaded

if TYPE_CHECKING:
    from ..settings import Settings
    from .schemas_jobs import JobState

MOST_WAITING = 100
KILL_S = 60.0
"""Seconds that a job has for its safe point when it is cancelled."""
CLOSE_S = 10.0
"""The same when the service ends."""
_LOG = logging.getLogger("pellucid.service")


class Jobs(JobDispatcher):
    """The jobs of a service over one library. Its files are made when the first job is asked for; its methods block, if shortly."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.store: JobStore | None = None
        self.kill_s = KILL_S
        self._held: IO[str] | None = None
        self._dispatcher: threading.Thread | None = None

    def start(self, *, make: bool = False) -> None:
        """Open the jobs of earlier services, and go on with them; where there are none, only with `make`.

        Raises:
            StorageFull, LibraryDamaged: the library's folder cannot be written to.
        """
        if self._held is not None:
            return  # without the lock, which is held while jobs are written down
        with self.wake:
            if self.closing or self._held is not None or not (make or self.files.database.is_file()):
                return
            self.files.make()
            self.store = self.store or JobStore(self.files.database)
            held = self.files.hold()
            if held is None:
                return  # another service runs the jobs; this one shows them
            try:
                recover(self.store, self.files)
                dispatcher = threading.Thread(target=self.dispatch, args=(self.store,), name="jobs", daemon=True)
                dispatcher.start()
            except BaseException:
                held.close()  # the next call begins anew, when the disk may have room
                raise
            self._dispatcher, self._held = dispatcher, held  # only now: whoever sees it held may rely on all of it

    def resume(self) -> None:
        """`start` as a service begins: whatever is wrong with the jobs must not keep it from answering searches."""
        try:
            self.start()
        except PellucidError as error:
            _LOG.warning("jobs cannot be run: %s", error)
        except Exception:
            _LOG.exception("jobs cannot be run")

    def _shown(self) -> JobStore | None:
        """The store, for those who only look: they need none that can be written to. None where there are no jobs.

        Raises:
            LibraryDamaged: the file of the jobs cannot be read.
        """
        try:
            self.start()
        except PellucidError:
            if self.store is None:
                raise
        return self.store

    def _opened(self) -> JobStore:
        """The store, for those who write.

        Raises:
            LibraryBusy: another service runs this library's jobs.
        """
        self.start(make=True)
        if self.store is None or self._held is None:
            raise LibraryBusy(f"Another service runs the jobs of {self.files.library}. Ask that one, or stop it.")
        return self.store

    def reserve(self, owner: str = "", key: str | None = None) -> Path:
        """See that one more job may be asked for, before its archive is received; the folder for that. What has a key that is known may be no new job, and needs no room.

        Raises:
            Overloaded: too many wait. LibraryBusy: another service runs this library's jobs.
        """
        store = self._opened()
        if store.counts()["waiting"] >= MOST_WAITING and not store.has_key(owner, key):
            raise Overloaded(60)
        return self.files.uploads

    def submit(self, asking: Asking) -> tuple[Job, bool]:
        """The job, and whether it is new.

        Raises:
            KeyReused: the key named another request. Overloaded, LibraryBusy: as `reserve`. StorageFull: the disk took no more.
        """
        store = self._opened()
        if (known := store.earlier(asking)) is not None:  # which needs no room
            return known, False
        self.reserve()
        job, new = store.add(asking)
        if new:
            _LOG.info("job %s: %s, asked for by key %s", job.id, job.kind, job.owner)
            self.ring(job.id)
        return job, new

    def get(self, job_id: str) -> Job | None:
        """One job, or none."""
        store = self._shown()
        return None if store is None else store.get(job_id)

    def page(self, before: int | None = None, limit: int = 50, states: tuple[JobState, ...] = STATES) -> tuple[list[Job], int]:
        """Jobs, the latest first, from a number on downwards; and how many there are."""
        store = self._shown()
        return ([], 0) if store is None else store.page(before, limit, states)

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
        with self.wake:
            run, _ = self.runs.get(job_id, (None, None))
        if run is not None and not job.ended:
            run.stop(self.kill_s)
        self.files.tidy(job)
        self.ring(job_id)
        return job

    @property
    def watchers(self) -> int:
        """How many watch jobs."""
        return self.listeners.count

    def close(self) -> None:
        """Stop running jobs at their safe points; the next service goes on with those that can."""
        with self.wake:
            self.closing = True
            self.wake.notify_all()
            runs = list(self.runs.values())
        self.listeners.ring()
        for run, _ in runs:
            run.closing = True
            run.stop(CLOSE_S)
        for thread in [self._dispatcher, *(thread for _, thread in runs)]:
            if thread is not None:
                thread.join(CLOSE_S + 5)
        with self.wake:
            if self.store is not None:
                self.store.close()
            if self._held is not None:
                self._held.close()
            self.store = self._held = None
