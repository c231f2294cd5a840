"""STOW-RS against scripted servers: what is sent, and what becomes of each instance."""

import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from adit_core.dicom.dicomweb import WebDestination
from adit_core.dicom.node import ConnectionProfile, WebService
from adit_core.dicom.part10 import encode_file_header
from adit_core.dicom.ports import Delivery, IncomingInstance, InstanceHeader
from adit_core.errors import (
    AditError,
    ConnectionFailed,
    DestinationFull,
    OperationFailed,
    PeerBusy,
    PeerTimeout,
)
from tests.fakes.ports import CT, EXPLICIT, SERIES, STUDY, MemoryInstance, instance
from tests.fakes.web_peer import IMPATIENT, Exchange, FakeWebPeer, Script

DATA = bytes(range(256)) * 400
MEGABYTE = bytes(range(256)) * 4096
ONE_AT_A_TIME = ConnectionProfile(parallel_uploads=1, busy_timeout=5)


def uid(number: int) -> str:
    return f"1.2.3.1.{number}"


def small(*numbers: int) -> list[IncomingInstance]:
    return [instance(uid(number), DATA) for number in numbers]


def large(number: int = 9, megabytes: int = 20) -> MemoryInstance:
    return instance(uid(number), *[MEGABYTE] * megabytes)


def file(number: int, data: bytes = DATA) -> bytes:
    return encode_file_header(InstanceHeader(CT, uid(number), EXPLICIT)) + data


def deliver(
    fake: FakeWebPeer, *instances: IncomingInstance, profile: ConnectionProfile = ONE_AT_A_TIME, **node: Any
) -> list[Delivery]:
    with WebDestination(fake.node(profile, **node)) as destination:
        return list(destination.deliver(instances))


def item(number: int, **reasons: int) -> dict[str, Any]:
    tags = {"failure": "00081197", "warning": "00081196"}
    values = {tags[name]: {"vr": "US", "Value": [reason]} for name, reason in reasons.items()}
    return {"00081155": {"vr": "UI", "Value": [uid(number)]}} | values


