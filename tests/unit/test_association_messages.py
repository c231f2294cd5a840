"""Messages on an association: what a peer does wrong ends in a classified error, soon, and in an abort."""

import socket
import struct
import time
from collections.abc import Callable

import pytest

from adit_core.dicom.association import Association
from adit_core.dicom.command import Command, CommandField
from adit_core.dicom.contexts import ProposedContext
from adit_core.dicom.node import ConnectionProfile
from adit_core.errors import AditError, ConnectionFailed, PeerAborted, PeerTimeout, ProtocolError
from tests.fakes.peer import (
    IMPATIENT,
    PATIENT,
    Conversation,
    FakePeer,
    data_pdu,
    encode_command,
    message_pdus,
    store_request,
)
from tests.fakes.ports import CT, EXPLICIT, IMPLICIT

VERIFICATION = "1.2.840.10008.1.1"
PAIRS = [ProposedContext(VERIFICATION, IMPLICIT), ProposedContext(CT, EXPLICIT)]
ECHO_ID, CT_ID = 1, 3
ECHO_RESPONSE = {
    "AffectedSOPClassUID": VERIFICATION,
    "CommandField": 0x8030,
    "MessageIDBeingRespondedTo": 1,
    "Status": 0,
}
STORE = store_request(CT, "1.2.3.4")
DATA = bytes(range(256)) * 200


def sending(encoded: bytes, then: Callable[[Conversation], None] = Conversation.expect_abort):
    """Return a script that accepts, sends `encoded`, and does something `then`."""

    def script(peer: Conversation) -> None:
        peer.accept()
        peer.send_raw(encoded)
        then(peer)

    return script


def read_message(fake: FakePeer, profile: ConnectionProfile = PATIENT) -> bytes:
    """Receive a message with its data set."""
    with Association.open(fake.node(profile=profile), PAIRS) as association:
        association.receive()
        return b"".join(association.data_set())


def read_identifier(fake: FakePeer) -> bytes:
    """Receive a message that must have a short data set."""
    with Association.open(fake.node(), PAIRS) as association:
        association.receive()
        return association.read_data_set()


def read_echo_response(fake: FakePeer) -> None:
    """Receive a response to a C-ECHO."""
    with Association.open(fake.node(), PAIRS) as association:
        request = Command(CommandField.C_ECHO_RQ, association.next_message_id(), VERIFICATION)
        association.receive_response(request)


def test_message_is_received_with_its_data_set():
    with FakePeer(sending(message_pdus(CT_ID, STORE, DATA, size=1000), Conversation.release)) as fake:
        assert read_message(fake) == DATA


def test_many_values_in_one_pdu_are_told_apart():
    command = encode_command(STORE, DATA)
    values = [(1, command[:30]), (3, command[30:]), (0, DATA[:100]), (0, b""), (2, DATA[100:])]
    body = b"".join(struct.pack(">LBB", len(value) + 2, CT_ID, control) + value for control, value in values)
    with FakePeer(sending(struct.pack(">BxL", 4, len(body)) + body, Conversation.release)) as fake:
        assert read_message(fake) == DATA


def test_data_set_that_was_not_read_is_skipped():
    encoded = message_pdus(CT_ID, STORE, DATA) + message_pdus(ECHO_ID, ECHO_RESPONSE)
    with (
        FakePeer(sending(encoded, Conversation.release)) as fake,
        Association.open(fake.node(), PAIRS) as association,
    ):
        association.receive()
        assert association.receive().command.field is CommandField.C_ECHO_RSP


def test_data_set_that_was_read_in_part_is_skipped():
    encoded = message_pdus(CT_ID, STORE, DATA) + message_pdus(ECHO_ID, ECHO_RESPONSE)
    with (
        FakePeer(sending(encoded, Conversation.release)) as fake,
        Association.open(fake.node(), PAIRS) as association,
    ):
        association.receive()
        next(association.data_set())
        assert association.receive().command.field is CommandField.C_ECHO_RSP


