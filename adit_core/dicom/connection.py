"""One TCP connection to a peer: reads with a deadline, as much at once as there is, and gathered writes.

A stalled peer always ends in an error, never in a hang: whatever is waited for here is waited for
at most the silence timeout, or until the end of the :meth:`Connection.time_limit` that is in force.
"""

import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from adit_core.dicom.interruption import watch
from adit_core.errors import AditError, ConnectionFailed, PeerTimeout

MOST_AT_ONCE = 1 << 18
"""Bytes that are read at once."""
_MOST_BUFFERS = 512
"""Handed to one ``sendmsg``; systems take 1,024 at most (IOV_MAX)."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_FAREWELL_TIME = 0.25
"""How long an aborted connection waits for the peer to read why, in seconds."""


class Connection:
    """A blocking socket with what DICOM needs around it; :func:`~adit_core.dicom.connect.connect` opens it.

    Several systems, among them Debian's DCMTK, do not set TCP_NODELAY: their small messages wait for
    an acknowledgement that Linux delays by 40 ms. So does every message of ours without TCP_NODELAY.
    Both are therefore told to hurry.
    """

    def __init__(self, sock: socket.socket, *, peer: str, silence_timeout: float) -> None:
        self.peer = peer
        """Names the peer in messages."""
        self._socket = sock
        self._silence_timeout = silence_timeout
        self._deadline: float | None = None
        self._held = memoryview(b"")
        """What was received and not read yet."""
        self.is_torn = False
        """Whether a message was sent in part only, so that nothing can follow it."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(silence_timeout)
        watch(sock)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    @contextmanager
    def time_limit(self, seconds: float) -> Iterator[None]:
        """Let everything inside end within `seconds` instead of the silence timeout of each step."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None
            with suppress(OSError):  # the connection may be closed by now
                self._socket.settimeout(self._silence_timeout)

    def read(self, length: int) -> bytes:
        """Return the next `length` bytes; for short things."""
        self._fill(length)
        return bytes(self._cut(length))

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """Return the numbers that the next bytes are, without a copy of these."""
        self._fill(layout.size)
        return layout.unpack(self._cut(layout.size))

    def take(self, most: int) -> memoryview:
        """Return the next bytes, at least one and at most `most`, as they were received: without a copy."""
        self._fill(1)
        return self._cut(most)

    def has_input(self) -> bool:
        """Tell whether the peer sent something that was not read yet, or closed the connection."""
        return bool(self._held) or bool(self._poll.poll(0))

    def fileno(self) -> int:
        """Return the file descriptor of the socket."""
        return self._socket.fileno()

    def send(self, buffers: Sequence[bytes | memoryview]) -> None:
        """Send all of `buffers`, one after the other.

        Raises:
            PeerTimeout: The peer took nothing for too long.
            ConnectionFailed: The connection broke.
        """
        self.is_torn = True
        self._send_all(buffers)
        self.is_torn = False

    def close(self) -> None:
        """Close the connection; may be called again."""
        self._socket.close()

    def abort(self, farewell: bytes) -> None:
        """Close the connection, after `farewell` if it can be said at once.

        What the peer still sends is thrown away for a moment: closing a socket that holds unread
        bytes resets the connection, and the peer would not get to see the farewell.
        """
        with suppress(OSError):  # the connection may be broken already, which is as good
            if self.is_torn:
                # In the midst of a PDU a farewell would be taken for data, and a peer that takes
                # nothing would not even get to see the end of the connection. A reset goes through.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            else:
                self._socket.settimeout(0)
                self._socket.send(farewell)
                self._end_sending()
                self._discard_input(_FAREWELL_TIME)
        self._socket.close()

    def _send_all(self, buffers: Sequence[bytes | memoryview]) -> None:
        while buffers:
            self._apply_deadline()
            try:
                sent = self._send_some(buffers)
            except OSError as error:
                raise self._failure(error, "took") from error
            buffers = _without(buffers, sent)

    def _send_some(self, buffers: Sequence[bytes | memoryview]) -> int:
        return self._socket.sendmsg(buffers[:_MOST_BUFFERS])

    def _end_sending(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def _discard_input(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            if not self._socket.recv(MOST_AT_ONCE):
                return

    def _fill(self, length: int) -> None:
        """Hold at least `length` bytes."""
        size = len(self._held)
        if size >= length:
            return
        pieces: list[bytes | memoryview] = [self._held] if size else []
        while size < length:
            pieces.append(self._receive())
            size += len(pieces[-1])
        self._held = memoryview(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _cut(self, most: int) -> memoryview:
        """Return the first bytes of what is held, and hold the rest."""
        first, self._held = self._held[:most], self._held[most:]
        return first

    def _receive(self) -> bytes:
        self._apply_deadline()
        try:
            received = self._socket.recv(MOST_AT_ONCE)
            _acknowledge_at_once(self._socket)
        except OSError as error:
            raise self._failure(error, "sent") from error
        if not received:
            raise ConnectionFailed(f"{self.peer} closed the connection")
        return received

    def _apply_deadline(self) -> None:
        if self._deadline is None:
            return
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise PeerTimeout(f"{self.peer} did not answer in time")
        self._socket.settimeout(left)

    def _failure(self, error: OSError, verb: str) -> AditError:
        if not isinstance(error, TimeoutError):
            return ConnectionFailed(f"The connection to {self.peer} broke: {reason(error)}")
        if self._deadline is not None:
            return PeerTimeout(f"{self.peer} did not answer in time")
        return PeerTimeout(f"{self.peer} {verb} nothing for {self._silence_timeout:g} s")


def _without(buffers: Sequence[bytes | memoryview], count: int) -> Sequence[bytes | memoryview]:
    """Return what is left of `buffers` after their first `count` bytes."""
    for index, buffer in enumerate(buffers):
        if count < len(buffer):
            return [memoryview(buffer)[count:], *buffers[index + 1 :]]
        count -= len(buffer)
    return ()


def reason(error: OSError | UnicodeError) -> str:
    """Return what the operating system says of `error`."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


if hasattr(socket, "TCP_QUICKACK"):

    def _acknowledge_at_once(sock: socket.socket) -> None:
        # Linux falls back to delayed acknowledgements by itself, hence after each read.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

else:

    def _acknowledge_at_once(sock: socket.socket) -> None:
        """Do nothing where the platform decides alone."""
