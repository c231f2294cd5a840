"""What senders say, damaged at random: the receiver answers, aborts or hangs up, soon, and goes on.

The exchanges are recorded from pynetdicom as a sender, and the seeds of their damages are fixed.
"""

import logging
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from random import Random
from threading import enumerate as running_threads

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID
from pynetdicom import AE

from adit_core.dicom.node import ConnectionProfile
from tests.fakes.damage import mutated
from tests.fakes.ports import CT, EXPLICIT, MR
from tests.fakes.recorder import pdus_of, recording
from tests.fakes.sender import (
    RECEIVER,
    SENDER,
    VERIFICATION,
    RunningReceiver,
    Sender,
    association_request,
    data_set,
    running_receiver,
)

ROUNDS = 300
HASTY = ConnectionProfile(connect_timeout=0.5, silence_timeout=0.5)
RELEASED = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"
PATIENCE = 5.0


@dataclass(frozen=True)
class Exchange:
    """What a sender said: to ask for the association, and over it."""

    request: bytes
    messages: bytes


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """A receiver that has no patience."""
    with running_receiver(tmp_path_factory.mktemp("spool"), profile=HASTY, idle_timeout=0.5) as running:
        yield running


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Exchange:
    """An exchange of pynetdicom with a receiver that has patience: an echo, two instances and the release."""
    entity = AE(SENDER)
    entity.dimse_timeout = 2
    for context in (VERIFICATION, CT, MR):
        entity.add_requested_context(context, EXPLICIT)
    with (
        running_receiver(tmp_path_factory.mktemp("patient spool")) as receiver,
        recording(receiver.receiver.port) as recorded,
    ):
        association = entity.associate("127.0.0.1", recorded.port, ae_title=RECEIVER)
        association.send_c_echo()
        for uid in ("1.2.3.1", "1.2.3.2"):
            association.send_c_store(instance(uid))
        association.release()
    request, *messages = pdus_of(recorded.said)
    assert len(messages) >= 6
    return Exchange(request, b"".join(messages))


def instance(uid: str) -> Dataset:
    made = dcmread(BytesIO(data_set(uid)), force=True)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    return made


def say(port: int, encoded: bytes) -> bytes:
    """Say all of it, and return what the receiver answers until it hangs up, which it must."""
    deadline = time.monotonic() + PATIENCE
    answer = bytearray()
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        try:
            sock.sendall(encoded)
            sock.shutdown(socket.SHUT_WR)
            while select.select([sock], [], [], max(0, deadline - time.monotonic()))[0]:
                if not (part := sock.recv(65536)):
                    return bytes(answer)
                answer += part
        except OSError:
            return bytes(answer)  # it had enough, and reset the connection
    raise AssertionError("the receiver did not hang up")


def assert_unharmed(receiver: RunningReceiver, log: pytest.LogCaptureFixture) -> None:
    """Fail unless the receiver works on, nothing half received is left, and nothing was unforeseen."""
    with Sender(receiver.receiver.port) as sender:
        sender.associate()
        assert sender.store("1.2.3.9") == 0x0000
    ours = [record for record in log.records if record.name.startswith("adit_core")]
    assert not [record.getMessage() for record in ours if record.levelno >= logging.ERROR]
    deadline = time.monotonic() + PATIENCE
    while any(thread.name.startswith("receiver-127") for thread in running_threads()):
        assert time.monotonic() < deadline, "a connection is still served"
        time.sleep(0.01)
    assert list((receiver.folder / "incoming").iterdir()) == []


@pytest.mark.parametrize("part", ["negotiation", "messages"])
def test_damaged_requests_end_soon_and_the_receiver_goes_on(
    receiver: RunningReceiver, exchange: Exchange, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = 0
    for seed in range(ROUNDS):
        random = Random(f"provider {part} {seed}")
        if part == "negotiation":
            answer = say(receiver.receiver.port, mutated(exchange.request, random) + exchange.messages)
        else:
            answer = say(receiver.receiver.port, exchange.request + mutated(exchange.messages, random))
        whole += answer.endswith(RELEASED)
    assert whole < ROUNDS * 3 // 4  # the damages do harm
    assert_unharmed(receiver, caplog)


def test_undamaged_requests_are_answered(receiver: RunningReceiver, exchange: Exchange) -> None:
    answer = say(receiver.receiver.port, exchange.request + exchange.messages)
    assert answer.endswith(RELEASED)
    assert receiver.waiting().keys() >= {"1.2.3.1", "1.2.3.2"}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400), is_associated=st.booleans())
def test_any_bytes_end_soon(receiver: RunningReceiver, data: bytes, is_associated: bool) -> None:
    say(receiver.receiver.port, (association_request() if is_associated else b"") + data)


def test_the_receiver_is_unharmed_by_any_bytes(
    receiver: RunningReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    random = Random("any bytes")
    for _ in range(50):
        say(receiver.receiver.port, association_request() + random.randbytes(random.randint(1, 5000)))
    assert_unharmed(receiver, caplog)
