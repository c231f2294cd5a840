"""Opening an association: what is proposed, and how each way of failing is told."""

import socket
import struct
import time
from dataclasses import replace

import pytest

from adit_core.dicom.association import Association
from adit_core.dicom.contexts import (
    MOST_CONTEXTS,
    STORAGE_SOP_CLASSES,
    ProposedContext,
    storage_proposals,
)
from adit_core.dicom.node import ConnectionProfile, ServerNode
from adit_core.errors import (
    AssociationRejected,
    ConnectionFailed,
    InvalidInput,
    NoPresentationContext,
    PeerAborted,
    PeerBusy,
    PeerTimeout,
    ProtocolError,
)
from tests.fakes.peer import IMPATIENT, Conversation, FakePeer
from tests.fakes.ports import CT, EXPLICIT, IMPLICIT, J2K, MR

PAIRS = [ProposedContext(CT, EXPLICIT), ProposedContext(CT, J2K), ProposedContext(MR, EXPLICIT)]


def open_and_release(node: ServerNode, pairs: list[ProposedContext] | None = None) -> Association:
    with Association.open(node, pairs or PAIRS) as association:
        pass
    return association


def accept(peer: Conversation) -> None:
    peer.accept()
    peer.release()


def test_each_pair_is_proposed_in_a_context_of_its_own():
    with FakePeer(accept) as fake:
        open_and_release(fake.node())
    items = fake.conversations[0].request.presentation_context
    assert [(item.context_id, item.abstract_syntax, item.transfer_syntax) for item in items] == [
        (1, CT, [EXPLICIT]),
        (3, CT, [J2K]),
        (5, MR, [EXPLICIT]),
    ]


def test_request_names_both_sides_and_the_longest_pdu():
    with FakePeer(accept) as fake:
        open_and_release(
            replace(fake.node(profile=ConnectionProfile(max_pdu_length=65536)), calling_ae_title="ME")
        )
    request = fake.conversations[0].request
    assert (request.called_ae_title.strip(), request.calling_ae_title.strip()) == ("FAKE", "ME")
    assert request.user_information is not None
    assert request.user_information.maximum_length == 65536
    assert str(request.user_information.implementation_class_uid).startswith("2.25.")


def test_provider_role_is_asked_for():
    def script(peer: Conversation) -> None:
        request = peer.accept()
        peer.release()
        assert request.user_information is not None
        roles = request.user_information.role_selection
        assert {str(uid): (role.scu_role, role.scp_role) for uid, role in roles.items()} == {CT: (0, 1)}

    with FakePeer(script) as fake, Association.open(fake.node(), PAIRS, provided=[CT]):
        pass


def test_accepted_contexts_are_told_from_refused_ones():
    def script(peer: Conversation) -> None:
        peer.accept(refuse=lambda _class, syntax: syntax == J2K)
        peer.release()

    with FakePeer(script) as fake:
        contexts = open_and_release(fake.node()).contexts
    assert {(context.sop_class_uid, context.transfer_syntax_uid) for context in contexts} == {
        (CT, EXPLICIT),
        (MR, EXPLICIT),
    }


def test_service_without_an_accepted_context_is_told():
    def script(peer: Conversation) -> None:
        peer.accept(refuse=lambda sop_class, _syntax: sop_class == MR)
        peer.release()

    with FakePeer(script) as fake, Association.open(fake.node(), PAIRS) as association:
        assert association.context_of(CT).transfer_syntax_uid == EXPLICIT
        with pytest.raises(NoPresentationContext, match=MR):
            association.context_of(MR)


def test_peer_that_changes_its_answer_is_believed():
    answers = iter([(), (J2K,), ()])

    def script(peer: Conversation) -> None:
        refused = next(answers)
        peer.accept(refuse=lambda _class, syntax: syntax in refused)
        peer.release()

    with FakePeer(script) as fake:
        found = [len(list(open_and_release(fake.node()).contexts)) for _ in range(3)]
    assert found == [3, 2, 3]


