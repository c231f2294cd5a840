"""HTTPS with a node: whom we believe, who we are, and what is said when that does not fit."""

import ssl
from dataclasses import replace

import pytest
import requests

from adit_core.dicom.credentials import ClientCredentials
from adit_core.dicom.node import DicomWebNode
from adit_core.dicom.tls import TlsSettings, server_context
from adit_core.dicom.web_session import WebSession
from adit_core.errors import ConnectionFailed, PeerTimeout, TlsFailed
from tests.certificates import Authority, Identity
from tests.fakes.peer import FakePeer
from tests.fakes.web_peer import IMPATIENT, PATIENT, Exchange, FakeWebPeer, Script

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def hospital() -> Authority:
    return Authority("Hospital CA")


@pytest.fixture(scope="module")
def server(hospital: Authority) -> Identity:
    return hospital.issue(HOST)


@pytest.fixture(scope="module")
def client(hospital: Authority) -> Identity:
    return hospital.issue("adit")


def ok(exchange: Exchange) -> None:
    exchange.answer(200, b"ok")


def peer(identity: Identity, *, clients_of: Authority | None = None, script: Script = ok) -> FakeWebPeer:
    settings = TlsSettings(
        ca="" if clients_of is None else clients_of.certificate,
        certificate=identity.certificate,
        private_key=identity.private_key,
    )
    return FakeWebPeer(script, tls=server_context(settings))


def node(fake: FakeWebPeer, tls: TlsSettings | None, **changes: str) -> DicomWebNode:
    return fake.node(replace(PATIENT, tls=tls), **changes)


def ask(node: DicomWebNode) -> requests.Response:
    with WebSession(node) as session:
        response = session.ask(f"{node.base_url}/studies", accept="*/*")
        assert response.content is not None
        return response


def test_server_of_the_given_authority_is_believed(hospital: Authority, server: Identity):
    with peer(server) as fake:
        assert ask(node(fake, TlsSettings(ca=hospital.certificate))).content == b"ok"


@pytest.mark.parametrize("tls", [None, TlsSettings()])
def test_server_of_an_unknown_authority_is_not(server: Identity, tls: TlsSettings | None):
    with peer(server) as fake, pytest.raises(TlsFailed, match=r"fake .*certification authority"):
        ask(node(fake, tls))
    assert fake.targets == []


def test_server_of_another_authority_is_not_believed(server: Identity):
    with peer(server) as fake, pytest.raises(TlsFailed):
        ask(node(fake, TlsSettings(ca=Authority("Other CA").certificate)))


def test_expired_certificate_is_not_accepted(hospital: Authority):
    with peer(hospital.issue_expired(HOST)) as fake, pytest.raises(TlsFailed, match="expired"):
        ask(node(fake, TlsSettings(ca=hospital.certificate)))


def test_certificate_for_another_host_is_accepted_only_where_that_is_said(hospital: Authority):
    with peer(hospital.issue("pacs.example.org")) as fake:
        with pytest.raises(TlsFailed, match="another host name"):
            ask(node(fake, TlsSettings(ca=hospital.certificate)))
        settings = TlsSettings(ca=hospital.certificate, verify_host_name=False)
        assert ask(node(fake, settings)).content == b"ok"


def test_our_certificate_is_shown_to_a_server_that_asks_for_it(
    hospital: Authority, server: Identity, client: Identity
):
    with peer(server, clients_of=hospital) as fake:
        assert ask(node(fake, client.settings(hospital))).content == b"ok"


def test_server_that_misses_our_certificate_is_an_error(hospital: Authority, server: Identity):
    fake = peer(server, clients_of=hospital)
    with fake, pytest.raises((TlsFailed, ConnectionFailed), match="fake"):
        ask(node(fake, TlsSettings(ca=hospital.certificate)))
    assert fake.targets == []


def test_our_certificate_is_not_shown_to_other_servers(
    hospital: Authority, server: Identity, client: Identity
):
    shown: list[object] = []

    def look(exchange: Exchange) -> None:
        assert isinstance(exchange.sock, ssl.SSLSocket)
        shown.append(exchange.sock.getpeercert())
        ok(exchange)

    context = server_context(server.settings(hospital))
    context.verify_mode = ssl.CERT_OPTIONAL
    with FakeWebPeer(look, tls=context) as other:

        def redirect(exchange: Exchange) -> None:
            exchange.answer(302, headers={"Location": other.url})

        with peer(server, clients_of=hospital, script=redirect) as fake:
            assert ask(node(fake, client.settings(hospital))).content == b"ok"
    assert shown == [None]


def test_token_endpoint_of_the_hospital_is_believed(hospital: Authority, server: Identity):
    def token(exchange: Exchange) -> None:
        exchange.answer(200, b'{"access_token": "abc"}')

    with peer(server, script=token) as endpoint, peer(server) as fake:
        credentials = ClientCredentials(f"{endpoint.url}/token", "adit", "secret")
        profile = replace(PATIENT, tls=TlsSettings(ca=hospital.certificate), credentials=credentials)
        assert ask(fake.node(profile)).status_code == 200
    assert fake.exchanges[0].headers["authorization"] == "Bearer abc"


def test_server_behind_a_proxy_is_verified_and_sees_our_certificate(
    hospital: Authority, server: Identity, client: Identity
):
    with peer(server, clients_of=hospital) as fake:

        def tunnel(exchange: Exchange) -> None:
            assert exchange.method == "CONNECT"
            exchange.send_head(200)
            exchange.relay(fake.port)

        with FakeWebPeer(tunnel) as proxy:
            profile = replace(PATIENT, tls=client.settings(hospital), proxy=proxy.url)
            assert ask(fake.node(profile)).content == b"ok"
            with pytest.raises(TlsFailed):
                ask(fake.node(replace(PATIENT, proxy=proxy.url)))
            assert proxy.targets == [f"{HOST}:{fake.port}"] * 2


def test_server_without_tls_is_an_error(hospital: Authority):
    with FakePeer(lambda peer: peer.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as fake:
        profile = replace(PATIENT, tls=TlsSettings(ca=hospital.certificate))
        with pytest.raises(TlsFailed, match="does not answer in TLS"):
            ask(DicomWebNode("fake", f"https://{HOST}:{fake.node().port}", profile=profile))


def test_server_that_is_silent_in_the_handshake_is_given_up(hospital: Authority):
    # A script begins when a request is there; none ever is, for the handshake is waited for.
    profile = replace(IMPATIENT, tls=TlsSettings(ca=hospital.certificate))
    with FakeWebPeer(ok) as fake, pytest.raises((ConnectionFailed, PeerTimeout)):
        ask(fake.node(profile, base_url=f"https://{HOST}:{fake.port}"))
