"""The simplest things that fit the ports of a transfer: instances in memory, and an inlet that records."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
J2K = "1.2.840.10008.1.2.4.90"

STUDY = StudyReference("1.2.3", patient_id="P1")
SERIES = SeriesReference(STUDY, "1.2.3.1")


@dataclass(frozen=True)
class MemoryInstance:
    """An instance whose encoded data set is at hand; implements IncomingInstance."""

    header: InstanceHeader
    pieces: tuple[bytes, ...]
    failure: Exception | None = None
    """Raised after the last piece."""
    reference: InstanceReference = field(default=InstanceReference(SERIES, "1.2.3.1.1"))

    def fragments(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.failure is not None:
            raise self.failure


def instance(
    uid: str,
    *pieces: bytes,
    sop_class: str = CT,
    syntax: str = EXPLICIT,
    failure: Exception | None = None,
) -> MemoryInstance:
    return MemoryInstance(InstanceHeader(sop_class, uid, syntax), pieces, failure)


@dataclass
class RecordingInlet:
    """Keeps what came, told apart by whether its end came; implements Inlet."""

    complete: dict[InstanceHeader, bytes] = field(default_factory=dict)
    begun: list[InstanceHeader] = field(default_factory=list)
    fail_after: int | None = None
    """How many bytes of the first instance are taken before an error is raised."""
    _bytes: bytearray = field(default_factory=bytearray)

    def begin(self, header: InstanceHeader) -> None:
        self.begun.append(header)
        self._bytes = bytearray()

    def write(self, fragment: bytes | memoryview) -> None:
        self._bytes += fragment
        if self.fail_after is not None and len(self._bytes) > self.fail_after:
            raise InletFailed

    def end(self) -> None:
        self.complete[self.begun[-1]] = bytes(self._bytes)

    @property
    def uids(self) -> set[str]:
        return {header.sop_instance_uid for header in self.complete}


class InletFailed(Exception):
    """What an inlet raises when its destination fails."""
