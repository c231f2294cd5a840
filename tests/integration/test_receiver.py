"""C-MOVE through the receiver: real archives, a process of its own, workers that come, die and return."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from adit_core.db.engine import Database
from adit_core.dicom.dimse import DimseDestination
from adit_core.dicom.move import DimseMoveSource, DirectMove
from adit_core.dicom.node import ServerNode, Service
from adit_core.dicom.part10 import read_file_instance
from adit_core.dicom.subscription import ReceiverAddress, Subscription
from adit_core.errors import AditError, ConnectionFailed, OperationFailed
from adit_core.services.senders import KnownSenders
from deployments.demo.archives import Archive
from deployments.demo.studies import StudySpec, write_study
from tests import factories
from tests.certificates import Authority, Identity
from tests.contract.arrivals import Arrivals, InletFailed
from tests.rows import make_folder, make_server
from tests.servers import PEERS, FileArchive, OrthancServer, ReceiverServer, dcmqrscp, orthanc, receiver

STUDY = factories.ct_study(30, rows=64, key="received")
REQUEST = factories.request_for_study(STUDY)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_study(STUDY, tmp_path / "study")


@pytest.fixture
def expected(files: list[Path]) -> dict[str, str]:
    return factories.hashes(files)


@pytest.fixture
def moving_orthanc(orthanc_source: OrthancServer, receiver_server: ReceiverServer) -> Archive:
    """An Orthanc that knows the receiver as a move destination."""
    orthanc_source.know(receiver_server.address.ae_title, receiver_server.server.port)
    return orthanc_source.archive


@pytest.fixture
def moving_dcmqrscp(receiver_server: ReceiverServer, tmp_path: Path) -> Iterator[Archive]:
    """A dcmqrscp that knows the receiver as a move destination."""
    peers = {**PEERS, receiver_server.address.ae_title: receiver_server.server.port}
    with dcmqrscp(tmp_path / "archive", peers=peers) as server:
        yield server.archive


@pytest.fixture(params=["moving_orthanc", "moving_dcmqrscp"])
def archive(request: pytest.FixtureRequest, files: list[Path]) -> Archive:
    """Each archive in turn, holding the study."""
    archive: Archive = request.getfixturevalue(request.param)
    archive.load(files)
    return archive


def move(node: ServerNode, address: ReceiverAddress, arrivals: Arrivals | None = None) -> Arrivals:
    arrivals = arrivals or Arrivals()
    with DimseMoveSource(node, address, grace=2) as source:
        source.retrieve(REQUEST, arrivals)
    return arrivals


def store(server: ReceiverServer, files: list[Path], calling: str = "STORESCU") -> list[str]:
    """Send files to the receiver and return what it refused."""
    node = replace(server.node, calling_ae_title=calling)
    with DimseDestination(node) as destination:
        return [each.failure for each in destination.deliver(map(read_file_instance, files)) if each.failure]


def take_all(subscription: Subscription) -> list[str]:
    """Take what is offered at the moment, without acknowledging it."""
    taken = []
    while (handed := subscription.next_instance()) is not None:
        assert sum(len(fragment) for fragment in subscription.fragments()) == handed.size
        taken.append(handed.header.sop_instance_uid)
    return taken


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


@pytest.mark.system
def test_a_study_passes_and_nothing_of_it_stays(
    archive: Archive, receiver_server: ReceiverServer, expected: dict[str, str]
) -> None:
    arrivals = move(archive.node, receiver_server.address)
    assert arrivals.hashes == expected
    assert arrivals.count == len(expected)
    assert not receiver_server.files().keys() & expected.keys()


@pytest.mark.system
def test_two_who_move_the_same_study_at_once_both_get_all_of_it(
    archive: Archive, receiver_server: ReceiverServer, expected: dict[str, str]
) -> None:
    with ThreadPoolExecutor(4) as pool:
        moves = [pool.submit(move, archive.node, receiver_server.address) for _ in range(4)]
        arrivals = [each.result() for each in moves]
    assert [each.hashes for each in arrivals] == [expected] * 4
    assert [each.count for each in arrivals] == [len(expected)] * 4
    wait_until(lambda: receiver_server.health()["subscriptions"] == 0, "the subscriptions end")
    assert not receiver_server.files().keys() & expected.keys()


@pytest.mark.system
def test_who_subscribes_late_gets_what_waits_without_asking_for_it(
    archive: Archive, receiver_server: ReceiverServer, expected: dict[str, str]
) -> None:
    assert DirectMove(archive.node, receiver_server.address.ae_title).move(REQUEST) is None
    wait_until(lambda: receiver_server.files().keys() >= expected.keys(), "all arrive")
    nobody = replace(archive.node, host="127.0.0.1", port=9)
    assert move(nobody, receiver_server.address).hashes == expected


@pytest.mark.system
def test_who_failed_half_way_takes_the_rest_when_he_comes_back(
    archive: Archive, receiver_server: ReceiverServer, expected: dict[str, str]
) -> None:
    first = Arrivals(fail_in=7)
    with pytest.raises(InletFailed):
        move(archive.node, receiver_server.address, first)
    again = move(archive.node, receiver_server.address)
    assert {**first.hashes, **again.hashes} == expected
    assert len(first.hashes) == 7


@pytest.mark.system
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
def test_ae_titles_have_underscores_and_spaces_and_unknown_ones_are_refused(
    files: list[Path], expected: dict[str, str], tmp_path: Path, is_known: bool
) -> None:
    known = json.dumps(["MY_PACS 1"] if is_known else ["MY PACS 1", "MY_PACS"])
    with (
        receiver(tmp_path / "receiver", "ADIT_RECV 2", receiver_calling_ae_titles=known) as server,
        orthanc(tmp_path / "orthanc", "MY_PACS 1") as source,
    ):
        source.know("ADIT_RECV 2", server.server.port)
        source.archive.load(files)
        if is_known:
            assert move(source.archive.node, server.address).hashes == expected
        else:
            with pytest.raises(AditError):
                move(source.archive.node, server.address)
            assert "calling AE title" in server.server.log.read_text()
            assert server.files() == {}


@pytest.mark.system
def test_several_receivers_serve_workers_of_their_own(
    files: list[Path], expected: dict[str, str], orthanc_source: OrthancServer, tmp_path: Path
) -> None:
    orthanc_source.archive.load(files)
    with receiver(tmp_path / "a", "SITE_A") as first, receiver(tmp_path / "b", "SITE_B") as second:
        for each in (first, second):
            orthanc_source.know(each.address.ae_title, each.server.port)
        with ThreadPoolExecutor(2) as pool:
            moves = [pool.submit(move, orthanc_source.archive.node, each.address) for each in (first, second)]
        assert [each.result().hashes for each in moves] == [expected] * 2
        assert (first.files(), second.files()) == ({}, {})


@pytest.mark.system
def test_an_archive_that_does_not_know_the_receiver_is_told_of(
    dcmqrscp: FileArchive, receiver_server: ReceiverServer, files: list[Path]
) -> None:
    dcmqrscp.archive.load(files)
    with pytest.raises(OperationFailed, match="does not know this AE title as a move destination"):
        move(dcmqrscp.archive.node, receiver_server.address)


@pytest.mark.system
def test_a_retrieval_fails_when_the_disk_of_the_receiver_is_low(
    orthanc_source: OrthancServer, files: list[Path], tmp_path: Path
) -> None:
    orthanc_source.archive.load(files)
    with receiver(tmp_path / "receiver", "ADIT_FULL", receiver_min_free_bytes=1 << 60) as server:
        orthanc_source.know("ADIT_FULL", server.server.port)
        refused = store(server, files[:3])
        assert len(refused) == 3
        assert "0xA700" in refused[0]
        with pytest.raises(AditError):
            move(orthanc_source.archive.node, server.address)


def test_what_was_acknowledged_to_a_sender_survives_the_end_of_the_receiver_by_force(
    files: list[Path], expected: dict[str, str], tmp_path: Path
) -> None:
    with receiver(tmp_path / "receiver") as server:
        assert store(server, files) == []
        ports = server.server.port, int(server.address.url.rpartition(":")[2])
    # Leaving the block killed it. What it had not finished is gone, the rest is there.
    (server.spool / "incoming" / "half.part").write_bytes(b"half an instance")
    with receiver(tmp_path / "receiver", ports=ports) as again:
        assert list((again.spool / "incoming").iterdir()) == []
        with Subscription(again.address, STUDY.study_instance_uid) as subscription:
            assert set(take_all(subscription)) == expected.keys()


def test_what_a_dead_worker_did_not_acknowledge_is_handed_to_the_next(
    files: list[Path], expected: dict[str, str], tmp_path: Path
) -> None:
    with receiver(tmp_path / "receiver") as server:
        store(server, files)
        dying = Subscription(server.address, STUDY.study_instance_uid)
        first, second = take_all(dying)[:2]
        dying.acknowledge(first)
        dying.acknowledge(second)
        dying.flush()
        dying._socket.close()  # as the end of its process does
        dying._http.close()
        wait_until(lambda: server.health()["subscriptions"] == 0, "the subscription ends")
        with Subscription(server.address, STUDY.study_instance_uid) as subscription:
            rest = take_all(subscription)
            assert set(rest) == expected.keys() - {first, second}
            for uid in rest:
                subscription.acknowledge(uid)
        assert server.files() == {}
        assert server.health()["waiting"] == 0


def test_a_worker_without_the_token_gets_nothing(files: list[Path], receiver_server: ReceiverServer) -> None:
    stranger = replace(receiver_server.address, token="a guess")
    with pytest.raises(OperationFailed, match="does not accept our token"):
        Subscription(stranger, STUDY.study_instance_uid)
    url = f"{receiver_server.address.url}/subscriptions/1/acknowledgements"
    assert httpx.post(url, json=["1.2.3"]).status_code == 401
    assert httpx.get(f"{receiver_server.address.url}/studies/1.2.3/stream").status_code == 401


def test_acknowledgements_that_make_no_sense_are_refused(receiver_server: ReceiverServer) -> None:
    headers = {"Authorization": f"Bearer {receiver_server.address.token}"}
    url = f"{receiver_server.address.url}/subscriptions/unknown/acknowledgements"
    assert httpx.post(url, json=["1.2.3"], headers=headers).status_code == 404
    with Subscription(receiver_server.address, "1.2.3") as subscription:
        url = url.replace("unknown", subscription._subscription_id)
        for senseless in (b"no JSON", b'{"a": 1}', b"[1]", b""):
            assert httpx.post(url, content=senseless, headers=headers).status_code == 422
        assert httpx.post(url, json=[], headers=headers).is_success
    assert httpx.get(f"{receiver_server.address.url}/elsewhere", headers=headers).status_code == 404


def test_a_hand_over_with_tls_is_trusted_by_its_certificate(
    files: list[Path], expected: dict[str, str], tmp_path: Path
) -> None:
    authority = Authority()
    issued = authority.issue("127.0.0.1")
    chain = Identity(issued.certificate + authority.certificate, issued.private_key)
    certificate, key = chain.write(tmp_path / "tls")
    with receiver(tmp_path / "receiver", handover_certificate=certificate, handover_key=key) as server:
        store(server, files)
        with Subscription(server.address, STUDY.study_instance_uid) as subscription:
            taken = take_all(subscription)
            for uid in taken:
                subscription.acknowledge(uid)
        assert set(taken) == expected.keys()
        assert server.files() == {}
        assert server.health()["waiting"] == 0
        with pytest.raises(ConnectionFailed, match="certificate verify failed"):
            Subscription(replace(server.address, ca_file=""), STUDY.study_instance_uid)
        plain = replace(server.address, url=server.address.url.replace("https", "http"))
        with pytest.raises(AditError):
            Subscription(plain, STUDY.study_instance_uid)


def test_a_receiver_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed, match="No connection to the receiver"):
        Subscription(ReceiverAddress("ADIT", "http://127.0.0.1:9", "token"), "1.2.3")


def test_a_receiver_that_starts_again_is_waited_for(files: list[Path], tmp_path: Path) -> None:
    with receiver(tmp_path / "receiver") as server:
        store(server, files)
        ports = server.server.port, int(server.address.url.rpartition(":")[2])
    patient = replace(server.address, patience=60)
    with ThreadPoolExecutor(1) as executor:
        begun = executor.submit(Subscription, patient, STUDY.study_instance_uid)
        with pytest.raises(TimeoutError):
            begun.result(1)
        with receiver(tmp_path / "receiver", ports=ports), begun.result(60) as subscription:
            assert len(take_all(subscription)) == len(files)


def test_a_receiver_that_ends_in_between_is_a_passing_condition(files: list[Path], tmp_path: Path) -> None:
    with receiver(tmp_path / "receiver") as server:
        store(server, files)
        subscription = Subscription(server.address, STUDY.study_instance_uid)
        assert len(take_all(subscription)) == len(files)
        server.server.kill()
        with pytest.raises(ConnectionFailed):
            take_all(subscription)
        subscription.acknowledge("1.2.3")
        subscription.close()


def test_a_large_instance_passes(receiver_server: ReceiverServer, tmp_path: Path) -> None:
    spec: StudySpec = factories.large_study(60, key="through the receiver")
    (path,) = write_study(spec, tmp_path)
    assert store(receiver_server, [path]) == []
    nobody = ServerNode("nobody", "NOBODY", "127.0.0.1", 9, services=frozenset({Service.MOVE}))
    arrivals = Arrivals()
    DimseMoveSource(nobody, receiver_server.address).retrieve(factories.request_for_study(spec), arrivals)
    assert arrivals.hashes == factories.hashes([path])


def test_archives_that_support_c_move_may_send(database: Database) -> None:
    make_server(database, "Moves", ae_title="MY_PACS 1", supports_move=True)
    make_server(database, "Gets", ae_title="GETS")
    make_folder(database)
    known = KnownSenders(database)
    assert [known(title) for title in ("MY_PACS 1", "GETS", "", "STRANGER")] == [True, False, False, False]


def test_an_archive_may_send_as_soon_as_it_is_known(database: Database) -> None:
    make_server(database, "First", ae_title="FIRST", supports_move=True)
    known = KnownSenders(database, retry_delay=0)
    assert (known("FIRST"), known("SECOND")) == (True, False)
    make_server(database, "Second", ae_title="SECOND", supports_move=True)
    assert known("SECOND")
