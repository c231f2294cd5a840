"""What is found out about servers that answer in unusual ways; real archives are in tests/integration."""

from collections.abc import Callable

import pytest

from adit_core.dicom.node import ConnectionProfile, QueryRoot, ServerNode, Service
from adit_core.dicom.probe import Encryption, ServerAnswers, ServiceAnswer, Verdict, probe_server
from adit_core.dicom.tls import TlsSettings
from adit_core.errors import AditError
from adit_core.services.node_differences import Difference, server_differences
from tests.fakes.peer import (
    C_ECHO_RQ,
    C_FIND_RQ,
    C_GET_RQ,
    IMPATIENT,
    Conversation,
    FakePeer,
    Received,
    decode,
    encode,
    store_request,
)

C_MOVE_RQ = 0x0021
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"

Reaction = Callable[[Conversation, Received], object]


def ending_with(status: int) -> Reaction:
    return lambda peer, request: peer.respond(request, status)


def server(
    reactions: dict[int, Reaction], refuse: Callable[[str, str], bool] = lambda _class, _syntax: False
) -> FakePeer:
    """A server that answers everything with success, but for what it reacts to in another way."""

    def serve(peer: Conversation) -> None:
        peer.accept(refuse=refuse)
        while True:
            request = peer.receive()
            reactions.get(request.command.CommandField, ending_with(0))(peer, request)

    return FakePeer(serve)


def answers_of(fake: FakePeer, profile: ConnectionProfile | None = None) -> ServerAnswers:
    with fake:
        return probe_server(fake.node(profile=profile) if profile else fake.node())


def answer(answers: ServerAnswers, service: Service) -> ServiceAnswer:
    found = answers.answer(service, QueryRoot.STUDY)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("status", "query", "retrieval"),
    [
        (0x0000, Verdict.SUPPORTED, Verdict.SUPPORTED),
        (0xB000, Verdict.SUPPORTED, Verdict.SUPPORTED),
        (0x0122, Verdict.UNSUPPORTED, Verdict.UNSUPPORTED),
        (0x0211, Verdict.UNSUPPORTED, Verdict.UNSUPPORTED),
        (0x0124, Verdict.REFUSED, Verdict.REFUSED),
        (0xA701, Verdict.UNCLEAR, Verdict.UNCLEAR),
        (0xC000, Verdict.UNCLEAR, Verdict.SUPPORTED),
        (0xA801, Verdict.UNCLEAR, Verdict.SUPPORTED),
    ],
)
def test_statuses_are_judged(status: int, query: Verdict, retrieval: Verdict):
    react = ending_with(status)
    answers = answers_of(server({C_FIND_RQ: react, C_GET_RQ: react, C_MOVE_RQ: react}))

    verdicts = {service: answer(answers, service).verdict for service in Service if service != "C-STORE"}
    assert verdicts == {Service.FIND: query, Service.GET: retrieval, Service.MOVE: retrieval}
    assert {each.status for each in answers.services} == {status}


def test_what_is_asked_for_cannot_exist_and_goes_nowhere_by_itself():
    asked: list[Received] = []

    def note(peer: Conversation, request: Received) -> None:
        asked.append(request)
        peer.respond(request, 0)

    answers_of(server({C_FIND_RQ: note, C_GET_RQ: note, C_MOVE_RQ: note}))

    identifiers = [decode(request.data_set, implicit=False) for request in asked]
    assert len({identifier.StudyInstanceUID for identifier in identifiers}) == len(asked) == 6
    assert all(identifier.StudyInstanceUID.startswith("2.25.") for identifier in identifiers)
    assert {identifier.QueryRetrieveLevel for identifier in identifiers} == {"STUDY"}
    destinations = {request.command.get("MoveDestination") for request in asked}
    assert destinations == {None, "ADIT"}


def test_negotiation_decides_where_nothing_can_be_asked():
    def refuse(sop_class: str, syntax: str) -> bool:
        return sop_class == STUDY_FIND or (sop_class == CT and syntax != EXPLICIT)

    answers = answers_of(server({}, refuse))

    assert answer(answers, Service.FIND).verdict is Verdict.UNSUPPORTED
    patient_root = answers.answer(Service.FIND, QueryRoot.PATIENT)
    assert patient_root is not None
    assert patient_root.verdict is Verdict.SUPPORTED
    storage = {each.sop_class_uid: each.transfer_syntax_uids for each in answers.storage}
    assert storage[CT] == (EXPLICIT,)
    assert len(storage) == 56
    assert {len(syntaxes) for sop_class, syntaxes in storage.items() if sop_class != CT} == {21}