WHOLE = message_pdus(CT_ID, STORE, DATA)
COMMAND_LENGTH = len(data_pdu(CT_ID, 3, encode_command(STORE, DATA)))


@pytest.mark.parametrize(
    "sent",
    [0, 1, 5, 6, 9, 12, 40, COMMAND_LENGTH, COMMAND_LENGTH + 3, COMMAND_LENGTH + 20, len(WHOLE) - 1],
)
def test_peer_that_stalls_anywhere_in_a_message_ends_in_a_timeout(sent: int):
    start = time.monotonic()
    with (
        FakePeer(sending(WHOLE[:sent])) as fake,
        pytest.raises(PeerTimeout, match=r"sent nothing for 0\.3 s"),
    ):
        read_message(fake, IMPATIENT)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("sent", [0, 5, 40, COMMAND_LENGTH, COMMAND_LENGTH + 20])
def test_peer_that_hangs_up_anywhere_in_a_message_is_told(sent: int):
    with (
        FakePeer(sending(WHOLE[:sent], lambda _: None)) as fake,
        pytest.raises(ConnectionFailed, match="closed the connection"),
    ):
        read_message(fake)


@pytest.mark.parametrize("sent", [0, 5, 40, COMMAND_LENGTH, COMMAND_LENGTH + 20])
def test_peer_that_breaks_off_anywhere_in_a_message_is_told(sent: int):
    with (
        FakePeer(sending(WHOLE[:sent], Conversation.reset)) as fake,
        pytest.raises(ConnectionFailed, match="broke"),
    ):
        read_message(fake)


@pytest.mark.parametrize("sent", [0, COMMAND_LENGTH, COMMAND_LENGTH + 16012])
def test_abort_between_pdus_is_told(sent: int):
    with (
        FakePeer(sending(WHOLE[:sent], Conversation.abort)) as fake,
        pytest.raises(PeerAborted, match=r"aborted the association \(no reason given\)"),
    ):
        read_message(fake)


@pytest.mark.parametrize("sent", [0, COMMAND_LENGTH])
def test_release_before_the_end_is_told_and_agreed_to(sent: int):
    def release(peer: Conversation) -> None:
        peer.send_raw(struct.pack(">BxLxxxx", 5, 4))
        assert peer.read_pdu()[0] == 6

    with (
        FakePeer(sending(WHOLE[:sent], release)) as fake,
        pytest.raises(PeerAborted, match="released the association"),
    ):
        read_message(fake)


def values(*parts: tuple[int, int, bytes]) -> bytes:
    return b"".join(data_pdu(*part) for part in parts)


COMMAND = encode_command(STORE, DATA)


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        pytest.param(
            struct.pack(">BxL", 0x0F, 10) + bytes(10), "unknown PDU of type 0x0F", id="unknown type"
        ),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n", "unknown PDU", id="another protocol"),
        pytest.param(
            struct.pack(">BxL", 2, 10) + bytes(10), "unexpected PDU of type 0x02", id="unexpected type"
        ),
        pytest.param(struct.pack(">BxL", 4, 0xFFFFFFFF), "of 4294967295 bytes", id="absurd length"),
        pytest.param(struct.pack(">BxL", 4, (1 << 20) + 1), "of 1048577 bytes", id="longer than announced"),
        pytest.param(struct.pack(">BxL", 4, 0), "of 0 bytes", id="empty PDU"),
        pytest.param(struct.pack(">BxL", 4, 5) + bytes(5), "of 5 bytes", id="PDU without a value"),
        pytest.param(
            struct.pack(">BxLLBB", 4, 6, 0, 1, 3), "value of 0 bytes", id="value without its header"
        ),
        pytest.param(
            struct.pack(">BxLLBB", 4, 10, 0xFFFF, 1, 3) + b"1234", "value of 65535", id="value too long"
        ),
        pytest.param(struct.pack(">BxLLBB", 4, 9, 2, 1, 1) + b"123", "at the end of a PDU", id="rest in PDU"),
        pytest.param(values((9, 3, COMMAND)), "context 9", id="unknown context"),
        pytest.param(values((2, 3, COMMAND)), "context 2", id="even context"),
        pytest.param(values((CT_ID, 2, b"data")), "data set where a command set", id="data first"),
        pytest.param(values((CT_ID, 3, b"\xff" * 50)), "malformed command set", id="garbage"),
        pytest.param(
            values((CT_ID, 1, COMMAND[:20]), (1, 3, COMMAND[20:])), "several", id="command in two contexts"
        ),
        pytest.param(values((CT_ID, 3, COMMAND), (1, 2, b"data")), "different", id="data in another context"),
        pytest.param(
            values((CT_ID, 3, COMMAND), (CT_ID, 3, COMMAND)), "command set where a data", id="no data"
        ),
        pytest.param(values(*[(CT_ID, 1, bytes(10_000))] * 2), "more than 16384", id="endless command"),
    ],
)
def test_violation_is_told_and_answered_by_an_abort(encoded: bytes, words: str):
    with FakePeer(sending(encoded)) as fake, pytest.raises(ProtocolError, match=words) as raised:
        read_message(fake)
    assert "fake (FAKE at 127.0.0.1:" in str(raised.value)


