"""Who is rung when a job has something to say."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

Ring = Callable[[], None]


class Listeners:
    """Those who watch, by job. Its lock is held for moments and never while something is written, so that an event loop may take it."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._rings: dict[str, set[Ring]] = {}

    @contextlib.contextmanager
    def listening(self, job_id: str, ring: Ring) -> Iterator[None]:
        """Have `ring` called, from any thread, whenever the job has something to say."""
        with self._lock:
            self._rings.setdefault(job_id, set()).add(ring)
            self.count += 1
        try:
            yield
        finally:
            with self._lock:
                self.count -= 1
                own = self._rings.get(job_id, set())
                own.discard(ring)
                if not own:
                    self._rings.pop(job_id, None)

    def ring(self, job_id: str | None = None) -> None:
        """Wake those who watch a job; without one, all."""
        with self._lock:
            rings = [ring for own in self._rings.values() for ring in own] if job_id is None else list(self._rings.get(job_id, ()))
        for ring in rings:
            ring()
