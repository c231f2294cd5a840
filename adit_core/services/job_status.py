"""The one place that derives a job's status from its tasks.

Whoever changes the status of tasks locks their job first (`lock_job`, `lock_job_of_task`) and settles
it in the same transaction. Changes of one job therefore happen one after the other, and the last one
sees all others: two tasks that end at the same moment cannot both believe that the other is running.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, func
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from adit_core.db import Job, JobKind, JobStatus, Task, TaskStatus
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import JobFailed, NotFound
from adit_core.services.history import record_of_job
from adit_core.services.outbox import announce_end
from adit_core.services.query_rows import count_rows

OPEN_TASKS = frozenset({TaskStatus.PENDING, TaskStatus.IN_PROGRESS})
"""A task that has one of these has not ended."""
OPEN_JOBS = frozenset({JobStatus.PENDING, JobStatus.IN_PROGRESS, JobStatus.CANCELING})
"""A job that has one of these has tasks that have not ended."""

_OPEN_TASK = (
    select(Task.id).where(col(Task.job_id) == bindparam("of_job"), col(Task.status).in_(OPEN_TASKS)).limit(1)
)

TaskNumbers = Mapping[TaskStatus, int]
"""How many tasks have which status; a status that no task has may be left out."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """How many parts of a job have which status, and what that makes of the job."""

    job_id: int
    status: JobStatus
    message: str
    tasks: TaskNumbers

    def or_raise(self) -> dict[str, int]:
        """Return the number of tasks by the word for their status.

        Raises:
            JobFailed: No study, or row, of the job succeeded.
        """
        if self.status is JobStatus.FAILURE:
            raise JobFailed(f"Job {self.job_id}: {self.message}")
        return {status.value: number for status, number in self.tasks.items()}


def job_result(db: Database, job_id: int) -> JobResult:
    """Return how a job stands.

    Raises:
        NotFound: There is no such job.
    """
    with db.reading() as session:
        job = session.get(Job, job_id)
        if job is None:
            raise NotFound(f"There is no job {job_id}.")
        return JobResult(job.id, job.status, job.message, count_parts(session, job))


def derive_status(tasks: TaskNumbers, *, cancel_requested: bool, started: bool) -> JobStatus:
    """Return the status of a job whose tasks have the given ones.

    ``started`` tells whether a task was ever in progress since the job was submitted or put back.

    ============ ================ ======================= ===========
    open tasks   cancel requested other                   status
    ============ ================ ======================= ===========
    some         yes                                      CANCELING
    some         no               not started             PENDING
    some         no               started                 IN_PROGRESS
    none         any              some CANCELED           CANCELED
    none         any              all FAILURE, or no task FAILURE
    none         any              all SUCCESS             SUCCESS
    none         any              any other mixture       WARNING
    ============ ================ ======================= ===========

    A cancel that comes when all tasks have ended changes nothing.
    """
    total = sum(tasks.values())
    if any(tasks.get(status) for status in OPEN_TASKS):
        if cancel_requested:
            return JobStatus.CANCELING
        return JobStatus.IN_PROGRESS if started else JobStatus.PENDING
    if tasks.get(TaskStatus.CANCELED):
        return JobStatus.CANCELED
    if tasks.get(TaskStatus.FAILURE, 0) == total:
        return JobStatus.FAILURE
    return JobStatus.SUCCESS if tasks.get(TaskStatus.SUCCESS) == total else JobStatus.WARNING


def summary(tasks: TaskNumbers, kind: JobKind) -> str:
    """Return in words what did not go as it should have, such as "2 of 20 studies failed."."""
    parts = parts_in_words(kind)
    total = sum(tasks.values())
    noteworthy = {
        TaskStatus.FAILURE: "failed",
        TaskStatus.WARNING: "ended with a warning",
        TaskStatus.CANCELED: "were canceled",
    }
    return " ".join(
        f"{tasks[status]} of {total} {parts} {words}."
        for status, words in noteworthy.items()
        if tasks.get(status)
    )


def lock_job(session: Session, job_id: int) -> Job | None:
    """Keep others from changing the job, or the status of its tasks, until the transaction ends.

    Return the job as it is then; None if there is none.
    """
    return session.exec(_LOCK, params={"job": job_id}).one_or_none()


def lock_job_of_task(session: Session, task_id: int) -> Job | None:
    """Do what `lock_job` does for the job that a task belongs to; None if there is no such task."""
    return session.exec(_LOCK_OF_TASK, params={"task": task_id}).one_or_none()


def _locking(which: ColumnElement[bool]) -> SelectOfScalar[Job]:
    # SQLite has locked everything when the transaction began. On PostgreSQL, rows that refer to the job may
    # still be added.
    locking = select(Job).where(which).with_for_update(key_share=True)
    return locking.execution_options(populate_existing=True)


_LOCK = _locking(col(Job.id) == bindparam("job"))
_LOCK_OF_TASK = _locking(
    col(Job.id) == select(Task.job_id).where(col(Task.id) == bindparam("task")).scalar_subquery()
)


def count_tasks(session: Session, job_id: int) -> dict[TaskStatus, int]:
    """Count the tasks of a job by status."""
    rows = session.exec(
        select(Task.status, func.count()).where(Task.job_id == job_id).group_by(col(Task.status))
    )
    return {TaskStatus(status): number for status, number in rows}


_PARTS = {JobKind.BATCH_QUERY: "rows", JobKind.MASS_TRANSFER: "searches and studies"}


def parts_in_words(kind: JobKind) -> str:
    """Return what jobs of a kind consist of, for people."""
    return _PARTS.get(kind, "studies")


def count_parts(session: Session, job: Job) -> TaskNumbers:
    """Count by status what a job consists of for people: its tasks, or the rows of a query.

    A task of a query asks many rows; that one of them failed says nothing of the others.
    """
    if job.kind is JobKind.BATCH_QUERY:
        return count_rows(session, [job.id]).get(job.id, {})
    return count_tasks(session, job.id)


def settle_job(session: Session, job: Job) -> JobStatus:
    """Make the row of a job that the caller has locked agree with its tasks; return its status.

    A job that waits to be verified is left alone. That a job has ended is announced, once.
    """
    if job.status is JobStatus.UNVERIFIED:
        return job.status
    tasks = count_parts(session, job)
    before = job.status
    started = job.started_at is not None or bool(tasks.get(TaskStatus.IN_PROGRESS))
    status = derive_status(tasks, cancel_requested=job.cancel_requested, started=started)
    now = utc_now()
    job.status = status
    if status is not JobStatus.PENDING:  # one that has not started may say why it has to wait
        job.message = summary(tasks, job.kind)
    if started:
        job.started_at = job.started_at or now
    job.ended_at = _ended_at(job, status, now)
    if status is not before:
        record_of_job(session, job, job.message, status=status)
        if before in OPEN_JOBS and status not in OPEN_JOBS:
            announce_end(session, job, tasks)
    session.flush()
    return status


def settle_job_after_success(session: Session, job: Job) -> None:
    """Do what `settle_job` does when a task has succeeded.

    As long as others are open it changes nothing of a job whose parts are its tasks, so thousands of
    them need not be counted each time.
    """
    if job.kind is JobKind.BATCH_QUERY or not has_open_tasks(session, job.id):
        settle_job(session, job)


def has_open_tasks(session: Session, job_id: int) -> bool:
    """Tell whether a task of a job has not ended, without counting them."""
    return session.exec(_OPEN_TASK, params={"of_job": job_id}).first() is not None


def _ended_at(job: Job, status: JobStatus, now: datetime) -> datetime | None:
    if status in OPEN_JOBS:
        return None
    return job.ended_at or now
