"""pynetdicom as the peer, in both directions: what it sent is what arrives, down to the last byte."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from threading import Event as Flag
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode as encode_data_set
from pynetdicom.events import Event

from adit_core.dicom.dimse import DimseDestination, DimseSearcher, DimseSource, echo
from adit_core.dicom.node import ConnectionProfile, ServerNode
from adit_core.dicom.ports import Delivery, InstanceHeader, RetrieveRequest, SeriesPart
from adit_core.dicom.query import InstanceResult, StudyQuery
from adit_core.dicom.references import InstanceReference
from adit_core.errors import AssociationRejected
from tests.fakes.ports import CT, EXPLICIT, IMPLICIT, J2K, MR, SERIES, STUDY, RecordingInlet, instance

VERIFICATION = "1.2.840.10008.1.1"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{service}" for service in (1, 2, 3))
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


def header_of(event: Event) -> InstanceHeader:
    """Return what a C-STORE request says of its instance."""
    request: Any = event.request
    return InstanceHeader(
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, event.context.transfer_syntax
    )


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


def encoded(image: Dataset) -> bytes:
    """Return the bytes that pynetdicom sends."""
    found = encode_data_set(image, image.file_meta.TransferSyntaxUID.is_implicit_VR, is_little_endian=True)
    assert found is not None
    return found


def test_echo_is_answered():
    with provider({}) as node:
        assert echo(node) > 0


def test_unknown_title_is_rejected():
    with provider({}) as node, pytest.raises(AssociationRejected, match="called AE title not recognized"):
        echo(replace(node, ae_title="SOMEBODY"))


@pytest.mark.parametrize("maximum_pdu_size", [0, 512, 16382, 1 << 20])
def test_stored_bytes_are_the_sent_ones(maximum_pdu_size: int):
    arrived: dict[InstanceHeader, bytes] = {}

    def store(event: Event) -> int:
        arrived[header_of(event)] = event.encoded_dataset(include_meta=False)
        return 0x0000

    random = Random(maximum_pdu_size)
    instances = [
        instance(
            f"1.2.3.1.{number}",
            *(random.randbytes(random.choice((1, 300, 20_000, 70_000))) for _ in range(random.randint(1, 6))),
            sop_class=random.choice((CT, MR)),
            syntax=random.choice(SYNTAXES),
        )
        for number in range(30)
    ]
    with (
        provider({evt.EVT_C_STORE: store}, maximum_pdu_size=maximum_pdu_size) as node,
        DimseDestination(node) as destination,
    ):
        deliveries = list(destination.deliver(instances))
    assert deliveries == [Delivery(each.header.sop_instance_uid) for each in instances]
    assert arrived == {each.header: b"".join(each.pieces) for each in instances}


def test_each_of_thousands_of_small_instances_is_answered():
    arrived: list[str] = []

    def store(event: Event) -> int:
        arrived.append(header_of(event).sop_instance_uid)
        return 0x0000

    uids = [f"1.2.3.1.{number}" for number in range(2000)]
    with provider({evt.EVT_C_STORE: store}) as node, DimseDestination(node) as destination:
        deliveries = list(destination.deliver(instance(uid, b"\0" * 100) for uid in uids))
    assert deliveries == [Delivery(uid) for uid in uids]
    assert arrived == uids


@pytest.mark.parametrize("max_pdu_length", [0, 4096, 1 << 20])
def test_retrieved_bytes_are_the_sent_ones(max_pdu_length: int):
    images = [data_set(number, syntax) for number, syntax in enumerate(SYNTAXES * 4)]

    def get(event: Event) -> Iterator[Any]:
        assert event.identifier.StudyInstanceUID == STUDY.study_instance_uid
        yield len(images)
        for image in images:
            yield 0xFF00, image

    instances = tuple(InstanceResult(InstanceReference(SERIES, image.SOPInstanceUID), CT) for image in images)
    request = RetrieveRequest(STUDY, (SeriesPart(SERIES, instances, whole=True),), whole=True)
    inlet = RecordingInlet()
    with provider({evt.EVT_C_GET: get}) as node:
        profile = replace(node.profile, max_pdu_length=max_pdu_length)
        with DimseSource(replace(node, profile=profile)) as source:
            source.retrieve(request, inlet)
    assert inlet.complete == {
        InstanceHeader(CT, image.SOPInstanceUID, image.file_meta.TransferSyntaxUID): encoded(image)
        for image in images
    }


def test_hundreds_of_studies_are_found():
    def find(_event: Event) -> Iterator[Any]:
        for number in range(500):
            answer = Dataset()
            answer.StudyInstanceUID = f"1.2.{number}"
            answer.PatientName = "Doe^Jane"
            yield 0xFF00, answer

    with provider({evt.EVT_C_FIND: find}) as node, DimseSearcher(node) as searcher:
        studies = [study.reference.study_instance_uid for study in searcher.find_studies(StudyQuery())]
    assert studies == [f"1.2.{number}" for number in range(500)]


def test_query_that_is_left_early_is_canceled():
    canceled, released = Flag(), Flag()

    def find(event: Event) -> Iterator[Any]:
        for number in range(10**6):
            if event.is_cancelled:
                canceled.set()
                yield 0xFE00, None
                return
            answer = Dataset()
            answer.StudyInstanceUID = f"1.2.{number}"
            yield 0xFF00, answer

    with (
        provider({evt.EVT_C_FIND: find, evt.EVT_RELEASED: lambda _: released.set()}) as node,
        DimseSearcher(node) as searcher,
    ):
        for _ in searcher.find_studies(StudyQuery()):
            break
        assert canceled.wait(10)
        assert released.wait(10)


def test_query_that_goes_on_after_a_cancel_is_aborted():
    aborted = Flag()

    def find(_event: Event) -> Iterator[Any]:
        for number in range(10**6):
            answer = Dataset()
            answer.StudyInstanceUID = f"1.2.{number}"
            yield 0xFF00, answer

    with (
        provider({evt.EVT_C_FIND: find, evt.EVT_ABORTED: lambda _: aborted.set()}) as node,
        DimseSearcher(node) as searcher,
    ):
        for _ in searcher.find_studies(StudyQuery()):
            break
        assert aborted.wait(10)
