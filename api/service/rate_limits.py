"""How often somebody may ask."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

FAILED_PER_MINUTE = 10
PICTURES = 20
"""Small pictures for each other request: a page of a gallery is one answer and a hundred of them."""
_PICTURES = ("/thumbnail", "/preview")
_FREE = frozenset({"/healthz", "/readyz"})


@dataclass(frozen=True, slots=True)
class Spent:
    """What is left after a request."""

    allowed: bool
    policy: str
    limit: int
    remaining: int
    reset_s: int

    @property
    def headers(self) -> dict[str, str]:
        """As the IETF's draft on rate limits has them, and `Retry-After` for those who are refused."""
        told = {
            "RateLimit-Policy": f'"{self.policy}";q={self.limit};w=60',
            "RateLimit": f'"{self.policy}";r={self.remaining};t={self.reset_s}',
        }
        return told if self.allowed else {**told, "Retry-After": str(self.reset_s)}


def bucket_of(path: str) -> str | None:
    """What a request is counted as: pictures, requests, or nothing."""
    if path in _FREE or path.startswith("/assets/"):
        return None
    return "pictures" if path.startswith("/v1/images/") and path.endswith(_PICTURES) else "requests"


class RateLimits:
    """Counts of the last minute, in memory: a restart forgets them."""

    def __init__(self, per_minute: int) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._items = {
            "requests": RateLimitItemPerMinute(per_minute, namespace="requests"),
            "pictures": RateLimitItemPerMinute(per_minute * PICTURES, namespace="pictures"),
            "failed": RateLimitItemPerMinute(FAILED_PER_MINUTE, namespace="failed"),
        }

    async def spend(self, bucket: str, who: str) -> Spent:
        """Count one request of somebody."""
        item = self._items[bucket]
        allowed = await self._limiter.hit(item, who)
        left = await self._limiter.get_window_stats(item, who)
        # In a sliding window something is free again after a share of it; a whole number of seconds is what the headers can say.
        return Spent(allowed, bucket, item.amount, int(left.remaining), max(1, math.ceil(left.reset_time - time.time())))
