"""The hand-over of received instances over HTTP: see `adit_core/dicom/handover_stream.py` for the protocol.

Each connection has a thread, which sends files straight from the system's cache into the socket: that
is what makes C-MOVE through the receiver fast. A token in the header Authorization is the only right that
there is, for only workers have it.
"""

import json
import logging
import secrets
import select
import socket
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, BinaryIO, Self

from adit_core.dicom.handover import HandOver, StudySubscription
from adit_core.dicom.handover_stream import (
    IDLE_FRAME,
    IDLE_INTERVAL,
    encode_greeting,
    encode_instance,
)
from adit_core.dicom.spool import SpooledInstance
from adit_core.errors import ConnectionFailed

_log = logging.getLogger(__name__)

_SILENCE_TIMEOUT = 30.0
"""The longest time that a worker may send, or take, nothing, in seconds."""
_PIECE = 1 << 18
_LONGEST_BODY = 1 << 20


class HandOverServer(ThreadingHTTPServer):
    """Hands over what is in `hand_over` to those who know `token`, from its making until it is closed.

    With `tls` it speaks TLS only. Use it as a context manager.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        hand_over: HandOver,
        token: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Listen at `address`; raises ConnectionFailed if it is taken."""
        self.hand_over = hand_over
        self.subscriptions: dict[str, StudySubscription] = {}
        """Those that last, by the names that the workers know."""
        self._authorization = f"Bearer {token}".encode()
        self._tls = tls
        try:
            super().__init__(address, _Handler)
        except OSError as error:
            raise ConnectionFailed(
                f"The hand-over cannot listen at {address[0]}:{address[1]}: {error.strerror}."
            ) from error

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, name="hand-over", daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()
        self.server_close()

    def is_allowed(self, authorization: str) -> bool:
        """Tell whether a header Authorization has the token."""
        return secrets.compare_digest(authorization.encode("utf-8", "surrogateescape"), self._authorization)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; the TLS handshake is left to the thread that serves it."""
        sock, address = super().get_request()
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return sock, address

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library calls it
        """Log what nobody foresaw; that a connection broke is the other side's to notice."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _log.error("hand-over: %s", type(error).__name__)


class _Handler(BaseHTTPRequestHandler):
    """Serves one connection."""

    protocol_version = "HTTP/1.1"
    timeout = _SILENCE_TIMEOUT
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Prepare to serve."""
        super().setup()
        assert isinstance(self.server, HandOverServer)
        self._server = self.server

    def do_GET(self) -> None:
        """Answer for the health, or begin a stream."""
        match self._path():
            case ["health"]:
                counts = asdict(self._server.hand_over.counts())
                self._answer(HTTPStatus.OK, json.dumps({"status": "ready", **counts}), "application/json")
            case ["studies", study_instance_uid, "stream"] if self._is_allowed():
                self._stream(study_instance_uid)
            case ["studies", _, "stream"]:
                self._refuse()
            case _:
                self._answer(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Take acknowledgements."""
        body = self._body()
        match self._path():
            case ["subscriptions", subscription_id, "acknowledgements"] if self._is_allowed():
                self._acknowledge(subscription_id, body)
            case ["subscriptions", _, "acknowledgements"]:
                self._refuse()
            case _:
                self._answer(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the library
        """Log nothing: requests are many, and of no interest."""

    def _path(self) -> list[str]:
        return self.path.partition("?")[0].strip("/").split("/")

    def _is_allowed(self) -> bool:
        return self._server.is_allowed(self.headers.get("Authorization", ""))

    def _body(self) -> bytes:
        """Return the body of a request, empty if there is none or if it is too long."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _LONGEST_BODY:
            self.close_connection = True
            return b""
        return self.rfile.read(int(length))

    def _acknowledge(self, subscription_id: str, body: bytes) -> None:
        """Take the SOP Instance UIDs that a worker needs no more."""
        subscription = self._server.subscriptions.get(subscription_id)
        uids = _uids(body)
        if subscription is None:
            self._answer(HTTPStatus.NOT_FOUND, "There is no such subscription.")
        elif uids is None:
            self._answer(HTTPStatus.UNPROCESSABLE_ENTITY, "Send a JSON list of SOP Instance UIDs.")
        else:
            subscription.acknowledge(uids)
            self._answer(HTTPStatus.OK)

    def _stream(self, study_instance_uid: str) -> None:
        """Begin a subscription, which ends with the connection."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()
        with _Bell() as bell:
            subscription = self._server.hand_over.subscribe(study_instance_uid, bell.ring)
            subscription_id = secrets.token_hex(16)
            self._server.subscriptions[subscription_id] = subscription
            try:
                self.connection.sendall(encode_greeting(subscription_id))
                self._send_frames(subscription, bell)
            finally:
                del self._server.subscriptions[subscription_id]
                subscription.end()

    def _send_frames(self, subscription: StudySubscription, bell: "_Bell") -> None:
        """Send what is offered, and empty frames in between, until the worker leaves."""
        while True:
            bell.hush()
            while (opened := subscription.open_next()) is not None:
                instance, file = opened
                with file:
                    self._send_instance(instance, file)
            self.connection.sendall(IDLE_FRAME)
            if bell.wait(self.connection, IDLE_INTERVAL):
                return  # a worker says nothing more, so there is but its end to be read

    def _send_instance(self, instance: SpooledInstance, file: BinaryIO) -> None:
        self.connection.sendall(encode_instance(instance.header, instance.size))
        if isinstance(self.connection, ssl.SSLSocket):
            sent = _send_pieces(self.connection, file, instance.data_set_offset)
        else:
            sent = self.connection.sendfile(file, instance.data_set_offset, instance.size)
        if sent < instance.size:
            raise ConnectionAbortedError(f"A file of the spool is shorter than it was: {instance.path.name}")

    def _refuse(self) -> None:
        self._answer(HTTPStatus.UNAUTHORIZED, "This needs the token of the receiver.")

    def _answer(self, status: HTTPStatus, text: str = "", content_type: str = "text/plain") -> None:
        body = text.encode()
        self.send_response(status)
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Bell:
    """Wakes a thread that waits for a connection, too. Use it as a context manager."""

    def __init__(self) -> None:
        self._hearing, self._ringing = socket.socketpair()
        self._hearing.setblocking(False)
        self._ringing.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ringing.close()
        self._hearing.close()

    def ring(self) -> None:
        """Wake the thread; by any thread, at any time."""
        with suppress(OSError):  # it rings already, or nobody waits any more
            self._ringing.send(b"!")

    def hush(self) -> None:
        """Forget what rang."""
        with suppress(BlockingIOError):
            while self._hearing.recv(_PIECE):
                pass

    def wait(self, connection: socket.socket, seconds: float) -> bool:
        """Wait for a ring or for the connection, at most so long; return True if the connection has input."""
        poll = select.poll()
        for each in (connection, self._hearing):
            poll.register(each, select.POLLIN)
        return any(descriptor == connection.fileno() for descriptor, _ in poll.poll(seconds * 1000))


def _send_pieces(sock: ssl.SSLSocket, file: BinaryIO, offset: int) -> int:
    """Send a file from `offset` on and return the number of bytes; TLS has to see them all."""
    file.seek(offset)
    sent = 0
    while piece := file.read(_PIECE):
        sock.sendall(piece)
        sent += len(piece)
    return sent


def _uids(body: bytes) -> Sequence[str] | None:
    try:
        uids = json.loads(body)
    except ValueError:
        return None
    return uids if isinstance(uids, list) and all(isinstance(uid, str) for uid in uids) else None
