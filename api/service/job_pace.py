"""How long a job will still take, by its pace of the last seconds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW_S, LEAST_S = 20.0, 2.0


class Pace:
    """Collects how far a stage is, and says how long the rest takes at the rate of the last 20 seconds; unknown in the first two."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.stage = clock, ""
        self.seen: deque[tuple[float, int]] = deque()

    def eta_s(self, stage: str, done: int, total: int | None) -> float | None:
        """Seconds that are left, rounded to what can be known: a tenth of it, at least a second."""
        at = self.clock()
        if stage != self.stage or (self.seen and done < self.seen[-1][1]):
            self.stage, self.seen = stage, deque()
        self.seen.append((at, done))
        while len(self.seen) > 2 and at - self.seen[1][0] > WINDOW_S:
            self.seen.popleft()
        before, gone = self.seen[0][1], at - self.seen[0][0]
        if total is None or gone < LEAST_S or done <= before:
            return None
        left = max(total - done, 0) * gone / (done - before)
        step = next((step for step in (600, 60, 10, 5) if left > 10 * step), 1)
        return float(round(left / step) * step)