def test_endless_identifier_is_not_kept():
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.send_raw(data_pdu(CT_ID, 3, COMMAND))
        for _ in range(1000):
            peer.send_raw(data_pdu(CT_ID, 0, bytes(16000)))

    with FakePeer(script) as fake, pytest.raises(ProtocolError, match="an identifier of more than"):
        read_identifier(fake)


def test_message_without_the_data_set_that_is_needed_is_told():
    peer = FakePeer(sending(message_pdus(ECHO_ID, ECHO_RESPONSE)))
    with peer as fake, pytest.raises(ProtocolError, match="without the data set"):
        read_identifier(fake)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"MessageIDBeingRespondedTo": 2}, "message 2, not 1"),
        ({"CommandField": 0x8001}, "C_STORE_RSP"),
        ({"AffectedSOPClassUID": CT}, CT),
    ],
)
def test_response_to_something_else_is_told(changes: dict[str, object], words: str):
    peer = FakePeer(sending(message_pdus(ECHO_ID, ECHO_RESPONSE | changes)))
    with peer as fake, pytest.raises(ProtocolError, match=words):
        read_echo_response(fake)


def test_message_is_sent_in_pdus_of_the_length_that_the_peer_takes():
    def script(peer: Conversation) -> None:
        peer.accept(max_length=1000)
        lengths = []
        total = 0
        while total < len(DATA):
            pdu_type, body = peer.read_pdu()
            assert pdu_type == 4
            lengths.append(len(body))
            if len(lengths) > 1:
                total += len(body) - 6
        assert set(lengths[1:-1]) == {1000}
        peer.release()

    with FakePeer(script) as fake, Association.open(fake.node(), PAIRS) as association:
        send_data(association, [DATA])


def send_data(association: Association, fragments: list[bytes]) -> None:
    context = association.context_of(CT)
    command = Command(CommandField.C_STORE_RQ, association.next_message_id(), CT, "1.2.3", has_data_set=True)
    association.send(context, command, fragments)


def test_peer_that_takes_nothing_ends_in_a_timeout():
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.stall()

    start = time.monotonic()
    with (
        FakePeer(script) as fake,
        pytest.raises(PeerTimeout, match=r"took nothing for 0\.3 s"),
        Association.open(fake.node(profile=IMPATIENT), PAIRS) as association,
    ):
        send_data(association, [bytes(1 << 20)] * 50)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("source", [0, 2])
def test_abort_while_sending_is_told_as_such(source: int):
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.read_pdu()
        peer.abort(source)

    with (
        FakePeer(script) as fake,
        pytest.raises(PeerAborted, match="aborted the association"),
        Association.open(fake.node(), PAIRS) as association,
    ):
        send_data(association, [bytes(1 << 20)] * 50)


def test_connection_that_breaks_while_sending_is_told():
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.read_pdu()
        peer.reset()

    with (
        FakePeer(script) as fake,
        pytest.raises(ConnectionFailed, match="broke"),
        Association.open(fake.node(), PAIRS) as association,
    ):
        send_data(association, [bytes(1 << 20)] * 50)


