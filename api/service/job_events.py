"""A job as server-sent events: what it said so far, and what it says until it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from preprocess import PellucidError

from .job import shortened
from .workers import Overloaded

if TYPE_CHECKING:
    from .job_runner import Jobs
    from .job_store import Event

MOST_WATCHERS = 200
HEARTBEAT_S = 15.0
_TOLD = 20  # entries of each list in a job
_PAUSE_S = 0.1  # so that a job that says much costs its watchers little
_RETRY_MS = 2_000


def check_watchers(jobs: Jobs) -> None:
    """See that one more may watch.

    Raises:
        Overloaded: too many do.
    """
    if jobs.watchers >= MOST_WATCHERS:
        raise Overloaded(5)


async def watched(jobs: Jobs, job_id: str, after: int, admitted: Callable[[], bool] = lambda: True) -> AsyncIterator[bytes]:
    """Events behind a number, as the wire has them, until the job has ended; a comment now and then where it is silent.

    Before it says anything, it asks in a thread whether the caller is still `admitted`: a key may be revoked while its holder watches. A watcher holds no thread: it sleeps until the job says something, and is gone when its connection is.
    """
    loop, rung = asyncio.get_running_loop(), asyncio.Event()

    def ring() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(rung.set)

    with jobs.listeners.listening(job_id, ring):
        yield f"retry: {_RETRY_MS}\n\n".encode()
        while True:
            rung.clear()
            try:
                if not await asyncio.to_thread(admitted):
                    return
                job = await asyncio.to_thread(jobs.get, job_id)
                events = await asyncio.to_thread(jobs.events, job_id, after)
            except PellucidError:
                return  # the client comes again
            states = [event.number for event in events if event.kind == "state"]
            for event in events:
                after = event.number
                if event.kind == "state" and event.number < states[-1]:
                    continue  # the latest says it all
                yield format_sse_event(data_str=_data(event, job), event=event.kind, id=str(event.number))
            if job is None or job.ended or jobs.closing:
                return
            try:
                await asyncio.wait_for(rung.wait(), HEARTBEAT_S)
                await asyncio.sleep(_PAUSE_S)
            except TimeoutError:
                yield KEEPALIVE_COMMENT


def _data(event: Event, job: Any) -> str:
    """The event's own facts; with a state, the whole job as it is now."""
    if event.kind == "state" and job is not None:
        return str(job.given(_TOLD).model_dump_json())
    return json.dumps(shortened(event.data, _TOLD))
