"""Recorded answers, damaged at random: whatever comes ends in a result or a classified error, soon."""

import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_context, evt
from pynetdicom.events import Event

from adit_core.dicom.dimse import DimseDestination, DimseSearcher, DimseSource, echo
from adit_core.dicom.fuzzy_find import DimseFuzzySearcher
from adit_core.dicom.move import DirectMove
from adit_core.dicom.node import ConnectionProfile, ServerNode
from adit_core.dicom.ports import RetrieveRequest, SeriesPart
from adit_core.dicom.query import AttributeQuery, InstanceResult, Level, StudyQuery
from adit_core.dicom.references import InstanceReference
from adit_core.errors import AditError
from tests.fakes.damage import mutated
from tests.fakes.peer import Conversation, FakePeer, PeerGone
from tests.fakes.ports import CT, EXPLICIT, SERIES, STUDY, RecordingInlet, instance
from tests.fakes.provider import data_set, provider
from tests.fakes.recorder import pdus_of, recording

DATA_PDU = 4
ROUNDS = 100
HASTY = ConnectionProfile(connect_timeout=0.5, silence_timeout=0.5)
GET = RetrieveRequest(
    STUDY,
    (SeriesPart(SERIES, (InstanceResult(InstanceReference(SERIES, "1.2.3.1.1"), CT),), whole=True),),
    whole=True,
)


def find(node: ServerNode) -> None:
    with DimseSearcher(node) as searcher:
        list(searcher.find_studies(StudyQuery()))


def find_alike(node: ServerNode) -> None:
    with DimseFuzzySearcher(node) as searcher:
        list(searcher.find_data_sets(AttributeQuery(Level.STUDY, {"PatientName": "Doe"}, is_fuzzy=True)))


def get(node: ServerNode) -> None:
    with DimseSource(node) as source:
        source.retrieve(GET, RecordingInlet())


def store(node: ServerNode) -> None:
    with DimseDestination(node) as destination:
        list(destination.deliver([instance("1.2.3.1.1", bytes(5000))]))


def move(node: ServerNode) -> None:
    failure = DirectMove(node, "DESTINATION", patience=0.5).move(GET)
    if failure is not None:
        raise failure


OPERATIONS: dict[str, Callable[[ServerNode], object]] = {
    "echo": echo,
    "find": find,
    "find alike": find_alike,
    "get": get,
    "move": move,
    "store": store,
}


def found(_event: Event) -> Iterator[Any]:
    for number in range(3):
        answer = Dataset()
        answer.StudyInstanceUID, answer.PatientName = f"1.2.{number}", "Doe^Jane"
        answer.StudyDate, answer.ModalitiesInStudy = "20240131", ["CT", "SR"]
        yield 0xFF00, answer


def got(_event: Event) -> Iterator[Any]:
    yield 2
    for number in (1, 2):
        yield 0xFF00, data_set(number, EXPLICIT, size=24)


def agreed(event: Any) -> dict[UID, bytes]:
    return dict.fromkeys(event.app_info, b"\0\0\1")


@dataclass(frozen=True)
class Answers:
    """What an archive of pynetdicom sent in an operation."""

    negotiation: bytes
    messages: bytes


@pytest.fixture(scope="module")
def answers() -> dict[str, Answers]:
    """What was recorded of each operation."""
    recorded = {}
    with provider({evt.EVT_C_STORE: lambda _: 0x0000}) as destination:

        def moved(event: Event) -> Iterator[Any]:
            contexts = [build_context(CT, EXPLICIT)]
            yield destination.host, destination.port, {"ae_title": destination.ae_title, "contexts": contexts}
            yield from got(event)

        handlers: dict[evt.EventType, Callable[[Event], Any]] = {
            evt.EVT_C_FIND: found,
            evt.EVT_C_GET: got,
            evt.EVT_C_MOVE: moved,
            evt.EVT_C_STORE: lambda _: 0x0000,
            evt.EVT_SOP_EXTENDED: agreed,
        }
        for name, act in OPERATIONS.items():
            with provider(handlers) as node, recording(node.port) as kept:
                act(replace(node, port=kept.port))
            negotiation, *messages = pdus_of(kept.answered)
            recorded[name] = Answers(negotiation, b"".join(each for each in messages if each[0] == DATA_PDU))
    return recorded


def drain(peer: Conversation) -> None:
    """Say that nothing more will come, and read until the other side leaves."""
    peer.sock.shutdown(socket.SHUT_WR)
    while select.select([peer.sock], [], [], 5)[0] and peer.sock.recv(65536):
        pass


def damaging(answers: Answers, part: str, randoms: Iterator[Random]) -> Callable[[Conversation], None]:
    """Answer the association request, or what follows it, with a damage."""

    def script(peer: Conversation) -> None:
        random = next(randoms)
        peer.read_request()
        try:
            if part == "negotiation":
                peer.send_raw(mutated(answers.negotiation, random) + answers.messages)
            else:
                peer.send_raw(answers.negotiation + mutated(answers.messages, random))
            drain(peer)
        except (OSError, PeerGone):
            pass  # the other side had enough

    return script


@pytest.mark.parametrize("part", ["negotiation", "messages"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_damaged_answers_end_in_a_result_or_a_classified_error(
    operation: str, part: str, answers: dict[str, Answers]
):
    randoms = (Random(f"{operation} {part} {seed}") for seed in range(10**6))
    failures = 0
    with FakePeer(damaging(answers[operation], part, randoms)) as fake:
        node = fake.node(profile=HASTY)
        for _ in range(ROUNDS):
            start = time.monotonic()
            try:
                OPERATIONS[operation](node)
            except AditError:
                failures += 1
            assert time.monotonic() - start < 10
    assert failures > ROUNDS // 4  # the damages do harm


@pytest.mark.parametrize("operation", OPERATIONS)
def test_answers_do_no_harm_undamaged(operation: str, answers: dict[str, Answers]):
    def script(peer: Conversation) -> None:
        peer.read_request()
        peer.send_raw(answers[operation].negotiation + answers[operation].messages)
        drain(peer)

    with FakePeer(script) as fake:
        OPERATIONS[operation](fake.node(profile=HASTY))
