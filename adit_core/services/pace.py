"""The pace of nodes: moments for instances, given away in turn to all workers of all machines.

With a rate of 20 instances per second, each instance gets a moment of its own, 50 ms after the one before.
A worker fetches the moments of about a quarter of a second at once, so that the database is asked a few
times a second, and not for every instance.
"""

import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.services.node_health import lock_health

_AT_ONCE = 0.25
"""Seconds whose moments are fetched at once."""


class Pace:
    """Makes its caller wait before each instance that goes from or to one node."""

    def __init__(
        self,
        db: Database,
        node_id: int,
        per_second: float,
        *,
        now: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._db = db
        self._node_id = node_id
        self._interval = timedelta(seconds=1 / per_second)
        self._number = max(1, int(per_second * _AT_ONCE))
        self._now = now
        self._sleep = sleep
        self._moments: deque[datetime] = deque()

    def wait(self) -> None:
        """Wait for the moment of the next instance.

        Raises:
            DatabaseUnavailable: Nobody can say when that is.
        """
        if not self._moments:
            self._moments.extend(self._fetched())
        remaining = (self._moments.popleft() - self._now()).total_seconds()
        if remaining > 0:
            self._sleep(remaining)

    def _fetched(self) -> list[datetime]:
        with self._db.session() as session:
            health = lock_health(session, self._node_id)
            now = self._now()
            first = max(now, health.paced_until or now)
            moments = [first + self._interval * number for number in range(self._number)]
            health.paced_until = moments[-1] + self._interval
            session.commit()
        return moments
