"""C-FIND against scripted archives: what is asked, what is made of the answers, and how it may end."""

import gc
import logging
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from adit_core.dicom.dimse import DimseSearcher, echo
from adit_core.dicom.node import QueryRoot
from adit_core.dicom.query import DateRange, PatientQuery, SeriesQuery, StudyQuery, StudyResult
from adit_core.dicom.references import StudyReference
from adit_core.errors import (
    AnswerCutOff,
    ConnectionFailed,
    InvalidInput,
    NoPresentationContext,
    OperationFailed,
    PeerAborted,
    PeerBusy,
    PeerTimeout,
    ProtocolError,
)
from tests.fakes.peer import IMPATIENT, PATIENT, Conversation, FakePeer, Received, encode
from tests.fakes.ports import EXPLICIT, SERIES, STUDY

STUDY_ROOT, PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.1.1"
PENDING, CANCELED = 0xFF00, 0xFE00


def study(number: int = 1, **changes: Any) -> bytes:
    """Return an answer at STUDY level."""
    elements = {
        "StudyInstanceUID": f"1.2.{number}",
        "PatientID": "P1",
        "PatientName": "Doe^Jane",
        "PatientBirthDate": "19700101",
        "StudyDate": "20240131",
        "StudyDescription": "Abdomen",
        "ModalitiesInStudy": ["CT", "SR"],
        "NumberOfStudyRelatedInstances": 12,
    }
    return encode(**(elements | changes))


def answering(*answers: bytes, status: int = 0) -> Callable[[Conversation], None]:
    """Return a script that answers one query by `answers` and ends it with `status`."""

    def script(peer: Conversation) -> None:
        peer.accept()
        answer(peer, *answers, status=status)
        peer.release()

    return script


def answer(peer: Conversation, *answers: bytes, status: int = 0) -> Received:
    request = peer.receive()
    for each in answers:
        peer.respond(request, PENDING, each)
    peer.respond(request, status)
    return request


def found(fake: FakePeer, query: StudyQuery | None = None, **node: Any) -> list[str]:
    with DimseSearcher(fake.node(**node)) as searcher:
        studies = searcher.find_studies(query or StudyQuery())
        return [each.reference.study_instance_uid for each in studies]


def collect_studies(fake: FakePeer, results: list[StudyResult]) -> None:
    """Add studies to `results` until an error ends the query."""
    with DimseSearcher(fake.node()) as searcher:
        for each in searcher.find_studies(StudyQuery()):
            results.append(each)


def asked(
    script_of: Callable[[list[Received]], Callable[[Conversation], None]],
    search: Callable[[DimseSearcher], Any],
    **node: Any,
) -> list[Received]:
    """Return what the archive was asked by `search`."""
    requests: list[Received] = []
    with FakePeer(script_of(requests)) as fake, DimseSearcher(fake.node(**node)) as searcher:
        list(search(searcher))
    return requests


def recording(*answers: bytes) -> Callable[[list[Received]], Callable[[Conversation], None]]:
    """Answer each query by the next of `answers`, and keep the queries."""

    def script_of(requests: list[Received]) -> Callable[[Conversation], None]:
        def script(peer: Conversation) -> None:
            peer.accept()
            for each in answers:
                requests.append(answer(peer, *([each] if each else [])))
            peer.release()

        return script

    return script_of


def test_study_is_found():
    with FakePeer(answering(study())) as fake, DimseSearcher(fake.node()) as searcher:
        (result,) = searcher.find_studies(StudyQuery())
    assert result.reference == StudyReference("1.2.1", "P1")
    assert (result.patient_name, result.patient_birth_date) == ("Doe^Jane", date(1970, 1, 1))
    assert (result.study_date, result.study_description) == (date(2024, 1, 31), "Abdomen")
    assert (result.modalities, result.number_of_instances) == ({"CT", "SR"}, 12)
    assert result.number_of_series is None


