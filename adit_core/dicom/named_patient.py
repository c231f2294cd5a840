"""Whose an instance says it is: its Patient ID, read as it passes, without reading the data set.

Elements come in the order of their tags (PS3.5 7.1), so Patient ID is among the first ones: those before it
are stepped over, in the first fragment nearly always, and the rest is not looked at.
"""

import struct
import zlib
from collections.abc import Iterator

from adit_core.dicom.elements import Damaged, Steps
from adit_core.dicom.json_encoding import SPECIFIC_CHARACTER_SET, encodings_named, text_of
from adit_core.dicom.part10 import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
from adit_core.dicom.ports import IncomingInstance, InstanceHeader
from adit_core.dicom.quiet import quiet_pydicom
from adit_core.dicom.references import InstanceReference

LONGEST_BEGINNING = 1 << 20
"""Bytes within which a Patient ID is looked for; an instance that has it later is taken to say nothing.

What may come before is a list of references, of about a hundred bytes for each instance.
"""

_LONGEST_INFLATED = 1 << 16
"""The same, of a data set that is deflated."""

_PATIENT_ID = 0x00100020
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
        return _patient_id(Steps(beginning, transfer_syntax_uid))
    except struct.error:  # a step led behind the end
        return None
    except (Damaged, zlib.error):
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

    def fragments(self) -> Iterator[bytes | memoryview]:
        """Yield the encoded data set, once, as it comes."""
        fragments = self._instance.fragments()
        first = next(fragments, b"")
        found = read_patient_id(bytes(first), self.header.transfer_syntax_uid)
        self.patient_id = found or ""
        if first:
            yield first
        if found is None:
            yield from self._read_late(first, fragments)
        yield from fragments

    def _read_late(
        self, first: bytes | memoryview, fragments: Iterator[bytes | memoryview]
    ) -> Iterator[bytes | memoryview]:
        """Yield so many fragments that the Patient ID should be in them, and then read it."""
        beginning = bytearray(first)
        for fragment in fragments:
            beginning += fragment
            yield fragment
            if len(beginning) >= LONGEST_BEGINNING:
                break
        self.patient_id = read_patient_id(bytes(beginning), self.header.transfer_syntax_uid) or ""


def _patient_id(steps: Steps) -> str:
    """Return the Patient ID, empty if there is none."""
    charset = b""
    for tag, start, length in steps:
        if tag > _PATIENT_ID:
            return ""
        if tag == _PATIENT_ID:
            return _text(steps.value(start, length), charset)
        if tag == SPECIFIC_CHARACTER_SET:
            charset = steps.value(start, length)
    raise struct.error  # it ends between two elements


def _text(value: bytes, charset: bytes) -> str:
    """Return the text of a value in the Specific Character Set; what does not decode is replaced."""
    if value.isascii() and _ESCAPE not in value:
        return value.decode("ascii").strip(_PADDING)
    with quiet_pydicom():
        return text_of(value, encodings_named(charset))
