"""Server programs as child processes, on free ports of this machine."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

HOST = "127.0.0.1"

_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 10.0
_ATTEMPTS = 3
_LOG_TAIL = 2000

Started = TypeVar("Started")


class ServerDidNotStart(Exception):
    """The program ended at once, or does not accept connections; the end of its log says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. It is ended by its process id, and dies with the thread that started it."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process and wait until it is gone, by force if it takes too long."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process at once, without letting it tidy up."""
        self.process.kill()
        self.process.wait()


def on_free_ports(number: int, start: Callable[[list[int]], Started]) -> Started:
    """Call `start` with `number` free ports, and again with others if someone was quicker to take one."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(ServerDidNotStart):
            return start(_free_ports(number))
    return start(_free_ports(number))


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def start_server(
    command: Sequence[str | Path],
    *,
    ports: Sequence[int],
    log: Path,
    environment: Mapping[str, str] | None = None,
    identity: Sequence[str] = (),
) -> Server:
    """Start a program and wait until it accepts connections on all `ports`; the first is the server's.

    `environment` is added to ours. `identity` are options of setpriv that make the program run as
    another user.

    Raises:
        ServerDidNotStart: The program ended, or is not ready after 30 seconds.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*_prefix(identity), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
    server = Server(process, ports[0], log)
    try:
        for port in ports:
            _wait_for(server, port)
    except BaseException:
        server.stop()
        raise
    return server


def _prefix(identity: Sequence[str]) -> list[str]:
    """Return a command before the command, by which the program dies when we are killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *identity] if setpriv else []


def _wait_for(server: Server, port: int) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while server.process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.02)
    tail = server.log.read_bytes()[-_LOG_TAIL:].decode(errors="replace")
    raise ServerDidNotStart(f"{server.process.args!r}: {tail}")