def test_keys_are_sent_at_study_level():
    query = StudyQuery(
        patient_id="P*",
        patient_name="Doe*",
        patient_birth_date=DateRange(date(1970, 1, 1), date(1970, 1, 1)),
        study_instance_uid="1.2.3",
        accession_number="A1",
        study_date=DateRange(date(2024, 1, 1)),
        study_description="Abd*",
        modalities=frozenset({"CT"}),
    )
    (request,) = asked(recording(b""), lambda searcher: searcher.find_studies(query))
    assert request.command.AffectedSOPClassUID == STUDY_ROOT
    keys = {element.keyword: str(element.value) for element in request.decoded() if element.value}
    assert keys == {
        "QueryRetrieveLevel": "STUDY",
        "PatientID": "P*",
        "PatientName": "Doe*",
        "PatientBirthDate": "19700101",
        "StudyInstanceUID": "1.2.3",
        "AccessionNumber": "A1",
        "StudyDate": "20240101-",
        "StudyDescription": "Abd*",
        "ModalitiesInStudy": "CT",
    }


def test_several_modalities_are_matched_on_our_side():
    query = StudyQuery(modalities=frozenset({"CT", "MR"}))
    answers = [study(1), study(2, ModalitiesInStudy="US"), study(3, ModalitiesInStudy="MR")]
    with FakePeer(answering(*answers)) as fake:
        assert found(fake, query) == ["1.2.1", "1.2.3"]
    (request,) = asked(recording(b""), lambda searcher: searcher.find_studies(query))
    assert not request.decoded().ModalitiesInStudy


def test_what_does_not_match_is_left_out_although_the_archive_sent_it():
    answers = [study(1), study(2, PatientName="Miller^Jane"), study(3, StudyDate="19990101")]
    with FakePeer(answering(*answers)) as fake:
        query = StudyQuery(patient_name="doe*", study_date=DateRange(date(2024, 1, 1)))
        assert found(fake, query) == ["1.2.1"]


def test_name_is_matched_in_any_of_its_alphabets():
    answers = [study(1, SpecificCharacterSet="ISO_IR 192", PatientName="Yamada^Tarou=山田^太郎")]
    for pattern in ("Yamada^Tarou", "山田*", "YAMADA*"):
        with FakePeer(answering(*answers)) as fake:
            assert found(fake, StudyQuery(patient_name=pattern)) == ["1.2.1"]


def test_answer_that_comes_twice_is_yielded_once():
    with FakePeer(answering(study(1), study(2), study(1))) as fake:
        assert found(fake) == ["1.2.1", "1.2.2"]


def test_bad_values_cost_neither_the_answer_nor_the_query():
    broken = encode(StudyInstanceUID="1.2.2", PatientID="P2").replace(b"P2", b"P\xff")
    broken = b"\x08\x00\x05\x00CS\x08\x00NONSENSE\x08\x00\x20\x00DA\x08\x00202X9999" + broken
    with FakePeer(answering(study(1), broken, study(3))) as fake, DimseSearcher(fake.node()) as searcher:
        results = list(searcher.find_studies(StudyQuery()))
    assert [result.reference.study_instance_uid for result in results] == ["1.2.1", "1.2.2", "1.2.3"]
    assert results[1].study_date is None
    assert results[1].reference.patient_id == "Pÿ"


def test_answer_without_its_uid_is_left_out_and_logged(caplog: pytest.LogCaptureFixture):
    with (
        caplog.at_level(logging.WARNING),
        FakePeer(answering(study(1), study(2, StudyInstanceUID=""))) as fake,
    ):
        assert found(fake) == ["1.2.1"]
    assert "StudyInstanceUID" in caplog.text
    assert "Doe" not in caplog.text


def test_answer_that_is_no_data_set_is_told():
    nested = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 3000

    def script(peer: Conversation) -> None:
        peer.accept()
        peer.respond(peer.receive(), PENDING, nested)
        peer.expect_abort()

    with FakePeer(script) as fake, pytest.raises(ProtocolError, match="cannot be decoded"):
        found(fake)


def test_patients_are_found_through_their_studies_in_the_study_root():
    answers = [study(1), study(2), study(3, PatientID="P2", PatientName="Miller^Jane")]
    with FakePeer(answering(*answers)) as fake, DimseSearcher(fake.node()) as searcher:
        patients = list(searcher.find_patients(PatientQuery(patient_id="P*")))
    assert [(patient.patient_id, patient.patient_name) for patient in patients] == [
        ("P1", "Doe^Jane"),
        ("P2", "Miller^Jane"),
    ]


