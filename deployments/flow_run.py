"""Entry point of a flow run: deputy of a fork of the flow run server, or Prefect's engine if there is none.

In the latter case a second process imports meanwhile what its children need: Prefect's own command imports
Prefect twice, in a process that finds the flow and in the next one, which runs it, and what the children need
would be imported only then (docs/performance.md). What is imported is no garbage: it is looked through
neither meanwhile nor later.
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

ADDRESS = "ADIT_FLOW_RUN_SERVER"
"""The variable that names the socket of `deployments.flow_run_server`."""


def main() -> None:
    """Run the flow run that the environment names."""
    if address := os.environ.get(ADDRESS):
        _deputize(address)
    # The directory that Prefect has made for this run is gone before the children are.
    os.chdir(import_module("deployments.stack").HOME)
    gc.disable()
    import_module("adit_core.services.children").start_fork_server()
    # Bad settings: Prefect's engine meets them again, and tells of them.
    with suppress(import_module("adit_core.errors").AditError):
        import_module("flows.perform")
    gc.freeze()
    gc.enable()
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


def _deputize(address: str) -> None:
    """Have the server at `address` start the flow run instead, and end as that ends.

    Returns only if there is no server.
    """
    message = json.dumps(dict(os.environ)).encode()
    alive, kept = os.pipe()
    with socket.socket(socket.AF_UNIX) as server:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until there is who is to be told to stop
        flow_run = 0
        with suppress(OSError):
            server.connect(address)
            socket.send_fds(server, [len(message).to_bytes(4)], [0, 1, 2, alive])
            server.sendall(message)
            flow_run = int.from_bytes(server.recv(4))
        os.close(alive)
        if flow_run:
            signal.signal(signal.SIGTERM, lambda *_: _stop(flow_run))
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, which the flow run hears as well
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        if flow_run:
            _end_as(_status(server, flow_run))
    os.close(kept)  # which kills what the server may have started before it ended


def _status(server: socket.socket, flow_run: int) -> int:
    """Wait for the end of the flow run and return its status, as `os.wait` does; 0 if nobody knows it."""
    with suppress(OSError):
        if answer := server.recv(4):
            return int.from_bytes(answer)
    with suppress(ProcessLookupError):
        select.select([os.pidfd_open(flow_run)], [], [])
    return 0


def _stop(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)


def _end_as(status: int) -> NoReturn:
    """End as a process of this status did."""
    if os.WIFEXITED(status):
        sys.exit(os.waitstatus_to_exitcode(status))
    ending = os.WTERMSIG(status)
    with suppress(OSError):  # SIGKILL cannot be heard
        signal.signal(ending, signal.SIG_DFL)
    os.kill(os.getpid(), ending)
    raise AssertionError("the signal has ended this process")


if __name__ == "__main__":
    main()