def receipt(
    *, stored: Sequence[dict[str, Any]] = (), failed: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    sequences = {"00081199": stored, "00081198": failed}
    return {tag: {"vr": "SQ", "Value": list(items)} for tag, items in sequences.items() if items}


def takes_all(exchange: Exchange) -> None:
    exchange.answer_json(receipt())


def with_status(status: int) -> Script:
    return lambda exchange: exchange.answer(status, b"<html>", {"Content-Type": "text/html"})


def answers(status: int, content: object) -> Script:
    return lambda exchange: exchange.answer_json(content, status)


def test_instances_go_as_files_in_one_request():
    with FakeWebPeer(takes_all) as fake:
        assert deliver(fake, *small(1, 2, 3)) == [Delivery(uid(number)) for number in (1, 2, 3)]
    (exchange,) = fake.exchanges
    assert (exchange.method, exchange.target) == ("POST", "/dicom-web/studies")
    assert exchange.headers["content-type"].startswith(
        'multipart/related; type="application/dicom"; boundary='
    )
    assert exchange.headers["accept"] == "application/dicom+json"
    assert exchange.parts == [file(1), file(2), file(3)]


def test_prefix_of_the_service_is_part_of_the_url():
    with FakeWebPeer(takes_all) as fake:
        deliver(fake, *small(1), base_url=f"{fake.url}/pacs/", stow_prefix="/stow/")
    assert fake.targets == ["/pacs/stow/studies"]


def test_many_instances_go_in_several_requests_and_are_told_of_in_order():
    numbers = range(1, 101)
    with FakeWebPeer(takes_all) as fake:
        deliveries = deliver(fake, *small(*numbers), profile=ConnectionProfile(parallel_uploads=3))
    assert deliveries == [Delivery(uid(number)) for number in numbers]
    assert sorted(part for exchange in fake.exchanges for part in exchange.parts) == sorted(
        map(file, numbers)
    )
    assert 5 <= len(fake.exchanges) <= 20


def test_large_instance_goes_alone_and_in_its_turn():
    with FakeWebPeer(takes_all) as fake:
        deliveries = deliver(fake, *small(1, 2), large(3), *small(4))
    assert deliveries == [Delivery(uid(number)) for number in (1, 2, 3, 4)]
    assert [len(exchange.parts) for exchange in fake.exchanges] == [2, 1, 1]
    assert fake.exchanges[1].headers["transfer-encoding"] == "chunked"
    assert fake.exchanges[1].parts == [file(3, MEGABYTE * 20)]


def test_nothing_is_sent_if_nothing_comes():
    with FakeWebPeer(takes_all) as fake:
        assert deliver(fake) == []
    assert fake.targets == []


@pytest.mark.parametrize(
    "unsendable", [instance(uid(2)), instance("no uid\r\nX: y", DATA), instance(uid(2), DATA, syntax="")]
)
def test_instance_that_cannot_be_sent_is_a_failure_and_no_hindrance(unsendable: MemoryInstance):
    with FakeWebPeer(takes_all) as fake:
        deliveries = deliver(fake, *small(1), unsendable, *small(3))
    assert [bool(delivery.failure) for delivery in deliveries] == [False, True, False]
    assert [part for exchange in fake.exchanges for part in exchange.parts] == [file(1), file(3)]


@pytest.mark.parametrize("status", [200, 202, 409])
def test_instances_that_are_named_as_failed_have_failed(status: int):
    content = receipt(stored=[item(1)], failed=[item(2, failure=0xA900), item(3, failure=0xA700)])
    with FakeWebPeer(answers(status, content)) as fake:
        first, second, third = deliver(fake, *small(1, 2, 3))
    assert first == Delivery(uid(1))
    assert (second.sop_instance_uid, second.retryable) == (uid(2), False)
    assert "A900" in second.failure
    assert (third.sop_instance_uid, third.retryable) == (uid(3), True)
    assert "A700" in third.failure


def test_failure_without_a_reason_is_a_failure():
    with FakeWebPeer(answers(202, receipt(failed=[item(1)]))) as fake:
        (delivery,) = deliver(fake, *small(1))
    assert delivery == Delivery(uid(1), failure="refused without a reason")


def test_warning_is_handed_on():
    with FakeWebPeer(answers(202, receipt(stored=[item(1, warning=0xB000), item(2, warning=0)]))) as fake:
        first, second = deliver(fake, *small(1, 2))
    assert not first.failure
    assert "B000" in first.warning
    assert second == Delivery(uid(2))


@pytest.mark.parametrize("status", [202, 400, 406, 409, 413, 415, 422, 500])
def test_instances_that_nothing_is_said_of_are_sent_again_alone(status: int):
    with FakeWebPeer(with_status(status), takes_all, with_status(status)) as fake:
        first, second = deliver(fake, *small(1, 2))
    assert [exchange.parts for exchange in fake.exchanges] == [[file(1), file(2)], [file(1)], [file(2)]]
    assert first == Delivery(uid(1))
    assert f"status {status}" in second.failure
    assert second.retryable == (status == 202)


def test_server_that_wants_to_know_lengths_fails_large_instances_only():
    def script(exchange: Exchange) -> None:
        if "content-length" in exchange.headers:
            takes_all(exchange)
        else:
            exchange.answer(411)

    with FakeWebPeer(script) as fake:
        first, second, third = deliver(fake, *small(1), large(2), *small(3))
    assert (first, third) == (Delivery(uid(1)), Delivery(uid(3)))
    assert "status 411" in second.failure


@pytest.mark.parametrize(
    "content", [[], {}, "text", None, [receipt()], {"00081199": 5}, {"00081198": {"Value": [3]}}]
)
def test_success_that_names_nobody_is_a_success(content: object):
    with FakeWebPeer(answers(200, content)) as fake:
        assert deliver(fake, *small(1)) == [Delivery(uid(1))]


def test_success_that_names_others_only_is_none():
    nothing = {"00081198": {"vr": "SQ"}, "00081199": {"vr": "SQ"}}
    with FakeWebPeer(answers(200, receipt(stored=[item(1)])), answers(200, nothing)) as fake:
        first, second = deliver(fake, *small(1, 2))
    assert [exchange.parts for exchange in fake.exchanges] == [[file(1), file(2)], [file(2)]]
    assert first == Delivery(uid(1))
    assert second == Delivery(uid(2), failure="not named among what was stored", retryable=True)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, OperationFailed),
        (401, OperationFailed),
        (403, OperationFailed),
        (404, OperationFailed),
        (408, PeerTimeout),
        (429, PeerBusy),
        (502, ConnectionFailed),
        (503, PeerBusy),
        (504, PeerTimeout),
        (507, DestinationFull),
    ],
)
@pytest.mark.parametrize("instances", [small(1, 2), [large()]], ids=["small", "large"])
def test_other_statuses_end_the_delivery(
    status: int, error: type[AditError], instances: list[IncomingInstance]
):
    with FakeWebPeer(with_status(status)) as fake, pytest.raises(error, match=f"fake .*{status}"):
        deliver(fake, *instances)
    assert len(fake.targets) == 1


def test_post_is_not_redirected():
    with FakeWebPeer(takes_all) as other:
        fake = FakeWebPeer(lambda exchange: exchange.answer(307, headers={"Location": other.url}))
        with fake, pytest.raises(OperationFailed, match="307"):
            deliver(fake, *small(1))
    assert other.targets == []


