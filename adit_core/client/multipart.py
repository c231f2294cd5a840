"""Multipart answers, part by part as they arrive (RFC 2046 5.1)."""

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from adit_core.client.errors import ConnectionFailed

_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Part:
    """A part, which has come whole."""

    content: bytes
    file_name: str
    """What its head calls it, empty if it does not."""
    media_type: str
    transfer_syntax_uid: str
    """Of its media type, empty if that says none."""


def parts_of(content_type: str, pieces: Iterator[bytes]) -> Iterator[Part]:
    """Yield the parts of an answer.

    Raises:
        ConnectionFailed: It ended before its last part did.
    """
    delimiter = b"\r\n--" + _boundary(content_type)
    held = bytearray(b"\r\n")
    looked_at = 0
    is_first = True
    while True:
        found = held.find(delimiter, looked_at)
        # Two more bytes tell whether it is the last one.
        if found < 0 or len(held) < found + len(delimiter) + 2:
            looked_at = max(0, len(held) - len(delimiter)) if found < 0 else found
            piece = next(pieces, None)
            if piece is None:
                raise ConnectionFailed("The answer broke off before it was complete.")
            held += piece
            continue
        if not is_first:
            yield _part(bytes(held[:found]))
        is_first = False
        after = found + len(delimiter)
        if held[after : after + 2] == b"--":
            return
        del held[: after + 2]
        looked_at = 0


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if not boundary:
        raise ConnectionFailed("The server answered with something else than several parts.")
    return boundary.encode("latin-1")


def _part(encoded: bytes) -> Part:
    head, _, content = encoded.partition(_END_OF_HEAD)
    message = Message()
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        message[name.strip()] = value.strip()
    syntax = message.get_param("transfer-syntax", "")
    return Part(content, message.get_filename() or "", message.get_content_type(), str(syntax))
