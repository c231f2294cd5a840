"""AditClient reaches every operation of the DICOMweb proxy in the OpenAPI document, with all its parameters.

The methods are called against a peer that knows nothing: this is about what they ask for.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import pytest

from adit_core.client import AditClient, Disguise, NotFound
from tests.fakes.web_peer import Exchange, FakeWebPeer
from tests.unit.test_client_operations import DOCUMENT

PREFIX = "/dicom-web/{ae_title}"
UIDS = ("1.2", "1.2.3", "1.2.3.4")
OTHER = frozenset({"accept"})
"""Sent as a header."""
OPERATIONS: Mapping[str, frozenset[str]] = {
    f"{method.upper()} {path.removeprefix(PREFIX)}": frozenset(
        each["name"] for each in told.get("parameters", ()) if each["in"] == "query"
    )
    - OTHER
    for path, operations in DOCUMENT["paths"].items()
    if path.startswith(PREFIX)
    for method, told in operations.items()
}
DISGUISE = Disguise("P7K2", "TRIAL", "Trial")
VIEW: Any = {"window": "40,400,linear", "viewport": "512,512", "quality": 90}
STUDY_KEYS, SERIES_KEYS, INSTANCE_KEYS = (
    dict.fromkeys(OPERATIONS[f"GET /qidors/{level}"], "1") for level in ("studies", "series", "instances")
)
Call = Callable[[Any], Any]


def calls() -> Iterator[Call]:
    yield lambda archive: archive.search_studies(**STUDY_KEYS)
    for study in ("", UIDS[0]):
        yield lambda archive, study=study: archive.search_series(study, **SERIES_KEYS)
    for study, series in (("", ""), (UIDS[0], ""), UIDS[:2]):
        yield lambda archive, study=study, series=series: archive.search_instances(
            study, series, **INSTANCE_KEYS
        )
    for uids in (UIDS[:1], UIDS[:2], UIDS):
        yield lambda archive, uids=uids: list(archive.iter_instances(*uids, as_=DISGUISE))
        yield lambda archive, uids=uids: archive.metadata(*uids, as_=DISGUISE)
        yield lambda archive, uids=uids: archive.rendered(*uids, as_=DISGUISE, **VIEW)
        yield lambda archive, uids=uids: archive.thumbnail(*uids, as_=DISGUISE, **VIEW)
        yield lambda archive, uids=uids: list(archive.iter_nifti(*uids, as_=DISGUISE))
    yield lambda archive: list(archive.iter_frames(*UIDS, (1, 2), as_=DISGUISE))
    yield lambda archive: archive.rendered(*UIDS, 1, as_=DISGUISE, **VIEW)
    yield lambda archive: archive.thumbnail(*UIDS, 1, as_=DISGUISE, **VIEW)
    yield lambda archive: archive.bulk_data(
        "/api/dicom-web/PACS/wadors/studies/1.2/series/1.2.3/instances/1.2.3.4/bulkdata/7FE00010",
        as_=DISGUISE,
    )
    yield lambda archive: archive.store([b""])
    yield lambda archive: archive.store([b""], UIDS[0])


@pytest.fixture(scope="module")
def asked() -> Mapping[str, set[str]]:
    """The names of the parameters that were sent to each operation."""
    exchanges: list[Exchange] = []

    def script(exchange: Exchange) -> None:
        assert exchange.body is not None
        exchanges.append(exchange)
        exchange.answer(404, b"{}", {"Content-Type": "application/problem+json"})

    with FakeWebPeer(script) as peer, AditClient(peer.url, "secret") as adit:
        for call in calls():
            with suppress(NotFound):
                call(adit.archive("PACS"))
    found: dict[str, set[str]] = defaultdict(set)
    for exchange in exchanges:
        found[_operation(exchange)] |= parse_qs(exchange.url.query).keys()
    return found


def _operation(exchange: Exchange) -> str:
    for operation in OPERATIONS:
        method, _, path = operation.partition(" ")
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
        if method == exchange.method and re.fullmatch(f"/api/dicom-web/PACS{pattern}", exchange.url.path):
            return operation
    raise AssertionError(f"The document has no {exchange.method} {exchange.target}")


def test_every_operation_of_the_proxy_is_reached(asked: Mapping[str, set[str]]):
    assert asked.keys() == OPERATIONS.keys()


def test_every_parameter_of_the_proxy_can_be_given(asked: Mapping[str, set[str]]):
    assert {operation: frozenset(names) for operation, names in asked.items()} == OPERATIONS
