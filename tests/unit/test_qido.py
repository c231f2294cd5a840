"""QIDO-RS against scripted servers: what is asked, page by page, and how answers may be wrong."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from adit_core.dicom.dicomweb import WebSearcher
from adit_core.dicom.query import InstanceResult, SeriesQuery, StudyQuery, StudyResult
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.errors import (
    AditError,
    ConnectionFailed,
    InvalidInput,
    OperationFailed,
    PeerBusy,
    PeerTimeout,
    ProtocolError,
)
from tests.fakes.ports import SERIES, STUDY
from tests.fakes.web_peer import IMPATIENT, Exchange, FakeWebPeer, Script


def study(number: int, name: str = "Sample^Anna") -> dict[str, Any]:
    return {
        "0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]},
        "00100020": {"vr": "LO", "Value": [f"P{number}"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]},
    }


def instance(number: int) -> dict[str, Any]:
    uids = {
        "0020000D": STUDY.study_instance_uid,
        "0020000E": SERIES.series_instance_uid,
        "00080018": f"1.{number}",
    }
    return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}


def paging(results: list[dict[str, Any]], most: int = 500) -> Script:
    """Return a script of a server that never gives more than `most` results at once."""

    def script(exchange: Exchange) -> None:
        keys = parse_qs(exchange.url.query)
        offset, limit = int(keys.get("offset", ["0"])[0]), int(keys.get("limit", ["99999"])[0])
        exchange.answer_json(results[offset : offset + min(limit, most)])

    return script


def find(fake: FakeWebPeer, query: StudyQuery = StudyQuery(), **node: Any) -> list[StudyResult]:  # noqa: B008
    with WebSearcher(fake.node(**node)) as searcher:
        return list(searcher.find_studies(query))


def find_instances(fake: FakeWebPeer, series: SeriesReference = SERIES) -> list[InstanceResult]:
    with WebSearcher(fake.node()) as searcher:
        return list(searcher.find_instances(series))


def uids(results: list[StudyResult]) -> list[str]:
    return [result.reference.study_instance_uid for result in results]


def test_prefix_of_the_service_is_part_of_the_url():
    with FakeWebPeer(paging([study(1)])) as fake:
        assert uids(find(fake, base_url=f"{fake.url}/pacs/", qido_prefix="qido")) == ["1.2.1"]
    assert fake.exchanges[0].url.path == "/pacs/qido/studies"


@pytest.mark.parametrize("most", [500, 70, 1])
def test_all_pages_are_turned_however_short_they_are(most: int):
    results = [study(number) for number in range(120)]
    with FakeWebPeer(paging(results, most)) as fake:
        assert len(find(fake)) == 120


def test_server_that_repeats_its_first_results_is_read_once():
    with FakeWebPeer(lambda exchange: exchange.answer_json([study(1), study(2)])) as fake:
        assert uids(find(fake)) == ["1.2.1", "1.2.2"]


def test_server_that_cannot_turn_pages_is_an_error_if_something_is_missing():
    results = [study(number) for number in range(500)]
    fake = FakeWebPeer(lambda exchange: exchange.answer_json(results))
    with fake, pytest.raises(ProtocolError, match="first 500"):
        find(fake)


@pytest.mark.parametrize("status", [200, 204])
def test_empty_answer_is_nothing(status: int):
    with FakeWebPeer(lambda exchange: exchange.answer(status)) as fake:
        assert find(fake) == []


def test_what_does_not_fulfil_the_query_is_left_out():
    with FakeWebPeer(paging([study(1, "Sample^Anna"), study(2, "Other^Ben")])) as fake:
        assert uids(find(fake, StudyQuery(patient_name="Sample*"))) == ["1.2.1"]


def test_wildcards_are_sent_as_they_are():
    with FakeWebPeer(paging([study(1)])) as fake:
        find(fake, StudyQuery(patient_name="Sam?le*"))
    assert "PatientName=Sam?le*" in fake.targets[0]


def test_server_that_does_not_decode_urls_is_asked_with_wildcards():
    def script(exchange: Exchange) -> None:
        is_escaped = "%" in exchange.url.query
        offset = parse_qs(exchange.url.query).get("offset", ["0"])[0]
        exchange.answer_json([] if is_escaped or offset != "0" else [study(1), study(2, "Sample-Anna")])

    with FakeWebPeer(script) as fake:
        assert uids(find(fake, StudyQuery(patient_name="Sample^Anna"))) == ["1.2.1"]


def test_unknown_series_has_no_instances():
    with FakeWebPeer(lambda exchange: exchange.answer(404)) as fake:
        assert find_instances(fake) == []


def test_instances_of_another_series_are_left_out():
    foreign = instance(2) | {"0020000E": {"vr": "UI", "Value": ["1.2.99"]}}
    with FakeWebPeer(paging([instance(1), foreign])) as fake:
        (found,) = find_instances(fake)
    assert found.reference.sop_instance_uid == "1.1"


def test_uid_that_is_none_never_becomes_part_of_a_url():
    with FakeWebPeer(paging([])) as fake:
        with pytest.raises(InvalidInput):
            find_instances(fake, SeriesReference(STUDY, "../.."))
        with WebSearcher(fake.node()) as searcher, pytest.raises(InvalidInput):
            list(searcher.find_series(SeriesQuery(StudyReference("1?x=y"))))
    assert fake.targets == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, OperationFailed),
        (401, OperationFailed),
        (403, OperationFailed),
        (404, OperationFailed),
        (413, OperationFailed),
        (429, PeerBusy),
        (500, OperationFailed),
        (502, ConnectionFailed),
        (503, PeerBusy),
        (504, PeerTimeout),
    ],
)
def test_status_is_an_error_that_tells_nothing_of_the_patient(status: int, error: type[AditError]):
    fake = FakeWebPeer(lambda exchange: exchange.answer(status))
    with fake, pytest.raises(error, match=f"fake .*QIDO-RS.*{status}") as caught:
        find(fake, StudyQuery(patient_name="Sample^Anna"))
    assert "Sample" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_busy_server_is_asked_again_when_it_wants():
    busy = lambda exchange: exchange.answer(503, headers={"Retry-After": "0"})  # noqa: E731
    with FakeWebPeer(busy, paging([study(1)])) as fake:
        assert uids(find(fake)) == ["1.2.1"]


@pytest.mark.parametrize("content", ["text", 5, [1], [[]], None])
def test_answer_that_is_no_list_of_data_sets_is_an_error(content: object):
    with FakeWebPeer(lambda exchange: exchange.answer_json(content)) as fake, pytest.raises(ProtocolError):
        find(fake)


@pytest.mark.parametrize("body", [b"<html>", b'[{"0020', b"\xff\xfe"])
def test_answer_that_is_no_json_is_an_error(body: bytes):
    with FakeWebPeer(lambda exchange: exchange.answer(200, body)) as fake, pytest.raises(ProtocolError):
        find(fake)


@pytest.mark.parametrize("element", [5, {}, {"Value": 5}, {"Value": []}, {"Value": [{}]}, {"Value": [None]}])
def test_malformed_elements_are_empty(element: object):
    results = [study(1) | {"00081030": element, "00100010": element}]
    with FakeWebPeer(lambda exchange: exchange.answer_json(results)) as fake:
        (found,) = find(fake)
    assert found.reference.study_instance_uid == "1.2.1"


def test_result_without_a_uid_is_left_out():
    with FakeWebPeer(paging([{}, study(1)])) as fake:
        assert uids(find(fake)) == ["1.2.1"]


@pytest.mark.parametrize(
    ("end", "error"), [(Exchange.reset, ConnectionFailed), (Exchange.close, ConnectionFailed)]
)
def test_cut_connection_is_noticed(end: Callable[[Exchange], None], error: type[AditError]):
    def script(exchange: Exchange) -> None:
        exchange.send_head(200, {"Content-Length": "1000", "Content-Type": "application/dicom+json"})
        exchange.send(b"[")
        end(exchange)

    with FakeWebPeer(script) as fake, pytest.raises(error):
        find(fake)


def test_silent_server_is_given_up():
    with FakeWebPeer(Exchange.stall) as fake, pytest.raises(PeerTimeout):
        find(fake, profile=IMPATIENT)


def test_closing_the_iterator_asks_for_no_more_pages():
    results = [study(number) for number in range(2000)]
    with FakeWebPeer(paging(results)) as fake, WebSearcher(fake.node()) as searcher:
        found = searcher.find_studies(StudyQuery())
        next(found)
        del found
        assert len(fake.targets) == 1
