"""The pace of nodes: moments for instances, given away in turn to all workers of all machines.

With a rate of 20 instances per second, each instance gets a moment of its own, 50 ms after the one before.
A worker fetches the moments of about a quarter of a second at once, so that the database is asked a few
times a second, and not for every instance. Moments are those of the clock that all share; between them the
time of the machine that runs on evenly is waited for, whatever happens to its clock.
"""

import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlmodel import Session

from adit_core.db.clock import shared_now
from adit_core.db.engine import Database
from adit_core.services.node_health import lock_health

_AT_ONCE = 0.25
"""Seconds whose moments are fetched at once."""
_IN_TURN = 100
"""How many workers at most are thought to wait for the same node.

When more moments seem to be taken, the shared clock has been put back.
"""


class Pace:
    """Makes its caller wait before each instance that goes from or to one node."""

    def __init__(
        self,
        db: Database,
        node_id: int,
        per_second: float,
        *,
        now: Callable[[Session], datetime] = shared_now,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._db = db
        self._node_id = node_id
        self._interval = timedelta(seconds=1 / per_second)
        self._number = max(1, int(per_second * _AT_ONCE))
        self._now = now
        self._clock = clock
        self._sleep = sleep
        self._moments: deque[float] = deque()
        """Those to come, as `clock` will show them."""

    def wait(self) -> None:
        """Wait for the moment of the next instance.

        Raises:
            DatabaseUnavailable: Nobody can say when that is.
        """
        if not self._moments:
            self._moments.extend(self._fetched())
        remaining = self._moments.popleft() - self._clock()
        if remaining > 0:
            self._sleep(remaining)

    def _fetched(self) -> list[float]:
        taken = self._interval * self._number
        with self._db.session() as session:
            health = lock_health(session, self._node_id)
            now = self._now(session)
            delay = max((health.paced_until or now) - now, timedelta())
            if delay > taken * _IN_TURN:
                delay = timedelta()
            health.paced_until = now + delay + taken
            first = self._clock() + delay.total_seconds()
            session.commit()
        return [first + self._interval.total_seconds() * number for number in range(self._number)]