@pytest.mark.parametrize("status", [429, 503])
def test_busy_server_gets_the_same_again_when_it_wants(status: int):
    busy = lambda exchange: exchange.answer(status, headers={"Retry-After": "0"})  # noqa: E731
    with FakeWebPeer(busy, busy, takes_all) as fake:
        assert deliver(fake, *small(1, 2)) == [Delivery(uid(1)), Delivery(uid(2))]
    assert [exchange.parts for exchange in fake.exchanges] == [[file(1), file(2)]] * 3


def test_large_instance_for_a_busy_server_is_left_to_a_later_attempt():
    fake = FakeWebPeer(lambda exchange: exchange.answer(503, headers={"Retry-After": "0"}))
    with fake, pytest.raises(PeerBusy):
        deliver(fake, large())
    assert len(fake.targets) == 1


def test_what_was_delivered_before_a_failure_has_been_yielded():
    yielded: list[Delivery] = []
    fake = FakeWebPeer(takes_all, with_status(507))
    with fake, WebDestination(fake.node(ONE_AT_A_TIME)) as destination, pytest.raises(DestinationFull):
        yielded.extend(destination.deliver([*small(1), large(2), *small(3)]))
    assert yielded == [Delivery(uid(1))]


@pytest.mark.parametrize("instances", [small(1, 2), [large()]], ids=["small", "large"])
@pytest.mark.parametrize("end", [Exchange.close, Exchange.reset])
def test_server_that_leaves_in_the_middle_is_noticed(instances: list[IncomingInstance], end: Script):
    with FakeWebPeer(end) as fake, pytest.raises(ConnectionFailed, match="fake"):
        deliver(fake, *instances)


@pytest.mark.parametrize("instances", [small(1, 2), [large()]], ids=["small", "large"])
def test_server_that_does_not_read_or_answer_is_given_up(instances: list[IncomingInstance]):
    with FakeWebPeer(Exchange.stall) as fake, pytest.raises(PeerTimeout, match="fake"):
        deliver(fake, *instances, profile=IMPATIENT)


def test_server_that_answers_early_is_understood():
    def script(exchange: Exchange) -> None:
        exchange.send_head(507, {"Content-Length": "0", "Connection": "close"})
        exchange.drain(bytearray().extend)

    with FakeWebPeer(script) as fake, pytest.raises(DestinationFull):
        deliver(fake, large())


@pytest.mark.parametrize("before", [[DATA], [MEGABYTE] * 20], ids=["small", "large"])
def test_source_that_fails_in_an_instance_leaves_nothing_whole_of_it(before: list[bytes]):
    class SourceFailed(Exception):
        pass

    bodies: list[bytes] = []

    def script(exchange: Exchange) -> None:
        received = bytearray()
        try:
            exchange.drain(received.extend)
        finally:
            bodies.append(bytes(received))
        exchange.send_head(200, {"Content-Length": "0"})

    broken = instance(uid(2), *before, failure=SourceFailed())
    yielded: list[Delivery] = []
    fake = FakeWebPeer(script)
    with fake, WebDestination(fake.node()) as destination, pytest.raises(SourceFailed):
        yielded.extend(destination.deliver([*small(1), broken, *small(3)]))
    assert yielded == [Delivery(uid(1))]
    assert file(1) in bodies[0]
    assert bodies[0].endswith(b"--\r\n")
    assert not any(body.endswith(b"--\r\n") for body in bodies[1:])


def test_caller_that_stops_early_ends_the_uploads():
    with FakeWebPeer(takes_all) as fake, WebDestination(fake.node()) as destination:
        deliveries = destination.deliver(iter(small(*range(200))))
        assert next(iter(deliveries)) == Delivery(uid(0))
        del deliveries
        count = len(fake.exchanges)
    assert 1 <= count <= 4


def test_it_cannot_be_asked_without_qido():
    with FakeWebPeer(takes_all) as fake:
        node = fake.node(services=frozenset({WebService.STOW}))
        with WebDestination(node) as destination:
            assert destination.held(STUDY, [SERIES]) is None
    assert fake.targets == []


def test_half_a_gigabyte_passes_without_being_held():
    class Huge(MemoryInstance):
        def fragments(self) -> Iterator[bytes]:
            for _ in range(500):
                yield MEGABYTE

    sizes: list[int] = []

    def script(exchange: Exchange) -> None:
        exchange.drain(lambda piece: sizes.append(len(piece)))
        exchange.send_head(200, {"Content-Length": "2"})
        exchange.send(b"{}")

    huge = Huge(InstanceHeader(CT, uid(1), EXPLICIT), ())
    tracemalloc.start()
    try:
        with FakeWebPeer(script) as fake:
            assert deliver(fake, huge) == [Delivery(uid(1))]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(sizes) > 500 * len(MEGABYTE)
    assert peak < 20e6
