"""Archives that are restarted, and workers that are told to stop, in the middle of a job."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adit_core.db import JobStatus, TaskStatus
from tests.faults.outcome import Record, assert_whole
from tests.faults.scene import INSTANCES, Stage
from tests.faults.test_kill import HALF_WAY, IN_FLIGHT, RATE, STUDIES
from tests.servers import OrthancServer, orthanc, restarted

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture
def restartable(tmp_path: Path) -> Iterator[OrthancServer]:
    """An Orthanc that no other test uses."""
    with orthanc(tmp_path / "restartable", "RESTARTABLE") as server:
        yield server


@pytest.mark.fault("the source is killed and comes back")
def test_the_source_is_restarted(stage: Stage, restartable: OrthancServer, record: Record) -> None:
    scene = replace(stage, source=restartable).scene(studies=STUDIES)
    scene.inbound.throttle(RATE)
    transfer = scene.submit()
    stage.adit.wait_for_progress(transfer.job_id, HALF_WAY.has_come)
    restartable.archive.server.kill()
    with restarted(restartable):
        scene.inbound.heal()
        outcome = assert_whole(transfer)
    record(outcome)
    assert outcome.status is JobStatus.SUCCESS, outcome.messages


@pytest.mark.fault("the destination is killed and comes back")
def test_the_destination_is_restarted(stage: Stage, restartable: OrthancServer, record: Record) -> None:
    scene = replace(stage, destination=restartable).scene(studies=STUDIES)
    scene.outbound.throttle(RATE)
    transfer = scene.submit()
    stage.adit.wait_for_progress(transfer.job_id, HALF_WAY.has_come)
    restartable.archive.server.kill()
    with restarted(restartable):
        scene.outbound.heal()
        outcome = assert_whole(transfer, in_flight=IN_FLIGHT)
    record(outcome)
    assert outcome.status is JobStatus.SUCCESS, outcome.messages


@pytest.mark.fault("SIGTERM of the worker, which comes back")
def test_a_worker_that_is_told_to_stop_hands_its_studies_back(stage: Stage, record: Record) -> None:
    scene = stage.scene(studies=STUDIES)
    scene.inbound.throttle(RATE)
    transfer = scene.submit()
    stage.adit.wait_for_progress(transfer.job_id, HALF_WAY.has_come)
    stage.adit.stop("worker")
    assert stage.adit.flow_runs() == []
    tasks = stage.adit.tasks(transfer.job_id)
    assert [task.log for task in tasks if task.status is TaskStatus.IN_PROGRESS] == []
    assert any(task.status is TaskStatus.PENDING for task in tasks)
    scene.inbound.heal()
    stage.adit.start("worker")
    outcome = assert_whole(transfer, in_flight=IN_FLIGHT)
    record(outcome)
    assert outcome.status is JobStatus.SUCCESS, outcome.messages
    assert outcome.delivered == STUDIES * INSTANCES
    assert outcome.attempts == 1
