"""STOW-RS: handing instances to a DICOMweb server (PS3.18 10.5)."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from uuid import uuid4

import requests

from adit_core.dicom.command import is_sendable_uid
from adit_core.dicom.dicom_json import MEDIA_TYPE, JsonDataSet, has_sequence, read_items, values_of
from adit_core.dicom.manifest import found_in
from adit_core.dicom.multipart import beginning_of, encode_parts, encoded_length
from adit_core.dicom.node import DicomWebNode, Service, WebService
from adit_core.dicom.part10 import encode_file_header
from adit_core.dicom.ports import Delivery, Destination, ExpectedStudy, IncomingInstance
from adit_core.dicom.qido import WebSearcher
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.dicom.status import SUCCESS, in_words, is_out_of_resources
from adit_core.dicom.web_session import WebSession, service_url
from adit_core.dicom.web_status import in_words as http_in_words
from adit_core.dicom.web_status import status_error, translated_failures

_MOST_INSTANCES = 20
_MOST_BYTES = 4 << 20
"""How much goes into one request. It is held in memory: what is whole can be sent again."""
_PART = "application/dicom"

_NOT_NAMED = "not named among what was stored"
_TAKEN = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED})
_ABOUT_INSTANCES = _TAKEN | {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.CONFLICT,
    HTTPStatus.LENGTH_REQUIRED,  # of a large instance, whose length is not known before its end
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""Statuses that say something of what was sent. The others say that sending more is pointless."""


class WebDestination(Destination):
    """Delivers to an archive by STOW-RS; implements :class:`~adit_core.dicom.ports.Destination`.

    Small instances are gathered until they are whole, and go several in one request, and several
    requests at a time; one that is larger than that limit goes alone, as it comes. So a source that
    fails half-way costs nothing but its own instance: what is sent of it is broken off, and servers
    store whole parts only.

    What is made of the answer, for each instance:

    ==========================================  ===================================================
    named as failed                             a failure, with its reason
    named as stored                             taken, with a warning if there is one
    status 200, and not named                   taken: whoever verifies will find out
    any other status about instances, and       sent again alone if there were others in the
    not named                                   request, else a failure, with the status
    ==========================================  ===================================================
    """

    def __init__(self, node: DicomWebNode) -> None:
        self._node = node
        self._searcher = WebSearcher(node)
        self._session = WebSession(node)

    def close(self) -> None:
        """Close the connections, without raising."""
        self._searcher.close()
        self._session.close()

    def expect(self, expected: ExpectedStudy) -> Mapping[str, str]:  # noqa: ARG002 - nothing is negotiated
        """Take every series."""
        return {}

    def held(
        self,
        study: StudyReference,  # noqa: ARG002 - each series names its study
        series: Sequence[SeriesReference],
    ) -> frozenset[str] | None:
        """Return the SOP Instance UIDs that the archive has in `series`; None if it cannot be asked."""
        if WebService.QIDO not in self._node.services:
            return None
        return found_in(self._searcher, series)

    def deliver(self, instances: Iterable[IncomingInstance]) -> Iterator[Delivery]:
        """Send instances, several in a request, and yield what became of each, in the same order.

        Raises:
            AditError: A request failed; what came with it was not taken, as far as we know.
            Exception: What an instance's fragments raised; what had come before it was delivered,
                and the connection was closed, so that the archive keeps nothing of it.
        """
        limit = self._node.profile.parallel_uploads
        with ThreadPoolExecutor(limit, "stow") as executor:
            uploads: deque[_Upload] = deque()
            for load in _loads(instances):
                if isinstance(load, list):
                    uploads.append(executor.submit(self._send_batch, load))
                    yield from _results(uploads, but=limit)
                else:
                    yield from _results(uploads)
                    yield self._settle(load)
            yield from _results(uploads)

    def _send_batch(self, batch: "Sequence[_Small]") -> list[Delivery]:
        receipt = self._post(_Batch(batch))
        deliveries = []
        for instance in batch:
            delivery = receipt.delivery(instance.uid)
            if delivery is None:
                is_alone = len(batch) == 1
                delivery = receipt.failure(instance.uid) if is_alone else self._send_batch([instance])[0]
            deliveries.append(delivery)
        return deliveries

    def _settle(self, load: "_Large | Delivery | Exception") -> Delivery:
        """Do what is to be done with something that is no batch, when all before it is done."""
        match load:
            case _Large():
                receipt = self._post(_Stream(load.file))
                return receipt.delivery(load.uid) or receipt.failure(load.uid)
            case Delivery():
                return load
            case Exception():
                raise load

    def _post(self, body: "_Batch | _Stream") -> "_Receipt":
        headers = {
            "Content-Type": f'multipart/related; type="{_PART}"; boundary={body.boundary}',
            "Accept": MEDIA_TYPE,
        }
        url = f"{service_url(self._node, self._node.stow_prefix)}/studies"
        try:
            with translated_failures(self._session.peer):
                # A redirected POST would become a GET, whose success would look like ours.
                response = self._session.post(url, data=body, headers=headers, allow_redirects=False)
        except Exception:
            if isinstance(body, _Stream) and body.failure is not None:
                raise body.failure from None
            raise
        if response.status_code not in _ABOUT_INSTANCES:
            raise status_error(response.status_code, f"{self._session.peer}: STOW-RS")
        return _read_receipt(response)


