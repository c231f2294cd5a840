"""Moments in the life of a job at which something happens to it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from adit_core.db import JobStatus, TaskStatus
from adit_core.db.columns import utc_now
from adit_core.services.jobs import JobView
from tests.fault_proxy import FaultProxy
from tests.faults.outcome import Record, Transfer, assert_whole
from tests.faults.scene import INSTANCE_SIZE, INSTANCES, Scene

STUDIES = 6
"""How many studies a job has that is disturbed at a moment."""
IN_FLIGHT = 4
"""How many studies are moved at a time, and so how many instances may be on their way when all ends."""
SLOWLY = INSTANCE_SIZE // 3
"""Bytes a second on a connection at which a study takes half a minute; with less, peers would give up."""


@dataclass(frozen=True)
class Moment:
    """A moment, and how to tell that it has come."""

    words: str
    has_come: Callable[[JobView], bool]
    at_once: int | None = 0
    """How many studies pass before the network is slow, so that the moment lasts; None if it never is."""


def _count(job: JobView, status: TaskStatus) -> int:
    return job.progress.tasks.get(status, 0)


SUBMITTED = Moment("has been submitted", lambda job: job.status is JobStatus.PENDING)
BEGUN = Moment("has begun", lambda job: _count(job, TaskStatus.IN_PROGRESS) > 0)
HALF_WAY = Moment(
    "is half way",
    lambda job: _count(job, TaskStatus.SUCCESS) > 0 and _count(job, TaskStatus.IN_PROGRESS) > 0,
    at_once=IN_FLIGHT,
)
LAST = Moment(
    "is at its last study",
    lambda job: _count(job, TaskStatus.SUCCESS) >= STUDIES - 1,
    at_once=STUDIES - 1,
)
ENDED = Moment("has just ended", lambda job: _count(job, TaskStatus.SUCCESS) == STUDIES, at_once=None)


def reach(moment: Moment, scene: Scene, network: FaultProxy) -> Transfer:
    """Submit the job of a scene, and return when the moment has come at which the fault has to come.

    `network` is slow from then on, until it is healed.
    """
    if moment.at_once is not None:
        network.throttle(SLOWLY, after=moment.at_once * INSTANCES * INSTANCE_SIZE)
    transfer = scene.submit()
    scene.stage.adit.wait_for_progress(transfer.job_id, moment.has_come)
    return replace(transfer, fault_at=utc_now())


def assert_complete(transfer: Transfer, record: Record, *, in_flight: int = IN_FLIGHT) -> None:
    """Assert that a job has moved everything, with every promise kept, and take it down."""
    outcome = assert_whole(transfer, in_flight=in_flight)
    record(outcome)
    assert outcome.status is JobStatus.SUCCESS, outcome.messages
    assert outcome.delivered == outcome.planned == STUDIES * INSTANCES