def test_a_server_that_rejects_what_it_does_not_know_supports_none_of_it():
    def serve(peer: Conversation) -> None:
        request = peer.read_request()
        if len(request.presentation_context) > 2:
            peer.send_raw(b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x01")
            return
        peer.send_raw(peer.accept_pdu())
        peer.respond(peer.receive(), 0)
        peer.release()

    answers = answers_of(FakePeer(serve))

    assert answers.failure == ""
    assert {each.verdict for each in answers.services} == {Verdict.UNSUPPORTED}
    assert {each.transfer_syntax_uids for each in answers.storage} == {()}


def test_instances_that_come_nevertheless_are_not_taken():
    aborted = []

    def serve(peer: Conversation) -> None:
        peer.accept()
        request = peer.receive()
        if request.command.CommandField != C_GET_RQ:
            peer.respond(request, 0)
            return
        peer.send(peer.context_id(CT), store_request(CT, "1.2.3"), encode(SOPInstanceUID="1.2.3"))
        peer.expect_abort()
        aborted.append(True)

    answers = answers_of(FakePeer(serve))

    assert answer(answers, Service.GET).verdict is Verdict.UNCLEAR
    assert aborted == [True, True]


def test_a_server_that_finds_everything_is_stopped():
    def find_everything(peer: Conversation, request: Received) -> None:
        while True:
            peer.respond(request, 0xFF00, encode(StudyInstanceUID="1.2.3"))

    answers = answers_of(server({C_FIND_RQ: find_everything}))

    found = answer(answers, Service.FIND)
    assert (found.verdict, found.words) == (Verdict.SUPPORTED, "it finds more than was asked for")
    assert answer(answers, Service.MOVE).verdict is Verdict.SUPPORTED


def test_an_abort_says_no_and_silence_says_nothing():
    answers = answers_of(
        server(
            {
                C_FIND_RQ: lambda peer, _: peer.stall(),
                C_GET_RQ: lambda peer, _: peer.abort(),
            }
        ),
        IMPATIENT,
    )

    assert answer(answers, Service.FIND).verdict is Verdict.UNCLEAR
    assert answer(answers, Service.GET).verdict is Verdict.UNSUPPORTED
    assert answer(answers, Service.MOVE).verdict is Verdict.SUPPORTED


def test_a_server_that_answers_no_echo_is_not_asked_for_more():
    fake = server({C_ECHO_RQ: ending_with(0x0122)})

    answers = answers_of(fake)

    assert "C-ECHO" in answers.failure
    assert (answers.services, answers.storage, answers.encryption) == ((), (), Encryption.NONE)
    assert len(fake.conversations) == 1


def test_a_plain_server_is_known_as_such_although_tls_is_configured():
    profile = ConnectionProfile(0.5, 5, tls=TlsSettings())

    answers = answers_of(server({}), profile)

    assert answers.encryption is Encryption.NONE
    node = ServerNode("fake", "FAKE", "127.0.0.1", 1, profile=profile)
    assert [each.about for each in server_differences(node, answers)] == ["encryption", "connection"]


def test_of_a_host_where_nobody_listens_nothing_is_known():
    with FakePeer(lambda _: None) as fake:
        node = fake.node()

    answers = probe_server(node)

    assert "No connection" in answers.failure
    assert answers.encryption is Encryption.UNKNOWN


def test_connections_that_fail_in_the_midst_of_it_are_an_error():
    def echo_only(peer: Conversation) -> None:
        peer.accept()
        peer.respond(peer.receive(), 0)
        peer.release()

    with FakePeer(echo_only, lambda _: None) as fake, pytest.raises(AditError):
        probe_server(fake.node())


def configured(*services: Service, root: QueryRoot = QueryRoot.STUDY) -> ServerNode:
    return ServerNode("PACS", "PACS", "pacs.example", 104, services=frozenset(services), query_root=root)


def told(node: ServerNode, *answers: ServiceAnswer) -> dict[str, Difference]:
    found = ServerAnswers(echo_seconds=0.1, move_destination="ADIT", services=answers)
    return {each.about: each for each in server_differences(node, found)}


def test_what_is_configured_but_not_supported_is_harmful_and_the_other_root_is_named():
    unsupported = ServiceAnswer(Service.FIND, QueryRoot.STUDY, Verdict.UNSUPPORTED, "aborted")
    supported = ServiceAnswer(Service.FIND, QueryRoot.PATIENT, Verdict.SUPPORTED)

    found = told(configured(Service.FIND), unsupported, supported)

    assert found["C-FIND"].is_harmful
    assert found["C-FIND"].message == (
        "It is configured, but unsupported in the study root (aborted); it is supported in the patient root."
    )


def test_what_is_supported_but_not_configured_is_a_hint():
    found = told(configured(), ServiceAnswer(Service.GET, QueryRoot.STUDY, Verdict.SUPPORTED))

    assert {(about, each.is_harmful) for about, each in found.items()} == {("C-GET", False)}


def test_what_is_unclear_is_told_without_alarm():
    found = told(
        configured(Service.GET), ServiceAnswer(Service.GET, QueryRoot.STUDY, Verdict.UNCLEAR, "no answer")
    )

    assert not found["C-GET"].is_harmful
    assert "no answer" in found["C-GET"].message


def test_an_unknown_move_destination_matters_only_if_instances_are_to_be_moved():
    unknown = ServiceAnswer(Service.MOVE, QueryRoot.STUDY, Verdict.SUPPORTED, "unknown", 0xA801)

    assert "does not know ADIT" in told(configured(Service.MOVE), unknown)["C-MOVE"].message
    assert not told(configured(), unknown)["C-MOVE"].is_harmful


def test_a_destination_that_accepts_no_sop_class_is_harmful():
    assert told(configured(Service.STORE))["C-STORE"].is_harmful