def test_each_node_is_asked_in_its_own_words():
    with FakePeer(accept) as fake:
        for name in ("ONE", "OTHER", "ONE"):
            open_and_release(replace(fake.node(), calling_ae_title=name))
        open_and_release(fake.node(), PAIRS[:1])
    requests = [conversation.request for conversation in fake.conversations]
    assert [request.calling_ae_title.strip() for request in requests[:3]] == ["ONE", "OTHER", "ONE"]
    assert [len(request.presentation_context) for request in requests] == [3, 3, 3, 1]


def test_as_many_contexts_as_possible_can_be_negotiated():
    pairs = storage_proposals(STORAGE_SOP_CLASSES)[:MOST_CONTEXTS]
    with FakePeer(accept) as fake:
        assert len(list(open_and_release(fake.node(), pairs).contexts)) == MOST_CONTEXTS


def test_more_contexts_than_possible_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="129"):
        Association.open(
            ServerNode("none", "NONE", "127.0.0.1", 1),
            storage_proposals(STORAGE_SOP_CLASSES)[: MOST_CONTEXTS + 1],
        )


def test_small_packets_are_not_held_back():
    with FakePeer(accept) as fake, Association.open(fake.node(), PAIRS) as association:
        sock = association._connection._socket
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.parametrize(
    ("numbers", "kind", "words"),
    [
        ((1, 1, 7), AssociationRejected, "by the application: called AE title not recognized"),
        ((1, 1, 3), AssociationRejected, "calling AE title not recognized"),
        ((1, 1, 1), AssociationRejected, "no reason given"),
        ((1, 2, 2), AssociationRejected, "by its association service: protocol version not supported"),
        ((2, 3, 1), PeerBusy, "temporary congestion"),
        ((2, 3, 2), PeerBusy, "local limit exceeded"),
        ((1, 9, 9), AssociationRejected, "by source 9: reason 9"),
        ((7, 1, 1), ProtocolError, "unknown result 7"),
    ],
)
def test_rejection_is_told_in_words(numbers: tuple[int, int, int], kind: type[Exception], words: str):
    with FakePeer(lambda peer: peer.reject(*numbers)) as fake, pytest.raises(kind, match=words) as raised:
        Association.open(fake.node(), PAIRS)
    assert type(raised.value) is kind
    assert "fake (FAKE at 127.0.0.1:" in str(raised.value)


def test_abort_instead_of_an_answer_is_told():
    def script(peer: Conversation) -> None:
        peer.read_request()
        peer.abort(source=2, reason=1)

    with FakePeer(script) as fake, pytest.raises(PeerAborted, match="unrecognized PDU"):
        Association.open(fake.node(), PAIRS)


def test_peer_that_hangs_up_is_told():
    with FakePeer(Conversation.read_request) as fake, pytest.raises(ConnectionFailed, match="closed"):
        Association.open(fake.node(), PAIRS)


def test_peer_that_breaks_off_is_told():
    def script(peer: Conversation) -> None:
        peer.read_request()
        peer.reset()

    with FakePeer(script) as fake, pytest.raises(ConnectionFailed, match="broke"):
        Association.open(fake.node(), PAIRS)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_refused_connection_names_node_host_and_port():
    port = closed_port()
    with pytest.raises(ConnectionFailed, match=rf"pacs \(PACS at 127\.0\.0\.1:{port}\).*refused"):
        Association.open(ServerNode("pacs", "PACS", "127.0.0.1", port), PAIRS)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70])
def test_unknown_host_is_told(host: str):
    with pytest.raises(ConnectionFailed, match="pacs"):
        Association.open(ServerNode("pacs", "PACS", host, 104), PAIRS)