def test_patients_are_found_at_patient_level_in_the_patient_root():
    (request,) = asked(
        recording(b""),
        lambda searcher: searcher.find_patients(PatientQuery(patient_name="Doe*")),
        query_root=QueryRoot.PATIENT,
    )
    assert request.command.AffectedSOPClassUID == PATIENT_ROOT
    assert (request.decoded().QueryRetrieveLevel, str(request.decoded().PatientName)) == ("PATIENT", "Doe*")


def test_studies_are_found_through_their_patients_in_the_patient_root():
    patients = encode(PatientID="P1", PatientName="Doe^Jane", PatientBirthDate="19700101", PatientSex="F")
    of_patient = encode(StudyInstanceUID="1.2.1", StudyDate="20240131")
    requests: list[Received] = []
    with (
        FakePeer(recording(patients, of_patient)(requests)) as fake,
        DimseSearcher(fake.node(query_root=QueryRoot.PATIENT)) as searcher,
    ):
        (result,) = searcher.find_studies(StudyQuery(patient_name="doe^jane"))
    assert [request.decoded().QueryRetrieveLevel for request in requests] == ["PATIENT", "STUDY"]
    assert requests[1].decoded().PatientID == "P1"
    assert "PatientName" not in requests[1].decoded()
    assert result.reference == StudyReference("1.2.1", "P1")
    assert (result.patient_name, result.patient_sex) == ("Doe^Jane", "F")


def test_patient_without_an_id_does_not_stand_for_everybody():
    requests: list[Received] = []
    with FakePeer(recording(encode(PatientName="Doe^Jane"))(requests)) as fake:
        assert found(fake, query_root=QueryRoot.PATIENT) == []
    assert len(requests) == 1


def test_series_are_asked_with_the_study():
    query = SeriesQuery(STUDY, modality="CT", series_number=3)
    (request,) = asked(recording(b""), lambda searcher: searcher.find_series(query))
    keys = {element.keyword: str(element.value) for element in request.decoded() if element.value}
    assert keys == {
        "QueryRetrieveLevel": "SERIES",
        "StudyInstanceUID": "1.2.3",
        "Modality": "CT",
        "SeriesNumber": "3",
    }


def test_patient_root_is_asked_with_the_patient_id():
    series, instances = asked(
        recording(encode(SeriesInstanceUID="1.2.3.1"), b""),
        lambda searcher: [*searcher.find_series(SeriesQuery(STUDY)), *searcher.find_instances(SERIES)],
        query_root=QueryRoot.PATIENT,
    )
    assert (series.decoded().PatientID, instances.decoded().PatientID) == ("P1", "P1")
    assert instances.decoded().SeriesInstanceUID == "1.2.3.1"


def test_patient_root_without_a_patient_id_is_told():
    with FakePeer(answering()) as fake:
        searcher = DimseSearcher(fake.node(query_root=QueryRoot.PATIENT))
        with pytest.raises(InvalidInput, match="Patient ID"):
            list(searcher.find_series(SeriesQuery(StudyReference("1.2.3"))))


def test_series_and_instances_of_others_are_left_out():
    series = [
        encode(StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1", Modality="CT", SeriesNumber=1),
        encode(StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.4.1", Modality="CT"),
        encode(SeriesInstanceUID="1.2.3.2", Modality="CT", SeriesDescription="x"),
    ]
    with FakePeer(answering(*series)) as fake, DimseSearcher(fake.node()) as searcher:
        results = list(searcher.find_series(SeriesQuery(STUDY)))
    assert [result.reference.series_instance_uid for result in results] == ["1.2.3.1", "1.2.3.2"]
    assert all(result.reference.study == STUDY for result in results)
    instances = [
        encode(SeriesInstanceUID="1.2.3.1", SOPInstanceUID="1.2.3.1.1", SOPClassUID="1.2.840.1"),
        encode(SeriesInstanceUID="1.2.3.9", SOPInstanceUID="1.2.3.9.1"),
        encode(SOPInstanceUID="1.2.3.1.2"),
    ]
    with FakePeer(answering(*instances)) as fake, DimseSearcher(fake.node()) as searcher:
        found_instances = list(searcher.find_instances(SERIES))
    assert [(each.reference.sop_instance_uid, each.sop_class_uid) for each in found_instances] == [
        ("1.2.3.1.1", "1.2.840.1"),
        ("1.2.3.1.2", ""),
    ]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0xA700, PeerBusy),
        (0xA900, OperationFailed),
        (0xC001, OperationFailed),
        (0x0122, OperationFailed),
        (0xFE00, AnswerCutOff),
        (0xB000, AnswerCutOff),
    ],
)
def test_status_that_is_no_success_is_raised_after_the_results(status: int, kind: type[Exception]):
    results: list[StudyResult] = []
    words = f"C-FIND at STUDY level ended with status 0x{status:04X}"
    with FakePeer(answering(study(1), status=status)) as fake, pytest.raises(kind, match=words) as raised:
        collect_studies(fake, results)
    assert type(raised.value) is kind
    assert len(results) == 1


