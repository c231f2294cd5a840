"""Interruptions: how one thread ends what another one is waiting for at the network.

A thread that blocks in a socket notices nothing else. So the sockets that are opened inside of
:meth:`Interruption.applying` are remembered, and shut down when somebody interrupts: whoever waits for
one is told that the connection broke, and gives it back as after any other failure.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Lock
from weakref import WeakSet


class Interruption:
    """May come at any time, once; it holds for sockets that are opened afterwards as well."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._is_interrupted = False

    @property
    def is_interrupted(self) -> bool:
        """Whether it has come."""
        return self._is_interrupted

    def interrupt(self) -> None:
        """Break all connections that were opened under it; from any thread."""
        with self._lock:
            self._is_interrupted = True
            sockets = list(self._sockets)
        for sock in sockets:
            _shut_down(sock)

    @contextmanager
    def applying(self) -> Iterator[None]:
        """Have it break the connections that this thread opens in the block."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def watch(self, sock: socket.socket) -> None:
        """Remember a socket, and shut it down at once if the interruption has come already."""
        with self._lock:
            self._sockets.add(sock)
            is_late = self._is_interrupted
        if is_late:
            _shut_down(sock)


_current: ContextVar[Interruption | None] = ContextVar("interruption", default=None)


def watch(sock: socket.socket) -> None:
    """Let a socket be shut down by the interruption that applies to this thread, if one does."""
    interruption = _current.get()
    if interruption is not None:
        interruption.watch(sock)


def _shut_down(sock: socket.socket) -> None:
    # Not by the method of a TLS socket, which would take the encryption away from under its reader.
    with suppress(OSError):  # closed by now
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
