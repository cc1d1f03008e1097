"""What requests write to the library themselves: small things, each under the library's lock, for which they wait a little."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from fastapi import HTTPException

from preprocess import LibraryBusy

if TYPE_CHECKING:
    from search import Store

    from .state import Service

T = TypeVar("T")

WAIT_S = 3.0
"""Seconds that a request waits for another writer. What people say takes a fraction of one; a build holds the library for minutes."""
RETRY_S = 5
_STEP_S = 0.04


async def write(service: Service, purpose: str, work: Callable[[Store], T], wait_s: float = WAIT_S) -> T:
    """What `work` gives, done in a thread while the library is held. No thread is taken while it waits for another writer.

    Raises:
        HTTPException: 409 with Retry-After where another writer still holds the library.
        LibraryNotFound: nothing was indexed yet.
    """
    until = time.monotonic() + wait_s
    while True:
        try:
            return await service.workers.run(_held, service, purpose, work)
        except LibraryBusy:
            if time.monotonic() > until:
                raise HTTPException(
                    409,
                    f"Something else is writing to the library, such as an index job. Try again in {RETRY_S} seconds.",
                    {"Retry-After": str(RETRY_S)},
                ) from None
        await asyncio.sleep(_STEP_S)


def _held(service: Service, purpose: str, work: Callable[[Store], T]) -> T:
    from search import Store

    library = service.library()
    with library.locked(purpose):
        return work(Store(library))
