import asyncio
import gc
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from threading import Event, Thread

import pytest

from deployments.garbage import garbage_collected_beside

_PATIENCE = 20.0


@pytest.fixture
def collection_by_hand() -> Iterator[None]:
    """Garbage that is collected by nobody but who does it explicitly, as at any moment of a busy process."""
    gc.disable()
    yield
    gc.enable()


def test_an_event_loop_does_not_wait_for_cursors_whose_connection_waits_for_it(tmp_path: Path):
    assert _outcome(tmp_path / "database", garbage_collected_beside(), busy=_PATIENCE) == "committed"


def test_without_it_an_event_loop_may(tmp_path: Path, collection_by_hand: None):
    assert _outcome(tmp_path / "database", nullcontext(), busy=1.0, collects_itself=True) == "gave up"


def test_afterwards_garbage_is_collected_as_before():
    with garbage_collected_beside():
        assert not gc.isenabled()
    assert gc.isenabled()


def _outcome(
    database: Path, collecting: AbstractContextManager[None], *, busy: float, collects_itself: bool = False
) -> str:
    """Return what comes of a transaction that waits for one of an event loop, beside which garbage arises.

    It waits `busy` seconds at most.
    """
    waiting = sqlite3.connect(database, isolation_level=None, timeout=busy, check_same_thread=False)
    holding = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    begins, freed = Event(), Event()
    outcomes: list[str] = []

    def wait_for_lock() -> None:
        begins.set()
        try:
            waiting.execute("BEGIN IMMEDIATE")
            waiting.execute("COMMIT")
            outcomes.append("committed")
        except sqlite3.OperationalError:  # whatever it says: the cursor that is freed may replace the message
            outcomes.append("gave up")

    async def hold_lock() -> None:
        holding.execute("BEGIN IMMEDIATE")
        _Cycle(waiting.execute("VALUES (1), (2)"), freed)
        waiter.start()
        begins.wait(_PATIENCE)
        await asyncio.sleep(0.2)  # now it waits
        if collects_itself:
            gc.collect()
        # As the thread that collects stands still now, as long as the other one has the connection.
        await asyncio.sleep(1.5)
        holding.execute("COMMIT")

    waiter = Thread(target=wait_for_lock)
    with closing(waiting), closing(holding), collecting:
        asyncio.run(hold_lock())
        waiter.join(_PATIENCE)
        assert freed.wait(_PATIENCE), "the garbage was not collected"
    return outcomes[0]


class _Cycle:
    """Garbage that only a collection finds, and a cursor in the midst of its rows."""

    def __init__(self, cursor: sqlite3.Cursor, freed: Event) -> None:
        cursor.fetchone()
        self._cursor = cursor
        self._self = self
        self._freed = freed

    def __del__(self) -> None:
        self._freed.set()
