"""How transfer syntaxes encode data elements (PS3.5 10 and Annex A)."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import TypeGuard

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import BaseTag

LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""VRs whose length has four bytes where VRs are explicit (PS3.5 7.1.2)."""
_UNDEFINED_LENGTH = 0xFFFFFFFF
_IMPLICIT = "1.2.840.10008.1.2"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"


class Encoding:
    """How one transfer syntax encodes data elements."""

    def __init__(self, transfer_syntax_uid: str) -> None:
        self.implicit = transfer_syntax_uid == _IMPLICIT
        self.little = transfer_syntax_uid != _BIG_ENDIAN
        self.deflated = transfer_syntax_uid == _DEFLATED
        order = "<" if self.little else ">"
        self.tag = struct.Struct(f"{order}HH")
        self.short = struct.Struct(f"{order}H")
        self.long = struct.Struct(f"{order}I")

    def inflated(self, fragments: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """Yield the data set without its compression, if it has one."""
        if not self.deflated:
            yield from fragments
            return
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        for fragment in fragments:
            yield inflater.decompress(fragment)
        yield inflater.flush()

    def compressed(self, fragments: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the data set with its compression, if it is to have one."""
        if not self.deflated:
            yield from fragments
            return
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        for fragment in fragments:
            yield deflater.compress(fragment)
        yield deflater.flush()

    def written(self, dataset: Dataset) -> bytes:
        """Return a data set encoded; what it holds in this encoding already is written as it is."""
        return b"".join(
            self._raw(element) if self._is_ready(element) else self._converted(dataset, tag)
            for tag, element in sorted(dataset.items())
        )

    def read(self, encoded: bytes) -> Dataset:
        """Return the data set that these bytes encode. Raises whatever pydicom raises if they are damaged."""
        return read_dataset(BytesIO(encoded), self.implicit, self.little)

    def _is_ready(self, element: DataElement | RawDataElement) -> TypeGuard[RawDataElement]:
        return (
            isinstance(element, RawDataElement)
            and element.is_implicit_VR == self.implicit
            and element.is_little_endian == self.little
            and element.length != _UNDEFINED_LENGTH
        )

    def _raw(self, element: RawDataElement) -> bytes:
        value, vr = element.value or b"", (element.VR or "").encode("ascii")
        start = self.tag.pack(element.tag >> 16, element.tag & 0xFFFF)
        if self.implicit:
            return start + self.long.pack(len(value)) + value
        if vr in LONG_VRS:
            return start + vr + b"\0\0" + self.long.pack(len(value)) + value
        return start + vr + self.short.pack(len(value)) + value

    def _converted(self, dataset: Dataset, tag: BaseTag) -> bytes:
        buffer = DicomBytesIO()
        buffer.is_implicit_VR, buffer.is_little_endian = self.implicit, self.little
        charset = dataset.original_character_set
        inherited = charset if isinstance(charset, str) else list(charset)
        part = Dataset({tag: dataset.get_item(tag)}, parent_encoding=inherited)
        part.set_original_encoding(*dataset.original_encoding, inherited)
        write_dataset(buffer, part, inherited)
        return buffer.getvalue()
