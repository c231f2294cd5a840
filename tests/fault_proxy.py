"""A network that fails on demand: hands on TCP connections to a server of this machine, or does not.

How it behaves can be changed at any time, also for connections that are open::

    with FaultProxy(archive.port) as network:
        network.cut_after(100_000)  # so many bytes pass, then every connection is reset
        ...
        network.heal()
"""

import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Self

from tests.ports import kept_port

_HOST = "127.0.0.1"
_INTERVAL = 0.02
_PIECE = 1 << 16
_SEND_TIMEOUT = 20.0
_CONNECT_TIMEOUT = 0.2

Tap = Callable[[bytes], object]
"""Is shown what a client sends, piece by piece, as it is handed on."""


@dataclass(eq=False)
class _Connection:
    client: socket.socket
    is_reset: bool = False
    is_stalled: bool = False


class _Change:
    """Wakes those who wait for `seen` among other sockets, whenever something has changed.

    It is told of by one thread at a time.
    """

    def __init__(self) -> None:
        self._kept: list[socket.socket] = []
        self._announce()

    def tell(self) -> None:
        """Make all `seen` so far readable."""
        before = self._teller
        self._announce()
        before.close()

    def close(self) -> None:
        self._teller.close()
        for sock in self._kept:
            sock.close()

    def _announce(self) -> None:
        self.seen, self._teller = socket.socketpair()
        self._kept.append(self.seen)  # somebody may wait for it still


