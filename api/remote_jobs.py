"""Long work that a service does: start it, watch it, fetch what it made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter

from preprocess import FetchError, InputError

from .remote_form import Part
from .remote_http import Asked, Streamed
from .remote_paths import quoted
from .service.schemas_jobs import DatasetOptions, JobAsked, JobGiven, JobsGiven, JobState, Progress

if TYPE_CHECKING:
    from .client import Client

ENDED = ("finished", "failed", "cancelled", "interrupted")
_MOST_BREAKS = 5  # of a job's events in a row, before the job is given up
_ASKED: TypeAdapter[Any] = TypeAdapter(JobAsked)


class RemoteJobs:
    """The jobs of a service; `client.jobs`."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def start(self, job: BaseModel | Mapping[str, Any], key: str | None = None) -> JobGiven:
        """Start a job, such as `TagJob(kind="tag")`. With a `key` of one's own, the same request sent again starts nothing new."""
        asked = _ASKED.validate_python(job)
        body = asked.model_dump(mode="json", exclude_defaults=True) | {"kind": asked.kind}
        return self.client.given(JobGiven, Asked("POST", "/v1/jobs", body=body, headers=_keyed(key)))

    def tag_dataset(
        self, options: DatasetOptions, archive: IO[bytes] | None = None, name: str = "archive.zip", key: str | None = None
    ) -> JobGiven:
        """Tag pictures that are not in the library: those of an archive that is sent, of a folder on the server, or behind addresses."""
        if archive is None:
            body = options.model_dump(mode="json", exclude_defaults=True)
            return self.client.given(JobGiven, Asked("POST", "/v1/datasets:tag", body=body, headers=_keyed(key)))
        parts = [Part("options", options.model_dump_json(exclude_defaults=True).encode()), Part("archive", archive, name)]
        return self.client.given(JobGiven, Asked("POST", "/v1/datasets:tag", parts=parts, headers=_keyed(key)))

    def list(self, state: JobState | None = None, limit: int | None = None, cursor: str | None = None) -> JobsGiven:
        """A page of the jobs, the latest first; with a state, only of those in it."""
        return self.client.given(JobsGiven, Asked("GET", "/v1/jobs", {"state": state, "limit": limit, "cursor": cursor}))

    def get(self, job: str) -> JobGiven:
        """A job as it is now."""
        return self.client.given(JobGiven, Asked("GET", f"/v1/jobs/{quoted(job)}"))

    def cancel(self, job: str) -> JobGiven:
        """Ask a job to stop at the next safe point."""
        return self.client.given(JobGiven, Asked("DELETE", f"/v1/jobs/{quoted(job)}"))

    def events(self, job: str) -> Iterator[JobGiven]:
        """The job now and at every change, until it has ended. Where the stream breaks off, it goes on from there.

        Raises:
            FetchError: it broke off again and again.
        """
        last, breaks = "", 0
        told: JobGiven | None = None
        while told is None or told.state not in ENDED:
            try:
                with self.client.connection.stream(_events(job, last)) as answer:
                    for name, number, data in events_of(answer.lines()):
                        last, breaks = number or last, 0
                        if name == "state":
                            told = JobGiven.model_validate_json(data, extra="ignore")
                            yield told
                        elif name == "progress" and told is not None:
                            told = told.model_copy(update={"progress": Progress.model_validate_json(data, extra="ignore")})
                            yield told
            except FetchError:
                breaks += 1
                if breaks > _MOST_BREAKS:
                    raise
                time.sleep(min(0.2 * 2**breaks, 5))
            else:
                if told is None or told.state not in ENDED:  # the service began anew, or it said all before
                    told = self.get(job)
                    yield told
                    time.sleep(0.2)

    def finish(self, job: JobGiven, on_progress: Callable[[str, int, int], None] = lambda _stage, _done, _total: None) -> JobGiven:
        """Wait for a job to end; the job then.

        Raises:
            InputError: it failed or was stopped; the message is the job's.
        """
        told = job
        for told in self.events(job.id):
            if told.progress is not None:
                on_progress(told.progress.stage, told.progress.done, told.progress.total or 0)
        if told.state != "finished":
            raise InputError(told.error or f"The job {told.id} was {told.state}.")
        return self.get(job.id)  # events shorten what came of it

    def result(self, job: str) -> AbstractContextManager[Streamed]:
        """The file that a job made, piece by piece."""
        return self.client.connection.stream(Asked("GET", f"/v1/jobs/{quoted(job)}/result", headers={"Accept": "*/*"}))


def _keyed(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


def _events(job: str, last: str) -> Asked:
    return Asked(
        "GET", f"/v1/jobs/{quoted(job)}/events", headers={"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
    )


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, str, str]]:
    """Name, id and data of each server-sent event in a stream's lines; comments keep a connection alive and say nothing.

    >>> list(events_of(iter([": hello", "event: job", "id: 3", "data: {", "data: }", "", "data: x"])))
    [('job', '3', '{\\n}')]
    """
    name, number = "", ""
    data: list[str] = []
    for line in lines:
        if not line:
            if data or name:
                yield name, number, "\n".join(data)
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "id":
            number = value
        elif field == "data":
            data.append(value)


__all__ = ["ENDED", "RemoteJobs", "events_of"]
