"""HTTP with a node: credentials, tokens, redirects, proxies, and who gets to see what."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
import requests

from adit_core.dicom.credentials import (
    BasicCredentials,
    BearerToken,
    ClientCredentials,
    Credentials,
    HeaderCredentials,
)
from adit_core.dicom.node import ConnectionProfile, DicomWebNode
from adit_core.dicom.web_session import WebSession, peer_name
from adit_core.dicom.web_status import translated_failures
from adit_core.errors import (
    AditError,
    ConnectionFailed,
    OperationFailed,
    PeerBusy,
    PeerTimeout,
    ProtocolError,
)
from tests.fakes.web_peer import IMPATIENT, PATIENT, Exchange, FakeWebPeer, Script

SECRET = "geheim-ü"


def ok(exchange: Exchange) -> None:
    exchange.answer(200, b"ok")


def refused(exchange: Exchange) -> None:
    exchange.answer(401)


def redirect(url: Callable[[], str], status: int = 302) -> Script:
    return lambda exchange: exchange.answer(status, headers={"Location": url()})


def profile(credentials: Credentials | None = None, proxy: str = "") -> ConnectionProfile:
    return replace(PATIENT, credentials=credentials, proxy=proxy)


def ask(node: DicomWebNode, path: str = "/studies") -> requests.Response:
    with WebSession(node) as session:
        response = session.ask(node.base_url + path, accept="*/*")
        assert response.content is not None
        return response


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("credentials", "header", "value"),
    [
        (BasicCredentials("jörg", SECRET), "authorization", basic("jörg", SECRET)),
        (BearerToken("abc.def"), "authorization", "Bearer abc.def"),
        (HeaderCredentials("X-Api-Key", "k e y"), "x-api-key", "k e y"),
    ],
)
def test_credentials_are_sent_with_each_request(credentials: Credentials, header: str, value: str):
    with FakeWebPeer(ok) as fake:
        ask(fake.node(profile(credentials)))
    assert fake.exchanges[0].headers[header] == value


@pytest.mark.parametrize(
    "credentials",
    [
        BasicCredentials("user", SECRET),
        BearerToken(SECRET),
        HeaderCredentials("X-Api-Key", SECRET),
        ClientCredentials("http://127.0.0.1/token", "adit", SECRET),
    ],
)
def test_secrets_do_not_show_in_representations(credentials: Credentials):
    assert SECRET not in repr(DicomWebNode("a", "http://a", profile=profile(credentials)))
    assert SECRET not in repr(profile(proxy=f"http://user:{SECRET}@proxy"))


@pytest.mark.parametrize("credentials", [BearerToken("abc"), HeaderCredentials("X-Api-Key", "abc")])
def test_credentials_do_not_follow_a_redirect_to_another_server(credentials: Credentials):
    with FakeWebPeer(ok) as other, FakeWebPeer(redirect(lambda: f"{other.url}/elsewhere")) as fake:
        assert ask(fake.node(profile(credentials))).status_code == 200
    assert other.targets == ["/elsewhere"]
    assert "abc" not in "".join(other.exchanges[0].headers.values())
    assert "abc" in "".join(fake.exchanges[0].headers.values())


def test_credentials_follow_a_redirect_within_the_server():
    with FakeWebPeer(redirect(lambda: "/new/studies"), ok) as fake:
        ask(fake.node(profile(BearerToken("abc"))))
    assert fake.targets == ["/dicom-web/studies", "/new/studies"]
    assert fake.exchanges[1].headers["authorization"] == "Bearer abc"


def test_endless_redirects_are_given_up():
    fake = FakeWebPeer(redirect(lambda: "/dicom-web/studies"))
    with fake, pytest.raises(OperationFailed):
        ask(fake.node())
    assert len(fake.targets) < 10


def test_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch):
    with FakeWebPeer(ok) as other, FakeWebPeer(ok) as fake:
        monkeypatch.setenv("HTTP_PROXY", other.url)
        monkeypatch.setenv("http_proxy", other.url)
        ask(fake.node())
    assert (len(fake.targets), other.targets) == (1, [])


def test_proxy_of_the_profile_is_used_with_its_credentials():
    with FakeWebPeer(ok) as proxy:
        url = proxy.url.replace("http://", "http://user:secret@")
        ask(DicomWebNode("a", "http://pacs.invalid/dicom-web", profile=profile(proxy=url)))
    (exchange,) = proxy.exchanges
    assert exchange.target == "http://pacs.invalid/dicom-web/studies"
    assert exchange.headers["proxy-authorization"] == basic("user", "secret")


def test_proxy_that_is_not_there_is_no_connection():
    with FakeWebPeer(ok) as gone:
        url = gone.url
    node = DicomWebNode("a", "http://pacs.invalid/dicom-web", profile=profile(proxy=url))
    with pytest.raises(ConnectionFailed, match="a "):
        ask(node)


def test_server_that_is_not_there_is_no_connection():
    with FakeWebPeer(ok) as fake:
        node = fake.node()
    with pytest.raises(ConnectionFailed, match="No connection to fake"):
        ask(node)


def test_unknown_host_is_no_connection():
    with pytest.raises(ConnectionFailed, match="No connection to a"):
        ask(DicomWebNode("a", "http://pacs.invalid/dicom-web"))


@pytest.mark.parametrize("url", ["pacs/dicom-web", "ftp://pacs", "http://"])
def test_url_that_is_none_is_a_failure(url: str):
    with pytest.raises(AditError):
        ask(DicomWebNode("a", url))


def test_silent_server_is_given_up():
    with FakeWebPeer(Exchange.stall) as fake, pytest.raises(PeerTimeout):
        ask(fake.node(IMPATIENT))


def test_connection_is_used_again_and_a_closed_one_is_not():
    def last(exchange: Exchange) -> None:
        ok(exchange)
        exchange.close()

    with FakeWebPeer(ok, last, ok) as fake, WebSession(fake.node()) as session:
        for _ in range(3):
            assert session.ask(f"{fake.url}/", accept="*/*").content == b"ok"
    assert fake.connections == 2


def part_of_an_answer(exchange: Exchange) -> None:
    exchange.send(b"HT")
    exchange.close()


@pytest.mark.parametrize("end", [Exchange.close, Exchange.reset])
def test_request_is_repeated_if_the_server_had_just_closed_the_kept_connection(
    end: Callable[[Exchange], None],
):
    def gone(exchange: Exchange) -> None:
        assert exchange.body == b"whole"
        end(exchange)

    with FakeWebPeer(ok, gone, ok) as fake, WebSession(fake.node()) as session:
        for _ in range(2):
            assert session.post(f"{fake.url}/studies", data=b"whole", stream=False).content == b"ok"
    assert [exchange.body for exchange in fake.exchanges] == [b"whole"] * 3
    assert fake.connections == 2


@pytest.mark.parametrize(
    ("scripts", "requests_sent"),
    [
        ((Exchange.close, ok), 1),  # a new connection
        ((ok, Exchange.close, Exchange.close, ok), 3),
        ((ok, part_of_an_answer, ok), 2),
    ],
)
def test_request_is_not_repeated_if_the_server_broke_off_otherwise(
    scripts: tuple[Script, ...], requests_sent: int
):
    def ask_twice() -> None:
        for _ in range(2):
            assert session.ask(f"{fake.url}/", accept="*/*").content == b"ok"

    fake = FakeWebPeer(*scripts)
    with fake, WebSession(fake.node()) as session, pytest.raises((ConnectionFailed, ProtocolError)):
        ask_twice()
    assert len(fake.exchanges) == requests_sent


def test_request_is_not_repeated_if_its_body_cannot_be_sent_again():
    with FakeWebPeer(ok, Exchange.close, ok) as fake, WebSession(fake.node()) as session:
        assert session.ask(f"{fake.url}/", accept="*/*").content == b"ok"
        with pytest.raises(requests.ConnectionError):
            session.post(f"{fake.url}/studies", data=iter([b"once"]))
    assert len(fake.exchanges) == 2


def test_name_of_a_node_has_no_password_in_it():
    assert peer_name(DicomWebNode("a", "https://user:pw@host:8/dicom-web")) == "a (https://host:8/dicom-web)"


def test_messages_of_errors_have_no_query_in_them():
    def failing(exchange: Exchange) -> None:
        exchange.reset()

    with FakeWebPeer(failing) as fake, pytest.raises(ConnectionFailed) as caught:
        ask(fake.node(), "/studies?PatientName=Sample%5EAnna")
    assert "Sample" not in str(caught.value)
    assert caught.value.__suppress_context__


class TokenEndpoint:
    """Hands out numbered tokens, as a server with client credentials does."""

    def __init__(self, expires_in: object = 3600, wants_basic: bool = True) -> None:
        self.expires_in = expires_in
        self.wants_basic = wants_basic
        self.count = 0
        self.forms: list[dict[str, list[str]]] = []

    def __call__(self, exchange: Exchange) -> None:
        assert (exchange.method, exchange.target) == ("POST", "/token")
        form = parse_qs(exchange.body.decode())
        self.forms.append(form)
        by_basic = exchange.headers.get("authorization") == basic("adit", SECRET)
        by_form = form.get("client_secret") == [SECRET]
        if not (by_basic if self.wants_basic else by_form):
            exchange.send_head(401, {"Content-Length": "0"})
            return
        self.count += 1
        token = f'{{"access_token": "token-{self.count}", "expires_in": {self.expires_in}}}'.encode()
        exchange.send_head(200, {"Content-Length": str(len(token))})
        exchange.send(token)


def accepting(token: str) -> Script:
    """Return a script of a server that knows one token."""
    return lambda exchange: exchange.answer(
        200 if exchange.headers["authorization"] == f"Bearer {token}" else 401
    )


def by_client(endpoint: FakeWebPeer, scope: str = "") -> ConnectionProfile:
    return profile(ClientCredentials(f"{endpoint.url}/token", "adit", SECRET, scope))


def test_token_is_fetched_once_for_all_sessions():
    tokens = TokenEndpoint()
    with FakeWebPeer(tokens) as endpoint, FakeWebPeer(accepting("token-1")) as fake:
        node = fake.node(by_client(endpoint, "pacs read"))
        assert [ask(node).status_code for _ in range(3)] == [200] * 3
    assert tokens.forms == [{"grant_type": ["client_credentials"], "scope": ["pacs read"]}]
    assert all("authorization" in exchange.headers for exchange in endpoint.exchanges)


def test_secret_goes_into_the_body_if_the_server_wants_it_there():
    tokens = TokenEndpoint(wants_basic=False)
    with FakeWebPeer(tokens) as endpoint, FakeWebPeer(accepting("token-1")) as fake:
        assert ask(fake.node(by_client(endpoint))).status_code == 200
    assert tokens.forms[1]["client_id"] == ["adit"]
    assert "authorization" not in endpoint.exchanges[1].headers


def test_token_is_renewed_before_it_expires():
    tokens = TokenEndpoint(expires_in=0)
    with FakeWebPeer(tokens) as endpoint, FakeWebPeer(accepting("token-1"), accepting("token-2")) as fake:
        node = fake.node(by_client(endpoint))
        assert [ask(node).status_code for _ in range(2)] == [200, 200]
    assert tokens.count == 2


def test_token_that_is_refused_is_renewed_once():
    tokens = TokenEndpoint()
    with FakeWebPeer(tokens) as endpoint, FakeWebPeer(accepting("token-2")) as fake:
        assert ask(fake.node(by_client(endpoint))).status_code == 200
        assert len(fake.targets) == 2
    tokens = TokenEndpoint()
    with FakeWebPeer(tokens) as endpoint, FakeWebPeer(refused) as fake:
        assert ask(fake.node(by_client(endpoint))).status_code == 401
        assert len(fake.targets) == 2


def test_static_credentials_that_are_refused_are_not_tried_again():
    with FakeWebPeer(refused) as fake:
        assert ask(fake.node(profile(BearerToken("abc")))).status_code == 401
    assert len(fake.targets) == 1


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (refused, OperationFailed),
        (lambda exchange: exchange.answer(503), PeerBusy),
        (lambda exchange: exchange.answer(302, headers={"Location": "/"}), OperationFailed),
        (lambda exchange: exchange.answer(200, b"<html>"), ProtocolError),
        (lambda exchange: exchange.answer(200, b"[1]"), ProtocolError),
        (lambda exchange: exchange.answer(200, b'{"error": "geheim"}'), ProtocolError),
        (
            lambda exchange: exchange.answer(200, b'{"access_token": "a", "expires_in": "soon"}'),
            ProtocolError,
        ),
        (Exchange.reset, ConnectionFailed),
    ],
)
def test_failing_token_endpoint_is_named_but_not_quoted(script: Script, error: type[AditError]):
    with FakeWebPeer(script) as endpoint, FakeWebPeer(ok) as fake:
        with pytest.raises(error, match="token endpoint of fake") as caught:
            ask(fake.node(by_client(endpoint)))
        assert fake.targets == []
    assert "geheim" not in str(caught.value)


def test_errors_of_ours_pass_through_the_translation():
    with pytest.raises(PeerBusy), translated_failures("peer"):
        raise PeerBusy("x")
