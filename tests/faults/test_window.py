"""A window that closes while studies are on the move: they stop, and go on when it opens again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from adit_core.db import JobStatus, OutsideWindow, TaskStatus
from adit_core.db.columns import utc_now
from adit_core.services.jobs import JobView
from adit_core.services.node_policies import change_policy
from tests.faults.moments import STUDIES, assert_complete
from tests.faults.outcome import Record
from tests.faults.scene import INSTANCE_SIZE, Stage

pytestmark = pytest.mark.system


ALWAYS = "Mon-Sun 00:00-00:00"


def closed_now() -> str:
    """Return the window of another day of the week."""
    return f"{utc_now() + timedelta(days=3):%a} 00:00-01:00"


def waits(job: JobView) -> bool:
    return not job.progress.tasks.get(TaskStatus.IN_PROGRESS) and job.status is JobStatus.IN_PROGRESS


@pytest.mark.fault("the window of the source closes while studies are on the move")
def test_studies_stop_when_a_window_closes_and_go_on_when_it_opens(stage: Stage, record: Record) -> None:
    adit = stage.adit
    scene = stage.scene(studies=STUDIES)
    scene.inbound.throttle(2 * INSTANCE_SIZE)
    change_policy(adit.db, scene.source, windows=[ALWAYS], time_zone="UTC", outside=OutsideWindow.STOP)
    transfer = scene.submit()
    adit.wait_for_progress(transfer.job_id, lambda job: job.progress.counts.delivered > 0)

    change_policy(adit.db, scene.source, windows=[closed_now()])
    adit.wait_for_progress(transfer.job_id, waits)
    scene.inbound.heal()
    adit.wait_for_progress(transfer.job_id, lambda job: job.message.startswith(f"{scene.source} is "))
    assert any(task.status is TaskStatus.PENDING for task in adit.tasks(transfer.job_id))

    # It waits for the window by policy, for as long as that is closed.
    opened_at = utc_now()
    change_policy(adit.db, scene.source, windows=[ALWAYS])
    assert_complete(replace(transfer, fault_at=opened_at), record)
    assert {task.attempts for task in adit.tasks(transfer.job_id)} == {1}
