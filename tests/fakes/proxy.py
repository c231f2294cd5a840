"""A network that breaks: hands on connections to a server of this machine until they are broken off."""

import select
import socket
import struct
from contextlib import suppress
from threading import Event, Thread
from typing import Self

_HOST = "127.0.0.1"
_INTERVAL = 0.02
_PIECE = 1 << 16


class Proxy:
    """Listens on a port of its own; use it as a context manager.

    All connections end by an RST, and nobody can connect any more, as soon as the server has sent
    `allowed` bytes (of all connections together), or when :meth:`break_off` is called.
    """

    def __init__(self, port: int, *, allowed: int | None = None) -> None:
        self._server = (_HOST, port)
        self._allowed = allowed
        self._is_broken = Event()
        self._listener = socket.create_server((_HOST, 0))
        self._threads = [Thread(target=self._listen)]
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.break_off()
        for thread in self._threads:
            thread.join()

    def break_off(self) -> None:
        """Break all connections off, and return when nothing is handed on any more."""
        self._is_broken.set()
        for thread in self._threads[1:]:
            thread.join()

    @property
    def was_broken(self) -> bool:
        """Whether the connections were broken off."""
        return self._is_broken.is_set()

    def _listen(self) -> None:
        with self._listener:
            while not self._is_broken.is_set():
                if select.select([self._listener], [], [], _INTERVAL)[0]:
                    client, _ = self._listener.accept()
                    thread = Thread(target=self._hand_on, args=(client,))
                    self._threads.append(thread)
                    thread.start()

    def _hand_on(self, client: socket.socket) -> None:
        server = socket.create_connection(self._server)
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.settimeout(10)
        # Closing with the option above is what resets the connection.
        with client, server, suppress(OSError):
            self._relay(client, server)

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        others = {client: server, server: client}
        while not self._is_broken.is_set():
            for ready in select.select(list(others), [], [], _INTERVAL)[0]:
                data = ready.recv(_PIECE)
                if not data:
                    self._close_orderly(client, server)
                    return
                if ready is server:
                    data = self._count(data)
                others[ready].sendall(data)

    def _count(self, data: bytes) -> bytes:
        """Return as much of what the server sent as it may send, and break off when that is all."""
        if self._allowed is None:
            return data
        passed = data[: self._allowed]
        self._allowed -= len(passed)
        if not self._allowed:
            self._is_broken.set()
        return passed

    def _close_orderly(self, *socks: socket.socket) -> None:
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
