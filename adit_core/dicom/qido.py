"""QIDO-RS: asking a DICOMweb server what it holds (PS3.18 10.6)."""

import logging
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import requests
from dicomweb_client import DICOMwebClient

from adit_core.dicom.dicom_json import MEDIA_TYPE, read_answer, uids_of
from adit_core.dicom.identifier import Answer
from adit_core.dicom.json_encoding import JsonDataSet
from adit_core.dicom.node import DicomWebNode
from adit_core.dicom.ports import FuzzySearcher
from adit_core.dicom.query import (
    AttributeQuery,
    InstanceResult,
    Keys,
    Level,
    PatientQuery,
    PatientResult,
    SeriesQuery,
    SeriesResult,
    StudyQuery,
    StudyResult,
)
from adit_core.dicom.references import SeriesReference
from adit_core.dicom.results import (
    INSTANCE_KEYS,
    PATIENT_KEYS,
    SERIES_KEYS,
    STUDY_KEYS,
    UID_KEYS,
    identity,
    instance_result,
    is_of_series,
    is_of_study,
    patient_result,
    series_result,
    study_result,
)
from adit_core.dicom.web_session import WebSession, service_url, url_part
from adit_core.dicom.web_status import status_error, translated_failures
from adit_core.errors import ProtocolError

_log = logging.getLogger(__name__)

_PAGE = 500
_PLAIN_WILDCARDS = {"%2A": "*", "%3F": "?"}
_ESCAPED = re.compile(r"[^A-Za-z0-9*?._~-]+")
"""What does not go into a URL as it is."""
_NOTHING = frozenset({b"", b"[]"})

_Result = TypeVar("_Result", PatientResult, StudyResult, SeriesResult, InstanceResult)


class _Search(Protocol):
    """A search of dicomweb-client at one level, its UIDs being given."""

    def __call__(
        self, *, limit: int, offset: int, fields: Sequence[str], search_filters: dict[str, Any]
    ) -> list[dict[str, Any]]: ...


