"""Duplicates of a library, looked for once for each of its states, in a thread of its own: in a large one that takes minutes, and searches are not to wait for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .workers import Overloaded

if TYPE_CHECKING:
    from search import Duplicates

    from .derived_pool import State
    from .state import Service

AGAIN_S = 2
"""After which a request may ask again how far a comparison is."""
_MOST = 4


@dataclass(slots=True)
class Comparison:
    """One search for duplicates: how far it is, and what it found."""

    future: Future[Found]
    done: int = 0
    total: int = 0
    wanted: bool = True

    def give_up(self) -> None:
        """Nobody can ask for it any more: it does not begin, or stops at its next step."""
        self.wanted = False
        self.future.cancel()


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
            Overloaded: as many as are kept are not through yet.
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
            if known is not None:
                self._known.move_to_end((state, where))
                return known, state
            given_up = self._make_room(state)
            known = Comparison(Future())
            known.future = self.pool.submit(self._find, known, where)
            self._known[state, where] = known
        # Without the lock, since who is told of an end takes it: of one that is cancelled, in this very thread.
        known.future.add_done_callback(lambda future: self._forget_failed((state, where), future))
        for past in given_up:
            past.give_up()
        return known, state

    def _make_room(self, state: State) -> list[Comparison]:
        """Forget those of past states, which are to be given up, and of this one as many that are through as one more needs. The lock is held.

        Raises:
            Overloaded: none is through. If one were given up for the next that is asked for, and asked for again, none would ever end.
        """
        own = [key for key in self._known if key[0] == state]
        through = [key for key in own if self._known[key].future.done()]
        if len(own) - len(through) >= _MOST:
            raise Overloaded(AGAIN_S)
        for key in through[: max(0, len(own) - _MOST + 1)]:
            del self._known[key]
        return [self._known.pop(key) for key in list(self._known) if key[0] != state]

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
            if self.closed or not comparison.wanted:
                raise CancelledError

        with self.service.opened(self.service.library()) as opened:
            duplicates = find_duplicates(opened.derived, DuplicateOptions(where=where), move)
            return Found(duplicates, opened.derived.coverage.missing, spare_files(duplicates.groups))

    def close(self) -> None:
        """Stop at the next step."""
        self.closed = True
        self.pool.shutdown(wait=False, cancel_futures=True)
