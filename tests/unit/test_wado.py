"""WADO-RS against scripted servers: what is asked, what arrives, and how it may end."""

import time
import tracemalloc
from collections.abc import Callable, Iterable
from threading import Event
from typing import Any

import pytest

from adit_core.dicom.dicomweb import WebSource
from adit_core.dicom.part10 import encode_file_header
from adit_core.dicom.ports import InstanceHeader, RetrieveRequest, SeriesPart
from adit_core.dicom.query import InstanceResult
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.errors import (
    AditError,
    ConnectionFailed,
    DestinationFull,
    InvalidInput,
    OperationFailed,
    PeerBusy,
    PeerTimeout,
    ProtocolError,
    StudyNotFound,
)
from tests.fakes.ports import CT, EXPLICIT, SERIES, STUDY, InletFailed, RecordingInlet
from tests.fakes.web_peer import (
    BOUNDARY,
    IMPATIENT,
    MULTIPART,
    Exchange,
    FakeWebPeer,
    PeerGone,
    Script,
    multipart,
    part_head,
)

DATA = bytes(range(256)) * 300
STUDY_TARGET = f"/dicom-web/studies/{STUDY.study_instance_uid}"
SERIES_TARGET = f"{STUDY_TARGET}/series/{SERIES.series_instance_uid}"
HTML = (b"<html>", {"Content-Type": "text/html"})


def uid(number: int) -> str:
    return f"1.2.3.1.{number}"


def file(number: int, data: bytes = DATA) -> bytes:
    return encode_file_header(InstanceHeader(CT, uid(number), EXPLICIT)) + data


def part(numbers: Iterable[int], series: SeriesReference = SERIES, whole: bool = True) -> SeriesPart:
    instances = tuple(InstanceResult(InstanceReference(series, uid(number)), CT) for number in numbers)
    return SeriesPart(series, instances, whole)


def request(*parts: SeriesPart, whole: bool = True) -> RetrieveRequest:
    return RetrieveRequest(STUDY, parts, whole)


THREE = request(part([1, 2, 3]))


def retrieve(
    fake: FakeWebPeer, wanted: RetrieveRequest = THREE, inlet: RecordingInlet | None = None, **node: Any
) -> RecordingInlet:
    inlet = inlet or RecordingInlet()
    with WebSource(fake.node(**node)) as source:
        source.retrieve(wanted, inlet)
    return inlet


def with_status(status: int) -> Script:
    return lambda exchange: exchange.answer(status, *HTML)


def sending(*numbers: int, status: int = 200) -> Script:
    return lambda exchange: exchange.answer_parts(map(file, numbers), status)


def test_study_is_asked_for_as_it_is_stored_and_arrives_unchanged():
    with FakeWebPeer(sending(1, 2, 3)) as fake:
        inlet = retrieve(fake)
    assert inlet.complete == {InstanceHeader(CT, uid(number), EXPLICIT): DATA for number in (1, 2, 3)}
    (exchange,) = fake.exchanges
    assert (exchange.method, exchange.target) == ("GET", STUDY_TARGET)
    assert exchange.headers["accept"] == 'multipart/related; type="application/dicom"; transfer-syntax=*'
    assert "authorization" not in exchange.headers


def test_prefix_of_the_service_is_part_of_the_url():
    with FakeWebPeer(sending(1)) as fake:
        retrieve(fake, base_url=f"{fake.url}/pacs/", wado_prefix="/wado/v2/")
    assert fake.targets == [f"/pacs/wado/v2/studies/{STUDY.study_instance_uid}"]


def test_selected_series_are_asked_for_one_by_one():
    other = SeriesReference(STUDY, "1.2.3.2")
    with FakeWebPeer(sending(1), sending(2)) as fake:
        inlet = retrieve(fake, request(part([1]), part([2], other), whole=False))
    assert fake.targets == [SERIES_TARGET, f"{STUDY_TARGET}/series/1.2.3.2"]
    assert inlet.uids == {uid(1), uid(2)}


