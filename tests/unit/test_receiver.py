"""The receiver, seen from peers on real sockets: whom it serves, what it answers, what it puts up with."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from adit_core.dicom.node import ConnectionProfile
from adit_core.dicom.receiver import Receiver, ReceiverSettings, is_storage_class
from adit_core.dicom.spool import SpoolLimits
from adit_core.errors import ConnectionFailed, DatabaseUnavailable
from tests.disks import small_disk
from tests.fakes.peer import PeerGone, data_pdu, encode_command, message_pdus, store_request
from tests.fakes.ports import CT, EXPLICIT, IMPLICIT, J2K, MR
from tests.fakes.sender import (
    RECEIVER,
    RELEASE,
    SENDER,
    STORAGE_ID,
    VERIFICATION,
    RunningReceiver,
    Sender,
    association_request,
    data_set,
    echo_pdus,
    running_receiver,
    store_pdus,
)

ACCEPTED, REJECTED, RELEASED, ABORTED = 2, 3, 6, 7
SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
HASTY = ConnectionProfile(connect_timeout=0.3, silence_timeout=0.3)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningReceiver]:
    with running_receiver(tmp_path) as receiver:
        yield receiver


@pytest.fixture
def sender(running: RunningReceiver) -> Iterator[Sender]:
    """A peer that is connected and has said nothing yet."""
    with Sender(running.receiver.port) as sender:
        yield sender


def chosen(body: bytes) -> dict[int, tuple[int, str]]:
    """Return result and transfer syntax of each context in an A-ASSOCIATE-AC PDU."""
    found, position = {}, 68
    while position < len(body):
        item_type, length = struct.unpack_from(">BxH", body, position)
        item = body[position + 4 : position + 4 + length]
        if item_type == 0x21:
            found[item[0]] = (item[2], item[8:].decode("ascii"))
        position += 4 + length
    return found


def test_an_instance_is_safe_byte_for_byte_when_success_is_answered(
    running: RunningReceiver, sender: Sender
) -> None:
    assert sender.associate()[0] == ACCEPTED
    assert sender.store("1.2.3.1") == SUCCESS
    assert running.waiting() == {"1.2.3.1": data_set("1.2.3.1")}


def test_an_association_ends_when_the_sender_releases_it(sender: Sender) -> None:
    sender.associate()
    sender.conversation.send_raw(RELEASE)
    assert sender.conversation.read_pdu()[0] == RELEASED


def test_the_answer_names_the_request(sender: Sender) -> None:
    sender.associate()
    sender.conversation.send_raw(store_pdus("1.2.3.1"))
    answer = sender.conversation.receive()
    assert answer.context_id == STORAGE_ID
    assert answer.command.CommandField == 0x8001
    assert answer.command.MessageIDBeingRespondedTo == 7
    assert answer.command.AffectedSOPClassUID == CT
    assert answer.command.AffectedSOPInstanceUID == "1.2.3.1"


def test_echo_is_answered_between_instances(sender: Sender) -> None:
    sender.associate()
    assert [sender.echo(), sender.store("1.2.3.1"), sender.echo()] == [SUCCESS] * 3


def test_each_of_a_thousand_small_instances_is_spooled(running: RunningReceiver, sender: Sender) -> None:
    sender.associate()
    uids = [f"1.2.3.{number}" for number in range(1000)]
    assert [sender.store(uid, data_set(uid, size=2)) for uid in uids] == [SUCCESS] * 1000
    assert running.waiting().keys() == set(uids)


def test_requests_that_come_all_at_once_are_answered_in_order(
    running: RunningReceiver, sender: Sender
) -> None:
    uids = [f"1.2.3.{number}" for number in range(20)]
    pdus = b"".join(map(store_pdus, uids))
    sender.conversation.send_raw(association_request() + echo_pdus() + pdus + RELEASE)
    assert sender.conversation.read_pdu()[0] == ACCEPTED
    assert sender.conversation.receive().command.CommandField == 0x8030
    answers = [sender.conversation.receive().command for _ in uids]
    assert [answer.AffectedSOPInstanceUID for answer in answers] == uids
    assert sender.conversation.read_pdu()[0] == RELEASED
    assert running.waiting().keys() == set(uids)


@pytest.mark.parametrize(
    ("called", "calling", "reason"),
    [(RECEIVER, "STRANGER", 3), ("ELSE", "MY_PACS 1", 7)],
    ids=["unknown calling AE title", "another called AE title"],
)
def test_strangers_are_rejected_for_good(sender: Sender, called: str, calling: str, reason: int) -> None:
    answer = sender.associate(association_request(called, calling))
    assert answer == (REJECTED, bytes([0, 1, 1, reason]))


def test_ae_titles_come_back_as_they_were(sender: Sender) -> None:
    _, body = sender.associate()
    assert body[4:36] == RECEIVER.ljust(16).encode() + b"MY_PACS 1".ljust(16)


def test_one_too_many_is_rejected_for_the_time_being(tmp_path: Path) -> None:
    with (
        running_receiver(tmp_path, max_associations=1) as running,
        Sender(running.receiver.port) as first,
        Sender(running.receiver.port) as second,
    ):
        assert first.associate()[0] == ACCEPTED
        assert second.associate() == (REJECTED, bytes([0, 2, 3, 2]))
        assert first.store("1.2.3.1") == SUCCESS


def test_who_cannot_be_looked_up_is_rejected_for_the_time_being(tmp_path: Path) -> None:
    answers: Iterator[bool | None] = iter([None, True])

    def is_known(ae_title: str) -> bool:
        answer = next(answers)
        if answer is None:
            raise DatabaseUnavailable(f"nobody knows {ae_title}")
        return answer

    with running_receiver(tmp_path, is_known=is_known, max_associations=1) as running:
        with Sender(running.receiver.port) as first:
            assert first.associate() == (REJECTED, bytes([0, 2, 3, 1]))
        with Sender(running.receiver.port) as second:
            assert second.associate()[0] == ACCEPTED


def test_who_leaves_makes_room_for_the_next(tmp_path: Path) -> None:
    with running_receiver(tmp_path, max_associations=1) as running:
        for calling in (SENDER, "STRANGER", SENDER):
            with Sender(running.receiver.port) as sender:
                sender.associate(association_request(calling=calling))
                if calling == SENDER:
                    assert sender.store("1.2.3.1") == SUCCESS
                    sender.conversation.send_raw(RELEASE)
                    assert sender.conversation.read_pdu()[0] == RELEASED
                    with pytest.raises(PeerGone):
                        sender.conversation.read_pdu()


def test_each_context_gets_the_transfer_syntax_that_it_needs(sender: Sender) -> None:
    proposals = [
        (CT, (J2K,)),
        (CT, (IMPLICIT, EXPLICIT)),
        (MR, (J2K, IMPLICIT)),
        (VERIFICATION, (IMPLICIT,)),
        ("1.2.840.10008.5.1.4.1.2.2.1", (EXPLICIT,)),  # C-FIND
        ("1.2.40.0.13.1.5.1", (EXPLICIT,)),  # private
    ]
    kind, body = sender.associate(association_request(proposals=proposals))
    assert kind == ACCEPTED
    assert {number: (result, syntax) for number, (result, syntax) in chosen(body).items() if not result} == {
        1: (0, J2K),
        3: (0, EXPLICIT),
        5: (0, IMPLICIT),
        7: (0, IMPLICIT),
        11: (0, EXPLICIT),
    }
    assert chosen(body)[9][0] == 3


@pytest.mark.parametrize(
    ("sop_class", "expected"),
    [
        (CT, True),
        ("1.2.840.10008.5.1.4.1.1.999", True),
        ("1.2.840.10008.5.1.4.34.7", True),  # RT Beams Delivery Instruction Storage
        ("1.3.12.2.1107.5.9.1", True),
        ("1.2.840.10008.1.20.1", False),  # Storage Commitment
        ("1.2.840.10008.1.3.10", False),  # Media Storage Directory
        ("1.2.840.10008.5.1.4.1.2.2.2", False),
        ("no uid", False),
    ],
)
def test_storage_classes_are_told_from_others(sop_class: str, expected: bool) -> None:
    assert is_storage_class(sop_class) is expected


def test_out_of_resources_is_answered_when_the_disk_is_low(tmp_path: Path) -> None:
    with (
        running_receiver(tmp_path, limits=SpoolLimits(min_free_bytes=1 << 60)) as running,
        Sender(running.receiver.port) as sender,
    ):
        sender.associate()
        assert sender.store("1.2.3.1") == OUT_OF_RESOURCES
        assert sender.store("1.2.3.2", data_set("1.2.3.2", size=500_000)) == OUT_OF_RESOURCES
        assert sender.echo() == SUCCESS
        assert running.waiting() == {}


def test_out_of_resources_is_answered_when_the_disk_becomes_full_half_way(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "spool", "1m") as folder,
        running_receiver(folder) as running,
        Sender(running.receiver.port) as sender,
    ):
        sender.associate()
        assert sender.store("1.2.3.1") == SUCCESS
        assert sender.store("1.2.3.2", data_set("1.2.3.2", size=2 << 20)) == OUT_OF_RESOURCES
        assert not list((folder / "incoming").iterdir())
        assert sender.store("1.2.3.3") == SUCCESS
        assert running.waiting() == {uid: data_set(uid) for uid in ("1.2.3.1", "1.2.3.3")}


def test_an_instance_that_nobody_could_claim_is_refused_and_the_next_one_taken(
    running: RunningReceiver, sender: Sender
) -> None:
    sender.associate()
    assert sender.store("1.2.3.1", data_set("1.2.3.1", study="")) == CANNOT_UNDERSTAND
    assert sender.store("not a UID", data_set("1.2.3.1")) == CANNOT_UNDERSTAND
    assert sender.store("1.2.3.2") == SUCCESS
    assert running.waiting().keys() == {"1.2.3.2"}


def test_nothing_stays_of_an_instance_whose_sender_left_half_way(running: RunningReceiver) -> None:
    pdus = store_pdus("1.2.3.1")
    with Sender(running.receiver.port) as sender:
        sender.associate()
        sender.conversation.send_raw(pdus[: len(pdus) // 2])
        sender.conversation.abort()
    with Sender(running.receiver.port) as sender:
        sender.associate()
        sender.conversation.send_raw(pdus[: len(pdus) // 2])
        sender.conversation.reset()
    with Sender(running.receiver.port) as sender:
        sender.associate()
        assert sender.store("1.2.3.2") == SUCCESS
    assert running.waiting().keys() == {"1.2.3.2"}


VIOLATIONS = {
    "another class than the context": message_pdus(STORAGE_ID, store_request(MR, "1.2.3.1"), b"1234"),
    "no data set": data_pdu(STORAGE_ID, 3, encode_command(store_request(CT, "1.2.3.1"))),
    "a context that is not open": message_pdus(99, store_request(CT, "1.2.3.1"), b"1234"),
    "a query": message_pdus(STORAGE_ID, store_request(CT, "1.2.3.1") | {"CommandField": 0x0020}, b"1234"),
    "a response": message_pdus(
        STORAGE_ID, {"CommandField": 0x8001, "MessageIDBeingRespondedTo": 1, "Status": 0}
    ),
    "a PDU longer than announced": struct.pack(">BxL", 4, 0xFFFFFFFF) + bytes(10_000),
    "a value longer than its PDU": struct.pack(">BxLLBB", 4, 10, 100, 1, 3) + bytes(4),
    "an unknown PDU": struct.pack(">BxL", 99, 4) + bytes(4),
    "a second association request": association_request(),
}


@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS)
def test_violations_are_aborted_and_the_receiver_goes_on(
    running: RunningReceiver, sender: Sender, violation: bytes
) -> None:
    sender.associate()
    sender.conversation.send_raw(violation)
    sender.conversation.expect_abort()
    with Sender(running.receiver.port) as another:
        another.associate()
        assert another.store("1.2.3.2") == SUCCESS
    assert running.waiting().keys() == {"1.2.3.2"}


@pytest.mark.parametrize(
    "start",
    [
        struct.pack(">BxL", 1, 0xFFFFFFFF) + bytes(100),
        struct.pack(">BxL", 1, 4) + bytes(4),
        b"GET / HTTP/1.1\r\n\r\n",
        RELEASE,
    ],
    ids=["too long", "too short", "HTTP", "release"],
)
def test_what_is_no_association_request_is_aborted(sender: Sender, start: bytes) -> None:
    sender.conversation.send_raw(start)
    sender.conversation.expect_abort()


@pytest.mark.parametrize("said", [0, 1, 30, 200], ids=lambda size: f"{size} bytes")
def test_a_peer_that_stalls_before_it_is_associated_is_aborted(tmp_path: Path, said: int) -> None:
    with (
        running_receiver(tmp_path, profile=HASTY) as running,
        Sender(running.receiver.port) as sender,
    ):
        sender.conversation.send_raw(association_request()[:said])
        sender.conversation.expect_abort()


@pytest.mark.parametrize("said", [0, 3, 100, 2000], ids=lambda size: f"{size} bytes")
def test_a_peer_that_stalls_later_is_aborted(tmp_path: Path, said: int) -> None:
    with (
        running_receiver(tmp_path, profile=HASTY, idle_timeout=0.3) as running,
        Sender(running.receiver.port) as sender,
    ):
        sender.associate()
        sender.conversation.send_raw(store_pdus("1.2.3.1")[:said])
        sender.conversation.expect_abort()
        assert running.waiting() == {}
        assert list((running.folder / "incoming").iterdir()) == []


def test_stopping_breaks_off_what_goes_on(tmp_path: Path) -> None:
    with running_receiver(tmp_path) as running:
        port = running.receiver.port
        with Sender(port) as sender:
            sender.associate()
            running.receiver.stop()
            with pytest.raises(PeerGone):
                sender.conversation.read_pdu()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_a_port_that_is_taken_is_told(tmp_path: Path, running: RunningReceiver) -> None:
    settings = ReceiverSettings(RECEIVER, is_known=lambda _: True, port=running.receiver.port)
    with pytest.raises(ConnectionFailed, match="cannot listen"):
        Receiver(settings, running.spool, running.hand_over).start()