def test_fragments_that_fail_leave_an_incomplete_message_and_an_abort():
    def script(peer: Conversation) -> None:
        peer.accept()
        pdus = []
        while (pdu := peer.read_pdu())[0] == 4:
            pdus.append(pdu[1])
        assert pdu[0] == 7
        assert pdus[0][5] == 3
        assert len(pdus) > 10
        assert all(body[5] == 0 for body in pdus[1:])  # none of them is the last one

    def fragments():
        yield bytes(1 << 20)
        raise LookupError("the source broke")

    with (
        FakePeer(script) as fake,
        pytest.raises(LookupError),
        Association.open(fake.node(), PAIRS) as association,
    ):
        association.send(association.context_of(CT), Command(CommandField.C_STORE_RQ, 1, CT), fragments())


def test_message_ids_start_again_before_they_are_too_large():
    with (
        FakePeer(sending(b"", Conversation.release)) as fake,
        Association.open(fake.node(), PAIRS) as association,
    ):
        ids = [association.next_message_id() for _ in range(0x10001)]
    assert (min(ids), max(ids), ids[0], ids[0xFFFF]) == (1, 0xFFFF, 1, 1)


def test_release_waits_for_the_answer_but_not_for_ever():
    start = time.monotonic()
    with FakePeer(sending(b"", Conversation.stall)) as fake:
        with Association.open(fake.node(profile=IMPATIENT), PAIRS) as association:
            pass
        assert time.monotonic() - start < 5
        association.release()
        assert not association.is_usable


@pytest.mark.parametrize("leave", [Conversation.reset, Conversation.abort, lambda _: None])
def test_release_bears_that_the_peer_has_left(leave: Callable[[Conversation], None]):
    with FakePeer(sending(b"", leave)) as fake, Association.open(fake.node(), PAIRS):
        time.sleep(0.05)


def test_abort_does_not_wait_for_a_peer_that_takes_nothing():
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.stall()

    with FakePeer(script) as fake:
        association = Association.open(fake.node(profile=IMPATIENT), PAIRS)
        with pytest.raises(AditError):
            send_data(association, [bytes(1 << 20)] * 50)
        start = time.monotonic()
        association.abort()
        association.abort()
        assert time.monotonic() - start < 2


def test_abort_reaches_a_peer_that_is_still_sending():
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.send_raw(WHOLE)
        peer.expect_abort()

    with FakePeer(script) as fake:
        association = Association.open(fake.node(), PAIRS)
        association.receive()
        association.abort()


@pytest.mark.parametrize(
    ("leave", "usable"),
    [
        (Conversation.stall, True),
        (Conversation.reset, False),
        (Conversation.abort, False),
        (lambda _: None, False),
    ],
)
def test_association_that_the_peer_ended_is_known_before_it_is_used(
    leave: Callable[[Conversation], None], usable: bool
):
    with FakePeer(sending(b"", leave)) as fake:
        association = Association.open(fake.node(profile=IMPATIENT), PAIRS)
        time.sleep(0.1)
        assert association.is_usable is usable
        association.abort()
        assert not association.is_usable


def test_peer_without_tcp_nodelay_is_acknowledged_at_once():
    def script(peer: Conversation) -> None:
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        peer.accept()
        for _ in range(20):
            request = peer.receive()
            # In two writes, the second of which Nagle's algorithm holds back until the first is acknowledged.
            response = message_pdus(
                request.context_id, ECHO_RESPONSE | {"MessageIDBeingRespondedTo": request.command.MessageID}
            )
            peer.send_raw(response[:6])
            peer.send_raw(response[6:])
        peer.release()

    with FakePeer(script) as fake, Association.open(fake.node(), PAIRS) as association:
        for _ in range(20):
            request = Command(CommandField.C_ECHO_RQ, association.next_message_id(), VERIFICATION)
            association.send(association.context_of(VERIFICATION), request)
            assert association.receive_response(request).command.status == 0
