"""Having jobs run: what is asked of a scheduler, and how a job is handed to it."""

from typing import Protocol

from sqlmodel import col, update

from adit_core.db import Job, JobKind, JobStatus
from adit_core.db.columns import storable
from adit_core.db.engine import Database
from adit_core.errors import SchedulerUnavailable
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.node_gate import JobGate


class Launcher(Protocol):
    """A scheduler. Every method may raise SchedulerUnavailable."""

    def launch(self, job_id: int, kind: JobKind, *, run_number: int, urgent: bool) -> str:
        """Have an execution of a job started and return the id of its flow run.

        The same job and run number always give the same flow run.
        """
        ...

    def cancel(self, flow_run_id: str) -> None:
        """Ask for a flow run to be ended; do nothing if it is over, or not known."""
        ...

    def abandon(self, flow_run_id: str) -> None:
        """Record that a flow run is dead, so that it takes up no place; do nothing if it is over."""
        ...

    def is_awaited(self, flow_run_id: str) -> bool:
        """Tell whether a flow run is still to begin, or began so recently that it need not show yet."""
        ...


def node_ids_of(job: Job) -> list[int]:
    """Return the nodes that a job has to do with: its source and its destination, where it has them."""
    return [node_id for node_id in (job.source_id, job.destination_id) if node_id is not None]


def launch_job(db: Database, launcher: Launcher, job_id: int) -> bool:
    """Hand an open job without a flow run to the scheduler; return False if it has to wait.

    That is when the scheduler is not available, which the job says then, or when one of its nodes is
    closed. The reconciler tries again. Two processes may do so at once: the
    scheduler gives both the same flow run.
    """
    with db.reading() as session:
        job = session.get_one(Job, job_id)
    if job.flow_run_id is not None or job.status not in OPEN_JOBS:
        return True
    if not JobGate(db, job_id, node_ids_of(job), destination_id=job.destination_id).may_launch():
        return False
    try:
        flow_run_id = launcher.launch(job.id, job.kind, run_number=job.run_number, urgent=job.urgent)
    except SchedulerUnavailable as error:
        _note(db, job, f"Waits for the scheduler. {error}", flow_run_id=None)
        return False
    _note(db, job, "", flow_run_id=flow_run_id)
    return True


def _note(db: Database, job: Job, message: str, *, flow_run_id: str | None) -> None:
    """Write what became of a launch, unless the job has moved on since."""
    this_run = (col(Job.id) == job.id, col(Job.run_number) == job.run_number)
    with db.session() as session:
        if flow_run_id is not None:
            session.exec(update(Job).where(*this_run).values(flow_run_id=flow_run_id))
        session.exec(
            update(Job)
            .where(*this_run, col(Job.status) == JobStatus.PENDING)
            .values(message=storable(message))
        )
        session.commit()
