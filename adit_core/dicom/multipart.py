"""Multipart bodies, read and written as they pass through (RFC 2046 5.1, RFC 2387).

No part is ever held whole, however large: only its headers and the chunk that is being looked at.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import TypeVar

Piece = TypeVar("Piece", bound=bytes | memoryview)

_LONGEST_PREAMBLE = 1 << 16
_LONGEST_HEADERS = 1 << 14
_LONGEST_PADDING = 256
_END_OF_LINE = re.compile(rb"[ \t]*\r\n")
_BEGINNING_OF_END = re.compile(rb"-?|[ \t]*\r?")
_CONTENT_LENGTH = re.compile(r"\d{1,15}")
_EPILOGUE_CHUNKS = 4
_SMALL = 1 << 12
_JOINED = 1 << 16


class TruncatedBody(Exception):
    """The body ended before its last delimiter."""


class MalformedBody(Exception):
    """The body is not what RFC 2046 describes."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a body: its headers, by their names in lower case, and its content as it comes."""

    headers: Mapping[str, str]
    content: Iterator[memoryview]


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type without its parameters, but for the boundary, which is empty if there is none."""

    name: str
    boundary: str

    @classmethod
    def parse(cls, content_type: str) -> "MediaType":
        """Return what a Content-Type header says; text/plain if it says nothing sensible."""
        message = Message()
        message["Content-Type"] = content_type
        return cls(message.get_content_type(), message.get_boundary() or "")


class MultipartReader:
    """Splits a body into its parts.

    Args:
        read: Returns the next bytes of the body, of any number, and none at its end.
        boundary: What the Content-Type header says.
    """

    def __init__(self, read: Callable[[], bytes], boundary: str) -> None:
        self._read = read
        self._delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
        # The first delimiter may stand at the very beginning, without the line break before it.
        self._data = b"\r\n"
        self._position = 0
        self._is_at_end = False

    def parts(self) -> Iterator[Part]:
        """Yield the parts; what was not read of the content of one is skipped before the next.

        Raises:
            TruncatedBody: The body ended too early; also raised while a content is read.
            MalformedBody: It is no multipart body.
        """
        self._skip_preamble()
        while not self._is_at_end:
            headers = self._headers()
            content = self._content(headers)
            yield Part(headers, content)
            for _ in content:
                pass
        self._skip_epilogue()

    def _skip_preamble(self) -> None:
        length = 0
        for piece in self._until_delimiter():
            length += len(piece)
            if length > _LONGEST_PREAMBLE:
                raise MalformedBody("its boundary does not occur")

    def _skip_epilogue(self) -> None:
        """Read the little that may follow, so that the connection can be used again."""
        for _ in range(_EPILOGUE_CHUNKS):
            if not self._read():
                return

    def _headers(self) -> dict[str, str]:
        while True:
            block = self._data[self._position : self._position + _LONGEST_HEADERS]
            if block.startswith(b"\r\n"):
                self._position += 2
                return {}
            end = block.find(b"\r\n\r\n")
            if end >= 0:
                self._position += end + 4
                return _parse_headers(block[:end])
            if len(block) == _LONGEST_HEADERS:
                raise MalformedBody("the headers of a part do not end")
            self._more()

    def _content(self, headers: Mapping[str, str]) -> Iterator[memoryview]:
        length = headers.get("content-length", "")
        if _CONTENT_LENGTH.fullmatch(length):
            return self._known_content(int(length))
        return self._until_delimiter()

    def _known_content(self, length: int) -> Iterator[memoryview]:
        """Yield the next `length` bytes, without looking for the delimiter that must follow them."""
        while length:
            if not self._available:
                self._more()
            piece = self._take(min(length, self._available))
            length -= len(piece)
            yield piece
        while self._available < len(self._delimiter):
            self._more()
        is_there = self._data.startswith(self._delimiter, self._position)
        delimiter = self._delimiter_length(0) if is_there else 0
        if not delimiter:
            raise MalformedBody("a part is not as long as its Content-Length says")
        self._take(delimiter)

    def _until_delimiter(self) -> Iterator[memoryview]:
        """Yield what comes before the next delimiter. Offsets count from the current position."""
        looked_at = 0
        while True:
            found = self._data.find(self._delimiter, self._position + looked_at)
            if found < 0:
                # The delimiter may begin in the last bytes.
                yield from self._pieces(max(0, self._available - len(self._delimiter) + 1))
                looked_at = 0
                self._more()
                continue
            offset = found - self._position
            delimiter = self._delimiter_length(offset)
            if delimiter:
                yield from self._pieces(offset)
                self._take(delimiter)
                return
            looked_at = offset + 1

    def _delimiter_length(self, offset: int) -> int:
        """Return how long the delimiter at `offset` is with the end of its line; 0 if it is none."""
        start = offset + len(self._delimiter)
        while True:
            rest = self._data[self._position + start : self._position + start + _LONGEST_PADDING]
            if rest.startswith(b"--"):
                self._is_at_end = True
                return len(self._delimiter) + 2
            if end := _END_OF_LINE.match(rest):
                return len(self._delimiter) + end.end()
            if len(rest) == _LONGEST_PADDING or not _BEGINNING_OF_END.fullmatch(rest):
                return 0
            self._more()

    @property
    def _available(self) -> int:
        return len(self._data) - self._position

    def _pieces(self, length: int) -> Iterator[memoryview]:
        if length:
            yield self._take(length)

    def _take(self, length: int) -> memoryview:
        start = self._position
        self._position = start + length
        return memoryview(self._data)[start : self._position]

    def _more(self) -> None:
        """Append the next chunk to what is left. Views that were handed out stay valid."""
        chunk = self._read()
        if not chunk:
            raise TruncatedBody
        self._data = self._data[self._position :] + chunk
        self._position = 0


def _parse_headers(block: bytes) -> dict[str, str]:
    lines = block.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def beginning_of(content: Iterator[Piece], most: int) -> tuple[list[Piece], bool]:
    """Return the first pieces, up to the one that exceeds `most` bytes, and whether they are all."""
    pieces: list[Piece] = []
    size = 0
    for piece in content:
        pieces.append(piece)
        size += len(piece)
        if size > most:
            return pieces, False
    return pieces, True


def encode_parts(boundary: str, content_type: str, contents: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """Yield a body whose parts have these contents, each of which is read only when its turn comes.

    The head of a part tells the length of a content that is a sequence, which saves its reader the
    search for the delimiter. What is small is joined, for each piece is sent, and received, by itself.
    """
    return _joined(_encode_parts(boundary, content_type, contents))


def _encode_parts(boundary: str, content_type: str, contents: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    for content in contents:
        length = sum(map(len, content)) if isinstance(content, Sequence) else None
        yield _part_head(boundary, content_type, length)
        yield from content
        yield b"\r\n"
    yield _last_line(boundary)


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    small = bytearray()
    for piece in pieces:
        if len(piece) < _SMALL and len(small) < _JOINED:
            small += piece
            continue
        if small:
            yield bytes(small)
            small.clear()
        yield piece
    if small:
        yield bytes(small)


def encoded_length(boundary: str, content_type: str, lengths: Iterable[int]) -> int:
    """Return how long the body is whose parts have contents of these lengths, all of them sequences."""
    parts = (len(_part_head(boundary, content_type, each)) + each + len(b"\r\n") for each in lengths)
    return sum(parts) + len(_last_line(boundary))


def _part_head(boundary: str, content_type: str, length: int | None) -> bytes:
    known = "" if length is None else f"Content-Length: {length}\r\n"
    return f"--{boundary}\r\nContent-Type: {content_type}\r\n{known}\r\n".encode("ascii")


def _last_line(boundary: str) -> bytes:
    return f"--{boundary}--\r\n".encode("ascii")