class WebSearcher(FuzzySearcher):
    """Searches an archive by QIDO-RS; implements :class:`~adit_core.dicom.ports.Searcher`.

    Answers are turned page by page until a page brings nothing new, for servers answer with fewer
    than they were asked for, and not all say that there are more.

    Some servers (Orthanc 1.10) do not decode what a URL escapes, and find nothing then. Wildcards
    are therefore sent as they are. If other characters had to be escaped and nothing was found, the
    server is put to the test; if it fails, it is asked again with wildcards in their place, and the
    answers are filtered here.
    """

    def __init__(self, node: DicomWebNode) -> None:
        self._node = node
        self._session = _QuerySession(node)
        # UIDs are checked here, more kindly: some scanners write components with leading zeros.
        self._client = DICOMwebClient(
            service_url(node, node.qido_prefix), session=self._session, permissive_uid=True
        )
        self._client.set_http_retry_params(retry=False)
        self._unescapes: bool | None = None

    @property
    def has_matched_literally(self) -> bool:
        """Whether the server has said that it cannot match fuzzily, having been asked to."""
        return self._session.was_told_of_fuzziness

    def close(self) -> None:
        """Close the connections, without raising."""
        self._session.close()

    def find_patients(self, query: PatientQuery) -> Iterator[PatientResult]:
        """Yield the patients of the studies that the archive finds, each once."""
        filters = {
            "PatientID": query.patient_id,
            "PatientName": query.patient_name,
            "PatientBirthDate": query.patient_birth_date.to_dicom(),
        }

        def read(answer: Answer) -> PatientResult | None:
            patient = patient_result(answer)
            return patient if query.matches(patient) else None

        fields = ("StudyInstanceUID", *PATIENT_KEYS)
        yield from self._results(self._client.search_for_studies, fields, filters, read)

    def find_studies(self, query: StudyQuery) -> Iterator[StudyResult]:
        """Yield studies that fulfil `query`, page by page."""

        def read(answer: Answer) -> StudyResult | None:
            study = study_result(answer, patient_result(answer), query.further)
            return study if self._has_uid(answer, "StudyInstanceUID") and query.matches(study) else None

        fields = (*PATIENT_KEYS, *STUDY_KEYS, *dict(query.further))
        yield from self._results(self._client.search_for_studies, fields, _study_filters(query), read)

    def find_series(self, query: SeriesQuery) -> Iterator[SeriesResult]:
        """Yield series of one study that fulfil `query`, page by page."""
        study_uid = url_part(query.study.study_instance_uid)
        filters = {
            "SeriesInstanceUID": query.series_instance_uid,
            "Modality": query.modality,
            "SeriesDescription": query.series_description,
            "SeriesNumber": "" if query.series_number is None else str(query.series_number),
            **dict(query.further),
        }

        def search(**options: Any) -> list[dict[str, Any]]:
            return self._client.search_for_series(study_uid, **options)

        def read(answer: Answer) -> SeriesResult | None:
            series = series_result(answer, query.study, query.further)
            is_meant = self._has_uid(answer, "SeriesInstanceUID") and is_of_study(answer, query.study)
            return series if is_meant and query.matches(series) else None

        fields = ("StudyInstanceUID", *SERIES_KEYS, *dict(query.further))
        yield from self._results(_unless_unknown(search), fields, filters, read)

    def find_instances(self, series: SeriesReference, *, uids_only: bool = False) -> Iterator[InstanceResult]:
        """Yield the instances of one series, page by page."""
        uids = (url_part(series.study.study_instance_uid), url_part(series.series_instance_uid))

        def search(**options: Any) -> list[dict[str, Any]]:
            return self._client.search_for_instances(*uids, **options)

        def read(answer: Answer) -> InstanceResult | None:
            is_meant = self._has_uid(answer, "SOPInstanceUID") and is_of_series(answer, series)
            return instance_result(answer, series) if is_meant else None

        fields = ("StudyInstanceUID", "SeriesInstanceUID", *(UID_KEYS if uids_only else INSTANCE_KEYS))
        yield from self._results(_unless_unknown(search), fields, {}, read)

    def find_data_sets(self, query: AttributeQuery) -> Iterator[JsonDataSet]:
        """Yield all that is answered, page by page."""
        study, series = query.study.study_instance_uid, query.series_instance_uid
        filters = {**_flat(query.keys), **({"fuzzymatching": "true"} if query.is_fuzzy else {})}

        def search(**options: Any) -> list[dict[str, Any]]:
            match query.level:
                case Level.STUDY:
                    return self._client.search_for_studies(**options)
                case Level.SERIES:
                    return self._client.search_for_series(url_part(study), **options)
                case Level.INSTANCE:
                    return self._client.search_for_instances(url_part(study), url_part(series), **options)

        asked = {keyword: value for keyword, value in filters.items() if value}
        found = 0
        for answer in self._pages(_unless_unknown(search), tuple(query.keys), asked):
            found += 1
            yield answer
        loose = {keyword: _ESCAPED.sub("*", value) for keyword, value in asked.items()}
        if not found and loose != asked and not self._decodes_urls():
            yield from self._pages(_unless_unknown(search), tuple(query.keys), loose)

    def _results(
        self,
        search: _Search,
        fields: Sequence[str],
        filters: Mapping[str, str],
        read: Callable[[Answer], _Result | None],
    ) -> Iterator[_Result]:
        """Yield what `read` makes of the answers, but nothing twice."""
        asked = {keyword: value for keyword, value in filters.items() if value}
        found: set[Hashable] = set()
        for answer in self._answers(search, fields, asked):
            yield from _first(read(answer), found)
        loose = {keyword: _ESCAPED.sub("*", value) for keyword, value in asked.items()}
        if not found and loose != asked and not self._decodes_urls():
            _log.info("%s does not decode URLs; asking again with wildcards", self._session.peer)
            for answer in self._answers(search, fields, loose):
                yield from _first(read(answer), found)

    def _answers(
        self, search: _Search, fields: Sequence[str], filters: Mapping[str, str]
    ) -> Iterator[Answer]:
        return (read_answer(page, fields) for page in self._pages(search, fields, filters))

    def _pages(
        self, search: _Search, fields: Sequence[str], filters: Mapping[str, str]
    ) -> Iterator[JsonDataSet]:
        """Yield all answers to a search, page by page."""
        told: set[Hashable] = set()
        offset = 0
        while page := self._page(search, fields, filters, offset):
            answers = {uids_of(each): each for each in page}
            new = answers.keys() - told
            if not new:
                if len(page) == _PAGE:
                    raise ProtocolError(f"{self._session.peer} answers with its first {_PAGE} results only")
                return
            told |= new
            offset += len(page)
            yield from (answer for uids, answer in answers.items() if uids in new)

    def _page(
        self, search: _Search, fields: Sequence[str], filters: Mapping[str, str], offset: int
    ) -> list[dict[str, Any]]:
        peer = self._session.peer
        with translated_failures(peer):
            try:
                page = search(limit=_PAGE, offset=offset, fields=fields, search_filters=dict(filters))
            except requests.HTTPError as error:
                raise status_error(_status(error), f"{peer}: QIDO-RS") from None
        if not (isinstance(page, list) and all(isinstance(each, dict) for each in page)):
            raise ProtocolError(f"{peer} sent an answer that is no list of data sets")
        return page

    def _decodes_urls(self) -> bool:
        """Tell whether the server understands escaped characters, or has no studies at all."""
        if self._unescapes is None:
            url = f"{service_url(self._node, self._node.qido_prefix)}/studies?limit=1&PatientID=%2A"
            with WebSession(self._node) as session, translated_failures(session.peer):
                response = session.get(url, headers={"Accept": MEDIA_TYPE})
                self._unescapes = response.content.strip() not in _NOTHING
        return self._unescapes

    def _has_uid(self, answer: Answer, keyword: str) -> bool:
        """Tell whether what was found can be referred to."""
        if not answer.text(keyword):
            _log.warning("%s answered a query without a value for %s", self._session.peer, keyword)
            return False
        return True


