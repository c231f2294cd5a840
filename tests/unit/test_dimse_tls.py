"""DIMSE over TLS (PS3.15 B.12): who is trusted, what both sides agree upon, and how each failure is told.

The peers here use Python's ssl module directly, the providers of other vendors are in
tests/integration/test_tls_archives.py.
"""

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Thread

import pytest

from adit_core.dicom.association import Association
from adit_core.dicom.connect import accept, connect
from adit_core.dicom.connection import Connection
from adit_core.dicom.contexts import message_proposals
from adit_core.dicom.dimse import DimseDestination, echo
from adit_core.dicom.negotiation import A_ABORT
from adit_core.dicom.node import ConnectionProfile, ServerNode
from adit_core.dicom.ports import Delivery
from adit_core.dicom.tls import TlsSettings, client_context, server_context
from adit_core.errors import ConnectionFailed, PeerTimeout, TlsFailed
from tests.certificates import Authority, Identity, encrypted
from tests.fakes.peer import Conversation, FakePeer
from tests.fakes.ports import instance

Script = Callable[[Conversation], object]
VERIFICATION = "1.2.840.10008.1.1"
GREETING = b"A-ASSOCIATE-RQ, for example"


@pytest.fixture(scope="module")
def other_authority() -> Authority:
    return Authority("Other CA")


@pytest.fixture(scope="module")
def theirs(authority: Authority) -> Identity:
    return authority.issue("127.0.0.1")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Identity:
    return authority.issue("adit")


