"""Places at nodes: never more than allowed, over all processes; nobody waits in vain for long."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.process import BaseProcess

import pytest
from sqlmodel import col, delete, select, update

from adit_core.db import DicomNode, Job, JobKind, NodePlace, Precedence
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.dicom.interruption import Interruption
from adit_core.errors import DatabaseUnavailable, NodeClosed, NotFound, TaskStopped
from adit_core.services.node_health import record_busy
from adit_core.services.node_places import places_at, places_of_job
from adit_core.services.place_account import LEASE, Asker, renew
from tests.fault_proxy import FaultProxy
from tests.rows import make_folder, make_server, make_user

MOMENT = 0.4


@pytest.fixture
def node(database: Database) -> DicomNode:
    return make_server(database, max_associations=2)


def never() -> None:
    """The job is not being stopped."""


def make_jobs(db: Database, *ends: tuple[DicomNode, DicomNode], urgent: bool = False) -> list[Job]:
    owner = make_user(db, f"owner {urgent}")
    jobs = [
        Job(
            owner_id=owner.id,
            source_id=source.id,
            destination_id=destination.id,
            kind=JobKind.BATCH_TRANSFER,
            urgent=urgent,
        )
        for source, destination in ends
    ]
    with db.session() as session:
        session.add_all(jobs)
        session.commit()
    return jobs


def make_busy(db: Database, node: DicomNode, *, seconds_ago: float = 0) -> None:
    """Have the node say that it is busy, so that there is one place of two for 30 seconds."""
    now = utc_now() - timedelta(seconds=seconds_ago)
    record_busy(db, node, began=now, now=now)


def holders(db: Database) -> list[str]:
    """Return who has places, in the order in which they asked."""
    with db.reading() as session:
        taken = select(NodePlace.holder).where(col(NodePlace.taken_at).is_not(None))
        return list(session.exec(taken.order_by(col(NodePlace.asked_at), col(NodePlace.id))))


def waiting(db: Database) -> int:
    with db.reading() as session:
        return len(session.exec(select(NodePlace.id).where(col(NodePlace.taken_at).is_(None))).all())


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def seconds_until_taken(db: Database, node: DicomNode) -> float:
    started = time.monotonic()
    with places_at(db, [node], "test"):
        return time.monotonic() - started


def test_who_waits_gets_the_place_that_somebody_leaves(database: Database, node: DicomNode) -> None:
    with ThreadPoolExecutor(1) as executor, places_at(database, [node], "test"):
        assert seconds_until_taken(database, node) < 10 * MOMENT
        with places_at(database, [node], "test"):
            waiter = executor.submit(seconds_until_taken, database, node)
            time.sleep(MOMENT)
            assert not waiter.done()
        assert waiter.result(timeout=60) >= MOMENT / 2
    assert holders(database) == []
    assert waiting(database) == 0


def test_a_busy_node_has_fewer_places(database: Database, node: DicomNode) -> None:
    make_busy(database, node)
    with (
        places_at(database, [node], "test"),
        pytest.raises(NodeClosed, match="All 1 connections"),
        places_at(database, [node], "test", patience=MOMENT),
    ):
        pass
    assert waiting(database) == 0


def test_who_waits_for_a_busy_node_is_let_in_when_it_recovers(database: Database, node: DicomNode) -> None:
    began = time.monotonic()
    make_busy(database, node, seconds_ago=30 - 2 * MOMENT)
    with places_at(database, [node], "test"), places_at(database, [node], "test"):
        assert 2 * MOMENT <= time.monotonic() - began < 25


def test_an_interruption_ends_the_wait(database: Database, node: DicomNode) -> None:
    make_busy(database, node)
    interruption = Interruption()
    interruption.interrupt()
    with (
        places_at(database, [node], "test"),
        pytest.raises(TaskStopped),
        places_at(database, [node], "test", interruption),
    ):
        pass
    assert waiting(database) == 0


def test_a_job_takes_a_place_at_both_its_nodes_and_says_who_it_is(database: Database) -> None:
    (job,) = make_jobs(database, (make_server(database), make_folder(database)))
    with places_of_job(database, job.id, never):
        assert holders(database) == [f"job {job.id}"] * 2
    assert holders(database) == []


def test_a_job_that_waits_for_one_node_holds_nothing_at_the_other(database: Database) -> None:
    source, destination = make_server(database), make_folder(database, max_associations=1)
    (job,) = make_jobs(database, (source, destination))
    stopped = iter([False] * 3 + [True])

    def check_stopped() -> None:
        assert holders(database) == ["test"]
        if next(stopped):
            raise TaskStopped("The execution of the job is being stopped.")

    with (
        places_at(database, [destination], "test"),
        pytest.raises(TaskStopped),
        places_of_job(database, job.id, check_stopped),
    ):
        pass
    assert waiting(database) == 0


def test_a_job_that_is_gone_is_said_to_be(database: Database) -> None:
    with pytest.raises(NotFound), places_of_job(database, 77, never):
        pass


def test_an_urgent_job_goes_first_at_a_full_node_then_answers_then_other_jobs(database: Database) -> None:
    source, destination = make_server(database, max_associations=1), make_folder(database)
    jobs = make_jobs(database, (source, destination), (source, destination))
    (urgent,) = make_jobs(database, (source, destination), urgent=True)
    order: list[str] = []

    @contextmanager
    def noted(name: str) -> Iterator[None]:
        order.append(name)
        time.sleep(0.05)
        yield

    def of_job(name: str, job: Job) -> None:
        with places_of_job(database, job.id, never), noted(name):
            pass

    def of_answer() -> None:
        with places_at(database, [source], "test"), noted("answer"):
            pass

    with ThreadPoolExecutor(4) as pool:
        asked: list[Future[None]] = []
        with places_at(database, [source], "test"):
            for number, ask in enumerate(
                [
                    lambda: of_job("first", jobs[0]),
                    lambda: of_job("second", jobs[1]),
                    of_answer,
                    lambda: of_job("urgent", urgent),
                ],
                start=1,
            ):
                asked.append(pool.submit(ask))
                rows = (2, 4, 5, 7)[number - 1]
                until(lambda rows=rows: waiting(database) == rows)
        for each in asked:
            each.result(timeout=30)

    assert order == ["urgent", "answer", "first", "second"]


def test_jobs_in_opposite_directions_do_not_wait_for_each_other(database: Database) -> None:
    one, other = (make_server(database, name, max_associations=1) for name in ("ONE", "OTHER"))
    jobs = make_jobs(database, (one, other), (other, one))
    inside: list[int] = []
    done: list[int] = []

    def work(job: Job) -> None:
        for _ in range(8):
            with places_of_job(database, job.id, never):
                inside.append(job.id)
                assert len(inside) == 1
                time.sleep(0.01)
                inside.remove(job.id)
                done.append(job.id)

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(work, job) for job in jobs * 2]:
            each.result(timeout=60)
    assert len(done) == 32


def occupy(db: Database, node_ids: list[int], times: int, counter: str) -> None:
    """Use nodes again and again, each time for a moment in which all who do so can be counted."""
    with db.reading() as session:
        nodes = [session.get_one(DicomNode, node_id) for node_id in node_ids]
    for _ in range(times):
        with places_at(db, nodes, "test"):
            path = os.path.join(counter, f"{os.getpid()}")  # noqa: PTH118 - a name, quickly made
            os.close(os.open(path, os.O_CREAT))
            most = len(os.listdir(counter))  # noqa: PTH208
            time.sleep(0.005)
            os.unlink(path)  # noqa: PTH108
            assert most <= nodes[0].max_associations, f"{most} are there at once"


def in_process(function: Callable[..., object], *args: object) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=function, args=args)
    process.start()
    return process


@pytest.mark.parametrize("most", [1, 2])
def test_several_processes_together_never_have_more_places_than_allowed(
    database: Database, most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    node = make_server(database, max_associations=most)
    counter = str(tmp_path_factory.mktemp("there"))
    processes = [in_process(occupy, database, [node.id], 10, counter) for _ in range(3)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 3


def take_and_freeze(db: Database, node: DicomNode) -> None:
    with places_at(db, [node], "frozen"):
        signal.pause()


def test_the_place_of_a_holder_that_was_killed_becomes_free(database: Database) -> None:
    node = make_server(database, max_associations=1)
    process = in_process(take_and_freeze, database, node)
    until(lambda: holders(database) == ["frozen"])
    process.kill()
    process.join()
    with pytest.raises(NodeClosed), places_at(database, [node], "test", patience=MOMENT):
        pass

    with database.session() as session:  # as many seconds pass
        session.exec(update(NodePlace).values(until=utc_now() - LEASE / 100))
        session.commit()

    assert seconds_until_taken(database, node) < 10 * MOMENT


def test_somebody_who_was_killed_while_waiting_keeps_nobody_waiting_for_long(database: Database) -> None:
    node = make_server(database, max_associations=1)
    with places_at(database, [node], "test"):
        process = in_process(take_and_freeze, database, node)
        until(lambda: waiting(database) == 1)
        process.kill()
        process.join()
    assert 1 < seconds_until_taken(database, node) < 10


def test_a_holder_that_was_suspended_for_too_long_enters_itself_again(database: Database) -> None:
    node = make_server(database, max_associations=1)
    suspended = Asker(database, [node.id], "suspended", Precedence.JOB)
    assert suspended.take() is None
    with database.session() as session:
        session.exec(delete(NodePlace))
        session.commit()
    with places_at(database, [node], "other"):
        assert renew(database, {suspended.id: suspended}) == [suspended.id]
        assert sorted(holders(database)) == ["other", "suspended"]
    with pytest.raises(NodeClosed), places_at(database, [node], "test", patience=MOMENT):
        pass
    assert renew(database, {suspended.id: suspended}) == []


def test_the_place_of_a_dead_holder_lasts_no_longer_because_the_clock_was_put_back(
    database: Database,
) -> None:
    node = make_server(database, max_associations=1)
    dead = Asker(database, [node.id], "dead", Precedence.JOB)
    assert dead.take() is None
    with database.session() as session:
        session.exec(update(NodePlace).values(until=utc_now() + timedelta(hours=1)))
        session.commit()
    with pytest.raises(NodeClosed), places_at(database, [node], "test", patience=MOMENT):
        pass
    with database.reading() as session:
        assert session.exec(select(NodePlace.until)).one() <= utc_now() + LEASE


def test_the_clock_of_a_machine_says_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if database.engine.dialect.name == "sqlite":
        pytest.skip("all who use such a database are on one machine")
    node = make_server(database, max_associations=1)
    with places_at(database, [node], "test"):
        monkeypatch.setattr("adit_core.db.clock.utc_now", lambda: utc_now() + timedelta(hours=1))
        with pytest.raises(NodeClosed), places_at(database, [node], "test", patience=MOMENT):
            pass
    assert seconds_until_taken(database, node) < 10 * MOMENT


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_database_that_is_away_for_some_seconds_ends_nothing(database: Database) -> None:
    node, folder = make_server(database, max_associations=1), make_folder(database)
    (job,) = make_jobs(database, (node, folder))
    port = database.engine.url.port
    assert port is not None
    with FaultProxy(port) as network, ThreadPoolExecutor(1) as pool:
        url = database.engine.url.set(port=network.port).render_as_string(hide_password=False)
        through = Database(url, database.keyring)

        def work() -> str:
            with places_of_job(through, job.id, never):
                return "worked"

        with places_of_job(through, job.id, never):
            waiter = pool.submit(work)
            until(lambda: waiting(database) == 2)
            network.refuse()
            time.sleep(2)
            with pytest.raises(DatabaseUnavailable), places_at(through, [node], "test", patience=MOMENT):
                pass
        assert holders(database) == [f"job {job.id}"] * 2  # nobody could be told that they were left
        network.heal()

        assert waiter.result(timeout=60) == "worked"
        until(lambda: holders(database) == [])
