"""Identifiers: the data sets that ask a query or retrieval, and that answer a query (PS3.4 C.1).

Archives answer with what was once typed into a modality: broken dates, wrong or missing character
sets. One bad value must cost neither the answer that it is in nor the others.
"""

import re
import struct
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from io import BytesIO
from typing import TypeVar

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import ImplicitVRLittleEndian

from adit_core.dicom.elements import UNDEFINED, Damaged, Steps
from adit_core.dicom.json_encoding import (
    BINARY_NUMBERS,
    SPECIFIC_CHARACTER_SET,
    JsonDataSet,
    encodings_named,
    encodings_of,
    json_data_set,
    text_of,
)
from adit_core.dicom.node import QueryRoot, ServerNode
from adit_core.dicom.part10 import LONG_VRS
from adit_core.dicom.query import Keys
from adit_core.dicom.quiet import quiet_pydicom
from adit_core.dicom.references import StudyReference
from adit_core.errors import InputProblem, InvalidInput

_SPECIFIC_CHARACTER_SET = "SpecificCharacterSet"
_UTF_8 = "ISO_IR 192"
_ITEM_START = b"\xfe\xff\x00\xe0"
_DATE = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")  # with dots before 1993 (PS3.5 6.2)
_INTEGER = re.compile(r"[+-]?\d{1,12}")

_Read = TypeVar("_Read")

DECODING_ERRORS = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom raises for data sets that it cannot decode."""


class Answer:
    """One answer to a query, tolerant of bad values. All text is stripped of its padding."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @property
    def texts_by_keyword(self) -> Mapping[str, str]:
        """All values."""
        return self._values

    def text(self, keyword: str) -> str:
        """Return the value, empty if there is none."""
        return self._values.get(keyword, "")

    def texts(self, keyword: str) -> frozenset[str]:
        """Return the values of an attribute that may have several."""
        return frozenset(value.strip() for value in self.text(keyword).split("\\") if value.strip())

    def date(self, keyword: str) -> date | None:
        """Return the day, None if there is none or it is not one."""
        match = _DATE.fullmatch(self.text(keyword))
        try:
            return date(*map(int, match.groups())) if match else None
        except ValueError:
            return None

    def number(self, keyword: str) -> int | None:
        """Return the integer, None if there is none or it is not one."""
        text = self.text(keyword)
        return int(text) if _INTEGER.fullmatch(text) else None


def unique_keys(node: ServerNode, level: str, study: StudyReference) -> dict[str, str]:
    """Return the unique keys by which `node` finds what belongs to `study` at `level` (PS3.4 C.6).

    Raises:
        InvalidInput: The node knows the patient root only, and the study comes without a Patient ID.
    """
    keys = {"QueryRetrieveLevel": level, "StudyInstanceUID": study.study_instance_uid}
    if node.query_root is QueryRoot.STUDY:
        return keys
    if not study.patient_id:
        problem = f"{node.name} finds study {study.study_instance_uid} only together with its Patient ID"
        raise InvalidInput(InputProblem(problem, field="patient_id"))
    return keys | {"PatientID": study.patient_id}


def encode_identifier(keys: Keys, transfer_syntax_uid: str) -> bytes:
    """Encode attribute keywords and their values, in Implicit or Explicit VR Little Endian.

    Of numbers in binary form, the value is the number as text. Written by hand because pydicom warns
    about keys that are right in a query (wildcards, ranges, lists) and quotes them, that is, patient data,
    in the warning.
    """
    if not _is_ascii(keys):
        keys = {**keys, _SPECIFIC_CHARACTER_SET: _UTF_8}
    return _elements(keys, is_implicit=transfer_syntax_uid == ImplicitVRLittleEndian)


