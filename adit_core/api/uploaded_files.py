"""The files of a request, read while it arrives: from a form with any number of files, or one bare file.

Bodies arrive in the event loop, files are written in a thread. The thread asks for the next piece of the
body when it has written the one before, so that no more than that is ever held.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from io import RawIOBase
from typing import BinaryIO, cast

from anyio import from_thread
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from adit_core.dicom.multipart import MalformedBody, MediaType, MultipartReader, TruncatedBody
from adit_core.errors import InputProblem, InvalidInput

FORM = "multipart/form-data"
DICOM = "application/dicom"
_GATHERED = 1 << 20
"""Bytes that are read before they are written."""
_LONGEST_NAME = 200
_TAKEN = f"Send {FORM} with one or more files, or one file as {DICOM}."


def files_of(request: Request) -> Iterator[tuple[str, BinaryIO]]:
    """Yield the files of a request, each with the name that its owner gave it; call it in a worker thread.

    Raises:
        HTTPException: The media type is another one (415).
        InvalidInput: The body is damaged or was cut off.
    """
    kind = MediaType.parse(request.headers.get("content-type", ""))
    read = _Body(request.stream()).read
    if kind.name == DICOM:
        yield "The file", cast("BinaryIO", _File(_pieces(read)))
    elif kind.name == FORM and kind.boundary:
        yield from _files_of_form(MultipartReader(read, kind.boundary))
    else:
        raise HTTPException(415, _TAKEN)


class _Body:
    """A body that arrives in the event loop, read from a worker thread."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream

    def read(self) -> bytes:
        """Wait for the next piece of the body; none at its end."""
        return from_thread.run(self._gather)

    async def _gather(self) -> bytes:
        # Servers hand on a few kilobytes at once, and to change threads for each would take longer than to
        # write it.
        gathered = bytearray()
        try:
            async for piece in self._stream:
                gathered += piece
                if len(gathered) >= _GATHERED:
                    break
        except ClientDisconnect:
            raise TruncatedBody from None
        return bytes(gathered)


class _File(RawIOBase):
    """A file whose content comes in pieces."""

    def __init__(self, pieces: Iterator[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Fill as much of `buffer` as there is at hand; 0 at the end."""
        with _damage_in_words():
            while not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    return 0
                self._rest = memoryview(piece)
        length = min(len(buffer), len(self._rest))
        buffer[:length] = self._rest[:length]
        self._rest = self._rest[length:]
        return length


def _files_of_form(reader: MultipartReader) -> Iterator[tuple[str, BinaryIO]]:
    parts = reader.parts()
    while True:
        with _damage_in_words():
            part = next(parts, None)
        if part is None:
            return
        if (name := _name_in(part.headers.get("content-disposition", ""))) is not None:
            yield name, cast("BinaryIO", _File(part.content))


def _pieces(read: Callable[[], bytes]) -> Iterator[bytes]:
    while piece := read():
        yield piece


def _name_in(disposition: str) -> str | None:
    """Return what a part calls its file (RFC 7578 4.2), fit to be shown; None if it is no file."""
    message = Message()
    message["Content-Disposition"] = disposition
    name = message.get_filename()
    if name is None:
        return None
    text = name.encode("latin-1", "replace").decode("utf-8", "replace")
    return "".join(char for char in text if char.isprintable())[:_LONGEST_NAME] or "A file without a name"


@contextmanager
def _damage_in_words() -> Iterator[None]:
    try:
        yield
    except TruncatedBody:
        raise InvalidInput(InputProblem("The body was cut off; nothing of it was kept.")) from None
    except MalformedBody as error:
        raise InvalidInput(InputProblem(f"The body is damaged: {error}; nothing of it was kept.")) from None