def test_selected_instances_are_asked_for_one_by_one_on_one_connection():
    with FakeWebPeer(sending(1), sending(3)) as fake:
        inlet = retrieve(fake, request(part([1, 3], whole=False), whole=False))
    assert fake.targets == [f"{SERIES_TARGET}/instances/{uid(number)}" for number in (1, 3)]
    assert inlet.uids == {uid(1), uid(3)}
    assert fake.connections == 1


def test_nothing_is_asked_for_nothing():
    with FakeWebPeer(sending()) as fake:
        retrieve(fake, request())
    assert fake.targets == []


def test_uid_that_is_none_never_becomes_part_of_a_url():
    wanted = RetrieveRequest(StudyReference("1.2/../../admin"), (part([1]),), whole=True)
    with FakeWebPeer(sending()) as fake, pytest.raises(InvalidInput):
        retrieve(fake, wanted)
    assert fake.targets == []


def test_partial_content_is_taken_in_and_left_to_the_caller():
    with FakeWebPeer(sending(1, 3, status=206)) as fake:
        inlet = retrieve(fake)
    assert inlet.uids == {uid(1), uid(3)}
    assert len(fake.targets) == 1


def test_more_than_was_asked_for_is_handed_on():
    with FakeWebPeer(sending(1, 2, 3, 4)) as fake:
        assert uid(4) in retrieve(fake).uids


def test_no_content_is_nothing():
    with FakeWebPeer(with_status(204)) as fake:
        assert not retrieve(fake).begun


@pytest.mark.parametrize("status", [404, 410])
def test_unknown_study_is_not_found(status: int):
    with FakeWebPeer(with_status(status)) as fake, pytest.raises(StudyNotFound, match=rf"1\.2\.3.*{status}"):
        retrieve(fake)
    assert len(fake.targets) == 1


@pytest.mark.parametrize("status", [400, 406, 409, 413, 500, 501])
def test_study_that_cannot_be_had_as_a_whole_is_asked_for_in_parts(status: int):
    scripts = [with_status(status), with_status(status), sending(1), with_status(status), sending(3)]
    with FakeWebPeer(*scripts) as fake:
        inlet = retrieve(fake)
    instances = [f"{SERIES_TARGET}/instances/{uid(number)}" for number in (1, 2, 3)]
    assert fake.targets == [STUDY_TARGET, SERIES_TARGET, *instances]
    assert inlet.uids == {uid(1), uid(3)}


def test_study_of_which_nothing_can_be_had_fails_with_the_status():
    with FakeWebPeer(with_status(500)) as fake, pytest.raises(OperationFailed, match="status 500"):
        retrieve(fake)


def test_instances_are_given_up_after_ten_failures_in_a_row():
    wanted = request(part(range(1, 100), whole=False), whole=False)
    with FakeWebPeer(with_status(500)) as fake, pytest.raises(OperationFailed):
        retrieve(fake, wanted)
    assert len(fake.targets) == 10


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, OperationFailed),  # to nowhere
        (401, OperationFailed),
        (403, OperationFailed),
        (408, PeerTimeout),
        (429, PeerBusy),
        (502, ConnectionFailed),
        (503, PeerBusy),
        (504, PeerTimeout),
        (507, DestinationFull),
    ],
)
def test_other_statuses_end_the_retrieval_at_once(status: int, error: type[AditError]):
    with FakeWebPeer(with_status(status)) as fake, pytest.raises(error, match=f"fake .*{status}"):
        retrieve(fake)
    assert len(fake.targets) == 1


def test_busy_server_is_asked_again_when_it_wants():
    busy = [lambda e: e.answer(503, headers={"Retry-After": "0"}), lambda e: e.answer(429, *TOO_MANY)]
    with FakeWebPeer(*busy, sending(1)) as fake:
        inlet = retrieve(fake)
    assert inlet.uids == {uid(1)}
    assert fake.targets == [STUDY_TARGET] * 3


TOO_MANY = (b"", {"Retry-After": "Thu, 01 Jan 2015 00:00:00 GMT"})