@dataclass(frozen=True, slots=True)
class _Small:
    """An instance that came completely, as a Part 10 file."""

    uid: str
    file: tuple[bytes, ...]
    size: int


@dataclass(frozen=True, slots=True)
class _Large:
    """An instance that is still coming, as a Part 10 file."""

    uid: str
    file: Iterator[bytes]


_Load = list[_Small] | _Large | Delivery | Exception
"""What goes into one request, what became of an instance that cannot be sent, or what ended the source."""
_Upload = Future[list[Delivery]]


def _results(uploads: deque[_Upload], *, but: int = 0) -> Iterator[Delivery]:
    """Yield what became of the first uploads, waiting for all of them `but` the last so many."""
    while len(uploads) > but:
        yield from uploads.popleft().result()


def _loads(instances: Iterable[IncomingInstance]) -> Iterator[_Load]:
    """Gather instances into loads, in order. What ends the source comes last: what it gave is delivered."""
    batch: list[_Small] = []
    failure: Exception | None = None
    try:
        for instance in instances:
            load = _gather(instance)
            if isinstance(load, _Small):
                batch.append(load)
            if batch and not (isinstance(load, _Small) and _has_room(batch)):
                yield batch
                batch = []
            if not isinstance(load, _Small):
                yield load
    except Exception as error:  # noqa: BLE001 - it is the caller's, and is raised again in its turn
        failure = error
    if batch:
        yield batch
    if failure is not None:
        yield failure


def _has_room(batch: Sequence[_Small]) -> bool:
    return len(batch) < _MOST_INSTANCES and sum(each.size for each in batch) < _MOST_BYTES


def _gather(instance: IncomingInstance) -> _Small | _Large | Delivery:
    """Take in an instance until it is whole, or known to be large."""
    header = instance.header
    uid = header.sop_instance_uid
    fragments = map(bytes, instance.fragments())
    if not all(map(is_sendable_uid, (uid, header.sop_class_uid, header.transfer_syntax_uid))):
        return Delivery(uid, failure="a UID is invalid")
    beginning, is_all = beginning_of(fragments, _MOST_BYTES)
    file_header = encode_file_header(header)
    if not is_all:
        return _Large(uid, chain((file_header,), beginning, fragments))
    size = sum(map(len, beginning))
    if not size:
        return Delivery(uid, failure="the data set is empty")
    return _Small(uid, (file_header, *beginning), size)


