"""How the entry points that run until somebody ends them learn of it."""

from signal import SIGINT, SIGTERM, signal
from threading import Event


def told_to_stop() -> Event:
    """Return an event that is set when the process is told to end."""
    stop = Event()
    for number in (SIGTERM, SIGINT):
        signal(number, lambda *_: stop.set())
    return stop
