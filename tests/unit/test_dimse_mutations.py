"""Answers of an archive, damaged at random: whatever comes ends in a result or a classified error, soon."""

import select
import socket
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from adit_core.dicom.dimse import DimseDestination, DimseSearcher, DimseSource, echo
from adit_core.dicom.node import ConnectionProfile, ServerNode
from adit_core.dicom.ports import RetrieveRequest, SeriesPart
from adit_core.dicom.query import InstanceResult, StudyQuery
from adit_core.dicom.references import InstanceReference
from adit_core.errors import AditError
from tests.fakes.peer import (
    C_ECHO_RSP,
    C_FIND_RSP,
    C_GET_RSP,
    C_STORE_RSP,
    Conversation,
    FakePeer,
    PeerGone,
    encode,
    message_pdus,
    store_request,
)
from tests.fakes.ports import CT, SERIES, STUDY, RecordingInlet, instance

ROUNDS = 100
HASTY = ConnectionProfile(connect_timeout=0.5, silence_timeout=0.5)
GET = RetrieveRequest(
    STUDY,
    (SeriesPart(SERIES, (InstanceResult(InstanceReference(SERIES, "1.2.3.1.1"), CT),), whole=True),),
    whole=True,
)


def response(field: int, status: int, **elements: Any) -> dict[str, Any]:
    return {"CommandField": field, "MessageIDBeingRespondedTo": 1, "Status": status} | elements


def find(node: ServerNode) -> None:
    with DimseSearcher(node) as searcher:
        list(searcher.find_studies(StudyQuery()))


def get(node: ServerNode) -> None:
    with DimseSource(node) as source:
        source.retrieve(GET, RecordingInlet())


def store(node: ServerNode) -> None:
    with DimseDestination(node) as destination:
        list(destination.deliver([instance("1.2.3.1.1", bytes(5000))]))


STUDY_ANSWER = encode(
    StudyInstanceUID="1.2.3", PatientName="Doe^Jane", StudyDate="20240131", ModalitiesInStudy=["CT"]
)
OPERATIONS: dict[str, tuple[Callable[[ServerNode], object], bytes]] = {
    "echo": (echo, message_pdus(1, response(C_ECHO_RSP, 0))),
    "find": (
        find,
        message_pdus(1, response(C_FIND_RSP, 0xFF00), STUDY_ANSWER) * 3
        + message_pdus(1, response(C_FIND_RSP, 0)),
    ),
    "get": (
        get,
        message_pdus(5, store_request(CT, "1.2.3.1.1"), bytes(3000), size=1000)
        + message_pdus(1, response(C_GET_RSP, 0xFF00, NumberOfRemainingSuboperations=1))
        + message_pdus(1, response(C_GET_RSP, 0)),
    ),
    "store": (store, message_pdus(1, response(C_STORE_RSP, 0, AffectedSOPInstanceUID="1.2.3.1.1"))),
}


def mutated(data: bytes, random: Random) -> bytes:
    """Return `data` with one to three damages."""
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(data))
        before, hit, behind = data[:at], data[at : at + random.randint(1, 40)], data[at + 1 :]
        match random.randrange(7):
            case 0:
                data = before + bytes([data[at] ^ 1 << random.randrange(8)]) + behind
            case 1:
                data = before + random.choice((b"\x00", b"\x01", b"\x7f", b"\xff")) + behind
            case 2:
                data = before + data[at + len(hit) :]
            case 3:
                data = before + hit + data[at:]
            case 4:
                data = before + random.randbytes(random.randint(1, 12)) + data[at:]
            case 5:
                data = before + b"\xff\xff\xff\xff" + data[at + 4 :]
            case _:
                data = before
        data = data or b"\x00"
    return data


def drain(peer: Conversation) -> None:
    """Say that nothing more will come, and read until the other side leaves."""
    peer.sock.shutdown(socket.SHUT_WR)
    while select.select([peer.sock], [], [], 5)[0] and peer.sock.recv(65536):
        pass


def damaging(answers: bytes, part: str, randoms: Iterator[Random]) -> Callable[[Conversation], None]:
    """Answer the association request, or what follows it, with a damage."""

    def script(peer: Conversation) -> None:
        random = next(randoms)
        peer.read_request()
        accept = peer.accept_pdu()
        try:
            if part == "negotiation":
                peer.send_raw(mutated(accept, random) + answers)
            else:
                peer.send_raw(accept + mutated(answers, random))
            drain(peer)
        except (OSError, PeerGone):
            pass  # the other side had enough

    return script


@pytest.mark.parametrize("part", ["negotiation", "messages"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_damaged_answers_end_in_a_result_or_a_classified_error(operation: str, part: str):
    act, answers = OPERATIONS[operation]
    randoms = (Random(f"{operation} {part} {seed}") for seed in range(10**6))
    failures = 0
    with FakePeer(damaging(answers, part, randoms)) as fake:
        node = fake.node(profile=HASTY)
        for _ in range(ROUNDS):
            start = time.monotonic()
            try:
                act(node)
            except AditError:
                failures += 1
            assert time.monotonic() - start < 10
    assert failures > ROUNDS // 4  # the damages do harm


@pytest.mark.parametrize("operation", OPERATIONS)
def test_answers_do_no_harm_undamaged(operation: str):
    act, answers = OPERATIONS[operation]

    def script(peer: Conversation) -> None:
        peer.accept()
        peer.send_raw(answers)
        drain(peer)

    with FakePeer(script) as fake:
        act(fake.node(profile=HASTY))
