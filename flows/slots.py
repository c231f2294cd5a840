"""Slots of nodes: how the studies of one job keep to what its nodes allow, over all workers.

A node's limit is a global concurrency limit of Prefect, and a study is moved only while a slot of
each node is held. To take and give back a slot costs the scheduler more than to move a small study
costs the archives. So a slot is lent to one study after the other, but not for long: others wait.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Lock, Thread
from typing import Self

from prefect.concurrency.sync import concurrency

_LEASE = 60
"""Seconds after which Prefect frees the slots of a holder that has died."""
_PATIENCE = 5
"""Seconds between looks at whether the job is being stopped, while it waits for a slot."""
_LONGEST = 15.0
"""Seconds after which a slot is given back at the end of the study, so that other jobs get a turn.

A busy scheduler takes up to a second to give it to somebody anew.
"""
_LOOK = 0.1
"""Seconds between looks at whether a slot is free again, while another one is being taken."""
_IDLE = 1.0
"""Seconds after which a slot that no study has needed is given back."""


class NodeSlots:
    """The slots that a job holds. Use it as a context manager: leaving it gives them back.

    Leave it after what needed the slots has ended, for it does not wait for that.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._holders: list[_Holder] = []
        self._taking = Lock()
        """Prefect tells those who ask for slots at the same moment to come again in seconds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for holder in self._holders:
            holder.give_back()
        for holder in self._holders:
            holder.join()

    @contextmanager
    def slot(self, limits: Iterable[str], check_stopped: Callable[[], None]) -> Iterator[None]:
        """Hold a slot of each of `limits`, always the same ones, while the block runs.

        It is waited for as long as it takes; `check_stopped` raises once that has become pointless.
        """
        holder = self._lent_or_taken(list(limits), check_stopped)
        try:
            yield
        finally:
            holder.end_loan()

    def _lent_or_taken(self, limits: list[str], check_stopped: Callable[[], None]) -> "_Holder":
        while True:
            if (holder := self._lent()) is not None:
                return holder
            if self._taking.acquire(timeout=_LOOK):
                try:
                    return self._taken(limits, check_stopped)
                finally:
                    self._taking.release()

    def _lent(self) -> "_Holder | None":
        with self._lock:
            self._holders = [holder for holder in self._holders if holder.is_alive()]
            return next((holder for holder in self._holders if holder.lend()), None)

    def _taken(self, limits: list[str], check_stopped: Callable[[], None]) -> "_Holder":
        holder = _Holder(limits, check_stopped)
        holder.start()
        holder.wait_until_held()
        with self._lock:
            self._holders.append(holder)
        return holder


class _Holder(Thread):
    """Takes a slot, keeps it while it is on loan or has only just come back, and gives it back."""

    def __init__(self, limits: list[str], check_stopped: Callable[[], None]) -> None:
        super().__init__(name="slot", daemon=True)
        self._limits = limits
        self._check_stopped = check_stopped
        self._held = Event()
        self._changed = Event()
        self._lock = Lock()
        self._is_lent = True
        self._is_over = False
        self._taken_at = 0.0
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._hold()
        except BaseException as error:  # noqa: BLE001 - the edge of a thread: the waiting one raises it
            self._error = error
        finally:
            self._held.set()

    def wait_until_held(self) -> None:
        """Wait until the slot is there, or raise what came instead."""
        self._held.wait()
        if self._error is not None:
            raise self._error

    def lend(self) -> bool:
        """Lend the slot, if it is free and still kept."""
        with self._lock:
            if self._is_lent or self._is_over:
                return False
            self._is_lent = True
        return True

    def end_loan(self) -> None:
        """Take the slot back from a study; it is kept for the next one, unless that has to wait anew."""
        with self._lock:
            self._is_lent = False
            self._is_over = self._is_over or time.monotonic() - self._taken_at >= _LONGEST
        self._changed.set()

    def give_back(self) -> None:
        """Give the slot back now."""
        with self._lock:
            self._is_over = True
        self._changed.set()

    def _hold(self) -> None:
        with ExitStack() as slot:
            self._take(slot)
            self._taken_at = time.monotonic()
            self._held.set()
            self._keep()

    def _take(self, slot: ExitStack) -> None:
        while True:
            try:
                # A lease that cannot be renewed while Prefect's server is away does not end the
                # transfer: that would make its outage ours.
                slot.enter_context(
                    concurrency(
                        self._limits,
                        timeout_seconds=_PATIENCE,
                        lease_duration=_LEASE,
                        strict=True,
                        raise_on_lease_renewal_failure=False,
                    )
                )
            except TimeoutError:
                self._check_stopped()
            else:
                return

    def _keep(self) -> None:
        while not self._is_over:
            self._changed.clear()
            if not self._changed.wait(_IDLE):
                with self._lock:
                    self._is_over = self._is_over or not self._is_lent
