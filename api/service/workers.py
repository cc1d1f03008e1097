"""A bounded pool of threads: what does not fit is refused at once, so that an overload never grows."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from starlette.requests import ClientDisconnect

from .request_client import CLIENT

P = ParamSpec("P")
T = TypeVar("T")


class Overloaded(Exception):
    """More requests wait than the service holds; the caller may come again after `retry_s` seconds."""

    def __init__(self, retry_s: int) -> None:
        super().__init__(f"The service is busy. Try again in {retry_s} seconds.")
        self.retry_s = retry_s


class Workers:
    """Threads for the work of requests. `threads` work at once, `queue` more calls wait, none of them longer than `wait_s` seconds."""

    def __init__(self, threads: int, queue: int, wait_s: float) -> None:
        self.threads, self.queue, self.wait_s = threads, queue, wait_s
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self.lock, self.inside, self.overloads = threading.Lock(), 0, 0

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` gives, done in a thread.

        A call that is given up by its caller while it waits never starts, and neither does one for a client that leaves, where nothing is lost by that.

        Raises:
            Overloaded: as many calls as are allowed wait already, or this one waited too long.
            ClientDisconnect: the client left while it waited.
        """
        with self.lock:
            if self.inside >= self.threads + self.queue:
                raise self._overloaded()
            self.inside += 1
            waits = self.inside > self.threads  # else a thread is free, and there is nothing to be given up
        begun, context = threading.Event(), contextvars.copy_context()  # so that a thread's log has the request's id

        def inner() -> T:
            begun.set()
            return context.run(work, *args, **kwargs)

        try:
            future = self.pool.submit(inner)
        except RuntimeError:  # the service ends
            self._leave(None)
            raise self._overloaded() from None
        future.add_done_callback(self._leave)
        waiting = asyncio.wrap_future(future)
        client = CLIENT.get() if waits else None
        gone = asyncio.ensure_future(client.left()) if client is not None and client.whole else None
        try:
            if gone is None:
                return await asyncio.wait_for(asyncio.shield(waiting), self.wait_s)
            both: set[asyncio.Future[Any]] = {waiting, gone}
            done, _ = await asyncio.wait(both, timeout=self.wait_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise TimeoutError
            if waiting not in done and gone.exception() is None and not begun.is_set() and future.cancel():
                raise ClientDisconnect
            return await waiting
        except TimeoutError:
            if not begun.is_set() and future.cancel():
                raise self._overloaded() from None
            return await waiting  # it has begun: its answer is worth the wait
        except asyncio.CancelledError:
            future.cancel()
            raise
        finally:
            if gone is not None:
                gone.cancel()

    def _leave(self, _future: object) -> None:
        with self.lock:
            self.inside -= 1

    def _overloaded(self) -> Overloaded:
        self.overloads += 1
        return Overloaded(max(1, round(self.inside / max(self.threads, 1) * 0.1)))

    def close(self) -> None:
        """Let the threads go; calls that wait are given up."""
        self.pool.shutdown(wait=False, cancel_futures=True)
