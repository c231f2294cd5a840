"""C-MOVE from scripted archives that send to our receiver: what is asked and waited for, and how it ends."""

import time
from collections.abc import Callable, Iterable

import pytest

from adit_core.dicom.move import DimseMoveSource, DirectMove
from adit_core.dicom.node import ConnectionProfile, QueryRoot
from adit_core.dicom.ports import RetrieveRequest, SeriesPart
from adit_core.dicom.query import InstanceResult
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.errors import (
    AditError,
    NoPresentationContext,
    OperationFailed,
    PeerAborted,
    PeerBusy,
    PeerTimeout,
    ProtocolError,
)
from tests.fakes.peer import PATIENT, Conversation, FakePeer, Received
from tests.fakes.ports import CT, InletFailed, RecordingInlet
from tests.fakes.sender import Sender, association_request, data_set
from tests.servers import ReceiverServer

PENDING, SUCCESS, WARNING, CANCELED = 0xFF00, 0x0000, 0xB000, 0xFE00
CALLING = "SOURCE"
GRACE = 0.4

_studies = iter(range(1, 10_000))


class Study:
    """A study of its own for each test, since they share a receiver."""

    def __init__(self, instances: int) -> None:
        self.uid = f"1.2.3.77.{next(_studies)}"
        self.series = SeriesReference(StudyReference(self.uid, "P1"), f"{self.uid}.1")
        self.uids = [f"{self.uid}.1.{number}" for number in range(1, instances + 1)]

    def request(self, *, whole: bool = True, numbers: Iterable[int] | None = None) -> RetrieveRequest:
        uids = self.uids if numbers is None else [self.uids[number - 1] for number in numbers]
        instances = tuple(InstanceResult(InstanceReference(self.series, uid), CT) for uid in uids)
        return RetrieveRequest(self.series.study, (SeriesPart(self.series, instances, whole),), whole)


class Scripted:
    """An archive that sends instances of a study to the receiver, as a script says."""

    def __init__(self, server: ReceiverServer, study: Study) -> None:
        self._server = server
        self._study = study
        self.requests: list[Received] = []

    def send(self, *numbers: int) -> None:
        with Sender(self._server.server.port) as sender:
            sender.associate(association_request(self._server.address.ae_title, CALLING))
            for number in numbers:
                uid = self._study.uids[number - 1]
                assert sender.store(uid, data_set(uid, self._study.uid)) == SUCCESS

    def receive(self, peer: Conversation) -> Received:
        self.requests.append(peer.receive())
        return self.requests[-1]

    @property
    def asked(self) -> list[tuple[str, str]]:
        """The level and the instances of each request."""
        keys = [request.decoded() for request in self.requests]
        return [(key.QueryRetrieveLevel, str(key.get("SOPInstanceUID", ""))) for key in keys]


def retrieve(
    fake: FakePeer,
    server: ReceiverServer,
    request: RetrieveRequest,
    *,
    profile: ConnectionProfile = PATIENT,
    root: QueryRoot = QueryRoot.STUDY,
) -> RecordingInlet:
    inlet = RecordingInlet()
    node = fake.node(profile=profile, query_root=root)
    with DimseMoveSource(node, server.address, grace=GRACE) as source:
        source.retrieve(request, inlet)
    return inlet


@pytest.mark.parametrize(
    ("root", "sop_class"),
    [
        (QueryRoot.STUDY, "1.2.840.10008.5.1.4.1.2.2.2"),
        (QueryRoot.PATIENT, "1.2.840.10008.5.1.4.1.2.1.2"),
    ],
)
def test_the_archive_is_asked_to_send_to_the_receiver(
    receiver_server: ReceiverServer, root: QueryRoot, sop_class: str
) -> None:
    study = Study(3)
    archive = Scripted(receiver_server, study)

    def script(peer: Conversation) -> None:
        peer.accept()
        request = archive.receive(peer)
        archive.send(1, 2)
        peer.respond(request, PENDING, NumberOfRemainingSuboperations=1, NumberOfCompletedSuboperations=2)
        archive.send(3)
        peer.respond(request, SUCCESS, NumberOfCompletedSuboperations=3)
        peer.release()

    with FakePeer(script) as fake:
        inlet = retrieve(fake, receiver_server, study.request(), root=root)
    assert inlet.uids == set(study.uids)
    (request,) = archive.requests
    assert request.command.MoveDestination == receiver_server.address.ae_title
    assert request.command.AffectedSOPClassUID == sop_class
    assert request.decoded().StudyInstanceUID == study.uid
    assert archive.asked == [("STUDY", "")]


