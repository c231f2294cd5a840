"""Collects garbage in a thread of its own, for processes whose event loop must not wait for SQLite.

A collection frees cursors that are part of cycles, in whichever thread it happens to run. SQLite has it wait
until their connection is free, and another thread may just be waiting with that connection for the lock of
the database, for a minute. If it was the event loop that frees the cursor, whoever holds the lock, a task of
the same loop, cannot go on and release it: everything stands still until the minute is over.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Event, Thread

_INTERVAL = 1.0
"""Seconds between two collections of what is young."""
_FULL = 30
"""Each collection of this number looks through everything."""


@contextmanager
def garbage_collected_beside() -> Iterator[None]:
    """Have no thread but one of its own collect garbage while the block runs."""
    end = Event()
    collector = Thread(target=_collect, args=(end,), name="garbage", daemon=True)
    gc.disable()
    collector.start()
    try:
        yield
    finally:
        gc.enable()
        end.set()
        collector.join()


def _collect(end: Event) -> None:
    for number in count(1):
        if end.wait(_INTERVAL):
            return
        gc.collect(1 if number % _FULL else 2)
