"""What is found out about DICOMweb servers that answer in unusual ways."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests

from adit_core.dicom.probe import Verdict
from adit_core.dicom.web_probe import WebAnswer, WebUrls, probe_web

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
    with requests.Session() as session:
        return probe_web(session, WebUrls(url, url, url), timeout=10)


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


def test_a_server_that_does_not_answer_is_told_without_its_url() -> None:
    with server(good) as url:
        pass

    answers = ask(url.replace("http://", "http://user:secret@"))

    assert {answer.verdict for answer in answers} == {Verdict.UNCLEAR}
    assert {answer.words for answer in answers} == {"no answer (ConnectionError)"}
