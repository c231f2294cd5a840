"""Policies and health of nodes in the database: pauses, probes, back-off, pace and the gate."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, DicomNode, Job, JobStatus, NodeHealth, OutsideWindow, User
from adit_core.db.engine import Database
from adit_core.dicom.query import StudyQuery
from adit_core.errors import InvalidInput, NodeClosed
from adit_core.services.job_actions import cancel_job
from adit_core.services.jobs import show_job
from adit_core.services.launching import launch_job, node_ids_of
from adit_core.services.node_gate import JobGate, closed_nodes, require_open
from adit_core.services.node_health import (
    FIRST_PAUSE,
    PROBE_LEASE,
    is_paused,
    lock_health,
    record_answer,
    record_busy,
    record_failure,
    take_probe,
    width,
)
from adit_core.services.node_policies import change_policy, get_policy
from adit_core.services.pace import Pace
from adit_core.services.reconcile import reconcile
from adit_core.services.search import find_studies
from tests.fakes.launcher import FakeLauncher
from tests.rows import load, make_job, make_server, make_user

TUESDAY_NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def node(database: Database) -> DicomNode:
    return make_server(database, max_associations=8)


def fail(db: Database, node: DicomNode, at: datetime, *, began: datetime | None = None) -> bool:
    return record_failure(db, node.id, "No connection.", began=began or at - SECOND, now=at)


def pause(db: Database, node_id: int, until: datetime) -> None:
    with db.session() as session:
        health = lock_health(session, node_id)
        health.failures, health.paused_until, health.message = 3, until, "No connection."
        session.commit()


def length_of_pause(db: Database, node: DicomNode) -> float:
    health = load(db, NodeHealth, node.id)
    assert health.paused_until is not None
    assert health.failed_at is not None
    return (health.paused_until - health.failed_at).total_seconds()


def test_the_third_failure_in_a_row_pauses_a_node(database: Database, node: DicomNode) -> None:
    assert not fail(database, node, TUESDAY_NOON)
    assert not fail(database, node, TUESDAY_NOON + SECOND)
    record_answer(database, node.id)
    assert not fail(database, node, TUESDAY_NOON + 2 * SECOND)
    assert not fail(database, node, TUESDAY_NOON + 3 * SECOND)
    assert fail(database, node, TUESDAY_NOON + 4 * SECOND)
    assert length_of_pause(database, node) == 30


def test_pauses_double_up_to_a_quarter_of_an_hour(database: Database, node: DicomNode) -> None:
    pauses = []
    for number in range(10):
        if fail(database, node, TUESDAY_NOON + timedelta(hours=number)):
            pauses.append(length_of_pause(database, node))
    assert pauses == [30, 60, 120, 240, 480, 900, 900, 900]


def test_what_was_under_way_when_the_pause_began_does_not_make_it_longer(
    database: Database, node: DicomNode
) -> None:
    for number in range(3):
        fail(database, node, TUESDAY_NOON + number * SECOND)
    assert fail(database, node, TUESDAY_NOON + 10 * SECOND, began=TUESDAY_NOON)
    assert load(database, NodeHealth, node.id).failures == 3


def test_failures_at_the_same_time_are_all_counted(database: Database, node: DicomNode) -> None:
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: fail(database, node, TUESDAY_NOON), range(3)))
    assert sorted(results) == [False, False, True]


def test_one_alone_tries_a_node_after_its_pause(database: Database, node: DicomNode) -> None:
    pause(database, node.id, TUESDAY_NOON)
    before = TUESDAY_NOON - SECOND
    assert not take_probe(database, node.id, prober="early", now=before)
    with ThreadPoolExecutor(8) as pool:
        taken = pool.map(
            lambda name: take_probe(database, node.id, prober=f"task {name}", now=TUESDAY_NOON), range(8)
        )
    assert sum(taken) == 1


def test_a_prober_that_is_not_heard_of_again_is_replaced(database: Database, node: DicomNode) -> None:
    pause(database, node.id, TUESDAY_NOON)
    assert take_probe(database, node.id, prober="task 1", now=TUESDAY_NOON)
    assert not take_probe(database, node.id, prober="task 2", now=TUESDAY_NOON + PROBE_LEASE - SECOND)
    assert take_probe(database, node.id, prober="task 2", now=TUESDAY_NOON + PROBE_LEASE)


def test_an_answer_ends_the_pause(database: Database, node: DicomNode) -> None:
    pause(database, node.id, datetime.now(UTC) + FIRST_PAUSE)
    with pytest.raises(NodeClosed, match=r"PACS is paused until .* UTC after 3 failures in a row"):
        require_open(database, node.id)
    record_answer(database, node.id)
    require_open(database, node.id)


def test_no_pause_lasts_longer_because_the_clock_was_put_back(database: Database, node: DicomNode) -> None:
    for second in range(3):
        fail(database, node, TUESDAY_NOON + second * SECOND)
    back = TUESDAY_NOON - timedelta(hours=1)
    health = load(database, NodeHealth, node.id)
    assert is_paused(health, TUESDAY_NOON + 3 * SECOND)
    assert is_paused(health, TUESDAY_NOON - 10 * SECOND), "clocks of machines differ by some seconds"
    assert not is_paused(health, back)
    assert take_probe(database, node.id, prober="task 1", now=back)
    assert not take_probe(database, node.id, prober="task 2", now=back + SECOND)
    assert fail(database, node, back + 2 * SECOND), "it is paused again"
    assert length_of_pause(database, node) == 60


def test_no_prober_has_longer_because_the_clock_was_put_back(database: Database, node: DicomNode) -> None:
    pause(database, node.id, TUESDAY_NOON)
    assert take_probe(database, node.id, prober="task 1", now=TUESDAY_NOON)
    assert take_probe(database, node.id, prober="task 2", now=TUESDAY_NOON - timedelta(hours=1))


def width_at(database: Database, node: DicomNode, moment: datetime) -> int:
    with database.reading() as session:
        health = session.get(NodeHealth, node.id)
    return width(node, health, moment)


def test_a_node_that_was_busy_is_not_so_for_longer_because_the_clock_was_put_back(
    database: Database, node: DicomNode
) -> None:
    back = TUESDAY_NOON - timedelta(hours=1)
    record_busy(database, node, began=TUESDAY_NOON - SECOND, now=TUESDAY_NOON)
    assert width_at(database, node, back) == 8
    record_busy(database, node, began=back, now=back + SECOND)
    assert width_at(database, node, back + SECOND) == 4


def test_a_busy_node_gets_half_of_the_studies_and_more_with_time(database: Database, node: DicomNode) -> None:
    def allowed(seconds: float) -> int:
        return width_at(database, node, TUESDAY_NOON + timedelta(seconds=seconds))

    assert allowed(0) == 8
    record_busy(database, node, began=TUESDAY_NOON - SECOND, now=TUESDAY_NOON)
    record_busy(database, node, began=TUESDAY_NOON - SECOND, now=TUESDAY_NOON)  # of the same burst
    assert [allowed(seconds) for seconds in (0, 29, 30, 60, 1000)] == [4, 4, 5, 6, 8]
    record_busy(database, node, began=TUESDAY_NOON + 60 * SECOND, now=TUESDAY_NOON + 61 * SECOND)
    assert allowed(61) == 3
    for number in range(5):
        moment = TUESDAY_NOON + (70 + number) * SECOND
        record_busy(database, node, began=moment - SECOND / 2, now=moment)
    assert allowed(75) == 1


class FakeTime:
    """A time that only sleeping moves on, and clocks that may be set."""

    def __init__(self) -> None:
        self.now = TUESDAY_NOON
        self.set_to = timedelta()

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def seconds(self) -> float:
        return self.now.timestamp()

    def pace(self, db: Database, node_id: int, rate: float) -> Pace:
        return Pace(
            db,
            node_id,
            rate,
            now=lambda _: self.now + self.set_to,
            clock=self.seconds,
            sleep=self.sleep,
        )


@pytest.mark.parametrize("rate", [0.5, 3, 20, 1000])
def test_workers_together_keep_the_pace_of_a_node(database: Database, node: DicomNode, rate: float) -> None:
    clock = FakeTime()
    paces = [clock.pace(database, node.id, rate) for _ in range(3)]
    number = 10 * 3
    moments = []
    for turn in range(number):
        paces[turn % 3].wait()
        moments.append(clock.now)
    fetched_at_once = max(1, rate / 4)
    for first in range(number):
        for last in range(first, number):
            seconds = (moments[last] - moments[first]).total_seconds()
            assert last - first + 1 <= rate * seconds + 3 * fetched_at_once


def test_a_node_that_was_idle_owes_nothing(database: Database, node: DicomNode) -> None:
    clock = FakeTime()
    pace = clock.pace(database, node.id, 2)
    pace.wait()
    clock.sleep(60)
    for _ in range(3):
        pace.wait()
    assert clock.now == TUESDAY_NOON + timedelta(seconds=61)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_holds_nobody_up(database: Database, node: DicomNode, hours: int) -> None:
    clock = FakeTime()
    pace = clock.pace(database, node.id, 2)
    pace.wait()
    clock.set_to = timedelta(hours=hours)
    for _ in range(3):
        pace.wait()
    assert SECOND <= clock.now - TUESDAY_NOON <= 2 * SECOND


def closed_now() -> list[str]:
    """A window of one minute that is half a week away."""
    day = datetime.now(UTC) + timedelta(days=3)
    return [f"{day:%a} 00:00-00:01"]


def test_a_job_whose_node_is_closed_is_not_launched_and_says_why(database: Database) -> None:
    owner = make_user(database)
    job = make_job(database, owner=owner)
    source = load(database, DicomNode, job.source_id)
    change_policy(database, source.name, windows=closed_now(), time_zone="UTC")
    launcher = FakeLauncher()

    assert not launch_job(database, launcher, job.id)
    for _ in range(20):
        reconcile(database, launcher, lease=60)

    assert launcher.runs == {}
    view = show_job(database, owner, job.id)
    assert view.status is JobStatus.PENDING
    assert view.message.startswith(f"{source.name} is open ")
    assert "(UTC); next opening " in view.message

    change_policy(database, source.name, windows=[])
    reconcile(database, launcher, lease=60)
    assert list(launcher.runs) == [f"job-{job.id}-run-1"]
    assert show_job(database, owner, job.id).message == ""


def test_a_job_that_waits_is_canceled_at_once(database: Database) -> None:
    owner = make_user(database)
    job = make_job(database, studies=2, owner=owner)
    pause(database, job.source_id or 0, datetime.now(UTC) + FIRST_PAUSE)
    launcher = FakeLauncher()
    launch_job(database, launcher, job.id)
    cancel_job(database, launcher, owner, job.id)
    view = show_job(database, owner, job.id)
    assert (view.status, view.message) == (JobStatus.CANCELED, "2 of 2 studies were canceled.")


def test_one_job_alone_is_launched_to_try_a_paused_node(database: Database) -> None:
    job = make_job(database)
    with database.session() as session:
        other = Job(**job.model_dump(exclude={"id"}))
        session.add(other)
        session.commit()
        session.refresh(other)
    pause(database, job.source_id or 0, datetime.now(UTC) - SECOND)
    launcher = FakeLauncher()
    launched = [launch_job(database, launcher, one.id) for one in (job, other)]
    assert launched == [True, False]
    gates = [JobGate(database, one.id, node_ids_of(one)) for one in (job, other)]
    with pytest.raises(NodeClosed, match="being tried by another task"):
        gates[1].enter(2)
    gates[0].enter(1)
    with pytest.raises(NodeClosed):
        gates[0].enter(3)
    record_answer(database, job.source_id or 0)
    gates[0].enter(3)
    gates[1].enter(2)


def test_whoever_asks_a_closed_node_is_refused_with_the_reason(database: Database, node: DicomNode) -> None:
    change_policy(database, node.name, windows=closed_now())
    staff: User = make_user(database, staff=True)
    with pytest.raises(NodeClosed, match=r"PACS is open .*; next opening"):
        find_studies(database, staff, node.name, StudyQuery())
    assert list(closed_nodes(database)) == ["PACS"]


def test_a_policy_is_changed_in_part_and_audited(database: Database, node: DicomNode) -> None:
    assert get_policy(database, node.name).instances_per_second is None
    change_policy(
        database, node.name, instances_per_second=20, windows=["Mon-Fri 20:00-06:00"], find_limit=500
    )
    change_policy(database, node.name, time_zone="Europe/Berlin", outside=OutsideWindow.STOP, actor="ada")
    policy = get_policy(database, node.name)
    assert (policy.instances_per_second, policy.find_limit, policy.time_zone, policy.outside) == (
        20,
        500,
        "Europe/Berlin",
        OutsideWindow.STOP,
    )
    assert len(policy.windows) == 5
    with database.reading() as session:
        assert [event.actor for event in session.exec(select(AuditEvent))] == ["ADIT", "ada"]
    change_policy(database, node.name, instances_per_second=0, windows=[], find_limit=0)
    policy = get_policy(database, node.name)
    assert (policy.instances_per_second, policy.find_limit, policy.windows) == (None, None, ())


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"instances_per_second": 0.01}, "instances_per_second"),
        ({"instances_per_second": -1.0}, "instances_per_second"),
        ({"instances_per_second": float("nan")}, "instances_per_second"),
        ({"time_zone": "Berlin"}, "time_zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone"),
        ({"find_limit": -1}, "find_limit"),
        ({"windows": ["sometimes"]}, "window"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(
    database: Database, node: DicomNode, change: dict, field: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        change_policy(database, node.name, **change)
    assert [problem.field for problem in refusal.value.problems] == [field]