def test_connection_that_nobody_takes_ends_in_time():
    # A listener whose backlog is full drops further SYNs on Linux, as a firewall does.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        blockers = [socket.socket() for _ in range(4)]
        for blocker in blockers:
            blocker.setblocking(False)
            blocker.connect_ex(address)
        node = ServerNode("pacs", "PACS", *address, profile=IMPATIENT)
        with pytest.raises((ConnectionFailed, PeerTimeout)):
            Association.open(node, PAIRS)
        for blocker in blockers:
            blocker.close()


@pytest.mark.parametrize("sent", [0, 3, 6, 40, 100])
def test_peer_that_stalls_in_its_answer_ends_in_a_timeout(sent: int):
    def script(peer: Conversation) -> None:
        peer.read_request()
        peer.send_raw(peer.accept_pdu()[:sent])
        peer.expect_abort()

    start = time.monotonic()
    with FakePeer(script) as fake, pytest.raises(PeerTimeout, match="did not answer in time"):
        Association.open(fake.node(profile=IMPATIENT), PAIRS)
    assert time.monotonic() - start < 5


def test_peer_that_trickles_its_answer_ends_in_a_timeout():
    def script(peer: Conversation) -> None:
        peer.read_request()
        for byte in peer.accept_pdu():
            peer.send_raw(bytes([byte]))
            time.sleep(0.05)

    with FakePeer(script) as fake, pytest.raises(PeerTimeout):
        Association.open(fake.node(profile=IMPATIENT), PAIRS)


def answering(encoded: bytes):
    def script(peer: Conversation) -> None:
        peer.read_request()
        peer.send_raw(encoded)
        peer.expect_abort()

    return script


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(struct.pack(">BxL", 2, 0xFFFFFFFF), id="absurd length"),
        pytest.param(struct.pack(">BxL", 2, 1 << 20), id="long"),
        pytest.param(struct.pack(">BxL", 2, 0), id="empty"),
        pytest.param(struct.pack(">BxL", 2, 200) + b"\xff" * 200, id="garbage"),
        pytest.param(struct.pack(">BxL", 2, 68) + bytes(68), id="no items"),
        pytest.param(struct.pack(">BxL", 4, 20) + bytes(20), id="data"),
        pytest.param(struct.pack(">BxL", 6, 4) + bytes(4), id="release"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="another protocol"),
    ],
)
def test_answer_that_is_none_is_told_and_the_association_aborted(encoded: bytes):
    with FakePeer(answering(encoded)) as fake, pytest.raises(ProtocolError):
        Association.open(fake.node(), PAIRS)


def changed_accept(change):
    def script(peer: Conversation) -> None:
        peer.read_request()
        peer.send_raw(change(peer.accept_pdu()))
        peer.expect_abort()

    return script


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            lambda pdu: pdu.replace(b"\x21\x00\x00\x1b\x05", b"\x21\x00\x00\x1b\x07"),
            "context 7",
            id="unknown context",
        ),
        pytest.param(
            lambda pdu: pdu.replace(b"\x21\x00\x00\x1b\x05", b"\x21\x00\x00\x1b\x01"),
            "context 1",
            id="context twice",
        ),
        pytest.param(
            lambda pdu: pdu.replace(EXPLICIT.encode(), (IMPLICIT + ".2").encode()),
            "not proposed",
            id="another transfer syntax",
        ),
        pytest.param(
            lambda pdu: pdu.replace(b"\x51\x00\x00\x04\x00\x00\x40\x00", b"\x51\x00\x00\x04\x00\x00\x00\x07"),
            "at most 7 bytes",
            id="tiny PDUs",
        ),
    ],
)
def test_answer_that_accepts_what_was_not_proposed_is_told(change, words: str):
    with FakePeer(changed_accept(change)) as fake, pytest.raises(ProtocolError, match=words):
        Association.open(fake.node(), PAIRS)


@pytest.mark.parametrize("ae_title", ["", "A TITLE THAT IS TOO LONG", "ÄÖ"])
def test_invalid_ae_title_is_told(ae_title: str):
    with pytest.raises(InvalidInput, match="AE title"):
        Association.open(ServerNode("pacs", ae_title, "127.0.0.1", 1), PAIRS)
