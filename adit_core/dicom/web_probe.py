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

from adit_core.dicom.dicom_json import MEDIA_TYPE
from adit_core.dicom.node import DicomWebNode, WebService
from adit_core.dicom.probe import Verdict
from adit_core.dicom.wado import ANY_SYNTAX
from adit_core.dicom.web_session import WebSession, service_url
from adit_core.dicom.web_status import in_words, translated_failures
from adit_core.errors import AditError

_ANY_JSON = frozenset({MEDIA_TYPE, "application/json"})
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
class WebAnswer:
    """What a server does with a DICOMweb service."""

    service: WebService
    verdict: Verdict
    words: str = ""
    """Why, where the verdict does not say all."""
    is_reached: bool = True
    """Whether there was an answer at all."""


def probe_web(node: DicomWebNode) -> tuple[WebAnswer, ...]:
    """Ask `node` for each service, with all that its profile says; its services do not matter.

    That a server is not reached, or refuses us, is part of the answers and does not raise.

    Raises:
        TlsFailed: A certificate or the key of the profile cannot be used.
    """
    with WebSession(node) as session:
        probe = _WebProbe(session, node)
        return probe.qido(), probe.wado(), probe.stow()


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer to a search, a retrieval or a storing; the status is None if none came."""

    status: int | None
    media_type: str = ""
    words: str = ""
    results: tuple[dict[str, Any], ...] = ()


class _WebProbe:
    def __init__(self, session: WebSession, node: DicomWebNode) -> None:
        self._session = session
        self._qido = service_url(node, node.qido_prefix)
        self._wado = service_url(node, node.wado_prefix)
        self._stow = service_url(node, node.stow_prefix)

    def qido(self) -> WebAnswer:
        reply = self._search(f"{self._qido}/studies")
        is_answer = reply.status == HTTPStatus.NO_CONTENT or reply.media_type in _ANY_JSON
        return _judged(WebService.QIDO, reply, is_success=_is_success(reply) and is_answer)

    def wado(self) -> WebAnswer:
        path = self._path_of_an_instance()
        if path is not None:
            reply = self._retrieve(f"{self._wado}{path}")
            return _judged(
                WebService.WADO, reply, is_success=_is_success(reply) and reply.media_type in _DICOM
            )
        reply = self._retrieve(f"{self._wado}/studies/2.25.{uuid4().int}")
        if reply.status == HTTPStatus.NOT_FOUND:  # the study, or the service?
            return WebAnswer(WebService.WADO, Verdict.UNCLEAR, "no instance was found to ask for")
        return _judged(WebService.WADO, reply, is_success=False)

    def stow(self) -> WebAnswer:
        content_type = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
        headers = {"Content-Type": content_type, "Accept": MEDIA_TYPE}
        reply = self._ask("POST", f"{self._stow}/studies", headers, data=_NO_PARTS)
        return _judged(WebService.STOW, reply, is_success=reply.status in _NOTHING_TO_STORE)

    def _path_of_an_instance(self) -> str | None:
        """Return the path of one instance, from the first study and series that a search names."""
        path = ""
        for level, tag in (("studies", _STUDY_UID), ("series", _SERIES_UID), ("instances", _INSTANCE_UID)):
            uid = next(_uids(self._search(f"{self._qido}{path}/{level}"), tag), None)
            if uid is None:
                return None
            path = f"{path}/{level}/{quote(uid, safe='')}"
        return path

    def _search(self, url: str) -> _Reply:
        return self._ask("GET", url, {"Accept": MEDIA_TYPE}, params={"limit": "1"})

    def _retrieve(self, url: str) -> _Reply:
        return self._ask("GET", url, {"Accept": ANY_SYNTAX})

    def _ask(self, method: str, url: str, headers: dict[str, str], **request: Any) -> _Reply:
        """Send a request and read what matters of the answer; of instances, nothing but the header."""
        try:
            with (
                translated_failures(self._session.peer),
                self._session.request(method, url, headers=headers, stream=True, **request) as response,
            ):
                media_type = _media_type(response)
                results = _results(response) if media_type in _ANY_JSON and method == "GET" else ()
                return _Reply(response.status_code, media_type, results=results)
        except AditError as error:  # its own, or one of the server that gives out tokens
            return _Reply(None, words=str(error))


def _judged(service: WebService, reply: _Reply, *, is_success: bool) -> WebAnswer:
    """Judge a reply: by `is_success` where it is one, else by its status."""
    if is_success:
        return WebAnswer(service, Verdict.SUPPORTED)
    if reply.status is None:
        return WebAnswer(service, Verdict.UNCLEAR, reply.words, is_reached=False)
    words = in_words(reply.status)
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
