"""Places at nodes: whoever opens associations takes one first, and there are as many as the node allows.

The account is kept in the database (`place_account.py`), so it is one for all processes of all machines:
jobs, the web process, the command line. Of a node that has said that it is busy there are fewer for a
while (`node_health.width`). Who is next at a full node is said by `node_turns.admitted`: urgent jobs,
then whoever waits for an answer, then other jobs.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Condition, Event, Thread

from adit_core.db import DicomNode, Job, Precedence
from adit_core.db.engine import Database
from adit_core.dicom.interruption import Interruption
from adit_core.errors import AditError, DatabaseUnavailable, NotFound, TaskStopped
from adit_core.services.launching import node_ids_of
from adit_core.services.place_account import LEASE, Asker, give_back, renew

LONG_PATIENCE = 60.0
"""Seconds that a program waits for its turn."""
SHORT_PATIENCE = 5.0
"""Seconds that somebody waits who looks at a page meanwhile."""
_RENEWAL = LEASE.total_seconds() / 3
_RETRY = 1.0
"""Seconds between renewals while the database is away."""
_AFTER_OUTAGE = 3.0
"""Seconds after which who waits looks again at a database that was away: holders are to be the first."""


@contextmanager
def places_at(
    db: Database,
    nodes: Sequence[DicomNode],
    holder: str,
    interruption: Interruption | None = None,
    *,
    patience: float = LONG_PATIENCE,
) -> Iterator[None]:
    """Have a place at each of `nodes` while the block runs, for an answer that somebody waits for.

    Whoever has places must not ask for others: two who did could wait for each other.

    Args:
        db: Where the account is kept.
        nodes: What is used; places are taken at all of them at once.
        holder: Who uses them, in a word.
        interruption: What ends the wait.
        patience: How long to wait, in seconds.

    Raises:
        NodeClosed: Nobody left for too long.
        TaskStopped: The interruption came meanwhile.
        DatabaseUnavailable: Nobody could say for as long.
    """

    def check() -> None:
        if interruption is not None and interruption.is_interrupted:
            raise TaskStopped("It was interrupted while it waited for its turn.")

    asker = Asker(db, [node.id for node in nodes], holder, Precedence.ANSWER)
    with _held(asker, check, time.monotonic() + patience):
        yield


@contextmanager
def places_of_job(db: Database, job_id: int, check_stopped: Callable[[], None]) -> Iterator[None]:
    """Have a place at each node of a job while the block runs, waiting for as long as it takes.

    `check_stopped` raises once that has become pointless. A database that is away is waited for, too.

    Raises:
        NotFound: There is no such job (any more).
    """
    with _held(_asker_of(db, job_id, check_stopped), check_stopped):
        yield


def _asker_of(db: Database, job_id: int, check_stopped: Callable[[], None]) -> Asker:
    while True:
        try:
            with db.reading() as session:
                job = session.get(Job, job_id)
        except DatabaseUnavailable:
            check_stopped()
            time.sleep(_RETRY)
            continue
        if job is None:
            raise NotFound(f"There is no job {job_id}.")
        precedence = Precedence.URGENT_JOB if job.urgent else Precedence.JOB
        return Asker(db, node_ids_of(job), f"job {job_id}", precedence)


@contextmanager
def _held(asker: Asker, check: Callable[[], None], deadline: float | None = None) -> Iterator[None]:
    try:
        _wait_for_turn(asker, check, deadline)
        _keeper.keep(asker)
        yield
    finally:
        _keeper.give_back(asker)


def _wait_for_turn(asker: Asker, check: Callable[[], None], deadline: float | None) -> None:
    while True:
        try:
            reason: AditError | None = asker.take()
            # So that not all look at the same moment.
            pause = asker.pause * random.uniform(0.75, 1.25)  # noqa: S311 # nosec B311
        except DatabaseUnavailable as error:
            reason, pause = error, _AFTER_OUTAGE
        if reason is None:
            return
        check()
        if deadline is not None:
            pause = min(pause, deadline - time.monotonic())
            if pause < 0:
                raise reason
        _keeper.wait_for_change(pause)


class _Keeper:
    """Keeps the places that this process has, by one thread, which runs while there are some."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._held: dict[str, Asker] = {}
        self._owed: dict[str, tuple[Asker, float]] = {}
        """Those who left while the database was away, and until when they have to be removed from it."""
        self._hurries = Event()
        """Set as long as it may be that something is owed."""
        self._thread: Thread | None = None

    def keep(self, asker: Asker) -> None:
        """Renew the places that an asker has taken, until it gives them back."""
        with self._changed:
            self._held[asker.id] = asker
            self._run()

    def give_back(self, asker: Asker) -> None:
        """Give back what an asker has, or end its wait; if the database is away, as soon as it is back."""
        with self._changed:
            self._held.pop(asker.id, None)
        if not _is_given_back(asker):
            with self._changed:
                self._owed[asker.id] = asker, time.monotonic() + LEASE.total_seconds()
                self._hurries.set()
                self._run()
        with self._changed:
            self._changed.notify_all()

    def wait_for_change(self, seconds: float) -> None:
        """Wait until somebody of this process gives places back, but not for longer than that."""
        with self._changed:
            self._changed.wait(seconds)

    def _run(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._keep_on, name="node-places", daemon=True)
            self._thread.start()

    def _keep_on(self) -> None:
        while self._is_needed():
            self._hurries.wait(_RENEWAL)
            self._hurries.clear()
            if not self._renew_all():
                time.sleep(_RETRY)
                self._hurries.set()

    def _is_needed(self) -> bool:
        with self._changed:
            if not self._held and not self._owed:
                self._thread = None
            return self._thread is not None

    def _renew_all(self) -> bool:
        """Renew all places, and tell whether no database was away."""
        by_database: dict[Database, dict[str, Asker]] = defaultdict(dict)
        with self._changed:
            for asker in self._held.values():
                by_database[asker.db][asker.id] = asker
        renewed = [self._renew(db, holders) for db, holders in by_database.items()]
        return all([*renewed, self._remove_owed()])

    def _renew(self, db: Database, holders: dict[str, Asker]) -> bool:
        try:
            entered_again = renew(db, holders)
            if left := [each for each in entered_again if each not in self._held]:
                give_back(db, left)
        except DatabaseUnavailable:
            return False
        return True

    def _remove_owed(self) -> bool:
        with self._changed:
            owed = list(self._owed.values())
        for asker, until in owed:
            if _is_given_back(asker) or until < time.monotonic():
                with self._changed:
                    del self._owed[asker.id]
        return not self._owed


def _is_given_back(asker: Asker) -> bool:
    """Give back what an asker has, and tell whether the database was there to be told."""
    try:
        give_back(asker.db, [asker.id])
    except DatabaseUnavailable:
        return False
    return True


_keeper = _Keeper()
