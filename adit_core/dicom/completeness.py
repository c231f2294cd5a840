"""Tells whether a file holds a whole data set, by the lengths of its elements (PS3.5 7.1, 7.5, A.4).

Copies that were interrupted are the most frequent damage of DICOM files. Their headers are readable,
and only whoever follows the lengths to the end notices.
"""

from dataclasses import dataclass
from struct import Struct
from typing import BinaryIO

from adit_core.dicom.part10 import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    LONG_VRS,
)

_UNDEFINED = 0xFFFFFFFF
_ITEM = (0xFFFE, 0xE000)
_ITEM_END = (0xFFFE, 0xE00D)
_SEQUENCE_END = (0xFFFE, 0xE0DD)
_DEEPEST = 100


class _CutShort(Exception):
    """The file ends within an element, or what should be an element is none."""


def is_whole(file: BinaryIO, transfer_syntax_uid: str) -> bool:
    """Tell whether all elements from here to the end of the file are whole.

    A deflated data set is taken to be whole.
    """
    if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        return True
    walker = _Walker(
        file,
        size=_size(file),
        is_implicit=transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN,
        order=">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<",
    )
    try:
        walker.pass_elements()
    except _CutShort:
        return False
    return True


def _size(file: BinaryIO) -> int:
    position = file.tell()
    size = file.seek(0, 2)
    file.seek(position)
    return size


@dataclass(slots=True)
class _Walker:
    """Passes elements without reading their values."""

    file: BinaryIO
    size: int
    is_implicit: bool
    order: str

    def pass_elements(self, depth: int = 0) -> None:
        """Pass elements until the item that they are in ends, or the file."""
        while True:
            start = self.file.read(8)
            if len(start) < 8:
                if depth == 0 and not any(start):  # padding
                    return
                raise _CutShort
            tag = self._tag(start)
            if tag in (_ITEM_END, _SEQUENCE_END) and depth:
                return
            is_unknown = not self.is_implicit and start[4:6] == b"UN"
            self._pass_value(self._length(start), depth, is_unknown=is_unknown)

    def _pass_value(self, length: int, depth: int, *, is_unknown: bool) -> None:
        if length != _UNDEFINED:
            self._skip(length)
        elif is_unknown:  # its items are in Implicit VR Little Endian (PS3.5 6.2.2 note 4)
            _Walker(self.file, self.size, is_implicit=True, order="<").pass_items(depth + 1)
        else:
            self.pass_items(depth + 1)

    def pass_items(self, depth: int) -> None:
        """Pass the items of a sequence, or the fragments of encapsulated pixel data."""
        if depth > _DEEPEST:
            raise _CutShort
        while True:
            start = self.file.read(8)
            if len(start) < 8:
                raise _CutShort
            tag, (length,) = self._tag(start), Struct(f"{self.order}L").unpack(start[4:])
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise _CutShort
            if length == _UNDEFINED:
                self.pass_elements(depth)
            else:
                self._skip(length)

    def _tag(self, start: bytes) -> tuple[int, int]:
        group, element = Struct(f"{self.order}HH").unpack(start[:4])
        return group, element

    def _length(self, start: bytes) -> int:
        if self.is_implicit:
            return Struct(f"{self.order}L").unpack(start[4:])[0]
        if start[4:6] not in LONG_VRS:
            return Struct(f"{self.order}H").unpack(start[6:])[0]
        length = self.file.read(4)
        if len(length) < 4:
            raise _CutShort
        return Struct(f"{self.order}L").unpack(length)[0]

    def _skip(self, length: int) -> None:
        if self.file.seek(length, 1) > self.size:
            raise _CutShort
