"""Part 10 files: an encoded data set behind a preamble and the file meta information (PS3.10 7.1)."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread

from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.quiet import quiet_pydicom
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.errors import InputProblem, InvalidInput

IMPLEMENTATION_CLASS_UID = "2.25.263808250963858507251026303872041848826"
"""Identifies ADIT to its peers and in files (PS3.7 D.3.3.2)."""
IMPLEMENTATION_VERSION_NAME = "ADIT_0_1"

_PREAMBLE = bytes(128) + b"DICM"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

_LAST_META_TAG = 0x0002FFFF
_MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002
_MEDIA_STORAGE_SOP_INSTANCE_UID = 0x00020003
_TRANSFER_SYNTAX_UID = 0x00020010
_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_STUDY_INSTANCE_UID = 0x0020000D

LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_LONGEST_VALUE = 1 << 20
"""What comes before SOP Instance UID is short; a longer value means that this is no DICOM file."""
_FRAGMENT = 1 << 18
_ELEMENT_START = 8
_SHORT_BEGINNING = 1 << 16
_LONGEST_BEGINNING = 1 << 22
_READING_ERRORS = (
    AttributeError,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom raises for data sets that it cannot read."""
_REFERENCE_TAGS = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"]


@dataclass(frozen=True, slots=True)
class FileLayout:
    """What a file holds, and at which byte its encoded data set begins."""

    header: InstanceHeader
    data_set_offset: int


@dataclass(frozen=True, slots=True)
class FileInstance:
    """An instance in a file; implements :class:`~adit_core.dicom.ports.IncomingInstance`."""

    path: Path
    reference: InstanceReference
    header: InstanceHeader
    data_set_offset: int

    def fragments(self) -> Iterator[bytes]:
        """Yield the encoded data set, in pieces of 256 KiB."""
        with self.path.open("rb") as file:
            file.seek(self.data_set_offset)
            while fragment := file.read(_FRAGMENT):
                yield fragment


def read_file_instance(path: Path) -> FileInstance:
    """Return a file as the instance that it says it is. Raises InvalidInput if it is no DICOM file."""
    with path.open("rb") as file:
        layout = read_file_layout(file)
    data_set = dcmread(path, force=True, stop_before_pixels=True, specific_tags=_REFERENCE_TAGS)
    study = StudyReference(str(data_set.get("StudyInstanceUID", "")), str(data_set.get("PatientID", "")))
    series = SeriesReference(study, str(data_set.get("SeriesInstanceUID", "")))
    return FileInstance(
        path, InstanceReference(series, layout.header.sop_instance_uid), layout.header, layout.data_set_offset
    )


def encode_file_header(header: InstanceHeader) -> bytes:
    """Return everything that precedes the data set in a Part 10 file."""
    elements = b"".join(
        (
            _encode_element(0x0001, b"OB", b"\x00\x01"),
            _encode_element(0x0002, b"UI", header.sop_class_uid.encode("ascii")),
            _encode_element(0x0003, b"UI", header.sop_instance_uid.encode("ascii")),
            _encode_element(0x0010, b"UI", header.transfer_syntax_uid.encode("ascii")),
            _encode_element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
            _encode_element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
        )
    )
    group_length = _encode_element(0x0000, b"UL", struct.pack("<I", len(elements)))
    return _PREAMBLE + group_length + elements


def read_file_layout(file: BinaryIO) -> FileLayout:
    """Read the beginning of a seekable file, and leave it at the start of the data set.

    The preamble may be missing, and so may the file meta information, in part or as a whole: then
    the data set is asked for its UIDs. Raises InvalidInput if they cannot be found.
    """
    _skip_preamble(file)
    meta = _read_elements(file, _LAST_META_TAG, implicit=False)
    offset = file.tell()
    transfer_syntax = _uid(meta, _TRANSFER_SYNTAX_UID) or _guess_transfer_syntax(file)
    sop_class = _uid(meta, _MEDIA_STORAGE_SOP_CLASS_UID)
    sop_instance = _uid(meta, _MEDIA_STORAGE_SOP_INSTANCE_UID)
    if not (sop_class and sop_instance):
        data_set = _read_identification(file, transfer_syntax)
        sop_class = sop_class or _uid(data_set, _SOP_CLASS_UID)
        sop_instance = sop_instance or _uid(data_set, _SOP_INSTANCE_UID)
    if not (sop_class and sop_instance):
        raise _not_dicom("its SOP Class UID or SOP Instance UID is missing")
    file.seek(offset)
    return FileLayout(InstanceHeader(sop_class, sop_instance, transfer_syntax), offset)


