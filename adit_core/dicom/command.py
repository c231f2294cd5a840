"""Command sets: the part of a DIMSE message that says what it is (PS3.7 6.3 and Annex E)."""

import re
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple, Self

_ELEMENT_HEADER = struct.Struct("<HHL")
_US = struct.Struct("<H")

_RESPONSE = 0x8000
_NO_DATA_SET = 0x0101
_A_DATA_SET = 0x0001
_MEDIUM_PRIORITY = 0x0000

_SENDABLE_UID = re.compile(r"[0-9.]{1,64}")

# Element numbers of group 0000.
_GROUP_LENGTH = 0x0000
_AFFECTED_SOP_CLASS_UID = 0x0002
_COMMAND_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_MESSAGE_ID_RESPONDED_TO = 0x0120
_MOVE_DESTINATION = 0x0600
_PRIORITY = 0x0700
_DATA_SET_TYPE = 0x0800
_STATUS = 0x0900
_AFFECTED_SOP_INSTANCE_UID = 0x1000
_COMPLETED_SUBOPERATIONS = 0x1021
_WARNING_SUBOPERATIONS = 0x1023


def is_sendable_uid(value: str) -> bool:
    """Tell whether a command set can carry `value` as a UID.

    That is less strict than PS3.5 9.1: some scanners write components with leading zeros, which is
    no reason to leave their images behind.
    """
    return _SENDABLE_UID.fullmatch(value) is not None


