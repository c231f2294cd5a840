"""The memory of the processes below a worker, watched while something runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

import psutil

_INTERVAL = 0.1


@dataclass
class PeakMemory:
    """The largest resident size that was seen, in MB of 1,000,000 bytes."""

    flow_run: float = 0.0
    """Of a process that runs a flow."""
    child: float = 0.0
    """Of a process that moves studies. Pages shared with its fork server count, too."""


@contextmanager
def watch_memory(worker_pid: int) -> Iterator[PeakMemory]:
    """Yield the peak that grows while the block runs."""
    peak, over = PeakMemory(), Event()

    def watch() -> None:
        while not over.wait(_INTERVAL):
            for process in psutil.Process(worker_pid).children(recursive=True):
                _look_at(process, peak)

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _look_at(process: psutil.Process, peak: PeakMemory) -> None:
    try:
        command, size = " ".join(process.cmdline()), process.memory_info().rss / 1e6
    except psutil.Error:
        return  # it has ended meanwhile
    if "deployments.flow_run" in command:
        peak.flow_run = max(peak.flow_run, size)
    elif "forkserver" in command:
        peak.child = max(peak.child, size)
