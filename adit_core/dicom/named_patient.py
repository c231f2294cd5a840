"""Whose an instance says it is: its Patient ID, read as it passes, without reading the data set.

Elements come in the order of their tags (PS3.5 7.1), so Patient ID is among the first ones: those before it
are stepped over, in the first fragment nearly always, and the rest is not looked at.
"""

import struct
import zlib
from collections.abc import Iterator

from pydicom.charset import convert_encodings, decode_bytes

from adit_core.dicom.part10 import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    LONG_VRS,
)
from adit_core.dicom.ports import IncomingInstance, InstanceHeader
from adit_core.dicom.quiet import quiet_pydicom
from adit_core.dicom.references import InstanceReference

LONGEST_BEGINNING = 1 << 20
"""Bytes within which a Patient ID is looked for; an instance that has it later is taken to say nothing.

What may come before is a list of references, of about a hundred bytes for each instance.
"""

_LONGEST_INFLATED = 1 << 16
"""The same, of a data set that is deflated."""

_SPECIFIC_CHARACTER_SET = 0x00080005
_PATIENT_ID = 0x00100020
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_ITEM_GROUP = 0xFFFE
_UNDEFINED = 0xFFFFFFFF
_DEEPEST = 64
_ESCAPE = b"\x1b"
_PADDING = " \0"


def read_patient_id(beginning: bytes, transfer_syntax_uid: str) -> str | None:
    """Return the Patient ID of a data set that begins like this, without padding.

    It is empty if the data set has none, or is damaged before it; None if `beginning` is too short to tell.
    """
    try:
        if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
            beginning = inflater.decompress(beginning, _LONGEST_INFLATED)
        return _Steps(beginning, transfer_syntax_uid).patient_id()
    except struct.error:  # a step led behind the end
        return None
    except (_Damaged, zlib.error):
        return ""


class NamedInstance:
    """An instance whose Patient ID is read as it passes; implements IncomingInstance of the ports."""

    def __init__(self, instance: IncomingInstance) -> None:
        self.patient_id = ""
        """What it says, once it has passed; empty if it says nothing."""
        self._instance = instance

    @property
    def reference(self) -> InstanceReference:
        """Where in the manifest the instance belongs."""
        return self._instance.reference

    @property
    def header(self) -> InstanceHeader:
        """SOP class, SOP instance and transfer syntax."""
        return self._instance.header

    def fragments(self) -> Iterator[bytes]:
        """Yield the encoded data set, once, as it comes."""
        fragments = self._instance.fragments()
        first = next(fragments, b"")
        found = read_patient_id(first, self.header.transfer_syntax_uid)
        self.patient_id = found or ""
        if first:
            yield first
        if found is None:
            yield from self._read_late(first, fragments)
        yield from fragments

    def _read_late(self, first: bytes, fragments: Iterator[bytes]) -> Iterator[bytes]:
        """Yield so many fragments that the Patient ID should be in them, and then read it."""
        beginning = bytearray(first)
        for fragment in fragments:
            beginning += fragment
            yield fragment
            if len(beginning) >= LONGEST_BEGINNING:
                break
        self.patient_id = read_patient_id(bytes(beginning), self.header.transfer_syntax_uid) or ""


class _Damaged(Exception):
    """A data set cannot be stepped through."""


class _Order:
    """How the bytes of numbers are ordered: reads starts of elements, without and with VR, and lengths."""

    def __init__(self, sign: str) -> None:
        self.implicit = struct.Struct(f"{sign}HHI").unpack_from
        self.explicit = struct.Struct(f"{sign}HH2sH").unpack_from
        self.length = struct.Struct(f"{sign}I").unpack_from


_LITTLE_ENDIAN, _BIG_ENDIAN = _Order("<"), _Order(">")


class _Steps:
    """Steps over the elements of a data set. Raises struct.error where it ends."""

    def __init__(self, data: bytes, transfer_syntax_uid: str) -> None:
        self._data = data
        self._is_implicit = transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
        self._order = _BIG_ENDIAN if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else _LITTLE_ENDIAN

    def patient_id(self) -> str:
        """Return the Patient ID, empty if there is none."""
        position = 0
        charset = b""
        while True:
            tag, vr, start, length = self._element(position, implicit=self._is_implicit)
            if tag > _PATIENT_ID:
                return ""
            if tag == _PATIENT_ID:
                return _text(self._value(start, length), charset)
            if tag == _SPECIFIC_CHARACTER_SET:
                charset = self._value(start, length)
            position = self._behind(vr, start, length, implicit=self._is_implicit, depth=0)

    def _element(self, position: int, *, implicit: bool) -> tuple[int, bytes, int, int]:
        """Return tag and VR of an element, where its value starts, and its length."""
        if implicit:
            group, element, length = self._order.implicit(self._data, position)
            return group << 16 | element, b"", position + 8, length
        group, element, vr, length = self._order.explicit(self._data, position)
        tag = group << 16 | element
        if vr in LONG_VRS:
            return tag, vr, position + 12, self._order.length(self._data, position + 8)[0]
        if group != _ITEM_GROUP and not (vr.isalpha() and vr.isupper()):
            raise _Damaged
        return tag, vr, position + 8, length

    def _value(self, start: int, length: int) -> bytes:
        value = self._data[start : start + length]
        if len(value) < length:
            raise struct.error
        return value

    def _behind(self, vr: bytes, start: int, length: int, *, implicit: bool, depth: int) -> int:
        """Return where an element ends. What is of unknown VR and length is implicit (PS3.5 6.2.2)."""
        if length != _UNDEFINED:
            return start + length
        if depth == _DEEPEST:
            raise _Damaged
        return self._end_of_items(start, implicit=implicit or vr == b"UN", depth=depth + 1)

    def _end_of_items(self, position: int, *, implicit: bool, depth: int) -> int:
        while True:
            tag, _, start, length = self._element(position, implicit=True)  # items have no VR
            if tag == _SEQUENCE_END:
                return start
            if tag != _ITEM:
                raise _Damaged
            is_open = length == _UNDEFINED
            position = self._end_of_item(start, implicit=implicit, depth=depth) if is_open else start + length

    def _end_of_item(self, position: int, *, implicit: bool, depth: int) -> int:
        while True:
            tag, vr, start, length = self._element(position, implicit=implicit)
            if tag == _ITEM_END:
                return start
            position = self._behind(vr, start, length, implicit=implicit, depth=depth)


def _text(value: bytes, charset: bytes) -> str:
    """Return the text of a value in the Specific Character Set; what does not decode is replaced."""
    if value.isascii() and _ESCAPE not in value:
        return value.decode("ascii").strip(_PADDING)
    names = charset.decode("ascii", "replace").strip(_PADDING).split("\\")
    with quiet_pydicom():
        return decode_bytes(value, convert_encodings(names), set()).strip(_PADDING)