def test_data_arrive_byte_for_byte(receiver_server: ReceiverServer) -> None:
    study = Study(1)
    archive = Scripted(receiver_server, study)

    def script(peer: Conversation) -> None:
        peer.accept()
        request = archive.receive(peer)
        archive.send(1)
        peer.respond(request, SUCCESS)
        peer.release()

    with FakePeer(script) as fake:
        inlet = retrieve(fake, receiver_server, study.request())
    assert list(inlet.complete.values()) == [data_set(study.uids[0], study.uid)]


@pytest.mark.parametrize(
    ("status", "completed", "late", "comes"),
    [
        (SUCCESS, 3, 3, True),
        (SUCCESS, None, 3, True),
        (WARNING, 3, 3, True),
        (0xA702, 3, 3, True),
        (0xA702, 2, 3, False),
        (0xC000, None, 3, False),
    ],
    ids=[
        "success, counted",
        "success, not counted",
        "warning, counted",
        "failure, counted",
        "failure, counted without it",
        "failure, not counted",
    ],
)
def test_what_is_still_on_its_way_when_the_archive_is_done_is_waited_for(
    receiver_server: ReceiverServer, status: int, completed: int | None, late: int, comes: bool
) -> None:
    study = Study(3)
    archive = Scripted(receiver_server, study)

    def script(peer: Conversation) -> None:
        peer.accept()
        request = archive.receive(peer)
        archive.send(1, 2)
        if completed is None:
            peer.respond(request, status)
        else:
            peer.respond(request, status, NumberOfCompletedSuboperations=completed)
        if comes:
            time.sleep(GRACE / 4)
            archive.send(late)
        peer.release()

    with FakePeer(script) as fake:
        start = time.monotonic()
        inlet = retrieve(fake, receiver_server, study.request())
    assert inlet.uids == set(study.uids if comes else study.uids[:2])
    if not comes:
        assert time.monotonic() - start < 5


def test_what_never_comes_is_given_up_after_the_grace_time(receiver_server: ReceiverServer) -> None:
    study = Study(3)
    archive = Scripted(receiver_server, study)

    def script(peer: Conversation) -> None:
        peer.accept()
        request = archive.receive(peer)
        archive.send(2)
        peer.respond(request, SUCCESS, NumberOfCompletedSuboperations=3)
        peer.release()

    with FakePeer(script) as fake:
        start = time.monotonic()
        inlet = retrieve(fake, receiver_server, study.request())
    assert inlet.uids == {study.uids[1]}
    assert time.monotonic() - start >= GRACE


def test_what_waits_already_is_not_asked_for(receiver_server: ReceiverServer) -> None:
    study = Study(4)
    archive = Scripted(receiver_server, study)
    archive.send(2, 3)

    def script(peer: Conversation) -> None:
        peer.accept()
        request = archive.receive(peer)
        archive.send(1, 4)
        peer.respond(request, SUCCESS)
        peer.release()

    with FakePeer(script) as fake:
        inlet = retrieve(fake, receiver_server, study.request())
    assert inlet.uids == set(study.uids)
    assert archive.asked == [("IMAGE", f"['{study.uids[0]}', '{study.uids[3]}']")]


def test_an_archive_that_knows_no_lists_is_asked_one_by_one(receiver_server: ReceiverServer) -> None:
    study = Study(3)
    archive = Scripted(receiver_server, study)

    def script(peer: Conversation) -> None:
        peer.accept()
        peer.respond(archive.receive(peer), SUCCESS, NumberOfCompletedSuboperations=0)
        for number in (1, 3):
            request = archive.receive(peer)
            archive.send(number)
            peer.respond(request, SUCCESS, NumberOfCompletedSuboperations=1)
        peer.release()

    with FakePeer(script) as fake:
        inlet = retrieve(fake, receiver_server, study.request(whole=False, numbers=(1, 3)))
    assert inlet.uids == {study.uids[0], study.uids[2]}
    assert archive.asked[1:] == [("IMAGE", study.uids[0]), ("IMAGE", study.uids[2])]


def test_what_was_not_asked_for_is_not_passed_on_and_does_not_stay(receiver_server: ReceiverServer) -> None:
    study = Study(3)
    archive = Scripted(receiver_server, study)

    def script(peer: Conversation) -> None:
        peer.accept()
        request = archive.receive(peer)
        archive.send(1, 2, 3)
        peer.respond(request, SUCCESS)
        peer.release()

    with FakePeer(script) as fake:
        inlet = retrieve(fake, receiver_server, study.request(whole=False, numbers=(2,)))
    assert inlet.uids == {study.uids[1]}


