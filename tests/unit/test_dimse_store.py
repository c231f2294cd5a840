"""C-STORE against scripted archives: what is negotiated and sent, and what becomes of each instance."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from adit_core.dicom.contexts import STORAGE_SOP_CLASSES, STORAGE_TRANSFER_SYNTAXES
from adit_core.dicom.dimse import DimseDestination
from adit_core.dicom.node import Service
from adit_core.dicom.ports import Delivery, ExpectedSeries, ExpectedStudy, IncomingInstance
from adit_core.dicom.query import InstanceResult, SeriesResult, StudyResult
from adit_core.dicom.references import InstanceReference
from adit_core.errors import (
    AssociationRejected,
    ConnectionFailed,
    PeerAborted,
    PeerBusy,
    PeerTimeout,
    ProtocolError,
)
from tests.fakes.peer import C_STORE_RQ, IMPATIENT, Conversation, FakePeer, PeerGone, Received, encode
from tests.fakes.ports import CT, EXPLICIT, J2K, MR, SERIES, STUDY, MemoryInstance, instance
from tests.fault_proxy import FaultProxy

DATA = bytes(range(256)) * 400
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


class Archive:
    """Takes instances and answers with the statuses that it is told, 0 if none is."""

    def __init__(
        self, statuses: Iterable[int] = (), refuse: Callable[[str, str], bool] = lambda _c, _s: False
    ) -> None:
        self.statuses = list(statuses)
        self.refuse = refuse
        self.taken: list[Received] = []
        self.is_released = False

    def __call__(self, peer: Conversation) -> None:
        peer.accept(refuse=self.refuse)
        while True:
            try:
                store = peer.receive()
            except PeerGone:
                peer.send_raw(b"\x06\0\0\0\0\x04\0\0\0\0")
                return
            self.taken.append(store)
            peer.respond(
                store,
                self.statuses.pop(0) if self.statuses else 0,
                AffectedSOPInstanceUID=store.command.AffectedSOPInstanceUID,
            )

    def uids(self) -> list[str]:
        return [store.command.AffectedSOPInstanceUID for store in self.taken]


def deliver(fake: FakePeer, *instances: IncomingInstance, **node: Any) -> list[Delivery]:
    with DimseDestination(fake.node(**node)) as destination:
        return list(destination.deliver(instances))


def test_instances_arrive_unchanged_and_in_order():
    archive = Archive()
    with FakePeer(archive) as fake:
        deliveries = deliver(
            fake, instance("1.2.1", DATA), instance("1.2.2", DATA[:7], DATA[7:900], DATA[900:])
        )
    assert deliveries == [Delivery("1.2.1"), Delivery("1.2.2")]
    assert archive.uids() == ["1.2.1", "1.2.2"]
    assert [store.data_set for store in archive.taken] == [DATA, DATA]


def test_association_is_opened_only_when_something_comes():
    with FakePeer(Archive()) as fake:
        assert deliver(fake) == []
    assert fake.conversations == []


def test_nothing_is_fetched_ahead_of_its_delivery():
    fetched: list[int] = []

    def instances() -> Iterable[MemoryInstance]:
        for number in range(3):
            fetched.append(number)
            yield instance(f"1.2.{number}", DATA)

    with FakePeer(Archive()) as fake, DimseDestination(fake.node()) as destination:
        for count, _ in enumerate(destination.deliver(instances()), 1):
            assert len(fetched) == count


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0107])
def test_warning_means_that_it_was_taken(status: int):
    with FakePeer(Archive([status])) as fake:
        (delivery,) = deliver(fake, instance("1.2.1", DATA))
    assert delivery.failure == ""
    assert f"0x{status:04X}" in delivery.warning


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(0xA700, True), (0xA7FF, True), (0xA900, False), (0xC000, False), (0x0122, False), (0x0110, False)],
)
def test_failure_does_not_stop_the_others(status: int, retryable: bool):
    with FakePeer(Archive([0, status, 0])) as fake:
        deliveries = deliver(fake, *[instance(f"1.2.{number}", DATA) for number in range(3)])
    assert [bool(delivery.failure) for delivery in deliveries] == [False, True, False]
    assert f"0x{status:04X}" in deliveries[1].failure
    assert deliveries[1].retryable is retryable


def test_pair_that_is_not_accepted_does_not_stop_the_others():
    archive = Archive(refuse=lambda _class, syntax: syntax == J2K)
    instances = [instance("1.2.1", DATA), instance("1.2.2", DATA, syntax=J2K), instance("1.2.3", DATA)]
    with FakePeer(archive) as fake:
        deliveries = deliver(fake, *instances)
    assert archive.uids() == ["1.2.1", "1.2.3"]
    failure = f"no presentation context for {CT} in {J2K}"
    assert deliveries[1] == Delivery("1.2.2", failure=failure, status=0x0122)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(instance("1.2." + "3" * 61, DATA), id="65 characters"),
        pytest.param(instance("", DATA), id="no UID"),
        pytest.param(instance("1.2.ä", DATA), id="letters"),
        pytest.param(instance("1.2.9", DATA, sop_class=""), id="no class"),
        pytest.param(instance("1.2.9", DATA, syntax="1.2 3"), id="invalid transfer syntax"),
        pytest.param(instance("1.2.9"), id="no data set"),
        pytest.param(instance("1.2.9", b"", b""), id="empty data set"),
    ],
)
def test_instance_that_cannot_be_sent_does_not_stop_the_others(bad: MemoryInstance):
    archive = Archive()
    with FakePeer(archive) as fake:
        deliveries = deliver(fake, instance("1.2.1", DATA), bad, instance("1.2.2", DATA))
    assert archive.uids() == ["1.2.1", "1.2.2"]
    assert [bool(delivery.failure) for delivery in deliveries] == [False, True, False]
    assert not deliveries[1].retryable
    assert len(fake.conversations) == 1


def test_uid_with_leading_zeros_is_sent():
    def script(peer: Conversation) -> None:
        peer.accept()
        assert b"1.2.03.4" in peer.read_pdu()[1]
        peer.read_pdu()
        response = {"CommandField": 0x8001, "MessageIDBeingRespondedTo": 1, "Status": 0}
        peer.send(peer.context_id(CT), response)
        peer.release()

    with FakePeer(script) as fake:
        assert deliver(fake, instance("1.2.03.4", b"1234")) == [Delivery("1.2.03.4")]


def test_class_is_proposed_in_all_transfer_syntaxes_from_the_beginning():
    with FakePeer(Archive()) as fake:
        deliver(fake, instance("1.2.1", DATA), instance("1.2.2", DATA, syntax=J2K))
    (conversation,) = fake.conversations
    assert set(conversation.context_ids) == {(CT, syntax) for syntax in STORAGE_TRANSFER_SYNTAXES}


def test_class_that_was_not_proposed_leads_to_another_association():
    first, second = Archive(), Archive()
    with FakePeer(first, second) as fake:
        deliver(fake, instance("1.2.1", DATA), instance("1.2.2", DATA, sop_class=MR), instance("1.2.3", DATA))
    assert (first.uids(), second.uids()) == (["1.2.1"], ["1.2.2", "1.2.3"])
    assert {(CT, EXPLICIT), (MR, EXPLICIT)} <= set(fake.conversations[1].context_ids)


def expected(*sop_classes: str) -> ExpectedStudy:
    instances = tuple(
        InstanceResult(InstanceReference(SERIES, f"1.2.{number}"), sop_class)
        for number, sop_class in enumerate(sop_classes)
    )
    return ExpectedStudy(StudyResult(STUDY), (ExpectedSeries(SeriesResult(SERIES), instances),))


def test_expected_classes_are_proposed_from_the_beginning():
    with FakePeer(Archive()) as fake, DimseDestination(fake.node()) as destination:
        destination.expect(expected(MR, CT, "no UID"))
        list(destination.deliver([instance("1.2.1", DATA), instance("1.2.2", DATA, sop_class=MR)]))
    assert len(fake.conversations) == 1


class AskedArchive(Archive):
    """Takes instances, and answers a C-FIND with what it has taken."""

    def __call__(self, peer: Conversation) -> None:
        peer.accept(refuse=self.refuse)
        while True:
            try:
                message = peer.receive()
            except PeerGone:
                peer.send_raw(b"\x06\0\0\0\0\x04\0\0\0\0")
                return
            if message.command.CommandField == C_STORE_RQ:
                uid = message.command.AffectedSOPInstanceUID
                self.taken.append(message)
                peer.respond(message, 0, AffectedSOPInstanceUID=uid)
                continue
            for uid in self.uids():
                found = encode(
                    StudyInstanceUID=STUDY.study_instance_uid,
                    SeriesInstanceUID=SERIES.series_instance_uid,
                    SOPInstanceUID=uid,
                )
                peer.respond(message, 0xFF00, found)
            peer.respond(message, 0)


def ask_deliver_ask(destination: DimseDestination) -> list[frozenset[str] | None]:
    destination.expect(expected(CT))
    before = destination.held(STUDY, [SERIES])
    assert list(destination.deliver([instance("1.2.1", DATA)])) == [Delivery("1.2.1")]
    return [before, destination.held(STUDY, [SERIES])]


def test_questions_and_instances_go_over_the_same_association():
    archive = AskedArchive()
    with FakePeer(archive) as fake, DimseDestination(fake.node()) as destination:
        assert ask_deliver_ask(destination) == [frozenset(), frozenset({"1.2.1"})]
        more = list(destination.deliver([instance("1.2.2", DATA, sop_class=MR)]))
        assert more == [Delivery("1.2.2")]
        assert destination.held(STUDY, [SERIES]) == {"1.2.1", "1.2.2"}
    assert len(fake.conversations) == 2  # the second one for a class that was not expected
    assert archive.uids() == ["1.2.1", "1.2.2"]


def reject_mixtures(archive: AskedArchive) -> Callable[[Conversation], None]:
    """Return a script of an archive that rejects associations with several purposes."""

    def script(peer: Conversation) -> None:
        request = peer.read_request()
        classes = {context.abstract_syntax for context in request.presentation_context}
        if len(classes) > 1:
            peer.send_raw(bytes((3, 0, 0, 0, 0, 4, 0, 1, 1, 1)))
            return
        peer.read_request = lambda: request
        archive(peer)

    return script


def refuse_one_of_a_mixture(archive: AskedArchive, refused: str) -> Callable[[Conversation], None]:
    """Return a script of an archive that accepts only one of two purposes of an association."""

    def script(peer: Conversation) -> None:
        request = peer.read_request()
        classes = {str(context.abstract_syntax) for context in request.presentation_context}
        peer.read_request = lambda: request
        archive.refuse = lambda sop_class, _syntax: len(classes) > 1 and sop_class == refused
        archive(peer)

    return script


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(reject_mixtures, id="rejected"),
        pytest.param(lambda archive: refuse_one_of_a_mixture(archive, STUDY_ROOT_FIND), id="no questions"),
        pytest.param(lambda archive: refuse_one_of_a_mixture(archive, CT), id="no instances"),
    ],
)
def test_archive_that_minds_both_over_one_association_gets_one_after_the_other(
    script: Callable[[AskedArchive], Callable[[Conversation], None]],
):
    archive = AskedArchive()
    with FakePeer(script(archive)) as fake, FaultProxy(fake.node().port) as network:
        with DimseDestination(replace(fake.node(), port=network.port)) as destination:
            assert ask_deliver_ask(destination) == [frozenset(), frozenset({"1.2.1"})]
        assert network.most_open == 1


def test_never_more_contexts_are_proposed_than_fit():
    archive = Archive()
    instances = [
        instance(f"1.2.{number}", DATA[:100], sop_class=sop_class, syntax=syntax)
        for number, (sop_class, syntax) in enumerate(
            (sop_class, syntax)
            for sop_class in STORAGE_SOP_CLASSES[:10]
            for syntax in STORAGE_TRANSFER_SYNTAXES
        )
    ]
    with FakePeer(archive) as fake, DimseDestination(fake.node()) as destination:
        destination.expect(expected(*STORAGE_SOP_CLASSES))
        deliveries = list(destination.deliver(instances))
    assert not any(delivery.failure for delivery in deliveries)
    assert len(archive.taken) == 10 * len(STORAGE_TRANSFER_SYNTAXES)
    assert all(len(each.request.presentation_context) <= 128 for each in fake.conversations)


@pytest.mark.parametrize("leave", [Conversation.abort, Conversation.reset, lambda _: None])
def test_association_that_went_away_between_instances_is_replaced(leave: Callable[[Conversation], None]):
    def first(peer: Conversation) -> None:
        peer.accept()
        peer.respond(peer.receive(), 0)
        leave(peer)

    def instances(fake: FakePeer) -> Iterable[MemoryInstance]:
        yield instance("1.2.1", DATA)
        while fake.conversations[0].sock.fileno() >= 0:
            time.sleep(0.01)
        yield instance("1.2.2", DATA)

    second = Archive()
    with FakePeer(first, second) as fake, DimseDestination(fake.node()) as destination:
        assert list(destination.deliver(instances(fake))) == [Delivery("1.2.1"), Delivery("1.2.2")]
    assert second.uids() == ["1.2.2"]


def test_fragments_that_fail_abort_and_come_through():
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.expect_abort()

    broken = instance("1.2.1", DATA * 20, failure=LookupError("the source broke"))
    with FakePeer(script) as fake, pytest.raises(LookupError, match="the source broke"):
        deliver(fake, broken)


def test_destination_can_be_used_again_after_an_error():
    archive = Archive()
    broken = instance("1.2.1", DATA * 20, failure=LookupError("the source broke"))
    with FakePeer(archive) as fake, DimseDestination(fake.node()) as destination:
        with pytest.raises(LookupError):
            list(destination.deliver([broken]))
        assert list(destination.deliver([instance("1.2.2", DATA)])) == [Delivery("1.2.2")]
    assert archive.uids() == ["1.2.2"]


@pytest.mark.parametrize(
    ("then", "kind"),
    [
        pytest.param(Conversation.abort, PeerAborted, id="aborts"),
        pytest.param(Conversation.reset, ConnectionFailed, id="resets"),
        pytest.param(lambda _: None, ConnectionFailed, id="closes"),
        pytest.param(Conversation.stall, PeerTimeout, id="stalls"),
        pytest.param(
            lambda peer: [peer.send_raw(b"\x09" * 20), peer.expect_abort()], ProtocolError, id="garbage"
        ),
    ],
)
def test_peer_that_fails_in_the_midst_of_an_instance_is_told(
    then: Callable[[Conversation], Any], kind: type[Exception]
):
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.read_pdu()
        peer.read_pdu()
        then(peer)

    with FakePeer(script) as fake, pytest.raises(kind):
        deliver(fake, instance("1.2.1", *[DATA] * 100), profile=IMPATIENT)


def test_silent_peer_ends_in_a_timeout():
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.receive()
        peer.expect_abort()

    with FakePeer(script) as fake, pytest.raises(PeerTimeout):
        deliver(fake, instance("1.2.1", DATA), profile=IMPATIENT)


def breaks_with(bad_uid: str, archive: Archive) -> Callable[[Conversation], None]:
    """Return an archive that says nothing any more when it is sent a certain instance."""

    def script(peer: Conversation) -> None:
        peer.accept()
        while True:
            try:
                store = peer.receive()
            except PeerGone:
                peer.send_raw(b"\x06\0\0\0\0\x04\0\0\0\0")
                return
            uid = store.command.AffectedSOPInstanceUID
            if uid == bad_uid:
                peer.expect_abort()
                return
            archive.taken.append(store)
            peer.respond(store, 0, AffectedSOPInstanceUID=uid)

    return script


def test_an_instance_that_breaks_the_archive_does_not_stop_the_others():
    archive = Archive()
    with FakePeer(breaks_with("1.2.2", archive)) as fake:
        deliveries = deliver(
            fake, *(instance(f"1.2.{number}", DATA) for number in (1, 2, 3)), profile=IMPATIENT
        )
    assert archive.uids() == ["1.2.1", "1.2.3"]
    assert [(one.sop_instance_uid, bool(one.failure), one.retryable) for one in deliveries] == [
        ("1.2.1", False, False),
        ("1.2.2", True, True),
        ("1.2.3", False, False),
    ]


def test_an_archive_that_breaks_with_two_instances_ends_the_delivery():
    archive = Archive()
    with (
        FakePeer(breaks_with("1.2.2", archive)) as fake,
        DimseDestination(fake.node(profile=IMPATIENT)) as destination,
        pytest.raises(PeerTimeout),
    ):
        list(destination.deliver(map(instance, ("1.2.1", "1.2.2", "1.2.3", "1.2.2"), [DATA] * 4)))
    assert archive.uids() == ["1.2.1", "1.2.3"]


@pytest.mark.parametrize(
    "changes",
    [{"MessageIDBeingRespondedTo": 77}, {"AffectedSOPInstanceUID": "1.2.77"}, {"CommandField": 0x8020}],
)
def test_response_to_another_instance_is_told(changes: dict[str, Any]):
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.respond(peer.receive(), 0, **changes)
        peer.expect_abort()

    with FakePeer(script) as fake, pytest.raises(ProtocolError):
        deliver(fake, instance("1.2.1", DATA))


@pytest.mark.parametrize(("result", "kind"), [(1, AssociationRejected), (2, PeerBusy)])
def test_rejected_association_ends_the_delivery(result: int, kind: type[Exception]):
    with FakePeer(lambda peer: peer.reject(result, 1, 1)) as fake, pytest.raises(kind):
        deliver(fake, instance("1.2.1", DATA))


def test_held_instances_are_asked_for():
    def script(peer: Conversation) -> None:
        peer.accept()
        request = peer.receive()
        keys = request.decoded()
        assert (keys.QueryRetrieveLevel, keys.SeriesInstanceUID) == ("IMAGE", "1.2.3.1")
        for number in (1, 2):
            peer.respond(request, 0xFF00, encode(SOPInstanceUID=f"1.2.3.1.{number}"))
        peer.respond(request, 0)
        peer.release()

    with FakePeer(script) as fake, DimseDestination(fake.node()) as destination:
        assert destination.held(STUDY, [SERIES]) == {"1.2.3.1.1", "1.2.3.1.2"}


def test_destination_without_c_find_is_not_asked():
    with FakePeer(Archive()) as fake:
        destination = DimseDestination(fake.node(services=frozenset({Service.STORE})))
        assert destination.held(STUDY, [SERIES]) is None
    assert fake.conversations == []
