"""The heartbeat of an execution of a job: while it lives it says so in the job's row.

Without it, a flow run that was killed while it held no task would be taken for alive for as long as
the scheduler does, which for a run whose worker died as well is for ever.
"""

from contextlib import suppress
from datetime import timedelta
from threading import Event, Thread
from typing import Self

from sqlmodel import col, update

from adit_core.db import Job
from adit_core.db.clock import shared_now
from adit_core.db.engine import Database
from adit_core.errors import DatabaseUnavailable

_BEATS_IN_A_LEASE = 3


class RunHeartbeat:
    """Says every few seconds that an execution of a job lives. Use it as a context manager.

    The first beat comes before the block begins. Leaving the block says that the execution has ended.
    """

    def __init__(self, db: Database, job_id: int, *, run_number: int, lease: float) -> None:
        """Beat so that somebody who hears nothing for `lease` seconds may take the execution for dead."""
        self._db = db
        self._run = (col(Job.id) == job_id, col(Job.run_number) == run_number)
        self._lease = lease
        self._over = Event()
        self._thread = Thread(target=self._beat_on, name="run-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._say_alive_for(self._lease)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()
        self._beat(0)

    def _beat_on(self) -> None:
        while not self._over.wait(self._lease / _BEATS_IN_A_LEASE):
            self._beat(self._lease)

    def _beat(self, lease: float) -> None:
        # The next beat may come in time; if not, tasks are protected by claims of their own.
        with suppress(DatabaseUnavailable):
            self._say_alive_for(lease)

    def _say_alive_for(self, seconds: float) -> None:
        with self._db.session() as session:
            until = shared_now(session) + timedelta(seconds=seconds)
            session.exec(update(Job).where(*self._run).values(running_until=until))
            session.commit()
