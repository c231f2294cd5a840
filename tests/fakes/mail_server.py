"""A mail server in a thread: it takes messages, over TLS if told so, and refuses on demand (RFC 5321)."""

import base64
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from threading import Thread
from typing import Self

_TIME_LIMIT = 20.0


@dataclass
class Received:
    """A message that was taken."""

    sender: str
    recipient: str
    message: EmailMessage
    was_encrypted: bool
    signed_in_as: str


@dataclass
class FakeMailServer:
    """Listens on 127.0.0.1. With `context`, STARTTLS is offered, or TLS spoken at once with `is_implicit`."""

    context: ssl.SSLContext | None = None
    is_implicit: bool = False
    password: str = ""
    """If there is one, nobody may send who has not signed in."""
    refuses: int = 0
    """So many recipients are refused before the first is taken."""
    inbox: list[Received] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = Thread(target=self._listen)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(_TIME_LIMIT)
        self._listener.close()

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    def _listen(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(_TIME_LIMIT)
            with suppress(OSError):  # a client that does not trust the certificate leaves
                _Conversation(self, sock).hold()


class _Conversation:
    def __init__(self, server: FakeMailServer, sock: socket.socket) -> None:
        self._server = server
        self._sock = sock
        self._encrypted = False
        self._user = ""
        self._sender = self._recipient = ""

    def hold(self) -> None:
        try:
            if self._server.is_implicit:
                self._encrypt()
            self._say("220 mail.example ready")
            while self._answer(self._line()):
                pass
        finally:
            self._sock.close()

    def _answer(self, line: str) -> bool:
        verb = line.upper().partition(" ")[0]
        if verb == "EHLO":
            self._greet()
        elif verb == "STARTTLS":
            self._say("220 go ahead")
            self._encrypt()
        elif verb == "AUTH":
            self._sign_in(line)
        elif verb == "MAIL":
            self._sender = line.partition("<")[2].partition(">")[0]
            self._say("530 sign in" if self._server.password and not self._user else "250 ok")
        elif verb == "RCPT":
            self._take_recipient(line)
        elif verb == "DATA":
            self._take_message()
        elif verb == "QUIT":
            self._say("221 bye")
        else:
            self._say("250 ok")
        return verb not in ("QUIT", "")

    def _greet(self) -> None:
        offers = ["250-mail.example"]
        if self._server.context and not self._encrypted:
            offers.append("250-STARTTLS")
        if self._server.password and self._encrypted:
            offers.append("250-AUTH PLAIN")
        self._say("\r\n".join([*offers, "250 OK"]))

    def _sign_in(self, line: str) -> None:
        _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
        if password == self._server.password:
            self._user = user
            self._say("235 ok")
        else:
            self._say("535 no")

    def _take_recipient(self, line: str) -> None:
        self._recipient = line.partition("<")[2].partition(">")[0]
        if self._server.refuses:
            self._server.refuses -= 1
            self._say(f"550 I do not know {self._recipient}")
        else:
            self._say("250 ok")

    def _take_message(self) -> None:
        self._say("354 go on")
        lines: list[bytes] = []
        while (line := self._raw_line()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        self._server.inbox.append(
            Received(self._sender, self._recipient, message, self._encrypted, self._user)
        )
        self._say("250 taken")

    def _encrypt(self) -> None:
        assert self._server.context is not None
        self._sock = self._server.context.wrap_socket(self._sock, server_side=True)
        self._encrypted = True

    def _say(self, text: str) -> None:
        self._sock.sendall(f"{text}\r\n".encode())

    def _line(self) -> str:
        return self._raw_line().decode().rstrip("\r\n")

    def _raw_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            piece = self._sock.recv(1)
            if not piece:
                return b""
            line += piece
        return line