@pytest.mark.parametrize(
    ("status", "error"),
    [(0xA701, PeerBusy), (0xA702, PeerBusy), (0xA801, OperationFailed), (0xC000, OperationFailed)],
    ids=["0xA701", "0xA702", "0xA801", "0xC000"],
)
def test_a_failure_without_an_instance_is_an_error(
    receiver_server: ReceiverServer, status: int, error: type[AditError]
) -> None:
    study = Study(2)
    archive = Scripted(receiver_server, study)

    def script(peer: Conversation) -> None:
        peer.accept()
        peer.respond(archive.receive(peer), status)
        peer.release()

    with FakePeer(script) as fake, pytest.raises(error, match=f"0x{status:04X}"):
        retrieve(fake, receiver_server, study.request())


def _abort(peer: Conversation, _request: Received) -> None:
    peer.abort()


def _reset(peer: Conversation, _request: Received) -> None:
    peer.reset()


def _stall(peer: Conversation, _request: Received) -> None:
    peer.stall()


def _answer_something_else(peer: Conversation, request: Received) -> None:
    peer.respond(request, SUCCESS, CommandField=0x8010)
    peer.expect_abort()


HASTY = ConnectionProfile(connect_timeout=5, silence_timeout=0.5)


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        (_abort, PeerAborted),
        (_reset, AditError),
        (_stall, PeerTimeout),
        (_answer_something_else, ProtocolError),
    ],
    ids=["abort", "reset", "silence", "another response"],
)
def test_a_bad_end_is_classified_and_what_came_before_is_kept(
    receiver_server: ReceiverServer,
    ending: Callable[[Conversation, Received], None],
    error: type[AditError],
) -> None:
    study = Study(3)
    archive = Scripted(receiver_server, study)
    inlet = RecordingInlet()

    def script(peer: Conversation) -> None:
        peer.accept()
        request = archive.receive(peer)
        archive.send(1)
        ending(peer, request)

    with FakePeer(script) as fake:
        source = DimseMoveSource(fake.node(profile=HASTY), receiver_server.address, grace=GRACE)
        with pytest.raises(error):
            source.retrieve(study.request(), inlet)
        # What was on its way waits at the receiver for the next attempt.
        with pytest.raises(AditError):
            DimseMoveSource(fake.node(profile=HASTY), receiver_server.address, grace=GRACE).retrieve(
                study.request(), inlet
            )
    assert study.uids[0] in inlet.uids


def test_what_the_inlet_raises_cancels_the_move_and_comes_through(receiver_server: ReceiverServer) -> None:
    study = Study(2)
    archive = Scripted(receiver_server, study)

    def script(peer: Conversation) -> None:
        peer.accept()
        request = archive.receive(peer)
        archive.send(1)
        peer.expect_cancel(request)
        peer.respond(request, PENDING, NumberOfRemainingSuboperations=1)
        peer.respond(request, CANCELED, NumberOfCompletedSuboperations=1)
        peer.release()

    with (
        FakePeer(script) as fake,
        DimseMoveSource(fake.node(), receiver_server.address, grace=GRACE) as source,
        pytest.raises(InletFailed),
    ):
        source.retrieve(study.request(), RecordingInlet(fail_after=100))


def test_an_archive_that_is_silent_for_too_long_is_told_to_stop() -> None:
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.expect_cancel(peer.receive())
        peer.expect_abort()

    with FakePeer(script) as fake, pytest.raises(PeerTimeout):
        DirectMove(fake.node(), "DESTINATION", patience=0.3).move(Study(1).request())


def test_an_archive_without_c_move_is_told_of(receiver_server: ReceiverServer) -> None:
    def script(peer: Conversation) -> None:
        peer.accept(refuse=lambda _class, _syntax: True)
        peer.expect_abort()

    with FakePeer(script) as fake, pytest.raises(NoPresentationContext):
        retrieve(fake, receiver_server, Study(1).request())


def test_a_direct_move_names_its_destination_and_returns_what_went_wrong() -> None:
    study = Study(2)
    requests: list[Received] = []

    def script(peer: Conversation) -> None:
        peer.accept()
        requests.append(peer.receive())
        peer.respond(requests[0], PENDING, NumberOfRemainingSuboperations=2)
        peer.respond(requests[0], 0xA702, NumberOfFailedSuboperations=2)
        peer.release()

    with FakePeer(script) as fake:
        failure = DirectMove(fake.node(), "DEST_1 A").move(study.request())
    assert isinstance(failure, PeerBusy)
    assert requests[0].command.MoveDestination == "DEST_1 A"


def test_a_direct_move_of_which_nothing_is_heard_ends() -> None:
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.receive()
        peer.stall()

    with FakePeer(script) as fake, pytest.raises(PeerTimeout):
        DirectMove(fake.node(), "DESTINATION", patience=0.3).move(Study(1).request())
