"""Prefect's worker as a child process that is stopped gracefully, which it cannot do by itself.

When it is told to stop it kills its flow runs at once, and their studies stay claimed until the lease
is over. So they are told to stop before it is: then they hand their studies back.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Self

from adit_core.temporary_folders import temporary_folder
from deployments.flow_run import ADDRESS
from deployments.stack import HOME
from deployments.stopping import told_to_stop

_log = logging.getLogger(__name__)

_PATIENCE = 30.0
"""Seconds that flow runs get to hand back their studies."""
_INTERVAL = 0.1
_RESTART_INTERVAL = 30.0
"""Seconds from one start of the server of flow runs to the next one, at least."""
_PR_SET_PDEATHSIG = 1


def run_worker(command: Sequence[str]) -> int:
    """Run the worker, and a server of its flow runs, until it ends or we are told to stop.

    Returns the worker's exit status.
    """
    stop = told_to_stop()
    with temporary_folder() as folder, _FlowRunServer(folder / "flow-runs") as server:
        worker = subprocess.Popen(
            command,
            cwd=HOME,
            stdout=subprocess.PIPE,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no threads yet
        )
        Thread(target=_log_prints, args=(worker,), name="prints", daemon=True).start()
        while worker.poll() is None:
            if stop.wait(_INTERVAL):
                return _stop(worker)
            server.keep_running()
        return _exit_status(worker)


class _FlowRunServer:
    """The process that flow runs are forked from. They can do without, so it may be away for a while."""

    _process: "subprocess.Popen[bytes] | None" = None

    def __init__(self, address: Path) -> None:
        self._address = address

    def __enter__(self) -> Self:
        if sys.platform == "linux":  # what it does needs Linux
            os.environ[ADDRESS] = str(self._address)
            self._start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def keep_running(self) -> None:
        """Start it again if it has ended, but not all the time."""
        if self._process is None or self._process.poll() is None:
            return
        if time.monotonic() > self._started_at + _RESTART_INTERVAL:
            _log.warning("The server of flow runs ended with status %s.", self._process.returncode)
            self._start()

    def _start(self) -> None:
        self._address.unlink(missing_ok=True)
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deployments.flow_run_server", self._address, "prefect.engine"],
            cwd=HOME,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - threads that only read
        )


def _log_prints(worker: "subprocess.Popen[bytes]") -> None:
    """Log what the worker prints for people."""
    assert worker.stdout is not None
    for line in worker.stdout:
        if text := line.decode(errors="replace").strip():
            _log.info("%s", text)


def _exit_status(worker: "subprocess.Popen[bytes]") -> int:
    """Return the exit status as shells tell it: 128 and the number of the signal that ended the process."""
    return worker.returncode if worker.returncode >= 0 else 128 - worker.returncode


def _stop(worker: "subprocess.Popen[bytes]") -> int:
    """End the flow runs and then the worker, and return its exit status."""
    worker.send_signal(signal.SIGSTOP)  # otherwise it starts others in their places
    flow_runs = _living_children(worker.pid)
    for pid in flow_runs:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while flow_runs & _living_children(worker.pid) and time.monotonic() < deadline:
        time.sleep(_INTERVAL)
    worker.terminate()
    worker.send_signal(signal.SIGCONT)
    worker.wait()
    return _exit_status(worker)


def _living_children(parent: int) -> set[int]:
    """Return the processes that a process has started; none where the system does not tell."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The second field is a name in parentheses, in which there may be anything.
            state, parent_of_it = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent_of_it) == parent and state != "Z":
                found.add(int(path.parent.name))
    return found


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, as if both were one process."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