def test_pending_answer_with_a_warning_counts():
    def script(peer: Conversation) -> None:
        peer.accept()
        request = peer.receive()
        peer.respond(request, 0xFF01, study(1))
        peer.respond(request, 0)
        peer.release()

    with FakePeer(script) as fake:
        assert found(fake) == ["1.2.1"]


def test_pending_answer_without_a_data_set_is_told():
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.respond(peer.receive(), PENDING)
        peer.expect_abort()

    with FakePeer(script) as fake, pytest.raises(ProtocolError, match="without the data set"):
        found(fake)


def test_what_archives_have_to_look_up_is_not_asked_for_if_only_uids_are_wanted():
    asked: list[Received] = []

    def script(peer: Conversation) -> None:
        peer.accept()
        asked.append(answer(peer, encode(SeriesInstanceUID="1.2.3.1", SOPInstanceUID="1.2.3.1.1")))
        peer.release()

    with FakePeer(script) as fake, DimseSearcher(fake.node()) as searcher:
        (instance,) = searcher.find_instances(SERIES, uids_only=True)

    assert (instance.reference.sop_instance_uid, instance.sop_class_uid) == ("1.2.3.1.1", "")
    keys = {element.keyword for element in asked[0].decoded()}
    assert keys == {"QueryRetrieveLevel", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}


def test_archive_without_c_find_is_told():
    def script(peer: Conversation) -> None:
        peer.accept(refuse=lambda _class, _syntax: True)
        peer.expect_abort()

    with FakePeer(script) as fake, pytest.raises(NoPresentationContext, match=STUDY_ROOT):
        found(fake)


def test_implicit_identifiers_are_used_where_nothing_else_is_accepted():
    def script(peer: Conversation) -> None:
        peer.accept(refuse=lambda _class, syntax: syntax == EXPLICIT)
        request = peer.receive()
        peer.respond(
            request, PENDING, encode(implicit=True, StudyInstanceUID="1.2.1", PatientName="Doe^Jane")
        )
        peer.respond(request, 0)
        peer.release()

    with FakePeer(script) as fake:
        assert found(fake, StudyQuery(patient_name="Doe*")) == ["1.2.1"]


def test_iterator_that_is_closed_early_cancels_the_query():
    def script(peer: Conversation) -> None:
        peer.accept()
        request = peer.receive()
        peer.respond(request, PENDING, study(1))
        peer.expect_cancel(request)
        peer.respond(request, PENDING, study(2))
        peer.respond(request, CANCELED)
        peer.release()

    with FakePeer(script) as fake, DimseSearcher(fake.node()) as searcher:
        studies = iter(searcher.find_studies(StudyQuery()))
        next(studies)
        studies.close()  # type: ignore[attr-defined]


def test_archive_that_goes_on_after_a_cancel_is_aborted():
    def script(peer: Conversation) -> None:
        peer.accept()
        request = peer.receive()
        peer.respond(request, PENDING, study(1))
        peer.expect_cancel(request)
        peer.expect_abort()

    with FakePeer(script) as fake, DimseSearcher(fake.node()) as searcher:
        studies = iter(searcher.find_studies(StudyQuery()))
        next(studies)
        begun = time.monotonic()
        studies.close()  # type: ignore[attr-defined]
        assert time.monotonic() - begun < PATIENT.silence_timeout


