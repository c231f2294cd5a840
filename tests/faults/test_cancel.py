"""Cancel at every stage of a job: within seconds, and nothing half-written stays."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from adit_core.db import JobStatus, TaskStatus
from adit_core.db.columns import utc_now
from adit_core.services.job_actions import cancel_job
from adit_core.services.jobs import JobView, show_job
from tests.factories import instances_in
from tests.faults.moments import SLOWLY
from tests.faults.outcome import Record, Transfer, assert_whole
from tests.faults.scene import INSTANCE_SIZE, INSTANCES, Scene, Stage, scene_from_faulty

pytestmark = [pytest.mark.system, pytest.mark.timeout(450)]

LONGEST = 5.0
"""Seconds that a cancel may take."""
_PATIENCE = 240.0
_MANY = 60
"""How many instances a study has that must not end before it is canceled, however late that is."""
_FAST = 20 * INSTANCE_SIZE
"""Bytes of it that pass at once, so that something was delivered soon; the rest takes minutes."""
_FILES = 320
"""How many instances a study has for a folder, where they are told of by the 32."""
_BY_FILES = 4 * INSTANCE_SIZE
"""Bytes a second of it."""


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
    scene.inbound.throttle(_BY_FILES)


def slow_source(scene: Scene) -> None:
    scene.inbound.throttle(SLOWLY, after=_FAST)


def slow_destination(scene: Scene) -> None:
    scene.outbound.throttle(SLOWLY, after=_FAST)


BEFORE_IT_BEGINS = Stop("cancel before the job has begun", lambda _: None, lambda _: True)
STOPS = (
    BEFORE_IT_BEGINS,
    Stop(
        "cancel while the source is asked for what it has",
        lambda scene: scene.inbound.stall(),
        lambda job: bool(job.progress.tasks.get(TaskStatus.IN_PROGRESS)),
    ),
    Stop("cancel while the source sends", slow_source, is_moving, instances=_MANY),
    Stop(
        "cancel while a source sends that ignores C-CANCEL",
        slow_source,
        is_moving,
        instances=_MANY,
        scene=scene_from_faulty,
    ),
    Stop("cancel while the destination takes", slow_destination, is_moving, instances=_MANY),
    Stop("cancel while files are written to a folder", to_folder, is_moving, instances=_FILES),
    Stop(
        "cancel while a study waits for its next attempt",
        lambda scene: scene.inbound.refuse(),
        lambda job: job.started_at is not None and bool(job.progress.tasks.get(TaskStatus.PENDING)),
    ),
)


@pytest.fixture(scope="module")
def canceled(stage_of_module: Stage) -> dict[str, Transfer]:
    """All the jobs, canceled as soon as each of them is where it is to be."""
    scenes = [stop.scene(stage_of_module, instances=stop.instances) for stop in STOPS]
    waiting: dict[Stop, Transfer] = {}
    done: dict[str, Transfer] = {}
    for stop, scene in zip(STOPS, scenes, strict=True):
        stop.prepare(scene)
        # It begins within a second, and a busy machine may take longer to submit and to cancel it.
        with stage_of_module.adit.suspended("worker") if stop is BEFORE_IT_BEGINS else nullcontext():
            waiting[stop] = scene.submit()
            done |= _cancel_what_has_come(waiting)
    deadline = time.monotonic() + _PATIENCE
    while waiting:
        assert time.monotonic() < deadline, f"never came: {[stop.fault for stop in waiting]}"
        done |= _cancel_what_has_come(waiting)
    return done


def _cancel_what_has_come(waiting: dict[Stop, Transfer]) -> dict[str, Transfer]:
    """Cancel the jobs that are where they are to be; they wait no longer."""
    canceled = {}
    for stop, transfer in list(waiting.items()):
        if stop.has_come(_view(transfer)):
            canceled[stop.fault] = replace(waiting.pop(stop), fault_at=utc_now())
            cancel_job(transfer.adit.db, transfer.adit.launcher, transfer.adit.user, transfer.job_id)
    return canceled


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
