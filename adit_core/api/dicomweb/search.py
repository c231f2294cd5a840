"""QIDO-RS: searching archives for studies, series and instances (PS3.18 10.6)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from adit_core.api.dicomweb import described
from adit_core.api.dicomweb.media_types import DICOM_JSON, JSON, chosen, require
from adit_core.api.dicomweb.parameters import search_request
from adit_core.api.dicomweb.routing import Call, Called, OfSeries, OfStudy, ProxyRoute
from adit_core.api.dicomweb.streams import Answer, WatchedResponse
from adit_core.dicom.dicom_json import uids_of
from adit_core.dicom.json_encoding import JsonDataSet
from adit_core.dicom.query import Level
from adit_core.services.proxy_access import SEARCH
from adit_core.services.proxy_retrieval import Wanted
from adit_core.services.proxy_search import Search, SearchAnswer

router = APIRouter(
    prefix="/dicom-web/{ae_title}/qidors",
    tags=["DICOMweb"],
    route_class=ProxyRoute,
    default_response_class=Response,
)
_MEDIA_TYPES = (DICOM_JSON, JSON)
_EVERYTHING = Wanted("")


@router.get("/studies", openapi_extra=described.search(Level.STUDY))
async def search_studies(call: Called) -> Response:
    """Search for studies."""
    return await _search(call, Level.STUDY)


@router.get("/series", openapi_extra=described.search(Level.SERIES))
async def search_all_series(call: Called) -> Response:
    """Search for series of all studies."""
    return await _search(call, Level.SERIES)


@router.get("/instances", openapi_extra=described.search(Level.INSTANCE))
async def search_all_instances(call: Called) -> Response:
    """Search for instances of all studies."""
    return await _search(call, Level.INSTANCE)


@router.get("/studies/{study}/series", openapi_extra=described.search(Level.SERIES))
async def search_series(named: OfStudy, call: Called) -> Response:
    """Search for series of a study."""
    return await _search(call, Level.SERIES, named)


@router.get("/studies/{study}/instances", openapi_extra=described.search(Level.INSTANCE))
async def search_instances_of_study(named: OfStudy, call: Called) -> Response:
    """Search for instances of a study."""
    return await _search(call, Level.INSTANCE, named)


@router.get("/studies/{study}/series/{series}/instances", openapi_extra=described.search(Level.INSTANCE))
async def search_instances(named: OfSeries, call: Called) -> Response:
    """Search for instances of a series."""
    return await _search(call, Level.INSTANCE, named)


async def _search(call: Call, level: Level, named: Wanted = _EVERYTHING) -> Response:
    media_type = chosen(require(call.request, _MEDIA_TYPES), _MEDIA_TYPES)
    request = search_request(level, call.parameters, named)
    access = await call.enter(SEARCH)
    search = Search(access, request)
    return WatchedResponse(_SearchWork(search, call, level, media_type))


@dataclass(frozen=True, slots=True)
class _SearchWork:
    """Makes an answer of a search; implements :class:`~adit_core.api.dicomweb.streams.Work`."""

    search: Search
    call: Call
    level: Level
    media_type: str

    def begin(self) -> Answer:
        answer = self.search.run()
        return Answer(self._body(answer), self.media_type, headers=self._headers(answer))

    def cancel(self) -> None:
        self.search.cancel()

    def close(self) -> None:
        """Do nothing: a search that has ended holds nothing."""

    def _body(self, answer: SearchAnswer) -> Iterator[bytes]:
        results = [self._located(data_set) for data_set in answer.results]
        text = json.dumps(results, ensure_ascii=False, separators=(",", ":"))
        return iter((text.encode("utf-8", "replace"),))

    def _located(self, data_set: JsonDataSet) -> JsonDataSet:
        """Add where a result can be retrieved (Retrieve URL)."""
        names = ("studies", "series", "instances")
        uids = uids_of(data_set)[: {Level.STUDY: 1, Level.SERIES: 2, Level.INSTANCE: 3}[self.level]]
        parts = [part for pair in zip(names, uids, strict=False) for part in pair]
        return dict(data_set) | {"00081190": {"vr": "UR", "Value": [self.call.url(*parts)]}}

    def _headers(self, answer: SearchAnswer) -> dict[str, str]:
        """Return the warnings of PS3.18 8.3.4.4 and 8.3.4.2."""
        warnings = []
        if answer.is_cut:
            warnings.append("There are more results; ask for them by the parameter offset.")
        if answer.is_literal:
            warnings.append(
                "The fuzzymatching parameter is not supported. Only literal matching has been performed."
            )
        agent = self.call.url().rstrip("/")
        texts = ", ".join(f'299 {agent} "{text}"' for text in warnings)
        return {"Warning": texts} if texts else {}
