"""Duplicates of a library, looked for once for each of its states, in a thread of its own: in a large one that takes minutes, and searches are not to wait for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search import Duplicates

    from .derived_pool import State
    from .state import Service

_MOST = 4


@dataclass(slots=True)
class Comparison:
    """One search for duplicates: how far it is, and what it found."""

    future: Future[Found]
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, and how many photos have no vector yet."""

    duplicates: Duplicates
    missing: int
    spare_bytes: dict[str, int] = field(default_factory=dict)


class DuplicatesFinder:
    """The comparisons that were asked for last, by the library's state and the condition."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="duplicates")
        self.closed = False
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[State, str | None], Comparison] = OrderedDict()

    def comparison(self, where: str | None) -> tuple[Comparison, State]:
        """The one of the library's present state, begun if it was not, and that state.

        Raises:
            FilterError: the condition is wrong.
        """
        from search import matching_vectors

        with self.service.opened(self.service.library()) as opened:
            state = opened.state
            with self._lock:
                known = self._known.get((state, where))
            if known is None and where is not None:
                matching_vectors(opened.derived.database, where)  # so that a wrong one is told now
        with self._lock:
            known = self._known.get((state, where))
            if known is None:
                for past in [key for key in self._known if key[0] != state]:
                    self._known.pop(past).future.cancel()
                known = self._known[state, where] = Comparison(Future())
                known.future = self.pool.submit(self._find, known, where)
                known.future.add_done_callback(lambda future: self._forget_failed((state, where), future))
            self._known.move_to_end((state, where))
            while len(self._known) > _MOST:
                self._known.popitem(last=False)[1].future.cancel()
        return known, state

    def _forget_failed(self, key: tuple[State, str | None], future: Future[Found]) -> None:
        """One that failed is tried again by who asks next."""
        if future.cancelled() or future.exception() is not None:
            with self._lock:
                if key in self._known and self._known[key].future is future:
                    del self._known[key]

    def _find(self, comparison: Comparison, where: str | None) -> Found:
        from search import DuplicateOptions, find_duplicates, spare_files

        def move(done: int, total: int) -> None:
            comparison.done, comparison.total = done, total
            if self.closed:
                raise CancelledError

        with self.service.opened(self.service.library()) as opened:
            duplicates = find_duplicates(opened.derived, DuplicateOptions(where=where), move)
            return Found(duplicates, opened.derived.coverage.missing, spare_files(duplicates.groups))

    def close(self) -> None:
        """Stop at the next step."""
        self.closed = True
        self.pool.shutdown(wait=False, cancel_futures=True)
