"""The worker's side of the hand-over: what a receiver has got of a study, taken and acknowledged.

The stream is read through :class:`~adit_core.dicom.connection.Connection`: several times as fast as a
general HTTP client, with a deadline on every read, and it can be waited for together with the
association that asks for the study.
"""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote, urlsplit

from adit_core.dicom.connection import Connection
from adit_core.dicom.handover_stream import (
    ACKNOWLEDGE_PATH,
    HEALTH_PATH,
    LENGTH,
    LONGEST_HEADER,
    STREAM_PATH,
    HandedInstance,
    decode_greeting,
    decode_instance,
)
from adit_core.dicom.ports import Closable
from adit_core.errors import ConnectionFailed, OperationFailed, PeerBusy, ProtocolError

_CONNECT_TIMEOUT = 10.0
_RETRY_INTERVAL = 0.25
_SILENCE_TIMEOUT = 30.0
_LONGEST_HEAD = 1 << 14
_END_OF_HEAD = b"\r\n\r\n"
_ACKNOWLEDGED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class ReceiverAddress:
    """Where a receiver is, for archives and for workers."""

    ae_title: str
    """The move destination, by which archives know the receiver."""
    url: str
    """Of the hand-over, such as ``https://receiver.example.org:14638``."""
    token: str = field(repr=False)
    ca_file: str = ""
    """The certificates to trust if the URL says https; empty for those of the system."""
    patience: float = 0.0
    """Seconds for which it is tried again where nobody listens: a receiver may be about to start again."""


