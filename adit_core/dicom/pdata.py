"""P-DATA-TF PDUs, which carry messages in presentation data values (PS3.8 9.3.5 and Annex E).

This is the path that every byte of every instance takes. Data sets are neither decoded nor joined:
outgoing fragments are gathered into PDUs by reference, incoming ones are handed on as views.
"""

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from adit_core.dicom.connection import Connection
from adit_core.dicom.negotiation import abort_in_words
from adit_core.errors import PeerAborted, ProtocolError

_LONGEST_PDU_LENGTH = 1 << 18
"""That we send, also to a peer that announces no maximum."""
_BATCH_SIZE = 1 << 18
"""Bytes after which PDUs are sent instead of being gathered."""
_MOST_PIECES = 256

_PDU_HEADER = struct.Struct(">BxL")
_PDV_HEADER = struct.Struct(">LBB")
_PDU_AND_PDV_HEADER = struct.Struct(">BxLLBB")

_P_DATA_TF = 0x04
_A_RELEASE_RQ = 0x05
_A_ABORT = 0x07
_KNOWN_PDU_TYPES = range(0x01, 0x08)

_COMMAND = 0x01
_LAST = 0x02


class PeerReleased(PeerAborted):
    """The peer asks to release the association (A-RELEASE-RQ); between messages a provider expects it."""


def message_batches(
    context_id: int, command: bytes, fragments: Iterable[bytes | memoryview], max_length: int
) -> Iterator[list[bytes | memoryview]]:
    """Yield a message as lists of buffers, each list some whole PDUs.

    ``fragments`` is the encoded data set, of any granularity, and may be empty for none. Only its
    end tells which fragment is the last; so up to one PDU is kept back until it is known. No PDU is
    longer than `max_length` (0 for no limit); all but the last of the data set are full.
    """
    room = min(max_length or _LONGEST_PDU_LENGTH, _LONGEST_PDU_LENGTH) - _PDV_HEADER.size
    batch = _command_pdus(context_id, command, room)
    batch_size = 0
    pending: deque[memoryview] = deque()
    pending_size = 0
    for fragment in fragments:
        if not fragment:
            continue
        pending.append(memoryview(fragment))
        pending_size += len(fragment)
        while pending_size > room:
            batch += _pdu(context_id, 0, _cut(pending, room), room)
            pending_size -= room
            batch_size += room
            if batch_size >= _BATCH_SIZE or len(batch) >= _MOST_PIECES:
                yield batch
                batch, batch_size = [], 0
    if pending_size:
        batch += _pdu(context_id, _LAST, pending, pending_size)
    yield batch


def _command_pdus(context_id: int, command: bytes, room: int) -> list[bytes | memoryview]:
    pdus: list[bytes | memoryview] = []
    for start in range(0, len(command), room):
        piece = command[start : start + room]
        is_last = start + room >= len(command)
        pdus += _pdu(context_id, _COMMAND | _LAST if is_last else _COMMAND, [piece], len(piece))
    return pdus


def _pdu(
    context_id: int, control: int, pieces: Iterable[bytes | memoryview], length: int
) -> list[bytes | memoryview]:
    header = _PDU_AND_PDV_HEADER.pack(_P_DATA_TF, length + _PDV_HEADER.size, length + 2, context_id, control)
    return [header, *pieces]


def _cut(pending: deque[memoryview], length: int) -> list[memoryview]:
    """Take the first `length` bytes out of `pending`."""
    pieces = []
    while length:
        piece = pending.popleft()
        if len(piece) > length:
            pending.appendleft(piece[length:])
            piece = piece[:length]
        pieces.append(piece)
        length -= len(piece)
    return pieces


class DataValue(NamedTuple):
    """The header of a presentation data value; ``length`` counts the bytes that follow."""

    context_id: int
    length: int
    is_command: bool
    is_last: bool


class DataValueReader:
    """Takes P-DATA-TF PDUs off a connection, and looks closely at what the peer claims.

    ``max_length`` is what was announced to the peer, 0 for no limit.
    """

    def __init__(self, connection: Connection, max_length: int) -> None:
        self._connection = connection
        self._max_length = max_length or 0xFFFFFFFF
        self._left_in_pdu = 0
        self._left_in_value = 0

    def next_value(self) -> DataValue:
        """Read the header of the next presentation data value.

        Raises:
            PeerReleased: The peer asks to release the association.
            PeerAborted: The peer aborted the association.
            ProtocolError: What came is no P-DATA-TF PDU, or its lengths do not add up.
        """
        if not self._left_in_pdu:
            self._left_in_pdu = self._next_pdu()
        if self._left_in_pdu < _PDV_HEADER.size:
            raise self._violation("bytes at the end of a PDU that are no presentation data value")
        length, context_id, control = self._connection.unpack(_PDV_HEADER)
        if not 2 <= length <= self._left_in_pdu - 4:
            raise self._violation(f"a presentation data value of {length} bytes that does not fit its PDU")
        self._left_in_pdu -= 4 + length
        self._left_in_value = length - 2
        return DataValue(context_id, length - 2, bool(control & _COMMAND), bool(control & _LAST))

    @property
    def has_unread(self) -> bool:
        """Tell whether `take` would return something."""
        return bool(self._left_in_value)

    def take(self) -> memoryview | None:
        """Return the next bytes of the present value; None at its end."""
        if not self._left_in_value:
            return None
        fragment = self._connection.take(self._left_in_value)
        self._left_in_value -= len(fragment)
        return fragment

    def _next_pdu(self) -> int:
        """Read a PDU header and return the length of the P-DATA-TF PDU behind it."""
        pdu_type, length = self._connection.unpack(_PDU_HEADER)
        if pdu_type == _A_ABORT:
            words = abort_in_words(self._connection.read(4))
            raise PeerAborted(f"{self._connection.peer} aborted the association ({words})")
        if pdu_type == _A_RELEASE_RQ:
            self._connection.read(4)
            raise PeerReleased(f"{self._connection.peer} released the association before its end")
        if pdu_type != _P_DATA_TF:
            kind = "an unexpected" if pdu_type in _KNOWN_PDU_TYPES else "an unknown"
            raise self._violation(f"{kind} PDU of type 0x{pdu_type:02X}")
        if not _PDV_HEADER.size <= length <= self._max_length:
            raise self._violation(f"a P-DATA-TF PDU of {length} bytes ({self._max_length} are allowed)")
        return length

    def _violation(self, what: str) -> ProtocolError:
        return ProtocolError(f"{self._connection.peer} sent {what}")
