"""Finding out which DICOMweb services a server really supports, by asking it (PS3.18 10).

A search asks for one study, whichever that is; a retrieval for one instance of it, of which the header
of the answer is enough; a storing for nothing at all, which a server refuses in its own words or takes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import requests

from adit_core.dicom.probe import Verdict

QIDO, WADO, STOW = "QIDO-RS", "WADO-RS", "STOW-RS"

_JSON = "application/dicom+json"
_ANY_JSON = frozenset({_JSON, "application/json"})
_INSTANCE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_DICOM = frozenset({"multipart/related", "application/dicom"})
_BOUNDARY = "nothing"
_NO_PARTS = f"--{_BOUNDARY}--\r\n".encode()
_LONGEST_ANSWER = 1 << 20
"""Of a search for one result, in bytes; who answers more does not know the limit."""

_STUDY_UID, _SERIES_UID, _INSTANCE_UID = "0020000D", "0020000E", "00080018"

_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_UNSUPPORTED = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE, HTTPStatus.NOT_IMPLEMENTED}
)
_NOTHING_TO_STORE = frozenset(
    {
        HTTPStatus.OK,
        HTTPStatus.ACCEPTED,
        HTTPStatus.NO_CONTENT,
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.CONFLICT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
"""What servers that can store answer to a request without instances (PS3.18 table 10.5.3-1)."""


@dataclass(frozen=True, slots=True)
class WebUrls:
    """Where each service is, without a slash at the end; ``/studies`` follows."""

    qido: str
    wado: str
    stow: str


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """What a server does with a DICOMweb service."""

    service: str
    verdict: Verdict
    words: str = ""
    """Why, where the verdict does not say all."""


def probe_web(session: requests.Session, urls: WebUrls, *, timeout: float) -> tuple[WebAnswer, ...]:
    """Ask for each service over `session`, which knows credentials and certificates; never raises.

    `timeout` is for each answer to begin, in seconds.
    """
    probe = _WebProbe(session, urls, timeout)
    return probe.qido(), probe.wado(), probe.stow()


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer to a search, a retrieval or a storing; the status is None if none came."""

    status: int | None
    media_type: str = ""
    words: str = ""
    results: tuple[dict[str, Any], ...] = ()


class _WebProbe:
    def __init__(self, session: requests.Session, urls: WebUrls, timeout: float) -> None:
        self._session = session
        self._urls = urls
        self._timeout = timeout

    def qido(self) -> WebAnswer:
        reply = self._search(f"{self._urls.qido}/studies")
        is_answer = reply.status == HTTPStatus.NO_CONTENT or reply.media_type in _ANY_JSON
        return _judged(QIDO, reply, is_success=_is_success(reply) and is_answer)

    def wado(self) -> WebAnswer:
        path = self._path_of_an_instance()
        if path is not None:
            reply = self._retrieve(f"{self._urls.wado}{path}")
            return _judged(WADO, reply, is_success=_is_success(reply) and reply.media_type in _DICOM)
        reply = self._retrieve(f"{self._urls.wado}/studies/2.25.{uuid4().int}")
        if reply.status == HTTPStatus.NOT_FOUND:  # the study, or the service?
            return WebAnswer(WADO, Verdict.UNCLEAR, "no instance was found to ask for")
        return _judged(WADO, reply, is_success=False)

    def stow(self) -> WebAnswer:
        content_type = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
        headers = {"Content-Type": content_type, "Accept": _JSON}
        reply = self._ask("POST", f"{self._urls.stow}/studies", headers, data=_NO_PARTS)
        return _judged(STOW, reply, is_success=reply.status in _NOTHING_TO_STORE)

    def _path_of_an_instance(self) -> str | None:
        """Return the path of one instance, from the first study and series that a search names."""
        path = ""
        for level, tag in (("studies", _STUDY_UID), ("series", _SERIES_UID), ("instances", _INSTANCE_UID)):
            uid = next(_uids(self._search(f"{self._urls.qido}{path}/{level}"), tag), None)
            if uid is None:
                return None
            path = f"{path}/{level}/{quote(uid, safe='')}"
        return path

    def _search(self, url: str) -> _Reply:
        return self._ask("GET", url, {"Accept": _JSON}, params={"limit": "1"})

    def _retrieve(self, url: str) -> _Reply:
        return self._ask("GET", url, {"Accept": _INSTANCE})

    def _ask(self, method: str, url: str, headers: dict[str, str], **request: Any) -> _Reply:
        """Send a request and read what matters of the answer; of instances, nothing but the header."""
        try:
            with self._session.request(
                method, url, headers=headers, stream=True, timeout=self._timeout, **request
            ) as response:
                media_type = _media_type(response)
                results = _results(response) if media_type in _ANY_JSON and method == "GET" else ()
                return _Reply(response.status_code, media_type, results=results)
        except requests.RequestException as error:
            # Its text holds the URL, and that may hold a password.
            return _Reply(None, words=f"no answer ({type(error).__name__})")


def _judged(service: str, reply: _Reply, *, is_success: bool) -> WebAnswer:
    """Judge a reply: by `is_success` where it is one, else by its status."""
    if is_success:
        return WebAnswer(service, Verdict.SUPPORTED)
    if reply.status is None:
        return WebAnswer(service, Verdict.UNCLEAR, reply.words)
    words = f"HTTP status {reply.status}"
    if reply.status in _REFUSED:
        return WebAnswer(service, Verdict.REFUSED, words)
    if reply.status in _UNSUPPORTED:
        return WebAnswer(service, Verdict.UNSUPPORTED, words)
    return WebAnswer(service, Verdict.UNCLEAR, f"{words}, {reply.media_type or 'without a content type'}")


def _is_success(reply: _Reply) -> bool:
    return reply.status is not None and 200 <= reply.status < 300


def _media_type(response: requests.Response) -> str:
    header = Message()
    header["Content-Type"] = response.headers.get("Content-Type", "")
    return header.get_content_type() if response.headers.get("Content-Type") else ""


def _results(response: requests.Response) -> tuple[dict[str, Any], ...]:
    """Return the results of a search, none if they cannot be read."""
    content = bytearray()
    for chunk in response.iter_content(1 << 16):
        content += chunk
        if len(content) > _LONGEST_ANSWER:
            return ()
    try:
        found = json.loads(content)
    except ValueError:
        return ()
    return tuple(each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()


def _uids(reply: _Reply, tag: str) -> Iterator[str]:
    """Yield the values of a UID in DICOM JSON (PS3.18 F.2)."""
    for result in reply.results:
        element = result.get(tag)
        values = element.get("Value") if isinstance(element, dict) else None
        if isinstance(values, list) and values and isinstance(values[0], str):
            yield values[0]
