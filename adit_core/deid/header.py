"""Finding where the header of an encoded data set ends and its pixel data begin, as it comes (PS3.5 7)."""

from collections.abc import Iterator

from adit_core.deid.encoding import LONG_VRS, Encoding
from adit_core.errors import DeidentificationFailed

BULK_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010, 0x56000020})
"""Float, double float and integer Pixel Data, and Spectroscopy Data: passed on unread."""
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_DEEPEST = 64


class Intake:
    """What has come of a data set, and more of it as it is asked for; at most `limit` bytes are held."""

    def __init__(self, fragments: Iterator[bytes | memoryview], limit: int) -> None:
        self._fragments = fragments
        self._limit = limit
        self._held = bytearray()

    def has(self, size: int) -> bool:
        """Take in what is needed to hold `size` bytes; False if there is less.

        Raises DeidentificationFailed if that is more than may be held.
        """
        if size > self._limit:
            raise DeidentificationFailed(f"its header is longer than {self._limit} bytes")
        while len(self._held) < size:
            fragment = next(self._fragments, None)
            if fragment is None:
                return False
            self._held += fragment
        return True

    def bytes_at(self, position: int, size: int) -> bytes:
        """Return bytes that have to be there. Raises DeidentificationFailed if the data set ends before."""
        if not self.has(position + size):
            raise DeidentificationFailed("it ends in the middle of an element")
        return bytes(self._held[position : position + size])

    def take(self, size: int) -> bytes:
        """Return the next bytes, and hold them no longer."""
        taken = self.bytes_at(0, size)
        del self._held[:size]
        return taken

    def pass_on(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes as they come, without holding them."""
        while size:
            if not self._held and not self.has(1):
                raise DeidentificationFailed("it ends in the middle of its pixel data")
            piece = bytes(self._held[:size])
            del self._held[: len(piece)]
            size -= len(piece)
            yield piece

    def rest(self) -> bytes:
        """Return all that is still to come. Raises DeidentificationFailed if it is more than may be held."""
        while self.has(len(self._held) + 1):
            pass
        return self.take(len(self._held))


def header_size(intake: Intake, encoding: Encoding) -> int:
    """Return how many bytes come before the first bulk element, or all, if there is none."""
    return _Scanner(intake, encoding).end_of_elements(0, _DEEPEST)


def bulk_element(intake: Intake, encoding: Encoding) -> Iterator[bytes]:
    """Yield the bulk element that comes next, as it comes."""
    start, length = _Scanner(intake, encoding).value_of(0)
    yield intake.take(start)
    if length != _UNDEFINED:
        yield from intake.pass_on(length)
        return
    while True:
        item = intake.take(8)
        yield item
        if _tag(encoding, item) == _SEQUENCE_END:
            return
        yield from intake.pass_on(encoding.long.unpack_from(item, 4)[0])


def _tag(encoding: Encoding, start: bytes) -> int:
    group, element = encoding.tag.unpack_from(start)
    return group << 16 | element


class _Scanner:
    """Steps over elements without reading them."""

    def __init__(self, intake: Intake, encoding: Encoding) -> None:
        self._intake = intake
        self._encoding = encoding

    def end_of_elements(self, position: int, depth: int, *, implicit: bool | None = None) -> int:
        """Return where a data set ends: at a bulk element or at the end of the top level, or of its item."""
        if depth == 0:
            raise DeidentificationFailed("its sequences are nested too deeply")
        is_top = depth == _DEEPEST
        while not is_top or self._intake.has(position + 1):
            tag = _tag(self._encoding, self._intake.bytes_at(position, 8))
            if is_top and tag in BULK_TAGS:
                return position
            if tag == _ITEM_END:
                return position + 8
            start, length = self.value_of(position, implicit=implicit)
            if length == _UNDEFINED:
                inner = True if self._vr(position) == b"UN" else implicit
                position = self._end_of_items(start, depth, implicit=inner)
            else:
                position = start + length
                if not self._intake.has(position):
                    raise DeidentificationFailed("it ends in the middle of an element")
        return position

    def value_of(self, position: int, *, implicit: bool | None = None) -> tuple[int, int]:
        """Return where the value of an element starts, and its length."""
        if self._encoding.implicit if implicit is None else implicit:
            start = self._intake.bytes_at(position, 8)
            return position + 8, self._encoding.long.unpack_from(start, 4)[0]
        vr = self._vr(position)
        if vr in LONG_VRS:
            start = self._intake.bytes_at(position, 12)
            return position + 12, self._encoding.long.unpack_from(start, 8)[0]
        if not (vr.isalpha() and vr.isupper()):
            raise DeidentificationFailed("an element has no value representation")
        return position + 8, self._encoding.short.unpack_from(self._intake.bytes_at(position, 8), 6)[0]

    def _vr(self, position: int) -> bytes:
        return b"" if self._encoding.implicit else self._intake.bytes_at(position + 4, 2)

    def _end_of_items(self, position: int, depth: int, *, implicit: bool | None) -> int:
        while True:
            start = self._intake.bytes_at(position, 8)
            tag = _tag(self._encoding, start)
            position += 8
            if tag == _SEQUENCE_END:
                return position
            if tag != _ITEM:
                raise DeidentificationFailed("a sequence holds something that is no item")
            length = self._encoding.long.unpack_from(start, 4)[0]
            if length == _UNDEFINED:
                position = self.end_of_elements(position, depth - 1, implicit=implicit)
            else:
                position += length