class FaultProxy:
    """Listens on a port of its own; use it as a context manager.

    Bytes are counted in both directions and over all connections together.
    """

    def __init__(self, port: int, *, tap: Callable[[], Tap] | None = None) -> None:
        """Hand on to `port`; `tap` makes, for each connection, what is shown what its client sends."""
        self._server = (_HOST, port)
        self._tap = tap
        self._lock = Lock()
        self._connections: set[_Connection] = set()
        self._rate = 0
        self._until_throttled = 0
        self._delay = 0.0
        self._allowed: int | None = None
        self._when_used_up: Callable[[], object] = self.cut
        self._over = Event()
        self._change = _Change()
        self._threads: list[Thread] = []
        self._keeper = kept_port()
        self.most_open = 0
        """How many connections were open at the same time."""
        self.passed = 0
        """How many bytes were handed on."""
        self.port: int = self._keeper.getsockname()[1]
        self._listener: socket.socket | None = socket.create_server((_HOST, self.port))
        self._fillers: list[socket.socket] = []
        self._accepts = True
        self._refuses = False
        self._stalls_all = False

    def __enter__(self) -> Self:
        self._start(self._listen)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        with self._lock:
            self._change.tell()
        for thread in self._threads:
            thread.join()
        self._change.close()
        for sock in (*self._fillers, self._listener, self._keeper):
            if sock is not None:
                sock.close()

    def heal(self) -> None:
        """Hand everything on, at once and as fast as it comes; what was stalled goes on."""
        with self._lock:
            self._rate, self._delay, self._allowed, self._stalls_all = 0, 0.0, None, False
            self._until_throttled = 0
            for connection in self._connections:
                connection.is_stalled = False
            if self._listener is None:
                self._listener = socket.create_server((_HOST, self.port))
            self._listener.listen()
            self._accepts, self._refuses = True, False
            self._change.tell()
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def throttle(self, bytes_per_second: int, *, after: int = 0) -> None:
        """Hand on no more than so much on each connection, once `after` bytes have passed."""
        with self._lock:
            self._rate, self._until_throttled = bytes_per_second, after

    def delay(self, seconds: float) -> None:
        """Hold each piece up that long."""
        self._delay = seconds

    def stall(self) -> None:
        """Hand nothing on; connections stay open, and can be made."""
        with self._lock:
            self._stalls_all = True
            self._change.tell()

    def cut(self) -> None:
        """Reset all connections that are open; others can be made."""
        with self._lock:
            for connection in self._connections:
                connection.is_reset = True
            self._change.tell()

    def refuse(self) -> None:
        """Reset all connections, and let nobody connect."""
        self._accepts, self._refuses = False, True
        self.cut()

    def cut_after(self, count: int, *, times: int = 1) -> None:
        """Reset all connections after so many bytes, and again for `times` in all."""
        self._allow(count, lambda: self._cut_again(count, times - 1))

    def stall_after(self, count: int) -> None:
        """Stall, after so many bytes, the connections that are open then; others can be made."""
        self._allow(count, self._stall_those_open)

    def swallow(self) -> None:
        """Answer nobody who connects, like a firewall that drops packets; open connections stall."""
        assert self._listener is not None
        with self._lock:
            self._accepts = False
        self._stall_those_open()
        self._listener.listen(0)
        while self._connects():
            pass

    def _connects(self) -> bool:
        """Take a place in the queue of those who wait to be accepted; return False if there is none."""
        filler = socket.socket()
        filler.settimeout(_CONNECT_TIMEOUT)
        self._fillers.append(filler)
        with suppress(TimeoutError):
            filler.connect((_HOST, self.port))
            return True
        return False

    def _allow(self, count: int, then: Callable[[], object]) -> None:
        with self._lock:
            self._allowed, self._when_used_up = count, then

    def _cut_again(self, count: int, times: int) -> None:
        self.cut()
        if times:
            self.cut_after(count, times=times)

    def _stall_those_open(self) -> None:
        with self._lock:
            for connection in self._connections:
                connection.is_stalled = True
            self._change.tell()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            change = self._change.seen  # before a look at what may change
            if self._over.is_set():
                return
            if self._refuses:
                self._stop_listening()
            listener = self._listener if self._accepts else None
            ready = select.select([change] if listener is None else [change, listener], [], [])[0]
            if listener in ready:
                self._accept(listener)

    def _stop_listening(self) -> None:
        with self._lock:
            if self._listener is not None and self._refuses:
                self._listener.close()
                self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with self._lock:
            if not self._accepts:
                return
            connection = _Connection(listener.accept()[0])
            self._connections.add(connection)
            is_open = (not _has_left(one.client) for one in self._connections)
            self.most_open = max(self.most_open, sum(is_open))
        self._start(self._hand_on, connection)

    def _hand_on(self, connection: _Connection) -> None:
        client = connection.client
        with client:
            with suppress(OSError), socket.create_connection(self._server) as server:
                for sock in (client, server):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sock.settimeout(_SEND_TIMEOUT)
                    _reset_when_closed(sock, True)
                self._relay(connection, server)
            with self._lock:
                self._connections.discard(connection)

    def _relay(self, connection: _Connection, server: socket.socket) -> None:
        client = connection.client
        others = {client: server, server: client}
        tap = self._tap() if self._tap else None
        while True:
            change = self._change.seen  # before a look at what may change
            if connection.is_reset or self._over.is_set():
                return
            if connection.is_stalled or self._stalls_all:
                time.sleep(_INTERVAL)
                if _has_left(client):
                    return
                continue
            for ready in select.select([*others, change], [], [])[0]:
                if ready is change:
                    continue
                data = self._passed(ready.recv(self._piece()))
                if not data:
                    _reset_when_closed(client, False)
                    _reset_when_closed(server, False)
                    return
                others[ready].sendall(data)
                if tap is not None and ready is client:
                    tap(data)

    def _piece(self) -> int:
        return max(1, min(_PIECE, int(self._rate * _INTERVAL))) if self._is_throttled() else _PIECE

    def _is_throttled(self) -> bool:
        return self._rate > 0 and self._until_throttled <= 0

    def _passed(self, data: bytes) -> bytes:
        """Return as much of `data` as may pass, after the time that it takes."""
        time.sleep(self._delay + (len(data) / self._rate if self._is_throttled() else 0))
        with self._lock:
            self._until_throttled -= len(data)
            self.passed += len(data)
            if self._allowed is None:
                return data
            passed = data[: self._allowed]
            self._allowed -= len(passed)
            if self._allowed:
                return passed
            self._allowed = None
        self._when_used_up()
        return passed


def _reset_when_closed(sock: socket.socket, yes: bool) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", int(yes), 0))


def _has_left(client: socket.socket) -> bool:
    """Tell whether a client has closed its connection."""
    poll = select.poll()
    poll.register(client, select.POLLRDHUP)
    return bool(poll.poll(0))
