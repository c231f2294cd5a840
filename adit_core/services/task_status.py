"""The changes of a task's status other than its start: end, go back to the queue, begin anew.

Each is one conditional update of those tasks of a job that are in the state that the change starts
from. The caller has locked the job (`job_status.lock_job`) and settles it afterwards.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, cast
from sqlmodel import Session, col, delete, select, update

from adit_core.db import Job, SeriesProgress, TaskStatus, TransferTask, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable, utc_now
from adit_core.services import audit
from adit_core.services.job_status import OPEN_TASKS
from adit_core.services.progress import TaskCounts

_UNCLAIMED: dict[str, Any] = {"claim_token": None, "claimed_until": None}


def end_tasks(
    session: Session,
    job: Job,
    *conditions: ColumnElement[bool],
    status: TaskStatus,
    message: str,
    counts: TaskCounts | None = None,
) -> int:
    """End open tasks of `job` and return how many were ended.

    Without `counts`, the account is closed as it was recorded last: what was neither delivered nor
    filtered has failed. The audit trail is told of every study of which something was delivered.
    """
    now = utc_now()
    undelivered = col(TransferTask.planned) - col(TransferTask.delivered) - col(TransferTask.filtered)
    account = asdict(counts) if counts else {"failed": undelivered}
    ended = session.exec(
        update(TransferTask)
        .where(col(TransferTask.job_id) == job.id, col(TransferTask.status).in_(OPEN_TASKS), *conditions)
        .values(
            status=status,
            message=storable(message),
            log=logged(f"{status.value} {message}", at=now),
            ended_at=now,
            **account,
            **_UNCLAIMED,
        )
        .execution_options(synchronize_session=False)
    )
    if ended.rowcount:
        tasks = select(TransferTask.id).where(TransferTask.job_id == job.id, TransferTask.ended_at == now)
        _close_series(session, col(SeriesProgress.task_id).in_(tasks))
        _audit_transfers(session, job, now)
    return ended.rowcount


def put_back_tasks(
    session: Session,
    job: Job,
    *conditions: ColumnElement[bool],
    message: str,
    counts: TaskCounts | None = None,
    counted: bool,
) -> int:
    """Put tasks in progress back into the queue and return how many; the attempt counts if `counted`.

    If the job is being canceled nobody would take them from there, so they are CANCELED.
    """
    in_progress = col(TransferTask.status) == TaskStatus.IN_PROGRESS
    if job.cancel_requested:
        return end_tasks(
            session, job, in_progress, *conditions, status=TaskStatus.CANCELED, message=message, counts=counts
        )
    put_back = session.exec(
        update(TransferTask)
        .where(col(TransferTask.job_id) == job.id, in_progress, *conditions)
        .values(
            status=TaskStatus.PENDING,
            message=storable(message),
            log=logged(message, at=utc_now()),
            attempts=col(TransferTask.attempts) - (0 if counted else 1),
            **(asdict(counts) if counts else {}),
            **_UNCLAIMED,
        )
        .execution_options(synchronize_session=False)
    )
    return put_back.rowcount


def reset_tasks(session: Session, job: Job, status: TaskStatus, *, event: str) -> int:
    """Make those tasks of `job` that ended with `status` PENDING again, as if new, and return how many.

    What happened before stays in their log only.
    """
    chosen = (col(TransferTask.job_id) == job.id, col(TransferTask.status) == status)
    tasks = select(TransferTask.id).where(*chosen)
    session.exec(delete(SeriesProgress).where(col(SeriesProgress.task_id).in_(tasks)))
    reset = session.exec(
        update(TransferTask)
        .where(*chosen)
        .values(
            status=TaskStatus.PENDING,
            message="",
            log=logged(event, at=utc_now()),
            attempts=0,
            started_at=None,
            ended_at=None,
            **asdict(TaskCounts()),
        )
        .execution_options(synchronize_session=False)
    )
    return reset.rowcount


def logged(text: str, *, at: datetime, attempt: ColumnElement[int] | None = None) -> ColumnElement[str]:
    """Return the log of a task with a line for what happened in its attempt, the present one by default."""
    number = cast(col(TransferTask.attempts) if attempt is None else attempt, String)
    line = " ".join(storable(text).split())
    return col(TransferTask.log) + f"{at:%Y-%m-%dT%H:%M:%SZ} attempt " + number + f": {line}\n"


def _close_series(session: Session, of_tasks: ColumnElement[bool]) -> None:
    accounted = col(SeriesProgress.delivered) + col(SeriesProgress.filtered)
    session.exec(
        update(SeriesProgress)
        .where(of_tasks)
        .values(failed=col(SeriesProgress.planned) - accounted)
        .execution_options(synchronize_session=False)
    )


def _audit_transfers(session: Session, job: Job, ended_at: datetime) -> None:
    owner = session.get_one(User, job.owner_id)
    for task in _delivered(session, job, ended_at):
        audit.record(
            session,
            AuditAction.STUDY_TRANSFERRED,
            actor=owner,
            succeeded=task.status in (TaskStatus.SUCCESS, TaskStatus.WARNING),
            object_kind="study",
            object_id=task.study_instance_uid,
            job=job.id,
            source=job.source_id,
            destination=job.destination_id,
            delivered=task.delivered,
            failed=task.failed,
        )


def _delivered(session: Session, job: Job, ended_at: datetime) -> Sequence[TransferTask]:
    return session.exec(
        select(TransferTask)
        .where(TransferTask.job_id == job.id, TransferTask.ended_at == ended_at, TransferTask.delivered > 0)
        .execution_options(populate_existing=True)
    ).all()
