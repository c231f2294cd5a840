"""A relay that keeps what a client and a server say to each other."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread

_TIME_LIMIT = 20.0


@dataclass
class Recording:
    """What was said over one connection through ``port``, complete when the block has ended."""

    port: int
    said: bytearray = field(default_factory=bytearray)
    """By the client."""
    answered: bytearray = field(default_factory=bytearray)


def pdus_of(said: bytes | bytearray) -> list[bytes]:
    """Return what was said, cut into PDUs."""
    found, position = [], 0
    while position < len(said):
        length = 6 + int.from_bytes(said[position + 2 : position + 6], "big")
        found.append(bytes(said[position : position + length]))
        position += length
    return found


@contextmanager
def recording(server_port: int) -> Iterator[Recording]:
    """Relay one connection to a server of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept = Recording(listener.getsockname()[1])
        thread = Thread(target=_relay, args=(listener, server_port, kept))
        thread.start()
        try:
            yield kept
        finally:
            thread.join(_TIME_LIMIT)


def _relay(listener: socket.socket, server_port: int, kept: Recording) -> None:
    listener.settimeout(_TIME_LIMIT)
    client, _ = listener.accept()
    with client, socket.create_connection(("127.0.0.1", server_port), _TIME_LIMIT) as server:
        answers = Thread(target=_copy, args=(server, client, kept.answered))
        answers.start()
        _copy(client, server, kept.said)
        answers.join(_TIME_LIMIT)


def _copy(origin: socket.socket, target: socket.socket, kept: bytearray) -> None:
    origin.settimeout(_TIME_LIMIT)
    with suppress(OSError):
        while part := origin.recv(65536):
            kept += part
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