class TlsPeers:
    """Makes peers that speak TLS, without the code under test."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        self._folder = folder
        self._identity = identity

    def context(self, identity: Identity | None = None, *, trusts: Authority | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(identity or self._identity).write(self._folder))
        if trusts is not None:
            context.load_verify_locations(cadata=trusts.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def peer(self, script: Script, context: ssl.SSLContext | None = None) -> FakePeer:
        return FakePeer(_over_tls(context or self.context(), script))


def _over_tls(context: ssl.SSLContext, script: Script) -> Script:
    def play(peer: Conversation) -> None:
        try:
            peer.sock = context.wrap_socket(peer.sock, server_side=True, suppress_ragged_eofs=False)
            script(peer)
        except (ssl.SSLError, ConnectionError):
            pass  # the other side refuses; the test looks at what it says

    return play


@pytest.fixture
def peers(tmp_path: Path, theirs: Identity) -> TlsPeers:
    return TlsPeers(tmp_path / "peer", theirs)


def answer_echo(peer: Conversation) -> None:
    peer.accept()
    peer.respond(peer.receive(), 0)
    peer.release()


def node_of(fake: FakePeer, tls: TlsSettings | None, patience: float = 10) -> ServerNode:
    profile = ConnectionProfile(connect_timeout=patience, silence_timeout=patience, tls=tls)
    return fake.node(profile=profile)


def refusal(fake: FakePeer, tls: TlsSettings | None, **changes) -> str:
    """Return what is said of a peer that no secure connection can be made to."""
    with fake, pytest.raises(TlsFailed) as raised:
        echo(replace(node_of(fake, tls), **changes))
    assert "fake (FAKE at" in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_each_side_is_known_to_the_other(
    peers: TlsPeers, authority: Authority, ours: Identity, version: ssl.TLSVersion
):
    context = peers.context(trusts=authority)
    context.maximum_version = version
    shown = []

    def script(peer: Conversation) -> None:
        assert isinstance(peer.sock, ssl.SSLSocket)
        shown.append((peer.sock.version(), peer.sock.getpeercert()))
        answer_echo(peer)

    with peers.peer(script, context) as fake:
        assert echo(node_of(fake, ours.settings(authority))) > 0
    ((used, certificate),) = shown
    assert used == ("TLSv1.2" if version is ssl.TLSVersion.TLSv1_2 else "TLSv1.3")
    assert ("DNS", "adit") in certificate["subjectAltName"]


@pytest.mark.parametrize("cipher", ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"])
def test_suites_of_the_profile_are_spoken_in_tls_1_2(peers: TlsPeers, authority: Authority, cipher: str):
    context = peers.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    with peers.peer(answer_echo, context) as fake:
        assert echo(node_of(fake, TlsSettings(ca=authority.certificate))) > 0


@pytest.mark.parametrize("cipher", ["AES256-SHA256", "ECDHE-RSA-AES256-SHA384", "DHE-RSA-AES256-GCM-SHA384"])
def test_suites_that_the_profile_advises_against_are_not_spoken(
    peers: TlsPeers, authority: Authority, cipher: str
):
    context = peers.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    said = refusal(peers.peer(answer_echo, context), TlsSettings(ca=authority.certificate))
    assert "no TLS version and cipher suite that both sides accept" in said


def test_tls_1_1_is_not_spoken(peers: TlsPeers, authority: Authority):
    context = peers.context()
    with pytest.deprecated_call():
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    said = refusal(peers.peer(answer_echo, context), TlsSettings(ca=authority.certificate))
    assert "no TLS version and cipher suite that both sides accept" in said


def test_peer_of_another_authority_is_not_trusted(peers: TlsPeers, other_authority: Authority):
    said = refusal(peers.peer(answer_echo), TlsSettings(ca=other_authority.certificate))
    assert "it is not from a certification authority that this connection trusts" in said


def test_peer_with_a_certificate_of_its_own_making_is_not_trusted_by_default(peers: TlsPeers):
    assert "trusts" in refusal(peers.peer(answer_echo), TlsSettings())


def test_a_single_certificate_can_be_trusted(peers: TlsPeers, theirs: Identity):
    with peers.peer(answer_echo) as fake:
        assert echo(node_of(fake, TlsSettings(ca=theirs.certificate))) > 0


def test_expired_certificate_is_not_accepted(peers: TlsPeers, authority: Authority):
    context = peers.context(authority.issue_expired("127.0.0.1"))
    said = refusal(peers.peer(answer_echo, context), TlsSettings(ca=authority.certificate))
    assert said.endswith("is not accepted: it has expired")


def test_certificate_of_the_future_is_not_accepted(peers: TlsPeers, authority: Authority):
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    future = authority.issue("127.0.0.1", begins=tomorrow, ends=tomorrow + timedelta(days=1))
    said = refusal(peers.peer(answer_echo, peers.context(future)), TlsSettings(ca=authority.certificate))
    assert "not valid yet" in said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_certificate_for_another_name_is_accepted_only_if_names_are_not_verified(
    peers: TlsPeers, authority: Authority, host: str
):
    context = peers.context(authority.issue("pacs.example.org", "192.0.2.7"))
    tls = TlsSettings(ca=authority.certificate)
    said = refusal(peers.peer(answer_echo, context), tls, host=host)
    assert said.endswith("it was made out to another host name or address")
    with peers.peer(answer_echo, context) as fake:
        assert echo(replace(node_of(fake, replace(tls, verify_host_name=False)), host=host)) > 0


def test_without_names_the_authority_is_verified_nevertheless(peers: TlsPeers, other_authority: Authority):
    tls = TlsSettings(ca=other_authority.certificate, verify_host_name=False)
    assert "trusts" in refusal(peers.peer(answer_echo), tls)


def test_peer_that_wants_a_certificate_is_told(peers: TlsPeers, authority: Authority):
    context = peers.context(trusts=authority)
    said = refusal(peers.peer(answer_echo, context), TlsSettings(ca=authority.certificate))
    assert said.endswith("it wants a certificate of ours")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_peer_that_does_not_accept_our_certificate_is_told(
    peers: TlsPeers, authority: Authority, other_authority: Authority, version: ssl.TLSVersion
):
    context = peers.context(trusts=authority)
    context.maximum_version = version
    stranger = other_authority.issue("adit").settings(authority)
    assert "does not accept our certificate" in refusal(peers.peer(answer_echo, context), stranger)


def test_plain_peer_that_aborts_is_told(authority: Authority):
    def script(peer: Conversation) -> None:
        peer.sock.recv(1000)
        peer.abort(reason=1)

    assert "it does not answer in TLS" in refusal(FakePeer(script), TlsSettings(ca=authority.certificate))


def hang_up_at_once(peer: Conversation) -> None:
    peer.sock.recv(1)
    peer.reset()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (lambda peer: peer.sock.recv(1000), "ended the connection in the TLS handshake"),
        (hang_up_at_once, "ended the connection in the TLS handshake"),
        (Conversation.stall, "did not finish the TLS handshake in time"),
    ],
)
def test_plain_peer_that_says_nothing_is_told(authority: Authority, script: Script, words: str):
    start = time.monotonic()
    with FakePeer(script) as fake, pytest.raises(ConnectionFailed, match=words) as raised:
        echo(node_of(fake, TlsSettings(ca=authority.certificate), patience=0.3))
    assert "perhaps it does not speak TLS" in str(raised.value)
    assert time.monotonic() - start < 5


def test_tls_peer_that_is_spoken_to_in_plain_is_told():
    def script(peer: Conversation) -> None:
        peer.read_request()
        peer.send_raw(b"\x15\x03\x01\x00\x02\x02\x46")  # what TLS servers answer: protocol version

    assert "speaks TLS: give the node a connection profile" in refusal(FakePeer(script), None)


def test_peer_that_only_hangs_up_on_plain_users_may_want_tls():
    with (
        FakePeer(Conversation.read_request) as fake,
        pytest.raises(ConnectionFailed, match="perhaps it speaks TLS only"),
    ):
        echo(node_of(fake, None))


@pytest.mark.parametrize("max_length", [0, 512, 16382, 1 << 20])
def test_stored_bytes_are_the_sent_ones(peers: TlsPeers, authority: Authority, max_length: int):
    random = Random(max_length)
    pieces = [random.randbytes(random.choice((1, 300, 20_000, 70_000))) for _ in range(40)]
    arrived = []

    def script(peer: Conversation) -> None:
        peer.accept(max_length=max_length)
        request = peer.receive()
        arrived.append(request.data_set)
        peer.respond(request, 0)
        peer.release()

    with (
        peers.peer(script) as fake,
        DimseDestination(node_of(fake, TlsSettings(ca=authority.certificate))) as destination,
    ):
        deliveries = list(destination.deliver([instance("1.2.3.1.1", *pieces)]))
    assert deliveries == [Delivery("1.2.3.1.1")]
    assert arrived == [b"".join(pieces)]


def send_unencrypted(peer: Conversation, data: bytes) -> None:
    with socket.socket(fileno=os.dup(peer.sock.fileno())) as raw:
        raw.sendall(data)


def test_peer_that_stalls_within_a_record_ends_in_a_timeout(peers: TlsPeers, authority: Authority):
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.receive()
        send_unencrypted(peer, b"\x17\x03\x03\x40\x00half a record")
        peer.stall()

    start = time.monotonic()
    with peers.peer(script) as fake, pytest.raises(PeerTimeout):
        echo(node_of(fake, TlsSettings(ca=authority.certificate), patience=0.3))
    assert time.monotonic() - start < 5


def test_peer_that_takes_nothing_ends_in_a_timeout(peers: TlsPeers, authority: Authority):
    def script(peer: Conversation) -> None:
        peer.accept(max_length=0)
        peer.stall()

    with (
        peers.peer(script) as fake,
        pytest.raises(PeerTimeout, match="took nothing"),
        DimseDestination(node_of(fake, TlsSettings(ca=authority.certificate), patience=0.5)) as destination,
    ):
        list(destination.deliver([instance("1.2.3.1.1", *[bytes(1 << 20)] * 64)]))


def test_bytes_that_were_changed_on_the_way_are_noticed(peers: TlsPeers, authority: Authority):
    def script(peer: Conversation) -> None:
        peer.accept()
        peer.receive()
        send_unencrypted(peer, b"\x17\x03\x03\x00\x40" + bytes(64))
        peer.stall()

    with peers.peer(script) as fake, pytest.raises(ConnectionFailed, match="bad record mac"):
        echo(node_of(fake, TlsSettings(ca=authority.certificate)))


def test_abort_reaches_the_peer(peers: TlsPeers, authority: Authority):
    seen = []

    def script(peer: Conversation) -> None:
        peer.accept()
        peer.expect_abort()
        seen.append(peer.sock.recv(1))

    with peers.peer(script) as fake:
        node = node_of(fake, TlsSettings(ca=authority.certificate))
        Association.open(node, message_proposals(VERIFICATION)).abort()
    assert seen == [b""]


def test_end_of_the_connection_is_announced(peers: TlsPeers, authority: Authority):
    ends = []

    def script(peer: Conversation) -> None:
        peer.accept()
        peer.release()
        ends.append(peer.sock.recv(1))  # raises if the connection was just cut off

    with peers.peer(script) as fake:
        node = node_of(fake, TlsSettings(ca=authority.certificate))
        Association.open(node, message_proposals(VERIFICATION)).release()
    assert ends == [b""]


def test_association_is_kept_from_one_instance_to_the_next(peers: TlsPeers, authority: Authority):
    def script(peer: Conversation) -> None:
        peer.accept()
        for _ in range(3):
            peer.respond(peer.receive(), 0)
        peer.release()

    with (
        peers.peer(script) as fake,
        DimseDestination(node_of(fake, TlsSettings(ca=authority.certificate))) as destination,
    ):
        list(destination.deliver(instance(f"1.2.3.1.{number}", b"1234") for number in range(3)))
    assert len(fake.conversations) == 1


def test_tickets_of_tls_are_no_input(peers: TlsPeers, authority: Authority):
    def script(peer: Conversation) -> None:  # in TLS 1.3, tickets come as soon as the handshake is over
        peer.read_pdu()
        peer.send_raw(b"data")

    with peers.peer(script) as fake:
        connection = connect(node_of(fake, TlsSettings(ca=authority.certificate)))
        wait_until(lambda: bool(connection._poll.poll(0)))
        assert not connection.has_input()
        connection.send([A_ABORT])
        wait_until(connection.has_input)
        assert connection.read(4) == b"data"
        wait_until(connection.has_input)  # that the peer has closed the connection is something
        with pytest.raises(ConnectionFailed, match="closed the connection"):
            connection.read(1)
        connection.close()


def wait_until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def calling(call: Callable[[socket.socket], object]) -> Iterator[socket.socket]:
    """Yield a connection as a provider accepts it, while a user makes its `call` at the other end."""

    def run() -> None:
        with socket.create_connection(listener.getsockname(), timeout=10) as sock, suppress(OSError):
            call(sock)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        user = Thread(target=run)
        user.start()
        sock, _ = listener.accept()
        with sock:
            yield sock
        user.join()


def provide(sock: socket.socket, tls: TlsSettings) -> Connection:
    return accept(sock, peer="USER", profile=ConnectionProfile(0.5, 5, tls=tls))


def speak_tls(tls: TlsSettings) -> Callable[[socket.socket], object]:
    def call(sock: socket.socket) -> None:
        with client_context(tls).wrap_socket(sock, server_hostname="127.0.0.1") as encrypted:
            encrypted.send(GREETING)
            encrypted.recv(1000)

    return call


def test_provider_takes_users_of_its_authority(authority: Authority, theirs: Identity, ours: Identity):
    with calling(speak_tls(ours.settings(authority))) as sock:
        connection = provide(sock, theirs.settings(authority))
        assert connection.read(len(GREETING)) == GREETING
        connection.close()


def test_provider_without_authority_takes_every_user(authority: Authority, theirs: Identity):
    with calling(speak_tls(TlsSettings(ca=authority.certificate))) as sock:
        connection = provide(sock, replace(theirs.settings(authority), ca=""))
        assert connection.read(len(GREETING)) == GREETING
        connection.close()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda sock: sock.sendall(bytes([1, 0, 0, 0, 0, 200]) + bytes(200)), "it does not answer in TLS"),
        (lambda sock: sock.sendall(b"GET / HTTP/1.1\r\n\r\n"), "it does not answer in TLS"),
    ],
)
def test_plain_user_of_a_provider_is_told(
    authority: Authority, theirs: Identity, call: Callable[[socket.socket], object], words: str
):
    with calling(call) as sock, pytest.raises(TlsFailed, match=words):
        provide(sock, theirs.settings(authority))


def test_users_without_a_trusted_certificate_are_refused(
    authority: Authority, other_authority: Authority, theirs: Identity
):
    tls = theirs.settings(authority)
    with (
        calling(speak_tls(replace(tls, certificate=""))) as sock,
        pytest.raises(TlsFailed, match="showed no"),
    ):
        provide(sock, tls)
    stranger = other_authority.issue("adit").settings(authority)
    with calling(speak_tls(stranger)) as sock, pytest.raises(TlsFailed, match="USER is not accepted"):
        provide(sock, tls)


@pytest.mark.parametrize("call", [lambda sock: sock.recv(1), lambda sock: sock.sendall(b"\x16\x03")])
def test_user_that_does_not_finish_the_handshake_ends_in_time(
    authority: Authority, theirs: Identity, call: Callable[[socket.socket], object]
):
    with calling(call) as sock, pytest.raises(ConnectionFailed, match="handshake"):
        provide(sock, theirs.settings(authority))


def test_user_that_has_left_before_the_handshake_is_told(authority: Authority, theirs: Identity):
    with calling(lambda _: None) as sock:
        sock.shutdown(socket.SHUT_RDWR)
        with pytest.raises(ConnectionFailed, match="ended the connection"):
            provide(sock, theirs.settings(authority))


def test_connection_of_a_provider_is_broken_off_by_the_socket_that_it_was_made_with(
    authority: Authority, theirs: Identity, ours: Identity
):
    with calling(speak_tls(ours.settings(authority))) as sock:
        connection = provide(sock, theirs.settings(authority))
        assert connection.read(len(GREETING)) == GREETING
        sock.shutdown(socket.SHUT_RDWR)
        with pytest.raises(ConnectionFailed):
            connection.read(1)
        connection.close()


def test_provider_without_tls_takes_plain_users():
    with calling(lambda sock: sock.sendall(GREETING)) as sock:
        connection = accept(sock, peer="USER", profile=ConnectionProfile())
        assert connection.read(len(GREETING)) == GREETING
        connection.close()


def test_provider_needs_a_certificate(authority: Authority):
    with pytest.raises(TlsFailed, match="needs a certificate"):
        server_context(TlsSettings(ca=authority.certificate))


def test_material_that_does_not_fit_is_told_without_asking_at_the_terminal(
    authority: Authority, theirs: Identity, ours: Identity
):
    good = ours.settings(authority)
    for bad in (
        replace(good, ca="no PEM"),
        replace(good, ca=""" -----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"""),
        replace(good, certificate="no PEM"),
        replace(good, private_key=""),
        replace(good, private_key=theirs.private_key),
        replace(good, private_key=encrypted(good.private_key, "secret")),
    ):
        with pytest.raises(TlsFailed, match="cannot be used"):
            client_context(bad)


def test_key_is_not_shown(ours: Identity, authority: Authority):
    profile = ConnectionProfile(tls=ours.settings(authority))
    assert ours.private_key.splitlines()[1] not in repr(profile)
