"""What is found out about DICOMweb servers that answer in unusual ways."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from adit_core.dicom.credentials import (
    BasicCredentials,
    BearerToken,
    ClientCredentials,
    Credentials,
    HeaderCredentials,
)
from adit_core.dicom.node import DicomWebNode, WebService
from adit_core.dicom.probe import Verdict
from adit_core.dicom.tls import TlsSettings, server_context
from adit_core.dicom.web_probe import WebAnswer, probe_web
from adit_core.services.node_differences import web_differences
from tests.certificates import Authority
from tests.fakes.web_peer import IMPATIENT, PATIENT, Exchange, FakeWebPeer

JSON = "application/dicom+json"
DICOM = 'multipart/related; type="application/dicom"; boundary=x'
Answer = tuple[int, str, bytes]
Behaviour = Callable[[str, str], Answer]


def found(tag: str, uid: object) -> bytes:
    return json.dumps([{tag: {"vr": "UI", "Value": [uid]}}]).encode()


def good(method: str, path: str) -> Answer:
    """Answer as a server that supports all three, and has one study."""
    if method == "POST":
        return 400, "text/plain", b"no parts"
    searches = {
        "/studies?limit=1": found("0020000D", "1.2.3"),
        "/studies/1.2.3/series?limit=1": found("0020000E", "1.2.3.4"),
        "/studies/1.2.3/series/1.2.3.4/instances?limit=1": found("00080018", "1.2.3.4.5"),
    }
    if path in searches:
        return 200, JSON, searches[path]
    assert path == "/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5"
    return 200, DICOM, b"--x--"


@contextmanager
def server(behave: Behaviour) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer("GET")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer("POST")

        def answer(self, method: str) -> None:
            status, media_type, body = behave(method, self.path)
            self.send_response(status)
            if media_type:
                self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - so it is called
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_port}"
        finally:
            listener.shutdown()
            thread.join()


def ask(url: str) -> tuple[WebAnswer, ...]:
    return probe_web(DicomWebNode("WEB", url, profile=PATIENT))


def verdicts(behave: Behaviour) -> list[Verdict]:
    with server(behave) as url:
        return [answer.verdict for answer in ask(url)]


def test_a_server_that_supports_everything() -> None:
    assert verdicts(good) == [Verdict.SUPPORTED] * 3


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (401, Verdict.REFUSED),
        (403, Verdict.REFUSED),
        (405, Verdict.UNSUPPORTED),
        (501, Verdict.UNSUPPORTED),
        (500, Verdict.UNCLEAR),
        (503, Verdict.UNCLEAR),
    ],
)
def test_failures_are_judged_by_their_status(status: int, verdict: Verdict) -> None:
    assert verdicts(lambda _method, _path: (status, "text/plain", b"no")) == [verdict] * 3


def test_a_page_to_sign_in_at_is_no_answer() -> None:
    qido, wado, _ = verdicts(lambda _method, _path: (200, "text/html", b"<html>"))

    assert (qido, wado) == (Verdict.UNCLEAR, Verdict.UNCLEAR)


def test_an_instance_that_comes_as_something_else_is_unclear() -> None:
    def behave(method: str, path: str) -> Answer:
        answer = good(method, path)
        return (200, "image/jpeg", b"") if answer[1] == DICOM else answer

    assert verdicts(behave) == [Verdict.SUPPORTED, Verdict.UNCLEAR, Verdict.SUPPORTED]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"[1]",
        b"no JSON",
        b"[{}]",
        b'[{"0020000D": 1}]',
        b'[{"0020000D": {"Value": "1"}}]',
        b'[{"0020000D": {"Value": []}}]',
        found("0020000D", 7),
        b"[" + b" " * (2 << 20) + b"]",
    ],
    ids=range(11),
)
def test_searches_that_name_no_study_leave_the_retrieval_unclear(body: bytes) -> None:
    def behave(method: str, path: str) -> Answer:
        if path.startswith("/studies/2.25."):
            return 404, "text/plain", b""
        return (200, JSON, body) if method == "GET" else good(method, path)

    assert verdicts(behave) == [Verdict.SUPPORTED, Verdict.UNCLEAR, Verdict.SUPPORTED]


def test_a_server_that_finds_nothing_may_say_so_by_its_status() -> None:
    def behave(method: str, path: str) -> Answer:
        return (204, "", b"") if "limit" in path else (404, "", b"")

    assert verdicts(behave) == [Verdict.SUPPORTED, Verdict.UNCLEAR, Verdict.UNSUPPORTED]


def harm(node: DicomWebNode) -> set[str]:
    return {each.about for each in web_differences(node, probe_web(node)) if each.is_harmful}


def scripted(exchange: Exchange) -> None:
    """Answer as `good` does, to requests that may have a prefix before their path."""
    status, media_type, body = good(exchange.method, exchange.target.removeprefix("/dicom-web"))
    exchange.answer(status, body, {"Content-Type": media_type})


@pytest.mark.parametrize("script", [Exchange.close, Exchange.reset, Exchange.stall])
def test_a_server_that_does_not_answer_is_harmful_once(script: Callable[[Exchange], object]) -> None:
    with FakeWebPeer(script) as peer:
        node = peer.node(IMPATIENT)
        answers = probe_web(node)

    assert {(answer.verdict, answer.is_reached) for answer in answers} == {(Verdict.UNCLEAR, False)}
    (difference,) = web_differences(node, answers)
    assert (difference.about, difference.is_harmful) == ("connection", True)
    assert "fake (http://127.0.0.1" in difference.message


@pytest.mark.parametrize(
    ("credentials", "header", "value"),
    [
        (BasicCredentials("adit", "x"), "authorization", "Basic YWRpdDp4"),
        (BearerToken("x"), "authorization", "Bearer x"),
        (HeaderCredentials("X-Key", "x"), "x-key", "x"),
    ],
    ids=["basic", "bearer", "header"],
)
def test_each_question_has_the_credentials_of_the_profile(
    credentials: Credentials, header: str, value: str
) -> None:
    with FakeWebPeer(scripted) as peer:
        answers = probe_web(peer.node(replace(PATIENT, credentials=credentials)))

    assert [answer.verdict for answer in answers] == [Verdict.SUPPORTED] * 3
    assert {exchange.headers.get(header) for exchange in peer.exchanges} == {value}


def test_a_token_that_is_refused_to_us_is_told() -> None:
    with FakeWebPeer(lambda exchange: exchange.answer(401)) as tokens, FakeWebPeer(scripted) as peer:
        credentials = ClientCredentials(f"{tokens.url}/token", "adit", "hidden")
        node = peer.node(replace(PATIENT, credentials=credentials))
        (difference,) = web_differences(node, probe_web(node))

    assert (difference.about, difference.is_harmful) == ("connection", True)
    assert "the token endpoint of fake: fetching a token ended with HTTP status 401" in difference.message
    assert peer.exchanges == []


def test_questions_go_through_the_proxy_of_the_profile() -> None:
    def forward(exchange: Exchange) -> None:
        exchange.target = exchange.target.removeprefix("http://pacs.example.org")
        scripted(exchange)

    with FakeWebPeer(forward) as proxy:
        profile = replace(PATIENT, proxy=proxy.url)
        node = DicomWebNode("WEB", "http://pacs.example.org/dicom-web", profile=profile)
        assert harm(node) == set()

    assert len(proxy.exchanges) == 6


def test_the_profile_says_who_is_trusted(authority: Authority) -> None:
    ours = authority.issue("adit").settings(authority)
    with FakeWebPeer(scripted, tls=server_context(authority.issue("127.0.0.1").settings(authority))) as peer:
        for tls, expected in (
            (ours, set()),
            (None, {"connection"}),
            (TlsSettings(ca=authority.certificate), {"connection"}),
            (replace(ours, ca=Authority("Other CA").certificate), {"connection"}),
        ):
            assert harm(peer.node(replace(PATIENT, tls=tls))) == expected


def test_each_service_is_asked_for_behind_its_prefix() -> None:
    def behave(exchange: Exchange) -> None:
        exchange.target = exchange.target.replace("/dicom-web", "", 1)
        prefix, _, path = exchange.target.removeprefix("/").partition("/")
        prefixes.add(prefix)
        status, media_type, body = good(exchange.method, f"/{path}")
        exchange.answer(status, body, {"Content-Type": media_type})

    prefixes: set[str] = set()
    with FakeWebPeer(behave) as peer:
        node = peer.node(PATIENT, qido_prefix="q", wado_prefix="w", stow_prefix="s")
        assert harm(node) == set()

    assert prefixes == {"q", "w", "s"}


@pytest.mark.parametrize(
    ("status", "configured", "found"),
    [
        (403, set(WebService), {("QIDO-RS", True), ("WADO-RS", True), ("STOW-RS", True)}),
        (501, {WebService.STOW}, {("STOW-RS", True)}),
        (500, {WebService.QIDO}, {("QIDO-RS", False)}),
        (500, set(), set()),
    ],
)
def test_what_a_server_denies_is_harmful_if_it_is_configured(
    status: int, configured: set[WebService], found: set[tuple[str, bool]]
) -> None:
    with FakeWebPeer(lambda exchange: exchange.answer(status)) as peer:
        node = peer.node(services=frozenset(configured))
        differences = list(web_differences(node, probe_web(node)))

    assert {(each.about, each.is_harmful) for each in differences} == found


def test_what_a_server_supports_besides_its_configuration_is_told_as_such() -> None:
    with FakeWebPeer(scripted) as peer:
        node = peer.node(services=frozenset({WebService.QIDO}))
        differences = list(web_differences(node, probe_web(node)))

    assert {(each.about, each.is_harmful) for each in differences} == {("WADO-RS", False), ("STOW-RS", False)}
