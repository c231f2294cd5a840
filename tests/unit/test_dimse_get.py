"""C-GET against scripted archives: what is asked, what arrives, and how it may end."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from threading import Event
from typing import Any

import pytest

from adit_core.dicom.contexts import STORAGE_SOP_CLASSES, STORAGE_TRANSFER_SYNTAXES
from adit_core.dicom.dimse import DimseSource
from adit_core.dicom.node import QueryRoot
from adit_core.dicom.ports import InstanceHeader, RetrieveRequest, SeriesPart
from adit_core.dicom.query import InstanceResult
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.errors import (
    ConnectionFailed,
    IncompleteTransfer,
    InvalidInput,
    NoPresentationContext,
    OperationFailed,
    PeerAborted,
    PeerBusy,
    PeerTimeout,
    ProtocolError,
)
from tests.fakes.peer import (
    IMPATIENT,
    Conversation,
    FakePeer,
    PeerGone,
    Received,
    data_pdu,
    encode,
    encode_command,
    message_pdus,
    store_request,
)
from tests.fakes.ports import CT, EXPLICIT, IMPLICIT, J2K, MR, SERIES, STUDY, InletFailed, RecordingInlet

STUDY_ROOT, PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.2.3", "1.2.840.10008.5.1.4.1.2.1.3"
PENDING, CANCELED, PROCESSING_FAILURE = 0xFF00, 0xFE00, 0x0110
DATA = bytes(range(256)) * 300


def uid(number: int) -> str:
    return f"1.2.3.1.{number}"


def part(
    numbers: Iterable[int], sop_class: str = CT, series: SeriesReference = SERIES, whole: bool = True
) -> SeriesPart:
    instances = tuple(InstanceResult(InstanceReference(series, uid(number)), sop_class) for number in numbers)
    return SeriesPart(series, instances, whole)


def request(*parts: SeriesPart, whole: bool = True) -> RetrieveRequest:
    return RetrieveRequest(STUDY, parts, whole)


THREE = request(part([1, 2, 3]))


def retrieve(
    fake: FakePeer, wanted: RetrieveRequest = THREE, inlet: RecordingInlet | None = None, **node: Any
) -> RecordingInlet:
    inlet = inlet or RecordingInlet()
    with DimseSource(fake.node(**node)) as source:
        source.retrieve(wanted, inlet)
    return inlet


def sending(*numbers: int, status: int = 0, **elements: Any) -> Callable[[Conversation], None]:
    """Return a script that answers one C-GET by CT instances and ends it with `status`."""

    def script(peer: Conversation) -> None:
        peer.accept()
        get = peer.receive()
        for number in numbers:
            assert peer.store(CT, uid(number), DATA) == 0
            peer.respond(get, PENDING, NumberOfRemainingSuboperations=1)
        peer.respond(get, status, **elements)
        peer.release()

    return script


class Archive:
    """Answers C-GET requests from what it holds, as real archives do; several associations long."""

    def __init__(
        self,
        held: dict[str, str],
        *,
        series: dict[str, str] | None = None,
        knows_lists: bool = True,
        is_strict: bool = False,
    ) -> None:
        self.held = held
        """SOP classes by SOP Instance UID."""
        self.series = series or {}
        """Series Instance UIDs by SOP Instance UID, if there are several."""
        self.knows_lists = knows_lists
        self.is_strict = is_strict
        """Send nothing of a list that names an instance that is not held."""
        self.requests: list[Received] = []

    def __call__(self, peer: Conversation) -> None:
        peer.accept()
        while True:
            try:
                get = peer.receive()
            except PeerGone:
                return
            self.requests.append(get)
            peer.respond(get, self._answer(peer, get))

    def _answer(self, peer: Conversation, get: Received) -> int:
        for instance in self._wanted(get):
            sop_class = self.held[instance]
            if not any(of_class == sop_class for of_class, _ in peer.context_ids):
                return 0xC000  # as Orthanc does: the first instance that it cannot send is the last
            assert peer.store(sop_class, instance, DATA) == 0
        return 0

    def _wanted(self, get: Received) -> list[str]:
        keys = get.decoded()
        listed = keys.get("SOPInstanceUID")
        if listed is None:
            asked = keys.get("SeriesInstanceUID")
            return [each for each in self.held if asked in (None, self.series.get(each, asked))]
        uids = [listed] if isinstance(listed, str) else list(listed)
        if len(uids) > 1 and not self.knows_lists:
            return []
        if self.is_strict and not set(uids) <= set(self.held):
            return []
        return [each for each in uids if each in self.held]

    def levels(self) -> list[str]:
        return [get.decoded().QueryRetrieveLevel for get in self.requests]


def test_instances_arrive_unchanged():
    with FakePeer(sending(1, 2, 3)) as fake:
        inlet = retrieve(fake)
    assert inlet.complete == {InstanceHeader(CT, uid(number), EXPLICIT): DATA for number in (1, 2, 3)}


def test_whole_study_is_asked_for_by_its_uid_alone():
    archive = Archive({uid(1): CT})
    with FakePeer(archive) as fake:
        retrieve(fake, request(part([1])))
    (get,) = archive.requests
    assert get.command.AffectedSOPClassUID == STUDY_ROOT
    assert {element.keyword: element.value for element in get.decoded()} == {
        "QueryRetrieveLevel": "STUDY",
        "StudyInstanceUID": "1.2.3",
    }


def test_whole_series_are_asked_for_one_by_one():
    other = SeriesReference(STUDY, "1.2.3.2")
    archive = Archive({uid(1): CT, uid(2): CT})
    with FakePeer(archive) as fake:
        retrieve(fake, request(part([1]), part([2], series=other), whole=False))
    assert [get.decoded().get("SeriesInstanceUID") for get in archive.requests] == ["1.2.3.1", "1.2.3.2"]
    assert archive.levels() == ["SERIES", "SERIES"]


def test_chosen_instances_are_asked_for_in_batches():
    archive = Archive({uid(number): CT for number in range(250)})
    with FakePeer(archive) as fake:
        inlet = retrieve(fake, request(part(range(1, 250), whole=False), whole=False))
    lists = [get.decoded().SOPInstanceUID for get in archive.requests]
    assert [len(each) for each in lists] == [100, 100, 49]
    assert archive.levels() == ["IMAGE"] * 3
    assert inlet.uids == {uid(number) for number in range(1, 250)}


def test_single_instance_is_asked_for():
    archive = Archive({uid(1): CT, uid(2): CT})
    with FakePeer(archive) as fake:
        assert retrieve(fake, request(part([2], whole=False), whole=False)).uids == {uid(2)}
    assert archive.requests[0].decoded().SOPInstanceUID == uid(2)


def test_patient_root_is_asked_with_the_patient_id():
    archive = Archive({uid(1): CT})
    with FakePeer(archive) as fake:
        retrieve(fake, request(part([1])), query_root=QueryRoot.PATIENT)
    assert archive.requests[0].command.AffectedSOPClassUID == PATIENT_ROOT
    assert archive.requests[0].decoded().PatientID == "P1"


def test_patient_root_without_a_patient_id_is_told():
    wanted = replace(request(part([1])), study=StudyReference("1.2.3"))
    with FakePeer(Archive({})) as fake, pytest.raises(InvalidInput, match="Patient ID"):
        retrieve(fake, wanted, query_root=QueryRoot.PATIENT)


def test_classes_of_the_request_are_proposed_in_every_transfer_syntax():
    with FakePeer(sending(1)) as fake:
        retrieve(fake, request(part([1]), part([2], MR)))
    proposed = fake.conversations[0].context_ids
    assert {sop_class for sop_class, _ in proposed} == {STUDY_ROOT, CT, MR}
    assert {syntax for sop_class, syntax in proposed if sop_class == CT} == set(STORAGE_TRANSFER_SYNTAXES)
    assert len(fake.conversations[0].request.presentation_context) == len(proposed)


def test_transfer_syntax_is_that_of_the_context_in_which_an_instance_came():
    def script(peer: Conversation) -> None:
        peer.accept()
        get = peer.receive()
        for number, syntax in enumerate((J2K, EXPLICIT, IMPLICIT), 1):
            peer.store(CT, uid(number), DATA, syntax)
        peer.respond(get, 0)
        peer.release()

    with FakePeer(script) as fake:
        inlet = retrieve(fake)
    assert {header.sop_instance_uid: header.transfer_syntax_uid for header in inlet.complete} == {
        uid(1): J2K,
        uid(2): EXPLICIT,
        uid(3): IMPLICIT,
    }


CLASSES = STORAGE_SOP_CLASSES[:9]


def test_more_classes_than_fit_are_asked_for_over_several_associations():
    series = {uid(number): f"1.2.3.{number}" for number in range(len(CLASSES))}
    parts = [
        part([number], sop_class, SeriesReference(STUDY, f"1.2.3.{number}"))
        for number, sop_class in enumerate(CLASSES)
    ]
    archive = Archive(dict(zip(series, CLASSES, strict=True)), series=series)
    with FakePeer(archive) as fake:
        inlet = retrieve(fake, request(*parts))
    assert inlet.uids == set(archive.held)
    assert len(fake.conversations) == 2
    assert archive.levels() == ["SERIES"] * len(CLASSES)
    assert all(len(each.request.presentation_context) <= 128 for each in fake.conversations)


def test_series_of_many_classes_is_asked_for_by_instances_of_each_group():
    instances = tuple(
        InstanceResult(InstanceReference(SERIES, uid(number)), sop_class)
        for number, sop_class in enumerate(CLASSES)
    )
    archive = Archive({instance.reference.sop_instance_uid: instance.sop_class_uid for instance in instances})
    with FakePeer(archive) as fake:
        inlet = retrieve(fake, request(SeriesPart(SERIES, instances, whole=True)))
    assert inlet.uids == set(archive.held)
    assert set(archive.levels()) == {"IMAGE"}


@pytest.mark.parametrize("unknown", ["", "not a UID"])
def test_instances_of_unknown_classes_arrive(unknown: str):
    series = {uid(1): "1.2.3.1", uid(2): "1.2.3.1", uid(9): "1.2.3.2"}
    archive = Archive({uid(1): CT, uid(2): CT, uid(9): STORAGE_SOP_CLASSES[-1]}, series=series)
    other = SeriesReference(STUDY, "1.2.3.2")
    with FakePeer(archive) as fake:
        inlet = retrieve(fake, request(part([1, 2], unknown), part([9], unknown, other)))
    assert inlet.uids == {uid(1), uid(2), uid(9)}
    assert set(archive.levels()) == {"SERIES"}


def test_series_of_several_unknown_classes_arrives():
    held = {uid(number): STORAGE_SOP_CLASSES[index] for number, index in enumerate((0, 8, 1, 20, 2))}
    archive = Archive(held)
    with FakePeer(archive) as fake:
        assert retrieve(fake, request(part(range(5), ""))).uids == set(held)


def test_search_for_a_class_that_nobody_knows_ends():
    archive = Archive({uid(1): "1.2.3.4.5"})
    with FakePeer(archive) as fake, pytest.raises(OperationFailed, match="0xC000"):
        retrieve(fake, request(part([1], "")))
    assert len(fake.conversations) < 15


def test_instances_are_asked_for_one_by_one_if_the_archive_knows_no_lists():
    archive = Archive({uid(number): CT for number in range(5)}, knows_lists=False)
    with FakePeer(archive) as fake:
        inlet = retrieve(fake, request(part(range(1, 4), whole=False), whole=False))
    assert inlet.uids == {uid(1), uid(2), uid(3)}


def test_instances_are_asked_for_one_by_one_if_one_is_missing():
    archive = Archive({uid(number): CT for number in (1, 2, 4, 5)}, is_strict=True)
    with FakePeer(archive) as fake:
        inlet = retrieve(fake, request(part(range(1, 6), whole=False), whole=False))
    assert inlet.uids == set(archive.held)


def test_what_fails_is_asked_for_again_in_compressed_syntaxes():
    def first(peer: Conversation) -> None:
        peer.accept()
        get = peer.receive()
        peer.store(CT, uid(1), DATA)
        peer.respond(get, 0xB000, NumberOfFailedSuboperations=2)
        peer.release()

    def second(peer: Conversation) -> None:
        peer.accept()
        assert not any(
            syntax in (EXPLICIT, IMPLICIT) for of_class, syntax in peer.context_ids if of_class == CT
        )
        get = peer.receive()
        assert list(get.decoded().SOPInstanceUID) == [uid(2), uid(3)]
        for number in (2, 3):
            peer.store(CT, uid(number), DATA, J2K)
        peer.respond(get, 0)
        peer.release()

    with FakePeer(first, second) as fake:
        assert retrieve(fake).uids == {uid(1), uid(2), uid(3)}


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xA702, 0xFE00, 0xC000, 0xA900])
def test_status_is_no_error_if_something_came(status: int):
    with FakePeer(sending(1, status=status), Archive({})) as fake:
        assert retrieve(fake).uids == {uid(1)}


@pytest.mark.parametrize("uids", [[uid(2)], [uid(2), uid(3)]])
def test_list_of_what_failed_is_no_error(uids: list[str]):
    def script(peer: Conversation) -> None:
        peer.accept()
        get = peer.receive()
        peer.store(CT, uid(1), DATA)
        failed = encode(FailedSOPInstanceUIDList=uids)
        peer.respond(get, 0xB000, failed, NumberOfFailedSuboperations=len(uids))
        peer.release()

    with FakePeer(script, Archive({})) as fake:
        assert retrieve(fake).uids == {uid(1)}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0xA701, PeerBusy),
        (0xA702, PeerBusy),
        (0xB000, IncompleteTransfer),
        (0xFE00, PeerAborted),
        (0xA900, OperationFailed),
        (0xC000, OperationFailed),
    ],
)
def test_status_is_an_error_if_nothing_came(status: int, kind: type[Exception]):
    words = f"C-GET of study 1.2.3 at STUDY level ended with status 0x{status:04X}"
    with FakePeer(sending(status=status)) as fake, pytest.raises(kind, match=words) as raised:
        retrieve(fake)
    assert type(raised.value) is kind


def test_success_with_nothing_in_it_is_left_to_the_caller():
    with FakePeer(sending()) as fake:
        assert retrieve(fake).complete == {}


def test_nothing_is_asked_if_nothing_is_wanted():
    with FakePeer(sending()) as fake:
        assert retrieve(fake, request(whole=False)).complete == {}
    assert fake.conversations == []


def test_archive_without_c_get_is_told():
    def script(peer: Conversation) -> None:
        peer.accept(refuse=lambda sop_class, _syntax: sop_class == STUDY_ROOT)
        peer.expect_abort()

    with FakePeer(script) as fake, pytest.raises(NoPresentationContext, match=STUDY_ROOT):
        retrieve(fake)


def test_archive_that_sends_none_of_the_classes_is_told():
    def script(peer: Conversation) -> None:
        peer.accept(refuse=lambda sop_class, _syntax: sop_class == CT)
        peer.release()

    with FakePeer(script) as fake, pytest.raises(NoPresentationContext, match=CT):
        retrieve(fake)


def starting(
    encoded: Callable[[Conversation], bytes], then: Callable[[Conversation], None]
) -> Callable[[Conversation], None]:
    """Return a script that sends an instance, and part of another one, and does something `then`."""

    def script(peer: Conversation) -> None:
        peer.accept()
        peer.receive()
        peer.store(CT, uid(1), DATA)
        peer.send_raw(encoded(peer))
        then(peer)

    return script


def half(peer: Conversation) -> bytes:
    whole = message_pdus(peer.context_id(CT), store_request(CT, uid(2)), DATA)
    return whole[: len(whole) // 2]


def first_pdus(peer: Conversation) -> bytes:
    command = encode_command(store_request(CT, uid(2)), DATA)
    return data_pdu(peer.context_id(CT), 3, command) + data_pdu(peer.context_id(CT), 0, DATA[:5000])


@pytest.mark.parametrize(
    ("sent", "then", "kind"),
    [
        pytest.param(half, lambda _: None, ConnectionFailed, id="closes"),
        pytest.param(half, Conversation.reset, ConnectionFailed, id="resets"),
        pytest.param(half, Conversation.expect_abort, PeerTimeout, id="stalls"),
        pytest.param(first_pdus, Conversation.abort, PeerAborted, id="aborts"),
        pytest.param(
            first_pdus, lambda peer: peer.send_raw(b"\x05\0\0\0\0\x04\0\0\0\0"), PeerAborted, id="releases"
        ),
        pytest.param(first_pdus, Conversation.expect_abort, PeerTimeout, id="is silent"),
        pytest.param(first_pdus, lambda peer: peer.send_raw(b"\x09" * 20), ProtocolError, id="sends garbage"),
    ],
)
def test_instance_whose_bytes_stop_half_way_never_ends(
    sent: Callable[[Conversation], bytes], then: Callable[[Conversation], None], kind: type[Exception]
):
    inlet = RecordingInlet()
    with FakePeer(starting(sent, then)) as fake, pytest.raises(kind):
        retrieve(fake, inlet=inlet, profile=IMPATIENT)
    assert inlet.uids == {uid(1)}
    assert [header.sop_instance_uid for header in inlet.begun] == [uid(1), uid(2)]


def test_what_the_inlet_raises_cancels_the_retrieval_and_comes_through():
    def script(peer: Conversation) -> None:
        peer.accept()
        get = peer.receive()
        peer.send(peer.context_id(CT), store_request(CT, uid(1)), DATA)
        peer.expect_cancel(get)
        assert peer.receive().command.Status == PROCESSING_FAILURE
        assert peer.store(CT, uid(2), DATA) == PROCESSING_FAILURE
        peer.respond(get, CANCELED)
        peer.release()

    inlet = RecordingInlet(fail_after=1000)
    with FakePeer(script) as fake, pytest.raises(InletFailed):
        retrieve(fake, inlet=inlet)
    assert [header.sop_instance_uid for header in inlet.begun] == [uid(1)]


def test_retrieval_that_is_broken_off_after_the_answer_to_an_instance_ends_in_order():
    def script(peer: Conversation) -> None:
        peer.accept()
        get = peer.receive()
        assert peer.store(CT, uid(1), DATA) == 0
        peer.expect_cancel(get)
        peer.respond(get, PENDING)
        assert peer.store(CT, uid(2), DATA) == PROCESSING_FAILURE
        peer.respond(get, CANCELED)
        peer.release()

    inlet = RecordingInlet(fail_after=len(DATA) - 1)
    with FakePeer(script) as fake, pytest.raises(InletFailed):
        retrieve(fake, inlet=inlet)
    assert [header.sop_instance_uid for header in inlet.begun] == [uid(1)]


def test_archive_that_goes_on_sending_after_a_cancel_is_aborted():
    def script(peer: Conversation) -> None:
        peer.accept()
        get = peer.receive()
        peer.send(peer.context_id(CT), store_request(CT, uid(1)), DATA)
        peer.expect_cancel(get)
        peer.expect_abort()

    with FakePeer(script) as fake, pytest.raises(InletFailed):
        retrieve(fake, inlet=RecordingInlet(fail_after=1000))


def test_archive_is_answered_before_the_last_bytes_of_an_instance_are_passed_on():
    answered = Event()
    before: list[bool] = []

    class Waiting(RecordingInlet):
        size = 0

        def write(self, fragment: bytes | memoryview) -> None:
            super().write(fragment)
            self.size += len(fragment)
            before.append(answered.wait(10 if self.size == len(DATA) else 0.05))

    def script(peer: Conversation) -> None:
        peer.accept()
        get = peer.receive()
        assert peer.store(CT, uid(1), DATA) == 0
        answered.set()
        peer.respond(get, 0)
        peer.release()

    inlet = Waiting()
    with FakePeer(script) as fake:
        retrieve(fake, inlet=inlet)
    assert before == [False] * (len(before) - 1) + [True]
    assert len(before) > 1
    assert inlet.uids == {uid(1)}


@pytest.mark.parametrize("taken", [0, 1])
def test_instance_that_nobody_reads_to_its_end_is_answered_and_skipped(taken: int):
    got: list[str] = []
    with FakePeer(sending(1, 2)) as fake, DimseSource(fake.node()) as source:
        for arrival in source.arriving(STUDY, "", (CT,)):
            got.append(arrival.header.sop_instance_uid)
            assert len(list(islice(arrival.fragments, taken))) == taken
    assert got == [uid(1), uid(2)]


def test_empty_data_set_is_answered():
    def script(peer: Conversation) -> None:
        peer.accept()
        get = peer.receive()
        assert peer.store(CT, uid(1), b"") == 0
        peer.respond(get, 0)
        peer.release()

    with FakePeer(script) as fake:
        assert retrieve(fake).complete.popitem()[1] == b""


@pytest.mark.parametrize(
    ("command", "data"),
    [
        pytest.param(store_request(CT, ""), DATA, id="no instance UID"),
        pytest.param(store_request(CT, "../../etc/passwd"), DATA, id="a path as UID"),
        pytest.param(store_request(MR, uid(1)), DATA, id="another class than its context"),
        pytest.param(store_request(CT, uid(1)), None, id="no data set"),
        pytest.param(
            {"CommandField": 0x8020, "MessageIDBeingRespondedTo": 1, "Status": 0}, None, id="other response"
        ),
        pytest.param(
            {"CommandField": 0x8010, "MessageIDBeingRespondedTo": 9, "Status": 0}, None, id="other message"
        ),
        pytest.param({"CommandField": 0x0030, "MessageID": 1}, None, id="other request"),
    ],
)
def test_what_does_not_belong_to_the_retrieval_is_told(command: dict[str, Any], data: bytes | None):
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.receive()
        peer.send(peer.context_id(CT, EXPLICIT), command, data)
        peer.expect_abort()

    inlet = RecordingInlet()
    with FakePeer(script) as fake, pytest.raises(ProtocolError):
        retrieve(fake, inlet=inlet)
    assert inlet.begun == []


def test_source_can_be_used_again_after_an_error():
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.receive()

    with FakePeer(script, sending(1, 2, 3)) as fake, DimseSource(fake.node()) as source:
        inlet = RecordingInlet()
        with pytest.raises(ConnectionFailed):
            source.retrieve(THREE, inlet)
        source.retrieve(THREE, inlet)
    assert len(inlet.complete) == 3
