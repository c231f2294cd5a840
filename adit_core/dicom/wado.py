"""WADO-RS: retrieving instances over HTTP (PS3.18 10.4)."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus

import requests

from adit_core.dicom.multipart import MalformedBody, MediaType, MultipartReader, Part, TruncatedBody
from adit_core.dicom.node import DicomWebNode
from adit_core.dicom.part10 import split_file
from adit_core.dicom.ports import Inlet, RetrieveRequest, SeriesPart, Source
from adit_core.dicom.web_session import WebSession, service_url, url_part
from adit_core.dicom.web_status import in_words, status_error, translated_failures
from adit_core.errors import (
    AditError,
    ConnectionFailed,
    InvalidInput,
    OperationFailed,
    ProtocolError,
    StudyNotFound,
)

_CHUNK = 1 << 18
ANY_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=*'
"""As they are stored: Orthanc fails on JPEG 2000 if it is not told that this is welcome."""
_MOST_FAILURES_IN_A_ROW = 10

_DELIVERING = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})
_UNKNOWN = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_REFUSED_AS_ASKED = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_ACCEPTABLE,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)


class WebSource(Source):
    """Retrieves from an archive by WADO-RS; implements :class:`~adit_core.dicom.ports.Source`.

    Asked for is the study where it is wanted as a whole, else each series, else each instance. What
    comes goes into the inlet as it comes, in the transfer syntax that it is stored in. The status
    decides what is made of an answer:

    ===============================  ==============================================================
    200, 206                         take in what comes; of 206 something is missing, which is for
                                     the caller to find out
    204, 404, 410                    there is nothing
    400, 406, 409, 413, 500, 501     ask for the series, then for the instances: one that cannot be
                                     sent spoils the whole answer
    401, 403 and all others          the error of :func:`~adit_core.dicom.web_status.status_error`
    ===============================  ==============================================================
    """

    def __init__(self, node: DicomWebNode) -> None:
        self._node = node
        self._session = WebSession(node)

    def close(self) -> None:
        """Close the connections, without raising."""
        self._session.close()

    def retrieve(self, request: RetrieveRequest, inlet: Inlet) -> None:
        """Put the instances of `request` into `inlet`, as they come.

        Raises:
            StudyNotFound, OperationFailed, ProtocolError: Not one instance came, and this is why.
            PeerBusy, PeerTimeout, ConnectionFailed: The retrieval ended early; what had come
                completely has gone into `inlet`.
            Exception: What `inlet` raised; the connection was closed then.
        """
        retrieval = _Retrieval(self._session, inlet)
        for wish in _wishes(service_url(self._node, self._node.wado_prefix), request):
            retrieval.fetch(wish)
        retrieval.raise_failure()


@dataclass(frozen=True, slots=True)
class _Wish:
    """A resource to be retrieved, and the smaller ones that it consists of."""

    url: str
    name: str
    parts: "tuple[_Wish, ...]" = ()


class _Retrieval:
    """One retrieval: knows whether something came, and why the rest did not."""

    def __init__(self, session: WebSession, inlet: Inlet) -> None:
        self._session = session
        self._inlet = inlet
        self._peer = session.peer
        self._received = 0
        self._failures_in_a_row = 0
        self._failure: AditError | None = None

    def fetch(self, wish: _Wish) -> None:
        """Retrieve a resource, in parts if it cannot be had as a whole."""
        if self._failures_in_a_row >= _MOST_FAILURES_IN_A_ROW:
            return
        with closing(self._session.ask(wish.url, accept=ANY_SYNTAX)) as response:
            if response.status_code in _DELIVERING:
                self._take_in(response, wish)
                return
        self._account_for(response.status_code, wish)
        if response.status_code in _REFUSED_AS_ASKED:
            for part in wish.parts:
                self.fetch(part)

    def raise_failure(self) -> None:
        """Raise why nothing came, if nothing came and there is a reason."""
        if self._failure is not None and not self._received:
            raise self._failure

    def _account_for(self, status: int, wish: _Wish) -> None:
        """Remember why a resource did not come, or raise it if others will not come either."""
        if status in _UNKNOWN:
            self._note(StudyNotFound(f"{self._peer} does not know {wish.name}: {in_words(status)}"))
        elif status in _REFUSED_AS_ASKED:
            self._failures_in_a_row += not wish.parts
            self._note(OperationFailed(f"{self._peer}: WADO-RS of {wish.name} ended with {in_words(status)}"))
        elif status != HTTPStatus.NO_CONTENT:
            raise status_error(status, f"{self._peer}: WADO-RS of {wish.name}")

    def _note(self, failure: AditError) -> None:
        self._failure = self._failure or failure

    def _take_in(self, response: requests.Response, wish: _Wish) -> None:
        try:
            for part in self._parts(response):
                self._take_in_part(part, wish)
        except TruncatedBody as error:
            raise ConnectionFailed(f"{self._peer} broke off in the middle of {wish.name}") from error
        except MalformedBody as error:
            raise ProtocolError(f"{self._peer} sent {wish.name} as a malformed multipart: {error}") from error

    def _take_in_part(self, part: Part, wish: _Wish) -> None:
        try:
            header, fragments = split_file(part.content)
        except InvalidInput:
            self._note(ProtocolError(f"{self._peer} sent something in {wish.name} that is no DICOM file"))
            return
        self._inlet.begin(header)
        for fragment in fragments:
            self._inlet.write(fragment)
        self._inlet.end()
        self._received += 1
        self._failures_in_a_row = 0

    def _parts(self, response: requests.Response) -> Iterator[Part]:
        """Yield the parts of an answer, which for a single instance may be just that."""
        media_type = MediaType.parse(response.headers.get("Content-Type", ""))
        read = _reader(response, self._peer)
        if media_type.name == "multipart/related" and media_type.boundary:
            yield from MultipartReader(read, media_type.boundary).parts()
        elif media_type.name == "application/dicom" and _tells_its_end(response):
            yield Part({}, map(memoryview, iter(read, b"")))
        else:
            raise ProtocolError(f"{self._peer} answered WADO-RS with {media_type.name} of an unusable kind")


def _reader(response: requests.Response, peer: str) -> Callable[[], bytes]:
    """Return what reads the next bytes of a body, none at its end."""

    def read() -> bytes:
        # Not more than is there: what has come whole is not to be lost if the connection breaks then.
        with translated_failures(peer):
            return response.raw.read1(_CHUNK, decode_content=True)

    return read


def _tells_its_end(response: requests.Response) -> bool:
    """Tell whether a body that ends early is noticed: otherwise half an instance would pass for a whole."""
    return "Content-Length" in response.headers or "Transfer-Encoding" in response.headers


def _wishes(base_url: str, request: RetrieveRequest) -> Iterator[_Wish]:
    uid = url_part(request.study.study_instance_uid)
    url, name = f"{base_url}/studies/{uid}", f"study {uid}"
    series = tuple(wish for part in request.parts for wish in _part_wishes(url, name, part))
    if request.whole and series:
        yield _Wish(url, name, series)
    else:
        yield from series


def _part_wishes(study_url: str, study_name: str, part: SeriesPart) -> Iterator[_Wish]:
    """Yield the whole series as one wish, or its instances."""
    uid = url_part(part.series.series_instance_uid)
    url, name = f"{study_url}/series/{uid}", f"series {uid} of {study_name}"
    uids = [instance.reference.sop_instance_uid for instance in part.instances]
    instances = tuple(
        _Wish(f"{url}/instances/{each}", f"instance {each} of {name}") for each in map(url_part, uids)
    )
    if part.whole and instances:
        yield _Wish(url, name, instances)
    else:
        yield from instances