class Subscription(Closable):
    """A subscription to a study. Use it as a context manager: leaving it ends it.

    Methods raise ConnectionFailed, PeerTimeout or ProtocolError, after which it is of no use; what was
    not acknowledged stays with the receiver.
    """

    def __init__(self, address: ReceiverAddress, study_instance_uid: str) -> None:
        self._address = address
        self._to_acknowledge: list[str] = []
        self._http = _http_connection(address)
        self._socket = _connect(address)
        self._stream = Connection(
            self._socket, peer=f"the receiver at {address.url}", silence_timeout=_SILENCE_TIMEOUT
        )
        self._left = 0
        try:
            self._subscription_id = self._begin(study_instance_uid)
        except BaseException:
            self._stream.close()
            raise

    def close(self) -> None:
        """Acknowledge what is still to be acknowledged, as far as that goes, and end the subscription."""
        with suppress(ConnectionFailed, OperationFailed, PeerBusy):
            self.flush()
        self._http.close()
        self._stream.close()

    def has_input(self) -> bool:
        """Tell whether :meth:`next_instance` would find something, be it only the end of the stream."""
        if self._stream.has_input():
            return True
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def fileno(self) -> int:
        """Return the file descriptor to wait for, together with others."""
        return self._stream.fileno()

    def next_instance(self) -> HandedInstance | None:
        """Return what the next frame announces, None if there is nothing at the moment; may wait for it."""
        for _ in self.fragments():
            pass
        encoded = self._next_header()
        if not encoded:
            return None
        instance = decode_instance(encoded)
        self._left = instance.size
        return instance

    def fragments(self) -> Iterator[memoryview]:
        """Yield the data set of the instance that was announced, in pieces as they came."""
        while self._left:
            fragment = self._stream.take(self._left)
            self._left -= len(fragment)
            yield fragment

    def acknowledge(self, sop_instance_uid: str) -> None:
        """Say that an instance need not be kept any more; the receiver is told of several at once."""
        self._to_acknowledge.append(sop_instance_uid)
        if len(self._to_acknowledge) >= _ACKNOWLEDGED_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Tell the receiver at once what was acknowledged.

        Raises:
            ConnectionFailed: It does not answer.
        """
        if not self._to_acknowledge:
            return
        path = ACKNOWLEDGE_PATH.format(subscription_id=self._subscription_id)
        self._ask("POST", path, json.dumps(self._to_acknowledge))
        self._to_acknowledge.clear()

    def has_room(self) -> bool:
        """Ask the receiver whether it can take in more; never raises, and returns True if it does not say."""
        with suppress(ConnectionFailed, OperationFailed, PeerBusy, ValueError):
            return json.loads(self._ask("GET", HEALTH_PATH)).get("has_room", True)
        return True

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        """Send a request besides the stream, and return the body of the answer."""
        headers = {**_authorization(self._address), "Content-Type": "application/json"}
        try:
            self._http.request(method, path, body, headers)
            response = self._http.getresponse()
            answer = response.read()
        except (OSError, HTTPException) as error:
            raise ConnectionFailed(f"{self._stream.peer} did not answer") from error
        _check(self._stream.peer, response.status)
        return answer

    def _begin(self, study_instance_uid: str) -> str:
        """Send the request and return the name of the subscription."""
        path = STREAM_PATH.format(study_instance_uid=quote(study_instance_uid, safe=""))
        headers = {"Host": urlsplit(self._address.url).netloc, **_authorization(self._address)}
        # HTTP/1.0, for its answers are not cut into chunks.
        lines = [f"GET {path} HTTP/1.0", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        try:
            self._socket.sendall("\r\n".join(lines).encode("latin-1"))
        except OSError as error:
            raise ConnectionFailed(f"The connection to {self._stream.peer} broke") from error
        _check(self._stream.peer, self._read_status())
        return decode_greeting(self._next_header())

    def _read_status(self) -> int:
        """Read the status line and the headers, and return the status."""
        head = bytearray()
        while not head.endswith(_END_OF_HEAD):
            head += self._stream.read(1)
            if len(head) > _LONGEST_HEAD:
                raise ProtocolError(f"{self._stream.peer} sent no HTTP response")
        protocol, _, rest = bytes(head).partition(b" ")
        if not protocol.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise ProtocolError(f"{self._stream.peer} sent no HTTP response")
        return int(rest[:3])

    def _next_header(self) -> bytes:
        (length,) = LENGTH.unpack(self._stream.read(LENGTH.size))
        if length > LONGEST_HEADER:
            raise ProtocolError(f"{self._stream.peer} announced a header of {length} bytes")
        return self._stream.read(length)


def _authorization(address: ReceiverAddress) -> dict[str, str]:
    return {"Authorization": f"Bearer {address.token}"}


def _connect(address: ReceiverAddress) -> socket.socket:
    url = urlsplit(address.url)
    try:
        sock = _connected(address)
        if url.scheme == "https":
            return _tls(address).wrap_socket(sock, server_hostname=url.hostname)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConnectionFailed(f"No connection to the receiver at {address.url}: {reason}") from error
    return sock


def _connected(address: ReceiverAddress) -> socket.socket:
    deadline = time.monotonic() + address.patience
    while True:
        try:
            return socket.create_connection(
                (urlsplit(address.url).hostname or "", _port(address)), _CONNECT_TIMEOUT
            )
        except ConnectionRefusedError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_INTERVAL)


def _http_connection(address: ReceiverAddress) -> HTTPConnection:
    url = urlsplit(address.url)
    if url.scheme != "https":
        return HTTPConnection(url.hostname or "", _port(address), timeout=_SILENCE_TIMEOUT)
    return HTTPSConnection(
        url.hostname or "", _port(address), timeout=_SILENCE_TIMEOUT, context=_tls(address)
    )


def _port(address: ReceiverAddress) -> int:
    url = urlsplit(address.url)
    return url.port or (443 if url.scheme == "https" else 80)


def _tls(address: ReceiverAddress) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=address.ca_file or None)


def _check(peer: str, status: int) -> None:
    if status in (401, 403):
        raise OperationFailed(f"{peer} does not accept our token (ADIT_RECEIVER_TOKEN)")
    if status == 503:
        raise PeerBusy(f"{peer} is not ready")
    if not 200 <= status < 300:
        raise OperationFailed(f"{peer} answered with HTTP status {status}")