class _QuerySession(WebSession):
    """Leaves wildcards unescaped, as browsers do: not all servers decode them."""

    was_told_of_fuzziness = False
    """Whether a warning was about fuzzy matching: that it is not supported (PS3.18 8.3.4.2)."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        for escaped, plain in _PLAIN_WILDCARDS.items():
            request.url = (request.url or "").replace(escaped, plain)
        response = super().send(request, **kwargs)
        self.was_told_of_fuzziness |= "fuzzymatching" in response.headers.get("Warning", "").lower()
        return response


def _study_filters(query: StudyQuery) -> dict[str, str]:
    # Servers read a list of modalities in different ways, or not at all; ours is matched afterwards.
    modality = next(iter(query.modalities)) if len(query.modalities) == 1 else ""
    return {
        "PatientID": query.patient_id,
        "PatientName": query.patient_name,
        "PatientBirthDate": query.patient_birth_date.to_dicom(),
        "StudyInstanceUID": query.study_instance_uid,
        "AccessionNumber": query.accession_number,
        "StudyDate": query.study_date.to_dicom(),
        "StudyTime": query.study_time.to_dicom(),
        "StudyDescription": query.study_description,
        "ModalitiesInStudy": modality,
        **dict(query.further),
    }


def _unless_unknown(search: _Search) -> _Search:
    """Return the search with nothing as its answer if the study or series is unknown (status 404)."""

    def forgiving(
        *, limit: int, offset: int, fields: Sequence[str], search_filters: dict[str, Any]
    ) -> list[dict[str, Any]]:
        try:
            return search(limit=limit, offset=offset, fields=fields, search_filters=search_filters)
        except requests.HTTPError as error:
            if _status(error) == HTTPStatus.NOT_FOUND:
                return []
            raise

    return forgiving


def _status(error: requests.HTTPError) -> int:
    assert error.response is not None  # dicomweb-client raises it for a response
    return error.response.status_code


def _first(result: _Result | None, found: set[Hashable]) -> Iterator[_Result]:
    """Yield the result, if there is one and it was not found before."""
    if result is not None and identity(result) not in found:
        found.add(identity(result))
        yield result


def _flat(keys: Keys, prefix: str = "") -> dict[str, str]:
    """Return keys as QIDO-RS names them: those of a sequence's item by both, with a dot (PS3.18 8.3.4.1)."""
    flat: dict[str, str] = {}
    for keyword, value in keys.items():
        name = f"{prefix}{keyword}"
        flat |= {name: value} if isinstance(value, str) else _flat(value, f"{name}.")
    return flat
