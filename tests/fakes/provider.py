"""An application entity of pynetdicom that provides what handlers do, and images for it to send."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.events import Event

from adit_core.dicom.node import ConnectionProfile, ServerNode
from tests.fakes.ports import CT, EXPLICIT, IMPLICIT, J2K, MR

VERIFICATION = "1.2.840.10008.1.1"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{service}" for service in (1, 2, 3))
"""The Query/Retrieve classes of the study root."""
SYNTAXES = (EXPLICIT, IMPLICIT, J2K)


@contextmanager
def provider(
    handlers: dict[evt.EventType, Callable[[Event], Any]], *, maximum_pdu_size: int = 16382
) -> Iterator[ServerNode]:
    """Run an application entity of pynetdicom."""
    entity = AE("PYNETDICOM")
    entity.maximum_pdu_size = maximum_pdu_size
    entity.require_called_aet = True
    for sop_class in (CT, MR):
        for syntax in SYNTAXES:
            entity.add_supported_context(sop_class, syntax, scu_role=True, scp_role=True)
    for sop_class in (VERIFICATION, FIND, MOVE, GET):
        entity.add_supported_context(sop_class, [EXPLICIT, IMPLICIT])
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers.items()))
    assert server is not None
    assert server.socket is not None
    try:
        port = server.socket.getsockname()[1]
        yield ServerNode(
            "pynetdicom", "PYNETDICOM", "127.0.0.1", port, profile=ConnectionProfile(silence_timeout=20)
        )
    finally:
        server.shutdown()


def data_set(number: int, syntax: str, size: int = 64) -> Dataset:
    """Return a CT image with random pixels; of a compressed one, in a single item."""
    image = Dataset()
    image.SOPClassUID = CT
    image.SOPInstanceUID = f"1.2.3.1.{number}"
    image.PatientName = "Doe^Jane"
    image.Rows = image.Columns = size
    image.BitsAllocated = 16
    pixels = Random(number).randbytes(size * size * 2)
    image.PixelData = encapsulate([pixels]) if syntax == J2K else pixels
    image["PixelData"].VR = "OB" if syntax == J2K else "OW"
    image["PixelData"].is_undefined_length = syntax == J2K
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = UID(syntax)
    return image


def finding_meyer(answer: bytes | None) -> dict[evt.EventType, Callable[[Event], Any]]:
    """Return handlers of an archive with a study of Meyer, which finds it for Meier if it agreed to do so.

    To a SOP class extended negotiation it answers by these bytes; None leaves it unanswered.
    """

    def find(event: Event) -> Iterator[Any]:
        agreed = event.assoc.acceptor.sop_class_extended.get(UID(FIND), b"")
        name = str(event.identifier.PatientName)
        if name == "Meyer" or (name == "Meier" and agreed[2:3] == b"\1"):
            study = Dataset()
            study.StudyInstanceUID, study.PatientName = "1.2.1", "Meyer"
            yield 0xFF00, study

    def extend(event: Any) -> dict[UID, bytes]:
        return {} if answer is None else dict.fromkeys(event.app_info, answer)

    return {evt.EVT_C_FIND: find, evt.EVT_SOP_EXTENDED: extend}
