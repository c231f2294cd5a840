"""What counts the instances of STOW-RS counts each that has begun to pass, however its bytes are cut."""

from collections import Counter

import pytest

from adit_core.dicom.dicomweb import WebDestination
from adit_core.dicom.part10 import encode_file_header
from adit_core.dicom.ports import InstanceHeader
from tests.fakes.ports import CT, EXPLICIT, instance
from tests.fakes.stow_counter import StowCounter
from tests.fakes.web_peer import Exchange, FakeWebPeer
from tests.fault_proxy import FaultProxy

UIDS = ("1.2.3", "1.2.3.4", f"1.2.{'9' * 60}")
DATA = bytes(range(256)) * 400


def begun(uid: str) -> bytes:
    return encode_file_header(InstanceHeader(CT, uid, EXPLICIT))


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_each_instance_counts_once_however_its_bytes_are_cut(size: int) -> None:
    counter = StowCounter()
    show = counter.tap()
    sent = b"".join(b"--b\r\n\r\n" + begun(uid) + DATA for uid in UIDS)
    for start in range(0, len(sent), size):
        show(sent[start : start + size])
    assert counter.sent == Counter(UIDS)


def test_an_instance_that_breaks_off_counts_and_counts_again_on_another_connection() -> None:
    counter = StowCounter()
    for _ in range(2):
        counter.tap()(begun(UIDS[0]) + DATA[:10])
    unnamed = begun(UIDS[1])
    counter.tap()(unnamed[: unnamed.index(UIDS[1].encode()) + len("1.2.")])
    assert counter.sent == {UIDS[0]: 2}


@pytest.mark.parametrize("fragments", [1, 60], ids=["several in a body of known length", "chunked"])
def test_what_a_destination_sends_over_the_network_is_counted(fragments: int) -> None:
    def takes_all(exchange: Exchange) -> None:
        exchange.answer_json({})

    counter = StowCounter()
    with FakeWebPeer(takes_all) as peer, FaultProxy(peer.port, tap=counter.tap) as network:
        node = peer.node(base_url=f"http://127.0.0.1:{network.port}/dicom-web")
        with WebDestination(node) as destination:
            deliveries = list(destination.deliver(instance(uid, *[DATA] * fragments) for uid in UIDS))
    assert [each.failure for each in deliveries] == [""] * 3
    assert counter.sent == Counter(UIDS)
