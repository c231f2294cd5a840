"""Cancel at every stage of a job: within seconds, and nothing half-written stays."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from adit_core.db import JobStatus, TaskStatus
from adit_core.db.columns import utc_now
from adit_core.services.job_actions import cancel_job
from adit_core.services.jobs import JobView, show_job
from tests.factories import instances_in
from tests.faults.outcome import Record, Transfer, assert_whole
from tests.faults.scene import INSTANCE_SIZE, INSTANCES, Scene, Stage, scene_from_faulty

pytestmark = [pytest.mark.system, pytest.mark.timeout(450)]

LONGEST = 5.0
"""Seconds that a cancel may take."""
_PATIENCE = 240.0
SLOWLY = INSTANCE_SIZE // 2
"""Bytes a second at which a study takes half a minute."""


@dataclass(frozen=True)
class Stop:
    """A stage at which a job is canceled."""

    fault: str
    prepare: Callable[[Scene], object]
    has_come: Callable[[JobView], bool]
    instances: int = INSTANCES
    scene: Callable[..., Scene] = Stage.scene


def is_moving(job: JobView) -> bool:
    return job.progress.counts.delivered > 0


def _folder(stage: Stage) -> Path:
    return stage.folder / "canceled"


def to_folder(scene: Scene) -> None:
    scene.deliver_to_folder(_folder(scene.stage))
    scene.inbound.throttle(2 * INSTANCE_SIZE)  # so that it still goes on when it is its turn


STOPS = (
    Stop("cancel before the job has begun", lambda _: None, lambda _: True),
    Stop(
        "cancel while the source is asked for what it has",
        lambda scene: scene.inbound.stall(),
        lambda job: bool(job.progress.tasks.get(TaskStatus.IN_PROGRESS)),
    ),
    Stop("cancel while the source sends", lambda scene: scene.inbound.throttle(SLOWLY), is_moving),
    Stop(
        "cancel while a source sends that ignores C-CANCEL",
        lambda scene: scene.inbound.throttle(SLOWLY),
        is_moving,
        scene=scene_from_faulty,
    ),
    Stop("cancel while the destination takes", lambda scene: scene.outbound.throttle(SLOWLY), is_moving),
    # More than are synced at a time, so that some are complete and others are not.
    Stop("cancel while files are written to a folder", to_folder, is_moving, instances=60),
    Stop(
        "cancel while a study waits for its next attempt",
        lambda scene: scene.inbound.refuse(),
        lambda job: job.started_at is not None and bool(job.progress.tasks.get(TaskStatus.PENDING)),
    ),
)


@pytest.fixture(scope="module")
def canceled(stage_of_module: Stage) -> dict[str, Transfer]:
    """All the jobs, canceled as soon as each of them is where it is to be."""
    waiting = {}
    for stop in STOPS:
        scene = stop.scene(stage_of_module, instances=stop.instances)
        stop.prepare(scene)
        waiting[stop] = scene.submit()
    done = {}
    deadline = time.monotonic() + _PATIENCE
    while waiting:
        assert time.monotonic() < deadline, f"never came: {[stop.fault for stop in waiting]}"
        for stop in [stop for stop, transfer in waiting.items() if stop.has_come(_view(transfer))]:
            done[stop.fault] = transfer = replace(waiting.pop(stop), fault_at=utc_now())
            adit = transfer.adit
            cancel_job(adit.db, adit.launcher, adit.user, transfer.job_id)
    return done


def _view(transfer: Transfer) -> JobView:
    return show_job(transfer.adit.db, transfer.adit.user, transfer.job_id)


@pytest.mark.parametrize(
    "stop", [pytest.param(stop, id=stop.fault, marks=pytest.mark.fault(stop.fault)) for stop in STOPS]
)
def test_a_cancel_takes_effect_within_seconds(
    stop: Stop, canceled: dict[str, Transfer], record: Record
) -> None:
    outcome = assert_whole(canceled[stop.fault])
    record(outcome)
    assert outcome.status is JobStatus.CANCELED
    assert outcome.seconds_from_fault < LONGEST


def test_a_cancel_leaves_no_half_written_file(canceled: dict[str, Transfer], stage_of_module: Stage) -> None:
    files = [path for path in _folder(stage_of_module).rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if path.suffix != ".dcm"] == []
    assert len(instances_in(_folder(stage_of_module))) == len(files)