def decode_answer(encoded: bytes, transfer_syntax_uid: str, keywords: Iterable[str]) -> Answer:
    """Decode what the keys `keywords` were answered with.

    Answers come by the thousand, so they are only stepped through; pydicom reads what is not as it should be.

    Raises:
        ValueError: This is no data set. The message holds nothing of it.
    """
    try:
        steps = Steps(encoded, transfer_syntax_uid)
        values = {
            tag: b"" if length == UNDEFINED else steps.value(start, length) for tag, start, length in steps
        }
    except (Damaged, struct.error):
        return _decoded(encoded, transfer_syntax_uid, lambda data_set: read_values(data_set, keywords))
    with quiet_pydicom():
        encodings = encodings_named(values.get(SPECIFIC_CHARACTER_SET, b""))
        return Answer({keyword: text_of(values.get(_tag(keyword), b""), encodings) for keyword in keywords})


def decode_json(encoded: bytes, transfer_syntax_uid: str) -> JsonDataSet:
    """Decode all that was answered.

    Raises:
        ValueError: This is no data set. The message holds nothing of it.
    """
    return _decoded(encoded, transfer_syntax_uid, json_data_set)


def _decoded(encoded: bytes, transfer_syntax_uid: str, read: Callable[[Dataset], _Read]) -> _Read:
    with quiet_pydicom():
        try:
            is_implicit = transfer_syntax_uid == ImplicitVRLittleEndian
            return read(read_dataset(BytesIO(encoded), is_implicit, is_little_endian=True))
        except DECODING_ERRORS:
            # Without its cause, whose text may hold a value.
            raise ValueError("an identifier that cannot be decoded") from None


def read_values(data_set: Dataset, keywords: Iterable[str]) -> Answer:
    """Return the values of a data set that was read but not decoded yet."""
    encodings = encodings_of(data_set)
    return Answer({keyword: _text(data_set, keyword, encodings) for keyword in keywords})


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


def _is_ascii(keys: Keys) -> bool:
    return all(value.isascii() if isinstance(value, str) else _is_ascii(value) for value in keys.values())


def _elements(keys: Keys, *, is_implicit: bool) -> bytes:
    tags = {keyword: _tag(keyword) for keyword in keys}
    return b"".join(
        _element(tags[keyword], keys[keyword], is_implicit=is_implicit)
        for keyword in sorted(keys, key=tags.__getitem__)
    )


def _element(tag: int, value: str | Keys, *, is_implicit: bool) -> bytes:
    vr = dictionary_VR(tag).partition(" ")[0]  # "US or SS" is the first where it is asked for
    if isinstance(value, str):
        encoded = _value(vr, value)
    else:
        item = _elements(value, is_implicit=is_implicit)
        encoded = _ITEM_START + struct.pack("<L", len(item)) + item
    group, number = tag >> 16, tag & 0xFFFF
    if is_implicit:
        return struct.pack("<HHL", group, number, len(encoded)) + encoded
    if vr.encode("ascii") in LONG_VRS:
        return struct.pack("<HH2s2xL", group, number, vr.encode("ascii"), len(encoded)) + encoded
    return struct.pack("<HH2sH", group, number, vr.encode("ascii"), len(encoded)) + encoded


def _value(vr: str, value: str) -> bytes:
    if value and vr in BINARY_NUMBERS:
        number = float(value) if vr in ("FL", "FD") else int(value)
        return struct.pack(f"<{BINARY_NUMBERS[vr]}", number)
    encoded = value.encode("utf-8")
    if len(encoded) % 2:
        encoded += b"\0" if vr == "UI" else b" "
    return encoded


def _text(data_set: Dataset, keyword: str, encodings: list[str]) -> str:
    return text_of(_raw(data_set, keyword), encodings)


def _raw(data_set: Dataset, keyword: str) -> bytes:
    """Return the bytes of a value: converting them is where pydicom stumbles over bad ones."""
    tag = _tag(keyword)
    element = data_set.get_item(tag) if tag in data_set else None
    value = element.value if isinstance(element, RawDataElement) else None
    return value if isinstance(value, bytes) else b""
