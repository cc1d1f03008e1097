"""One job from its start to its end: its process is started, what it says is written down, and so is what came of it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from preprocess import PellucidError

from .job import KINDS
from .job_files import JobFiles, remove
from .job_pace import Pace
from .job_process import JobProcess

if TYPE_CHECKING:
    from .job import Job
    from .job_store import JobStore
    from .schemas_jobs import JobState

_AGAIN_S = 5.0
_LOG = logging.getLogger("pellucid.service")


@dataclass
class JobRun:
    """A job that runs. `told` is called after every word of it; `closing` says that the service ends, and the next one goes on with the job."""

    job: Job
    store: JobStore
    files: JobFiles
    variables: dict[str, str]
    command: Sequence[str]
    told: Callable[[], None]
    process: JobProcess | None = None
    closing: bool = False
    _kill_s: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Do all of it, in a thread of its own: on Linux the system interrupts the process when this thread ends."""
        place, last, reason = self.files.part(self.job), dict[str, Any](), ""
        try:
            remove(place)
            place.mkdir()
            request = {
                "kind": self.job.kind,
                "options": self.job.options,
                "place": str(place),
                "uploads": str(self.files.uploads),
                "parent": os.getpid(),
            }
            process = JobProcess(request, self.variables, self.command)
            with self._lock:
                self.process = process
                stopped = self._kill_s
            if stopped is not None:
                self.stop(stopped)  # asked for before there was a process
            last = self._listen(process)
            reason = process.reason(process.code())
        except OSError as error:
            reason = (
                f"The job could not be started: {error.strerror or error}. See that the library's folder can be written to, and ask again."
            )
        finally:
            if self.process is not None and self.process.process.poll() is None:
                self.process.kill()
                self.process.code()
            self._settle(last, reason)

    def stop(self, kill_s: float) -> None:
        """Interrupt the process, and end it where it has not ended by itself after so many seconds."""
        with self._lock:
            self._kill_s, process = kill_s, self.process
        if process is not None:
            process.interrupt()
            timer = threading.Timer(kill_s, process.kill)  # which does nothing where it has ended
            timer.daemon = True
            timer.start()

    def _listen(self, process: JobProcess) -> dict[str, Any]:
        """The last word of the process; what it says before goes to the store."""
        pace, last = Pace(), dict[str, Any]()
        for message in process.messages():
            try:
                if "ended" in message:
                    last = message
                elif "log" in message:
                    self.store.log(self.job.id, str(message["log"]))
                elif "progress" in message:
                    self.store.tell(self.job.id, {**message["progress"], "eta_s": pace.eta_s(**message["progress"])})
            except PellucidError as error:  # a full disk costs the watchers a line, not the job
                _LOG.warning("job %s: %s", self.job.id, error)
            self.told()
        return last

    def _settle(self, last: dict[str, Any], reason: str) -> None:
        """Write down what came of the job; again and again where the disk is full."""
        made = last.get("result")
        while True:
            try:
                state, facts = self._end(self.store.known(self.job.id), last, reason)
                if state == "finished" and last.get("result"):
                    facts["result"] = f"{self.job.id}-{last['result']}"
                    if made is not None:
                        (self.files.part(self.job) / str(made)).replace(self.files.results / facts["result"])
                        made = None
                remove(self.files.part(self.job))
                if state is not None:
                    self.store.move(self.job.id, state, **facts)
                    if state == "waiting" and self.closing:
                        self.store.log(self.job.id, "The service ends; the next one goes on with the job where it was.")
                    _LOG.info("job %s: %s", self.job.id, state)
                    self.files.tidy(self.store.known(self.job.id))
            except OSError as error:
                told = f"What the job made could not be kept: {error.strerror or error}. See that the library's disk can be written to, and ask again."
                last, made = {"ended": "failed", "error": told}, None
            except PellucidError as error:
                _LOG.warning("job %s cannot be written down: %s", self.job.id, error)
                if self.closing:
                    return
                time.sleep(_AGAIN_S)
            else:
                return

    def _end(self, job: Job, last: dict[str, Any], reason: str) -> tuple[JobState | None, dict[str, Any]]:
        """The state that the process leaves the job in, and the facts of it; none where the next service goes on with it."""
        ended, facts = last.get("ended"), {"outcome": last.get("outcome")}
        if ended == "finished":
            return "finished", facts
        if job.cancelling:
            return "cancelled", facts
        if self.closing:  # a stop of the service is no fault of the job, and counts as no attempt
            return ("waiting", {"attempts": job.attempts - 1}) if KINDS[job.kind].resumes else (None, {})
        if ended == "busy":
            stage = f"waiting until the library is free: {last.get('error')}"
            return "waiting", {
                "attempts": job.attempts - 1,
                "progress": {"stage": stage[:500], "done": 0, "total": None, "eta_s": None},
            }
        if ended == "interrupted":
            return "interrupted", facts | {
                "error": "The job's process was interrupted from outside. What it had written is kept; ask for it again."
            }
        told = str(last.get("error")) if ended == "failed" else reason
        return "failed", facts | {"error": told.encode("utf-8", "backslashreplace").decode()}