class _Batch:
    """The body of a request with whole instances: its length is known, and it can be sent again."""

    def __init__(self, instances: Sequence[_Small]) -> None:
        self.boundary = _new_boundary()
        self._instances = instances

    def __len__(self) -> int:
        lengths = (sum(map(len, instance.file)) for instance in self._instances)
        return encoded_length(self.boundary, _PART, lengths)

    def __iter__(self) -> Iterator[bytes]:
        return encode_parts(self.boundary, _PART, (instance.file for instance in self._instances))


class _Stream:
    """The body of a request with one instance that is still coming: it can be sent once.

    ``failure`` is what the instance raised: it must be told from what the connection raises.
    """

    def __init__(self, file: Iterator[bytes]) -> None:
        self.boundary = _new_boundary()
        self.failure: Exception | None = None
        self._pieces = encode_parts(self.boundary, _PART, [file])

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            raise
        except Exception as failure:
            self.failure = failure
            raise


def _new_boundary() -> str:
    return uuid4().hex


@dataclass(frozen=True, slots=True)
class _Receipt:
    """What a server says of a request: its status, and what it names (PS3.18 10.5.3)."""

    status: int
    stored: dict[str, int]
    """The warning reasons of instances that were stored, 0 if there is none, by their UID."""
    failed: dict[str, int | None]
    """The failure reasons of instances that were not, by their UID."""
    lists_stored: bool
    """Whether it has a list of what was stored. Then what is not in it was not: Orthanc 1.10 leaves out
    what it could not write, of status 200 though it is."""

    def delivery(self, uid: str) -> Delivery | None:
        """Return what became of an instance, None if the server does not say."""
        if uid in self.failed:
            return _failed_delivery(uid, self.failed[uid])
        if uid in self.stored or (self.status == HTTPStatus.OK and not self.lists_stored):
            return _stored_delivery(uid, self.stored.get(uid, SUCCESS))
        return None

    def failure(self, uid: str) -> Delivery:
        """Return what became of an instance if that has to be told from the status alone."""
        is_unclear = self.status in _TAKEN
        failure = _NOT_NAMED if is_unclear and self.lists_stored else http_in_words(self.status)
        return Delivery(uid, failure=failure, retryable=is_unclear)


def _read_receipt(response: requests.Response) -> _Receipt:
    """Read a receipt; one that is missing, or in another format, names nothing."""
    try:
        content = response.json()
    except requests.exceptions.JSONDecodeError:
        content = {}
    data_sets = [
        each for each in (content if isinstance(content, list) else [content]) if isinstance(each, dict)
    ]
    return _Receipt(
        response.status_code,
        {
            uid: _reason(item, "WarningReason") or SUCCESS
            for uid, item in _items(data_sets, "ReferencedSOPSequence")
        },
        {uid: _reason(item, "FailureReason") for uid, item in _items(data_sets, "FailedSOPSequence")},
        lists_stored=any(has_sequence(each, "ReferencedSOPSequence") for each in data_sets),
    )


def _items(data_sets: Iterable[JsonDataSet], keyword: str) -> Iterator[tuple[str, JsonDataSet]]:
    for data_set in data_sets:
        for item in read_items(data_set, keyword):
            for uid in values_of(item, "ReferencedSOPInstanceUID")[:1]:
                yield str(uid), item


def _reason(item: JsonDataSet, keyword: str) -> int | None:
    reasons = [value for value in values_of(item, keyword) if isinstance(value, int)]
    return reasons[0] if reasons else None


def _stored_delivery(uid: str, reason: int) -> Delivery:
    if reason == SUCCESS:
        return Delivery(uid)
    return Delivery(uid, warning=in_words(reason, Service.STORE), status=reason)


def _failed_delivery(uid: str, reason: int | None) -> Delivery:
    if reason is None:
        return Delivery(uid, failure="refused without a reason")
    failure = in_words(reason, Service.STORE)
    return Delivery(uid, failure=failure, retryable=is_out_of_resources(reason), status=reason)
