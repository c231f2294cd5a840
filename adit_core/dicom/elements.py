"""Where the elements of an encoded data set are: it is stepped through without being decoded (PS3.5 7.1)."""

import struct
from collections.abc import Iterator

from adit_core.dicom.part10 import EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, LONG_VRS

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_ITEM_GROUP = 0xFFFE
UNDEFINED = 0xFFFFFFFF
"""The length of a value whose end is marked instead (PS3.5 7.1.1)."""
_DEEPEST = 64


class Damaged(Exception):
    """A data set cannot be stepped through."""


class _Order:
    """How the bytes of numbers are ordered: reads starts of elements, without and with VR, and lengths."""

    def __init__(self, sign: str) -> None:
        self.implicit = struct.Struct(f"{sign}HHI").unpack_from
        self.explicit = struct.Struct(f"{sign}HH2sH").unpack_from
        self.length = struct.Struct(f"{sign}I").unpack_from


_LITTLE_ENDIAN, _BIG_ENDIAN = _Order("<"), _Order(">")


class Steps:
    """Steps over the elements of a data set that is not deflated; it may be no more than a beginning of one.

    Raises struct.error where a step leads behind the end, and Damaged where there is none.
    """

    def __init__(self, data: bytes, transfer_syntax_uid: str) -> None:
        self._data = data
        self._is_implicit = transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
        self._order = _BIG_ENDIAN if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else _LITTLE_ENDIAN

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Yield the tag of each element at the top, where its value starts, and its length in bytes."""
        position = 0
        while position != len(self._data):
            tag, vr, start, length = self._element(position, implicit=self._is_implicit)
            yield tag, start, length
            position = self._behind(vr, start, length, implicit=self._is_implicit, depth=0)

    def value(self, start: int, length: int) -> bytes:
        """Return the value of an element."""
        value = self._data[start : start + length]
        if len(value) < length:
            raise struct.error
        return value

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
            raise Damaged
        return tag, vr, position + 8, length

    def _behind(self, vr: bytes, start: int, length: int, *, implicit: bool, depth: int) -> int:
        """Return where an element ends. What is of unknown VR and length is implicit (PS3.5 6.2.2)."""
        if length != UNDEFINED:
            return start + length
        if depth == _DEEPEST:
            raise Damaged
        return self._end_of_items(start, implicit=implicit or vr == b"UN", depth=depth + 1)

    def _end_of_items(self, position: int, *, implicit: bool, depth: int) -> int:
        while True:
            tag, _, start, length = self._element(position, implicit=True)  # items have no VR
            if tag == _SEQUENCE_END:
                return start
            if tag != _ITEM:
                raise Damaged
            is_open = length == UNDEFINED
            position = self._end_of_item(start, implicit=implicit, depth=depth) if is_open else start + length

    def _end_of_item(self, position: int, *, implicit: bool, depth: int) -> int:
        while True:
            tag, vr, start, length = self._element(position, implicit=implicit)
            if tag == _ITEM_END:
                return start
            position = self._behind(vr, start, length, implicit=implicit, depth=depth)
