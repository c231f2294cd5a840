"""How often the API may be called in the name of one token or session."""

import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter


class RateLimiter:
    """Counts calls over the last minute. There is one web process, so that its memory is the place."""

    def __init__(self, calls_per_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(calls_per_minute)
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def seconds_to_wait(self, caller: str) -> int:
        """Count a call, and return 0; if it is one too many, return when to try again and count nothing."""
        if self._counter.hit(self._limit, caller):
            return 0
        reset_at, _ = self._counter.get_window_stats(self._limit, caller)
        return max(1, round(reset_at - time.time()))
