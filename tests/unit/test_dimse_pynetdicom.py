"""pynetdicom as the peer, in both directions: what it sent is what arrives, down to the last byte."""

import time
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from threading import Event as Flag
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dsutils import encode as encode_data_set
from pynetdicom.events import Event

from adit_core.dicom import association
from adit_core.dicom.dimse import DimseDestination, DimseSearcher, DimseSource, echo
from adit_core.dicom.ports import Delivery, InstanceHeader, RetrieveRequest, SeriesPart
from adit_core.dicom.query import InstanceResult, StudyQuery
from adit_core.dicom.references import InstanceReference
from adit_core.errors import AssociationRejected
from tests.fakes.ports import CT, MR, SERIES, STUDY, RecordingInlet, instance
from tests.fakes.provider import SYNTAXES, data_set, provider

_PATIENCE = 30.0


def header_of(event: Event) -> InstanceHeader:
    """Return what a C-STORE request says of its instance."""
    request: Any = event.request
    return InstanceHeader(
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, event.context.transfer_syntax
    )


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


def test_query_that_is_left_early_is_canceled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(association, "_CANCEL_TIME", _PATIENCE)  # both sides share an interpreter here
    canceled, released = Flag(), Flag()

    def find(event: Event) -> Iterator[Any]:
        for number in range(10**6):
            if event.is_cancelled:
                canceled.set()
                yield 0xFE00, None
                return
            time.sleep(0.01)  # pynetdicom reads nothing as long as it has something to send
            answer = Dataset()
            answer.StudyInstanceUID = f"1.2.{number}"
            yield 0xFF00, answer

    with (
        provider({evt.EVT_C_FIND: find, evt.EVT_RELEASED: lambda _: released.set()}) as node,
        DimseSearcher(node) as searcher,
    ):
        for _ in searcher.find_studies(StudyQuery()):
            break
        assert canceled.wait(_PATIENCE)
        assert released.wait(_PATIENCE)


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
        assert aborted.wait(_PATIENCE)
