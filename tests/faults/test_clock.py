"""A wall clock that is put forward or back by an hour: nobody is taken for dead, nothing waits as long."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlmodel import col, select

from adit_core.db import DicomNode, JobStatus, NodeHealth
from tests.fake_clock import FakeClock
from tests.faults.conftest import FAST
from tests.faults.moments import BEGUN, IN_FLIGHT
from tests.faults.outcome import Record, Transfer, assert_whole
from tests.faults.scene import INSTANCE_SIZE, Scene, Stage, open_stage
from tests.servers import OrthancServer
from tests.stack import running_stack

pytestmark = [pytest.mark.system, pytest.mark.slow_faults, pytest.mark.timeout(500)]

HOUR = timedelta(hours=1)
_MANY = 48
"""How many instances a study has that must not end before the clock is put, however late that is."""
_SLOWLY = INSTANCE_SIZE // 2
"""Bytes a second at which it takes minutes."""
_PATIENCE = 240.0

UNDER_WAY = "a job is under way"
KILLED = "a flow run has just been killed"
PAUSED = "the source is paused"
SUBMITTED = "a job has just been submitted"


@dataclass(frozen=True)
class Timed:
    """A job, and the seconds from its submission until the clock was put."""

    transfer: Transfer
    seconds: float


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> FakeClock:
    """The clock of the stack: all who share the embedded database are on one machine."""
    return FakeClock(tmp_path_factory.mktemp("clock") / "clock")


@pytest.fixture(scope="module")
def stage_with_clock(
    clock: FakeClock,
    running_orthanc_source: OrthancServer,
    running_orthanc_destination: OrthancServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    with (
        running_stack(tmp_path_factory.mktemp("stack"), FAST) as stack,
        open_stage(
            stack, running_orthanc_source, running_orthanc_destination, tmp_path_factory.mktemp("studies")
        ) as stage,
    ):
        # To make Prefect's database with the fake clock would take minutes.
        for process in list(stack.processes):
            stack.stop(process)
            stack.start(process, environment=clock.environment)
        yield stage


def put(stage: Stage, clock: FakeClock, by: timedelta) -> Mapping[str, Timed]:
    """Put the clock while jobs are in all these states, by their words, and let them go on."""
    paused = stage.scene()
    paused.inbound.refuse()
    jobs = {PAUSED: submit(paused)}
    await_pause(paused)
    scenes = {words: stage.scene(instances=_MANY) for words in (UNDER_WAY, KILLED)}
    scenes[SUBMITTED] = stage.scene()
    for words in (UNDER_WAY, KILLED):
        scenes[words].inbound.throttle(_SLOWLY)
        jobs[words] = submit(scenes[words])
    for words in (UNDER_WAY, KILLED):
        stage.adit.wait_for_progress(jobs[words].transfer.job_id, BEGUN.has_come)
    jobs[SUBMITTED] = submit(scenes[SUBMITTED])
    (run,) = stage.adit.flow_runs_of(jobs[KILLED].transfer.job_id)
    run.kill()
    clock.put(by)
    for scene in (paused, *scenes.values()):
        scene.inbound.heal()
    fault_at, now = clock.now(), time.monotonic()
    return {
        words: Timed(replace(job.transfer, fault_at=fault_at), now - job.seconds)
        for words, job in jobs.items()
    }


def submit(scene: Scene) -> Timed:
    """Submit a job; its seconds are those of a clock that nobody sets, for now."""
    return Timed(scene.submit(), time.monotonic())


def await_pause(scene: Scene) -> None:
    """Wait until the source was found to be away, and is paused."""
    chosen = (
        select(NodeHealth)
        .join(DicomNode, col(DicomNode.id) == col(NodeHealth.node_id))
        .where(DicomNode.name == scene.source, col(NodeHealth.paused_until).is_not(None))
    )
    deadline = time.monotonic() + _PATIENCE
    while True:
        with scene.stage.adit.db.reading() as session:
            if session.exec(chosen).first() is not None:
                return
        assert time.monotonic() < deadline, "the source is not paused"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def put_back(stage_with_clock: Stage, clock: FakeClock) -> Mapping[str, Timed]:
    return put(stage_with_clock, clock, -HOUR)


@pytest.fixture(scope="module")
def put_forward(stage_with_clock: Stage, clock: FakeClock) -> Mapping[str, Timed]:
    return put(stage_with_clock, clock, HOUR)


def states(direction: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "state",
        [
            pytest.param(
                words,
                id=words,
                marks=pytest.mark.fault(f"the clock is put {direction} by an hour when {words}"),
            )
            for words in (UNDER_WAY, KILLED, PAUSED, SUBMITTED)
        ],
    )


@states("back")
def test_a_clock_that_is_put_back_makes_nothing_last_longer(
    state: str, put_back: Mapping[str, Timed], record: Record
) -> None:
    assert_complete(state, put_back[state], record)


@states("forward")
def test_a_clock_that_is_put_forward_kills_nobody(
    state: str, put_forward: Mapping[str, Timed], record: Record
) -> None:
    assert_complete(state, put_forward[state], record)


def assert_complete(state: str, job: Timed, record: Record) -> None:
    outcome = assert_whole(job.transfer, in_flight=IN_FLIGHT)
    record(replace(outcome, seconds=job.seconds + outcome.seconds_from_fault))
    assert outcome.status is JobStatus.SUCCESS, outcome.messages
    assert state != UNDER_WAY or outcome.attempts == 1
