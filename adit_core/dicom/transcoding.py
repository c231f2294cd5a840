"""Instances in a transfer syntax that their receiver understands (PS3.18 8.7.3.5.2).

What is stored in one that is accepted passes as it is. Anything else is decoded, one instance in memory
at a time, into one without compression; nothing is ever compressed anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from adit_core.dicom.part10 import encode_file_header
from adit_core.dicom.ports import IncomingInstance, InstanceHeader
from adit_core.dicom.quiet import quiet_pydicom
from adit_core.dicom.references import InstanceReference
from adit_core.errors import ActionNotPossible

UNCOMPRESSED = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""What can be made of everything that can be decoded, the best first."""
_LARGEST = 1 << 30
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class _Transcoded:
    reference: InstanceReference
    header: InstanceHeader
    encoded: bytes

    def fragments(self) -> Iterator[bytes]:
        """Yield the encoded data set."""
        for start in range(0, len(self.encoded), _PIECE):
            yield self.encoded[start : start + _PIECE]


def can_be_given(stored_syntax: str, accepted: frozenset[str]) -> bool:
    """Tell whether instances can be handed to somebody who accepts these transfer syntaxes; none is any."""
    is_accepted = not accepted or "*" in accepted or stored_syntax in accepted
    return is_accepted or not accepted.isdisjoint(UNCOMPRESSED)


def transcoded(instance: IncomingInstance, accepted: frozenset[str]) -> IncomingInstance:
    """Return an instance in one of the accepted transfer syntaxes, if `can_be_given` says so.

    Raises:
        ActionNotPossible: It is too large for that, or cannot be decoded.
    """
    header = instance.header
    if not accepted or "*" in accepted or header.transfer_syntax_uid in accepted:
        return instance
    target = next(syntax for syntax in UNCOMPRESSED if syntax in accepted)
    file = BytesIO(encode_file_header(header))
    file.seek(0, 2)
    for fragment in instance.fragments():
        file.write(fragment)
        if file.tell() > _LARGEST:
            raise ActionNotPossible(f"Instance {header.sop_instance_uid} is too large to be decoded.")
    new_header = InstanceHeader(header.sop_class_uid, header.sop_instance_uid, target)
    return _Transcoded(instance.reference, new_header, _decoded(file, header.sop_instance_uid, target))


def _decoded(file: BytesIO, sop_instance_uid: str, target: str) -> bytes:
    file.seek(0)
    try:
        with quiet_pydicom():
            data_set = dcmread(file)
            if data_set.file_meta.TransferSyntaxUID.is_compressed and "PixelData" in data_set:
                data_set.decompress(generate_instance_uid=False)
            return _encoded(data_set, target)
    except Exception as error:  # noqa: BLE001 - pydicom and its codecs raise anything, and quote values
        kind = type(error).__name__
        raise ActionNotPossible(f"Instance {sop_instance_uid} cannot be decoded ({kind}).") from None


def _encoded(data_set: Dataset, target: str) -> bytes:
    buffer = BytesIO()
    plain = Dataset(data_set)
    plain.save_as(
        buffer,
        implicit_vr=target == ImplicitVRLittleEndian,
        little_endian=True,
        enforce_file_format=False,
    )
    return buffer.getvalue()
