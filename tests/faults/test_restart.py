"""Archives that are restarted, and workers that are told to stop, in the middle of a job."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adit_core.db import TaskStatus
from tests.fault_proxy import FaultProxy
from tests.faults.moments import HALF_WAY, STUDIES, assert_complete, reach
from tests.faults.outcome import Record
from tests.faults.scene import Scene, Stage
from tests.servers import OrthancServer, orthanc, restarted

pytestmark = pytest.mark.system


@pytest.fixture
def restartable(tmp_path: Path) -> Iterator[OrthancServer]:
    """An Orthanc that no other test uses."""
    with orthanc(tmp_path / "restartable", "RESTARTABLE") as server:
        yield server


@pytest.mark.slow_faults
@pytest.mark.fault("the source is killed and comes back")
def test_the_source_is_restarted(stage: Stage, restartable: OrthancServer, record: Record) -> None:
    scene = replace(stage, source=restartable).scene(studies=STUDIES)
    restart_half_way(restartable, scene, scene.inbound, record)


@pytest.mark.fault("the destination is killed and comes back")
def test_the_destination_is_restarted(stage: Stage, restartable: OrthancServer, record: Record) -> None:
    scene = replace(stage, destination=restartable).scene(studies=STUDIES)
    restart_half_way(restartable, scene, scene.outbound, record)


def restart_half_way(server: OrthancServer, scene: Scene, network: FaultProxy, record: Record) -> None:
    transfer = reach(HALF_WAY, scene, network)
    server.archive.server.kill()
    with restarted(server):
        network.heal()
        assert_complete(transfer, record)


@pytest.mark.fault("SIGTERM of the worker, which comes back")
def test_a_worker_that_is_told_to_stop_hands_its_studies_back(stage: Stage, record: Record) -> None:
    scene = stage.scene(studies=STUDIES)
    transfer = reach(HALF_WAY, scene, scene.inbound)
    stage.adit.stop("worker")
    assert stage.adit.flow_runs() == []
    tasks = stage.adit.tasks(transfer.job_id)
    assert [task.id for task in tasks if task.status is TaskStatus.IN_PROGRESS] == []
    assert any(task.status is TaskStatus.PENDING for task in tasks)
    scene.inbound.heal()
    stage.adit.start("worker")
    assert_complete(transfer, record)
    assert {task.attempts for task in stage.adit.tasks(transfer.job_id)} == {1}