def split_file(
    fragments: Iterator[bytes | memoryview],
) -> tuple[InstanceHeader, Iterator[bytes | memoryview]]:
    """Split a file that arrives in fragments: return its header, and the encoded data set as it comes.

    Only its beginning is held, 64 KiB unless the file meta information is longer than that. Raises
    InvalidInput if this is no DICOM file.
    """
    beginning: bytes | memoryview = b""
    length = _SHORT_BEGINNING
    is_all = False
    while True:
        while len(beginning) < length and not is_all:
            fragment = next(fragments, b"")
            is_all = not fragment
            beginning = bytes(beginning) + fragment if beginning else fragment
        layout = _layout_of(beginning[:length], may_go_on=not is_all and length < _LONGEST_BEGINNING)
        if layout is not None:
            return layout.header, chain((memoryview(beginning)[layout.data_set_offset :],), fragments)
        length *= 4


def _layout_of(beginning: bytes | memoryview, *, may_go_on: bool) -> FileLayout | None:
    """Return the layout of a file that begins like this; None if more of it is needed to tell."""
    try:
        layout = read_file_layout(BytesIO(beginning))
    except InvalidInput:
        if may_go_on:
            return None
        raise
    # At a cut the file meta information seems to end.
    is_cut = layout.data_set_offset + _ELEMENT_START > len(beginning)
    return None if is_cut and may_go_on else layout


def read_study_instance_uid(file: BinaryIO, layout: FileLayout) -> str:
    """Return the Study Instance UID of a seekable file, empty if it has none.

    Raises InvalidInput if the data set cannot be read as far as that.
    """
    syntax = layout.header.transfer_syntax_uid
    if syntax not in {DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN}:
        file.seek(layout.data_set_offset)
        with suppress(InvalidInput):  # sequences of undefined length and the like
            implicit = syntax == IMPLICIT_VR_LITTLE_ENDIAN
            return _uid(_read_elements(file, _STUDY_INSTANCE_UID, implicit=implicit), _STUDY_INSTANCE_UID)
    file.seek(0)
    try:
        with quiet_pydicom():
            found = dcmread(file, force=True, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
            return str(found.get("StudyInstanceUID", ""))
    except _READING_ERRORS:
        # Without its cause, whose text may hold a value.
        raise _not_dicom("it is damaged before its Study Instance UID") from None


def _encode_element(element: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b" " if vr == b"SH" else b"\x00"
    if vr in LONG_VRS:
        return struct.pack("<HH2s2xI", 0x0002, element, vr, len(value)) + value
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value


def _skip_preamble(file: BinaryIO) -> None:
    file.seek(0)
    if not file.read(len(_PREAMBLE)).endswith(b"DICM"):
        file.seek(0)


def _guess_transfer_syntax(file: BinaryIO) -> str:
    """Tell from the first data element how the data set is encoded, as far as that shows."""
    offset = file.tell()
    start = file.read(6)
    file.seek(offset)
    group, vr = start[:2], start[4:6]
    if group == b"\x00\x08":
        return EXPLICIT_VR_BIG_ENDIAN
    return _EXPLICIT_VR_LITTLE_ENDIAN if vr.isalpha() and vr.isupper() else IMPLICIT_VR_LITTLE_ENDIAN


def _read_identification(file: BinaryIO, transfer_syntax_uid: str) -> dict[int, bytes]:
    if transfer_syntax_uid in {DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN}:
        raise _not_dicom("its file meta information is incomplete")
    return _read_elements(file, _SOP_INSTANCE_UID, implicit=transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN)


def _read_elements(file: BinaryIO, last_tag: int, *, implicit: bool) -> dict[int, bytes]:
    """Return the data elements up to `last_tag`, and leave the file at the first one after it."""
    elements: dict[int, bytes] = {}
    while True:
        offset = file.tell()
        start = file.read(8)
        tag = int.from_bytes(start[:2], "little") << 16 | int.from_bytes(start[2:4], "little")
        if len(start) < 8 or tag > last_tag:
            file.seek(offset)
            return elements
        if tag in elements:  # a file of zeros would have millions of elements
            raise _not_dicom("it has a data element twice at its beginning")
        length = _value_length(file, start, implicit=implicit)
        value = file.read(length) if length <= _LONGEST_VALUE else b""
        if len(value) < length:
            raise _not_dicom("it is damaged at its beginning")
        elements[tag] = value


def _value_length(file: BinaryIO, start: bytes, *, implicit: bool) -> int:
    if implicit:
        return int.from_bytes(start[4:8], "little")
    if start[4:6] in LONG_VRS:
        return int.from_bytes(file.read(4), "little")
    return int.from_bytes(start[6:8], "little")


def _uid(elements: dict[int, bytes], tag: int) -> str:
    return elements.get(tag, b"").decode("ascii", "replace").strip("\x00 ")


def _not_dicom(reason: str) -> InvalidInput:
    return InvalidInput(InputProblem(f"this is no DICOM file: {reason}"))