def test_loop_that_is_left_early_ends_the_query():
    def script(peer: Conversation) -> None:
        peer.accept()
        request = peer.receive()
        for number in range(1, 1000):
            peer.respond(request, PENDING, study(number))
        peer.expect_abort()

    with FakePeer(script, answering(study(7))) as fake, DimseSearcher(fake.node()) as searcher:
        for _ in searcher.find_studies(StudyQuery()):
            break
        gc.collect()
        assert len(list(searcher.find_studies(StudyQuery()))) == 1


def test_association_is_used_for_several_queries():
    def script(peer: Conversation) -> None:
        peer.accept()
        assert answer(peer, study(1)).command.MessageID == 1
        assert answer(peer, study(2)).command.MessageID == 2
        peer.release()

    with FakePeer(script) as fake, DimseSearcher(fake.node()) as searcher:
        assert len([*searcher.find_studies(StudyQuery()), *searcher.find_studies(StudyQuery())]) == 2
    assert len(fake.conversations) == 1


def test_query_within_a_query_gets_an_association_of_its_own():
    outer = answering(study(1), study(2))

    def inner(peer: Conversation) -> None:
        peer.accept()
        answer(peer, encode(SeriesInstanceUID="1.2.1.1"))
        answer(peer, encode(SeriesInstanceUID="1.2.2.1"))
        peer.release()

    with FakePeer(outer, inner) as fake, DimseSearcher(fake.node()) as searcher:
        series = [
            each.reference.series_instance_uid
            for found_study in searcher.find_studies(StudyQuery())
            for each in searcher.find_series(SeriesQuery(found_study.reference))
        ]
    assert series == ["1.2.1.1", "1.2.2.1"]
    assert len(fake.conversations) == 2


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(Conversation.abort, id="abort"),
        pytest.param(Conversation.reset, id="reset"),
        pytest.param(lambda _: None, id="close"),
        pytest.param(lambda peer: peer.receive(), id="close at the next query"),
        pytest.param(lambda peer: [peer.receive(), peer.abort()], id="abort at the next query"),
    ],
)
def test_query_on_an_association_that_went_away_is_tried_on_a_new_one(leave: Callable[[Conversation], Any]):
    def script(peer: Conversation) -> None:
        peer.accept()
        answer(peer, study(1))
        leave(peer)

    with FakePeer(script, answering(study(2))) as fake, DimseSearcher(fake.node()) as searcher:
        assert len(list(searcher.find_studies(StudyQuery()))) == 1
        (result,) = searcher.find_studies(StudyQuery())
    assert result.reference.study_instance_uid == "1.2.2"


def test_query_is_not_tried_again_once_answers_came():
    def script(peer: Conversation) -> None:
        peer.accept()
        answer(peer, study(1))
        request = peer.receive()
        peer.respond(request, PENDING, study(2))

    with FakePeer(script) as fake, DimseSearcher(fake.node()) as searcher:
        assert len(list(searcher.find_studies(StudyQuery()))) == 1
        with pytest.raises(ConnectionFailed):
            list(searcher.find_studies(StudyQuery()))
    assert len(fake.conversations) == 1


def test_query_on_a_new_association_is_tried_once():
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.receive()
        peer.abort()

    with FakePeer(script) as fake, pytest.raises(PeerAborted):
        found(fake)
    assert len(fake.conversations) == 1


def test_silent_archive_ends_in_a_timeout():
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.receive()
        peer.expect_abort()

    with FakePeer(script) as fake, pytest.raises(PeerTimeout):
        found(fake, profile=IMPATIENT)


def test_searcher_can_be_used_after_it_was_closed():
    with FakePeer(answering(study(1)), answering(study(2))) as fake:
        searcher = DimseSearcher(fake.node())
        assert len(list(searcher.find_studies(StudyQuery()))) == 1
        searcher.close()
        searcher.close()
        assert len(list(searcher.find_studies(StudyQuery()))) == 1
        searcher.close()


def test_echo_takes_time():
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.respond(peer.receive(), 0)
        peer.release()

    with FakePeer(script) as fake:
        assert 0 < echo(fake.node()) < 10


@pytest.mark.parametrize(("status", "kind"), [(0x0110, OperationFailed), (0xA700, PeerBusy)])
def test_echo_that_fails_is_told(status: int, kind: type[Exception]):
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.respond(peer.receive(), status)
        peer.release()

    with FakePeer(script) as fake, pytest.raises(kind, match=f"C-ECHO ended with status 0x{status:04X}"):
        echo(fake.node())
