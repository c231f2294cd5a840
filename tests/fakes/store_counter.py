"""Counts the instances that are sent over connections, by reading along."""

import struct
from collections import Counter
from collections.abc import Callable

from tests.fakes.peer import C_STORE_RQ, decode, values_of

_HEADER = struct.Struct(">BxL")
_P_DATA_TF = 4


class StoreCounter:
    """Knows how often each SOP Instance UID was sent by C-STORE, over all connections that it taps."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def tap(self) -> Callable[[bytes], None]:
        """Return what is to be shown what one client sends, from the beginning of its connection."""
        unread = bytearray()

        def show(data: bytes) -> None:
            unread.extend(data)
            while len(unread) >= _HEADER.size:
                kind, length = _HEADER.unpack_from(unread)
                if len(unread) < _HEADER.size + length:
                    return
                if kind == _P_DATA_TF:
                    self._read(bytes(unread[_HEADER.size : _HEADER.size + length]))
                del unread[: _HEADER.size + length]

        return show

    def _read(self, body: bytes) -> None:
        for _, control, value in values_of(body):
            if control & 1:
                command = decode(value)
                if command.CommandField == C_STORE_RQ:
                    self.sent[command.AffectedSOPInstanceUID] += 1