def test_server_that_is_busy_for_too_long_is_left_alone():
    with FakeWebPeer(lambda e: e.answer(503, headers={"Retry-After": "1"})) as fake:
        with pytest.raises(PeerBusy, match="503"):
            retrieve(fake, profile=IMPATIENT)
        assert len(fake.targets) == 1


def test_single_part_is_an_instance():
    def script(exchange: Exchange) -> None:
        exchange.answer(200, file(1), {"Content-Type": "application/dicom"})

    with FakeWebPeer(script) as fake:
        inlet = retrieve(fake, request(part([1], whole=False), whole=False))
    assert inlet.complete == {InstanceHeader(CT, uid(1), EXPLICIT): DATA}


def test_single_part_that_may_have_been_cut_is_refused():
    def script(exchange: Exchange) -> None:
        exchange.send_head(200, {"Content-Type": "application/dicom"})
        exchange.send(file(1))
        exchange.close()

    with FakeWebPeer(script) as fake, pytest.raises(ProtocolError):
        retrieve(fake)


def test_chunked_answer_arrives():
    def script(exchange: Exchange) -> None:
        exchange.send_head(200, {"Content-Type": MULTIPART, "Transfer-Encoding": "chunked"})
        body = multipart([file(1), file(2)], with_length=False)
        for start in range(0, len(body), 1000):
            piece = body[start : start + 1000]
            exchange.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        exchange.send(b"0\r\n\r\n")

    with FakeWebPeer(script) as fake:
        assert retrieve(fake).complete == {InstanceHeader(CT, uid(n), EXPLICIT): DATA for n in (1, 2)}


def test_something_that_is_no_dicom_is_left_out():
    with FakeWebPeer(lambda e: e.answer_parts([file(1), b"an error message", file(2)])) as fake:
        assert retrieve(fake).uids == {uid(1), uid(2)}


def test_answer_without_any_dicom_is_an_error():
    fake = FakeWebPeer(lambda e: e.answer_parts([b"an error message"]))
    with fake, pytest.raises(ProtocolError, match="no DICOM file"):
        retrieve(fake)


@pytest.mark.parametrize("content_type", ["text/html", "multipart/related", "application/dicom+json", ""])
def test_answer_of_another_kind_is_an_error(content_type: str):
    fake = FakeWebPeer(lambda e: e.answer(200, b"[]", {"Content-Type": content_type}))
    with fake, pytest.raises(ProtocolError):
        retrieve(fake)


FIRST = part_head(len(file(1))) + file(1) + b"\r\n"
CUT = FIRST + part_head(len(file(2))) + file(2)[:2000]
CUTS = {
    "in a part of known length": CUT,
    "in a part of unknown length": FIRST + part_head() + file(2)[:2000],
    "in the head of a part": FIRST + part_head()[:20],
    "in the meta information": FIRST + part_head() + file(2)[:200],
}


