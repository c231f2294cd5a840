"""The pipe between retrieval and delivery: order, bounds, and what happens when either side ends."""

import threading
import time
from collections.abc import Callable

import pytest

from adit_core.dicom.pipe import InstancePipe, PipeAbandoned
from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.query import InstanceResult
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.errors import ConnectionFailed, IncompleteTransfer

SERIES = SeriesReference(StudyReference("1.2.3"), "1.2.3.4")


def wanted(*uids: str) -> dict[str, InstanceResult]:
    return {uid: InstanceResult(InstanceReference(SERIES, uid)) for uid in uids}


def header(uid: str) -> InstanceHeader:
    return InstanceHeader("1.2.840.10008.5.1.4.1.1.2", uid, "1.2.840.10008.1.2.1")


def put(pipe: InstancePipe, uid: str, *fragments: bytes | memoryview) -> None:
    pipe.begin(header(uid))
    for fragment in fragments:
        pipe.write(fragment)
    pipe.end()


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def content(pipe: InstancePipe) -> dict[str, bytes]:
    return {item.header.sop_instance_uid: b"".join(item.fragments()) for item in pipe.instances()}


def test_instances_come_out_as_they_went_in() -> None:
    pipe = InstancePipe(wanted("1.1", "1.2"))
    put(pipe, "1.1", b"ab", b"cd")
    put(pipe, "1.2")
    pipe.close()
    assert content(pipe) == {"1.1": b"abcd", "1.2": b""}


def test_long_fragments_stay_where_they_were_received_and_short_ones_keep_nothing_else() -> None:
    received = bytes(range(256)) * 1024
    pipe = InstancePipe(wanted("1.1"))
    put(pipe, "1.1", memoryview(received)[:100_000], memoryview(received)[100_000:100_010])
    pipe.close()
    instance = next(pipe.instances())
    long, short = instance.fragments()
    assert isinstance(long, memoryview)
    assert long.obj is received
    assert short == received[100_000:100_010]
    assert isinstance(short, bytes)


def test_unwanted_and_repeated_instances_are_counted_and_dropped() -> None:
    pipe = InstancePipe(wanted("1.1"))
    put(pipe, "1.1", b"first")
    put(pipe, "1.1", b"again")
    put(pipe, "9.9", b"stranger")
    pipe.close()
    assert content(pipe) == {"1.1": b"first"}
    assert (pipe.unplanned, pipe.duplicates) == (1, 1)


def test_no_more_than_the_capacity_and_one_fragment_lies_in_the_pipe() -> None:
    pipe = InstancePipe(wanted("1.1"), capacity=1000)
    fragments = [bytes([number % 256]) * 100 for number in range(200)]

    def fill() -> None:
        put(pipe, "1.1", *fragments)
        pipe.close()

    in_background(fill)
    taken = b""
    for instance in pipe.instances():
        for fragment in instance.fragments():
            assert sum(map(len, instance.queue)) <= 1000
            taken += fragment
            time.sleep(0.0005)  # the source is faster than the destination
    assert taken == b"".join(fragments)


def test_many_small_instances_pass_a_pipe_smaller_than_they_are() -> None:
    uids = [f"1.{number}" for number in range(1, 501)]
    pipe = InstancePipe(wanted(*uids), capacity=50)

    def fill() -> None:
        for uid in uids:
            put(pipe, uid, b"x" * 30, uid.encode())
        pipe.close()

    in_background(fill)
    assert content(pipe) == {uid: b"x" * 30 + uid.encode() for uid in uids}


def test_a_source_that_dies_in_a_small_instance_costs_the_destination_nothing() -> None:
    pipe = InstancePipe(wanted("1.1", "1.2"))
    put(pipe, "1.1", b"whole")
    pipe.begin(header("1.2"))
    pipe.write(b"half")
    pipe.close(ConnectionFailed("gone"))
    assert content(pipe) == {"1.1": b"whole"}


def test_a_source_that_dies_in_a_large_instance_ends_its_delivery_with_the_error() -> None:
    pipe = InstancePipe(wanted("1.1"), capacity=100)
    pipe.begin(header("1.1"))
    pipe.write(b"x" * 60)
    pipe.close(ConnectionFailed("gone"))
    with pytest.raises(ConnectionFailed):
        content(pipe)


def test_a_source_that_ends_without_error_in_an_instance_is_not_taken_for_complete() -> None:
    pipe = InstancePipe(wanted("1.1"), capacity=100)
    pipe.begin(header("1.1"))
    pipe.write(b"x" * 60)
    pipe.close()
    with pytest.raises(IncompleteTransfer):
        content(pipe)


def test_abandoning_wakes_a_source_that_waits_for_room() -> None:
    pipe = InstancePipe(wanted("1.1"), capacity=10)
    ended: list[type[BaseException]] = []

    def fill() -> None:
        try:
            put(pipe, "1.1", *[b"x" * 10] * 10)
        except PipeAbandoned:
            ended.append(PipeAbandoned)

    thread = in_background(fill)
    time.sleep(0.05)
    pipe.abandon()
    thread.join(60)
    assert ended == [PipeAbandoned]


def test_what_the_destination_does_not_read_makes_room_for_the_next_instance() -> None:
    pipe = InstancePipe(wanted("1.1", "1.2"), capacity=10)

    def fill() -> None:
        put(pipe, "1.1", *[b"x" * 10] * 10)
        put(pipe, "1.2", b"y")
        pipe.close()

    in_background(fill)
    read = {}
    for instance in pipe.instances():
        uid = instance.header.sop_instance_uid
        read[uid] = b"".join(instance.fragments()) if uid == "1.2" else None
    assert read == {"1.1": None, "1.2": b"y"}
