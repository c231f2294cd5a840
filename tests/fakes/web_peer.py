"""Scriptable HTTP servers on real sockets: they do on purpose what real ones do on bad days.

A script is a function that gets an :class:`Exchange` for each request::

    def script(exchange: Exchange) -> None:
        exchange.answer(503, headers={"Retry-After": "1"})

    with FakeWebPeer(script) as fake:
        WebSource(fake.node()).retrieve(request, inlet)

What they send is written byte by byte, not by the code under test. What a script raises is raised
again when the peer is closed.
"""

import json
import re
import select
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from threading import Lock, Thread
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

from adit_core.dicom.node import ConnectionProfile, DicomWebNode

PATIENT = ConnectionProfile(connect_timeout=10, silence_timeout=10, busy_timeout=10)
IMPATIENT = ConnectionProfile(connect_timeout=0.3, silence_timeout=0.3, busy_timeout=0.3)
"""For peers that stall: a test waits for these timeouts."""

BOUNDARY = "a-boundary"
_TIME_LIMIT = 20.0
"""After which a script that still waits fails, in seconds."""


class PeerGone(Exception):
    """The other side closed or reset the connection."""


@dataclass
class Exchange:
    """A request, and the connection that it is answered on."""

    sock: socket.socket
    method: str
    target: str
    headers: dict[str, str]
    """By their names in lower case."""
    rest: bytearray = field(default_factory=bytearray)
    """What was read of the connection behind the headers."""

    @property
    def url(self) -> SplitResult:
        return urlsplit(self.target)

    @cached_property
    def body(self) -> bytes:
        """The whole body."""
        pieces: list[bytes] = []
        self.drain(pieces.append)
        return b"".join(pieces)

    def drain(self, take: Callable[[bytes], object]) -> None:
        """Read the body piece by piece."""
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self._read_line(), 16):
                self._read(size, take)
                self._read_line()
            self._read_line()
        else:
            self._read(int(self.headers.get("content-length", 0)), take)

    @property
    def parts(self) -> list[bytes]:
        """The contents of a multipart body."""
        boundary = re.search(r"boundary=([^;]+)", self.headers["content-type"])
        assert boundary is not None
        first, *parts, last = self.body.split(b"--" + boundary[1].encode())
        assert (first, last) == (b"", b"--\r\n")
        return [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts]

    def answer(self, status: int = 200, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        """Read the request to its end and answer it."""
        assert self.body is not None
        self.send_head(status, {"Content-Length": str(len(body)), **headers})
        self.send(body)

    def answer_json(self, content: object, status: int = 200) -> None:
        self.answer(status, json.dumps(content).encode(), {"Content-Type": "application/dicom+json"})

    def answer_parts(self, contents: Iterable[bytes], status: int = 200) -> None:
        """Answer with Part 10 files."""
        self.answer(status, multipart(contents), {"Content-Type": MULTIPART})

    def send_head(self, status: int, headers: Mapping[str, str] = {}) -> None:
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise PeerGone from error

    def reset(self) -> None:
        """Break the connection off by an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise PeerGone

    def close(self) -> None:
        """Close the connection, as if all had been said."""
        raise PeerGone

    def stall(self) -> None:
        """Neither read nor send until the other side leaves."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        poll.poll(_TIME_LIMIT * 1000)
        raise PeerGone

    def relay(self, port: int) -> None:
        """Hand on all bytes of both directions, from and to a port of this machine."""
        relay(self.sock, port)
        raise PeerGone

    def _read(self, length: int, take: Callable[[bytes], object]) -> None:
        while length:
            piece = bytes(self.rest[:length]) or _receive(self.sock, min(length, 1 << 18))
            del self.rest[: len(piece)]
            if not piece:
                raise PeerGone
            length -= len(piece)
            take(piece)

    def _read_line(self) -> bytes:
        while b"\r\n" not in self.rest:
            data = _receive(self.sock)
            if not data:
                raise PeerGone
            self.rest += data
        line, _, rest = self.rest.partition(b"\r\n")
        self.rest[:] = rest
        return bytes(line)


Script = Callable[[Exchange], object]


class FakeWebPeer:
    """Listens on 127.0.0.1 and plays one script for each request, the last one for all further ones."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [Thread(target=self._listen)]
        self._sockets: list[socket.socket] = []
        self._failures: list[BaseException] = []
        self._lock = Lock()
        self.exchanges: list[Exchange] = []

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        """What was requested, in this order."""
        return [exchange.target for exchange in self.exchanges]

    @property
    def connections(self) -> int:
        """How many connections were opened."""
        return len(self._sockets)

    def node(self, profile: ConnectionProfile = PATIENT, **changes: Any) -> DicomWebNode:
        """Return the node by which this peer is reached."""
        given = {"base_url": f"{self.url}/dicom-web", "profile": profile} | changes
        return DicomWebNode(name="fake", **given)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for connections
        self._threads[0].join(_TIME_LIMIT)
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_TIME_LIMIT)
        self._listener.close()
        if self._failures and exc_type is None:
            raise self._failures[0]

    def _listen(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(_TIME_LIMIT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(sock)
            thread = Thread(target=self._converse, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _converse(self, plain: socket.socket) -> None:
        sock = plain
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(plain, server_side=True)
            while (exchange := _read_exchange(sock)) is not None:
                self._next_script(exchange)(exchange)
        except (PeerGone, ssl.SSLError, ConnectionError):
            pass  # that the other side leaves is what many tests are about; they check how it leaves
        except BaseException as error:  # noqa: BLE001 - the edge of a thread: raised again at exit
            self._failures.append(error)
        finally:
            sock.close()

    def _next_script(self, exchange: Exchange) -> Script:
        with self._lock:
            self.exchanges.append(exchange)
            return self._scripts[min(len(self.exchanges), len(self._scripts)) - 1]


def _read_exchange(sock: socket.socket) -> Exchange | None:
    """Read a request as far as its headers; return None when there is no further one."""
    data = bytearray()
    while b"\r\n\r\n" not in data:
        piece = _receive(sock)
        if not piece:
            return None
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Exchange(sock, method, target, headers, bytearray(rest))


def _receive(sock: socket.socket, length: int = 1 << 18) -> bytes:
    try:
        return sock.recv(length)
    except OSError:
        return b""


def relay(sock: socket.socket, port: int) -> None:
    """Hand on all bytes of both directions, from and to a port of this machine, until one side leaves."""
    with socket.create_connection(("127.0.0.1", port)) as other:
        both = {sock: other, other: sock}
        while True:
            # What TLS has decrypted already does not show in select.
            is_pending = isinstance(sock, ssl.SSLSocket) and sock.pending()
            for ready in [sock] if is_pending else select.select(list(both), [], [], _TIME_LIMIT)[0]:
                data = _receive(ready)
                if not data:
                    return
                both[ready].sendall(data)


MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
"""The Content-Type of what `multipart` returns."""


def multipart(contents: Iterable[bytes], *, with_length: bool = True) -> bytes:
    """Return a body with these contents."""
    parts = [part_head(len(content) if with_length else None) + content + b"\r\n" for content in contents]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def part_head(length: int | None = None) -> bytes:
    """Return what comes before the content of a part."""
    lines = [f"--{BOUNDARY}", "Content-Type: application/dicom"]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()