@pytest.mark.parametrize("body", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("end", [Exchange.close, Exchange.reset])
@pytest.mark.parametrize("declared", [{"Content-Length": "1000000"}, {}], ids=["with length", "without"])
def test_cut_connection_is_noticed_and_keeps_what_was_whole(
    body: bytes, end: Callable[[Exchange], None], declared: dict[str, str]
):
    def script(exchange: Exchange) -> None:
        exchange.send_head(200, {"Content-Type": MULTIPART, **declared})
        exchange.send(body)
        assert inlet_has_first.wait(60)
        end(exchange)

    inlet_has_first = Event()
    inlet = SignallingInlet(inlet_has_first)
    with FakeWebPeer(script) as fake, pytest.raises(ConnectionFailed):
        retrieve(fake, inlet=inlet)
    assert inlet.uids == {uid(1)}


class SignallingInlet(RecordingInlet):
    """Tells when the first instance is complete."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self._event = event

    def end(self) -> None:
        super().end()
        self._event.set()


@pytest.mark.parametrize("body", [b"", *CUTS.values()], ids=["before the first part", *CUTS])
def test_silent_server_is_given_up(body: bytes):
    def script(exchange: Exchange) -> None:
        exchange.send_head(200, {"Content-Type": MULTIPART})
        exchange.send(body)
        exchange.stall()

    with FakeWebPeer(script) as fake, pytest.raises(PeerTimeout, match="fake"):
        retrieve(fake, profile=IMPATIENT)


def test_server_that_never_answers_is_given_up():
    with FakeWebPeer(Exchange.stall) as fake, pytest.raises(PeerTimeout):
        retrieve(fake, profile=IMPATIENT)


def test_slow_server_is_waited_for_as_long_as_it_says_something():
    def script(exchange: Exchange) -> None:
        body = multipart([file(1, b"12" * 200)])
        exchange.send_head(200, {"Content-Type": MULTIPART, "Content-Length": str(len(body))})
        for start in range(0, len(body), 150):
            exchange.send(body[start : start + 150])
            time.sleep(0.1)

    with FakeWebPeer(script) as fake:
        assert retrieve(fake, profile=IMPATIENT).uids == {uid(1)}


MALFORMED = {
    "no boundary at all": bytes(200_000),
    "part longer than it says": part_head(10) + file(1) + b"\r\n",
    "endless headers of a part": f"--{BOUNDARY}\r\nX-A: ".encode() + b"a" * 100_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_malformed_multipart_is_an_error(body: bytes):
    fake = FakeWebPeer(lambda e: e.answer(200, body, {"Content-Type": MULTIPART}))
    with fake, pytest.raises(ProtocolError):
        retrieve(fake)


@pytest.mark.parametrize(
    "head",
    [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", b"HTTP/1.1 999999\r\n\r\n"],
)
def test_server_that_does_not_speak_http_is_an_error(head: bytes):
    def script(exchange: Exchange) -> None:
        exchange.send(head)
        exchange.close()

    with FakeWebPeer(script) as fake, pytest.raises((ConnectionFailed, ProtocolError)):
        retrieve(fake)


def test_failing_inlet_breaks_the_connection_off():
    left = Event()

    def script(exchange: Exchange) -> None:
        exchange.send_head(200, {"Content-Type": MULTIPART})
        try:
            while True:
                exchange.send(part_head() + file(1))
        except PeerGone:
            left.set()
            raise

    with FakeWebPeer(script) as fake:
        with pytest.raises(InletFailed):
            retrieve(fake, inlet=RecordingInlet(fail_after=1000))
        assert left.wait(10)


def test_source_can_be_used_again_after_a_failure():
    with FakeWebPeer(Exchange.close, sending(1)) as fake, WebSource(fake.node()) as source:
        with pytest.raises(ConnectionFailed):
            source.retrieve(THREE, RecordingInlet())
        inlet = RecordingInlet()
        source.retrieve(THREE, inlet)
    assert inlet.uids == {uid(1)}


class MeasuringInlet(RecordingInlet):
    """Counts the bytes, and keeps none."""

    size = 0

    def write(self, fragment: bytes | memoryview) -> None:
        self.size += len(fragment)


@pytest.mark.parametrize("with_length", [True, False])
def test_half_a_gigabyte_passes_without_being_held(with_length: bool):
    piece, count = bytes(range(256)) * 4096, 500

    def script(exchange: Exchange) -> None:
        exchange.send_head(200, {"Content-Type": MULTIPART})
        exchange.send(part_head(len(file(1, b"")) + count * len(piece) if with_length else None))
        exchange.send(file(1, b""))
        for _ in range(count):
            exchange.send(piece)
        exchange.send(f"\r\n--{BOUNDARY}--\r\n".encode())
        exchange.close()

    inlet = MeasuringInlet()
    tracemalloc.start()
    try:
        with FakeWebPeer(script) as fake:
            retrieve(fake, inlet=inlet)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (inlet.size, len(inlet.complete)) == (count * len(piece), 1)
    assert peak < 10e6
