"""The clock that all processes share, by which claims and signs of life are timed."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, bindparam, func
from sqlmodel import Session, select

from adit_core.db.columns import UtcDateTime, utc_now

CLOCKS: Mapping[str, ColumnElement[datetime]] = {
    "postgresql": func.clock_timestamp(),
    "sqlite": bindparam("now", callable_=utc_now, type_=UtcDateTime),
}
"""By the database's dialect, what `shared_now` says as a column: for those who ask for more than that."""


def shared_now(session: Session) -> datetime:
    """Return the present moment by the database's clock; those of the machines need not agree.

    SQLite has none of its own, but all who use such a database are on one machine.
    """
    if session.get_bind().dialect.name == "postgresql":
        return session.exec(select(func.clock_timestamp())).one()
    return utc_now()


class ClockWatch:
    """Notices that the shared clock was put forward: for a moment all who live look as if they were dead.

    That is also what it looks like when a virtual machine is resumed.
    """

    def __init__(
        self,
        lease: float,
        *,
        now: Callable[[Session], datetime] = shared_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch for those who say that they live for `lease` seconds, and again after a third of them."""
        self._lease = lease
        self._now = now
        self._clock = clock
        self._difference: timedelta | None = None
        """Between the shared clock and one that nobody sets."""
        self._settled_at = 0.0

    def is_settled(self, session: Session) -> bool:
        """Tell whether all who live have had the time to say so since the clock was last put forward."""
        evenly = self._clock()
        difference = self._now(session) - datetime.fromtimestamp(evenly, UTC)
        known, self._difference = self._difference, difference
        if known is not None and difference - known > timedelta(seconds=self._lease / 3):
            self._settled_at = evenly + self._lease
        return evenly >= self._settled_at