class CommandField(IntEnum):
    """The operation that a message asks for, or responds to (PS3.7 E.1)."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    C_CANCEL_RQ = 0x0FFF


_WITHOUT_PRIORITY = frozenset({CommandField.C_ECHO_RQ, CommandField.C_CANCEL_RQ})


class Command(NamedTuple):
    """A command set. ``message_id`` of a response, and of C-CANCEL, is that of the request it is about.

    ``status`` has a meaning in responses only, ``move_destination`` in C-MOVE requests. ``completed``
    counts the sub-operations that were done, with or without a warning; None if the peer does not say.
    """

    field: CommandField
    message_id: int
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    has_data_set: bool = False
    status: int = 0
    move_destination: str = ""
    completed: int | None = None

    @property
    def is_response(self) -> bool:
        """Tell a response from a request."""
        return bool(self.field & _RESPONSE)

    def response(self, status: int) -> "Command":
        """Return the response to this request that ends it with `status`."""
        return Command(
            CommandField(self.field | _RESPONSE),
            self.message_id,
            self.sop_class_uid,
            self.sop_instance_uid,
            status=status,
        )

    def cancel(self) -> "Command":
        """Return the request to end this one (PS3.7 9.3.2.3, 9.3.3.3 and 9.3.4.3)."""
        return Command(CommandField.C_CANCEL_RQ, self.message_id)

    def mismatch(self, request: Self) -> str:
        """Return what keeps this from being a response to `request`, empty if nothing does.

        The affected UIDs may be missing in responses (PS3.7 9.3), but not be others.
        """
        if self.field != request.field | _RESPONSE:
            return f"a {self.field.name} message"
        if self.message_id != request.message_id:
            return f"a response to message {self.message_id}, not {request.message_id}"
        if self.sop_class_uid not in ("", request.sop_class_uid):
            return f"a response for SOP class {self.sop_class_uid}, not {request.sop_class_uid}"
        if self.sop_instance_uid not in ("", request.sop_instance_uid):
            return f"a response for instance {self.sop_instance_uid}, not {request.sop_instance_uid}"
        return ""

    def encode(self) -> bytes:
        """Return the encoded command set, in Implicit VR Little Endian as all of them are."""
        body = b"".join(_element(number, value) for number, value in self._values())
        return _element(_GROUP_LENGTH, struct.pack("<L", len(body))) + body

    @classmethod
    def decode(cls, encoded: bytes | bytearray) -> Self:
        """Decode a command set.

        Raises:
            ValueError: It is malformed, or lacks what it needs; the message says so.
        """
        values = _elements(bytes(encoded))
        try:
            field = CommandField(_number(values, _COMMAND_FIELD))
        except ValueError as error:
            raise ValueError("its command field is missing or unknown") from error
        is_response = bool(field & _RESPONSE)
        return cls(
            field=field,
            message_id=_number(values, _message_id(field)),
            sop_class_uid=_uid(values, _AFFECTED_SOP_CLASS_UID),
            sop_instance_uid=_uid(values, _AFFECTED_SOP_INSTANCE_UID),
            has_data_set=_number(values, _DATA_SET_TYPE) != _NO_DATA_SET,
            status=_number(values, _STATUS) if is_response else 0,
            move_destination=values.get(_MOVE_DESTINATION, b"").decode("ascii", "replace").strip("\0 "),
            completed=_completed(values) if is_response else None,
        )

    def _values(self) -> Iterator[tuple[int, bytes]]:
        """Yield the elements in ascending order."""
        if self.sop_class_uid:
            yield _AFFECTED_SOP_CLASS_UID, _padded(self.sop_class_uid)
        yield _COMMAND_FIELD, _US.pack(self.field)
        yield _message_id(self.field), _US.pack(self.message_id)
        if self.move_destination:
            yield _MOVE_DESTINATION, _even(self.move_destination.encode("ascii"), b" ")
        if not self.is_response and self.field not in _WITHOUT_PRIORITY:
            yield _PRIORITY, _US.pack(_MEDIUM_PRIORITY)
        yield _DATA_SET_TYPE, _US.pack(_A_DATA_SET if self.has_data_set else _NO_DATA_SET)
        if self.is_response:
            yield _STATUS, _US.pack(self.status)
        if self.sop_instance_uid:
            yield _AFFECTED_SOP_INSTANCE_UID, _padded(self.sop_instance_uid)
        if self.completed is not None:
            yield _COMPLETED_SUBOPERATIONS, _US.pack(self.completed)


def _message_id(field: CommandField) -> int:
    """Return the number of the element that says which request a message of this kind is about."""
    is_of_another = field & _RESPONSE or field is CommandField.C_CANCEL_RQ
    return _MESSAGE_ID_RESPONDED_TO if is_of_another else _MESSAGE_ID


def _element(number: int, value: bytes) -> bytes:
    return _ELEMENT_HEADER.pack(0, number, len(value)) + value


def _padded(uid: str) -> bytes:
    return _even(uid.encode("ascii"), b"\0")


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding if len(value) % 2 else value


def _elements(encoded: bytes) -> dict[int, bytes]:
    """Return the values of group 0000 by their element numbers.

    What follows them is left alone: Orthanc puts the instances there that it failed to send, which belong
    into the identifier (PS3.4 C.4.3.1.3.2).
    """
    values: dict[int, bytes] = {}
    position, end = 0, len(encoded)
    while position < end:
        start = position + _ELEMENT_HEADER.size
        if start > end:
            raise ValueError("it ends in the midst of an element")
        group, number, length = _ELEMENT_HEADER.unpack_from(encoded, position)
        if group and values:
            break
        if group:
            raise ValueError(f"it holds an element of group {group:04X}")
        position = start + length
        if position > end:
            raise ValueError("an element is longer than the command set")
        values[number] = encoded[start:position]
    return values


def _number(values: dict[int, bytes], number: int) -> int:
    value = values.get(number, b"")
    if len(value) != _US.size:
        raise ValueError(f"its element (0000,{number:04X}) is missing or no US")
    return _US.unpack(value)[0]


def _completed(values: dict[int, bytes]) -> int | None:
    """Add up what was completed; peers may leave the counts out (PS3.7 9.1.4.1.7)."""
    encoded = [values.get(number, b"") for number in (_COMPLETED_SUBOPERATIONS, _WARNING_SUBOPERATIONS)]
    counts = [_US.unpack(value)[0] for value in encoded if len(value) == _US.size]
    return sum(counts) if counts else None


def _uid(values: dict[int, bytes], number: int) -> str:
    try:
        return values.get(number, b"").decode("ascii").strip("\0 ")
    except UnicodeDecodeError as error:
        raise ValueError(f"its element (0000,{number:04X}) is no UID") from error
