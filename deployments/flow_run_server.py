"""Starts flow runs in a fraction of a second: as forks of a process that has imported what they need.

What Prefect and our packages import takes a process seconds of computing, and all cores of a small machine
(docs/performance.md). The worker starts this process once, and names its socket in the environment;
`deployments.flow_run`, the command of a flow run, hands itself over to it, and stays as its deputy:

===============================  ========================================================================
the deputy is told to stop       so is the flow run
the deputy is killed             the kernel kills the flow run, too, so that Prefect's worker has its way
the flow run ends                the deputy ends as it did, with its exit status or by its signal
this process ends                its flow runs go on, and their deputies wait for their ends
===============================  ========================================================================
"""

import fcntl
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

from adit_core.errors import AditError

_NEEDED = (
    "flows.housekeeping",
    "flows.mass_transfer",
    "flows.query",
    "flows.transfer",
    "adit_core.services.child_server",
    "prefect.flow_engine",
    "prefect._internal.control_listener",
    "prefect._internal.metrics",
)
"""What flow runs import."""
_FILES = 4
"""Files that come with a request: the deputy's three, and a pipe that is closed when it ends."""
_PATIENCE = 10.0
"""Seconds that a request may take to come."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What a flow run is to be started with."""

    environment: Mapping[str, str]
    files: tuple[int, ...]


class _Server:
    """Forks flow runs, and tells of their ends."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)

    def serve(self) -> _Request:
        """Serve for ever; returns in the forks only, with what they are to do."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._listener:
                    self._tell_of_end(key.fd, *key.data)
                elif (request := self._accept()) is not None:
                    return request

    def _accept(self) -> _Request | None:
        deputy, _ = self._listener.accept()
        try:
            return self._fork(deputy)
        except (OSError, ValueError):
            deputy.close()  # who breaks off, or asks for something else, is not to stop others
            return None

    def _fork(self, deputy: socket.socket) -> _Request | None:
        deputy.settimeout(_PATIENCE)
        request = _receive(deputy)
        pid = os.fork()
        if not pid:
            deputy.close()
            self._close()
            return request
        for file in request.files:
            os.close(file)
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, deputy))
        deputy.sendall(pid.to_bytes(4))
        return None

    def _close(self) -> None:
        """Close what is the server's: a deputy is to notice when the server has ended, not its forks."""
        for key in self._selector.get_map().values():
            if key.fileobj is not self._listener:
                os.close(key.fd)
                key.data[1].close()
        self._selector.close()
        self._listener.close()

    def _tell_of_end(self, pidfd: int, pid: int, deputy: socket.socket) -> None:
        _, status = os.waitpid(pid, 0)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        with deputy, suppress(OSError):  # it may have been killed
            deputy.sendall(status.to_bytes(4))


def main() -> None:
    """Listen at the path that is the first argument, and have flow runs run the module that is the second."""
    _, address, engine = sys.argv
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, where the worker hears it and tells us
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    gc.disable()
    with suppress(AditError):  # bad settings, which Prefect's engine meets again, and tells of
        for module in _NEEDED:
            import_module(module)
    gc.freeze()  # it is no garbage, and pages that nobody writes to stay shared
    request = _Server(listener).serve()
    gc.enable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _become_flow_run(request, engine)


def _receive(deputy: socket.socket) -> _Request:
    """Read a request. Raises OSError or ValueError if it does not come whole."""
    head, files, *_ = socket.recv_fds(deputy, 4, _FILES)
    try:
        with deputy.makefile("rb") as stream:
            environment = json.loads(stream.read(int.from_bytes(head)))
    except BaseException:
        for file in files:
            os.close(file)
        raise
    return _Request(environment, tuple(files))


def _become_flow_run(request: _Request, engine: str) -> None:
    """Run the engine in this fork, as if it were the deputy."""
    *standard, alive = request.files
    _die_when_closed(alive)
    for number, file in enumerate(standard):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request.environment)
    del sys.argv[1:]
    import_module("prefect.context").refresh_global_settings_context()
    import_module("adit_core.services.children").fork_fork_server()
    sys.modules.pop(engine, None)  # as it is run once more, as a program
    runpy.run_module(engine, run_name="__main__", alter_sys=True)


def _die_when_closed(pipe: int) -> None:
    """Have the kernel kill this process when the other end of a pipe is closed, as by its owner's death."""
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    with suppress(BlockingIOError):  # it is open, and there is nothing in it
        os.read(pipe, 1)
        os._exit(1)


if __name__ == "__main__":
    main()
