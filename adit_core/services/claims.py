"""Claims: a task is worked on by one worker at a time, and a dead worker's task becomes free again.

A claim is a random token and a time until which it lasts unless it is renewed. Everything that the
holder writes is conditional on the token, so somebody who lost a claim can change nothing any more.
Times are those of the database's clock. Should that be put forward, claims run out early, and should others
take over, the tokens keep that safe; should it be put back, the reconciler shortens claims to their lease.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import BindParameter, and_, bindparam, func, or_
from sqlmodel import col, select, update

from adit_core.db import Job, JobStatus, Task, TaskKind, TaskStatus
from adit_core.db.clock import shared_now
from adit_core.db.columns import UtcDateTime
from adit_core.db.engine import Database
from adit_core.services.history import happening, record, record_of
from adit_core.services.job_status import OPEN_TASKS, lock_job_of_task, settle_job, settle_job_after_success
from adit_core.services.progress import TaskCounts, held_with
from adit_core.services.task_status import Ending, put_back_tasks


class ClaimState(StrEnum):
    """What has become of a claim."""

    HELD = "held"
    LOST = "lost"
    """The task has ended, or somebody else has it."""
    CANCEL_REQUESTED = "cancel requested"
    """It is held, but the task is to be ended as CANCELED."""
    KILL_REQUESTED = "kill requested"
    """It is held, but the task is to be ended as FAILURE."""


def unfinished_task_ids(
    db: Database, job_id: int, *, kind: TaskKind | None = None, found_by: int | None = None
) -> list[int]:
    """Return the tasks of a job that have not ended, in the order of the spreadsheet.

    They are of one `kind`, if that is given, and found by one other task, if that is.
    """
    chosen = select(Task.id).where(Task.job_id == job_id, col(Task.status).in_(OPEN_TASKS))
    if kind is not None:
        chosen = chosen.where(Task.kind == kind)
    if found_by is not None:
        chosen = chosen.where(Task.parent_id == found_by)
    with db.reading() as session:
        return list(session.exec(chosen.order_by(col(Task.id))))


def claim_task(db: Database, task_id: int, *, token: str, lease: float) -> Task | None:
    """Start an attempt at a task: claim it for `lease` seconds and return it as it is then.

    Return None if it has ended, if somebody else has it, or if its job is being canceled or is not approved.
    """
    with db.session() as session:
        job = lock_job_of_task(session, task_id)
        if job is None or job.cancel_requested or job.status is JobStatus.UNVERIFIED:
            return None
        now = shared_now(session)  # not before the lock, which may have been waited for
        free = {"task": task_id, "moment": now}
        event = happening(at=now, message="Started.", status=TaskStatus.IN_PROGRESS)
        record(session, _RECORD_CLAIM, {**free, **event})
        claim = {**free, "token": token, "until": now + timedelta(seconds=lease)}
        task = session.exec(_CLAIM, params=claim).scalar_one_or_none()
        if task is None:
            return None
        if job.status is not JobStatus.IN_PROGRESS:  # a claim changes nothing else of a job
            job.started_at = job.started_at or now
            settle_job(session, job)
        session.commit()
    return task


def renew_claim(db: Database, task_id: int, *, token: str, lease: float) -> ClaimState:
    """Let a claim last for `lease` seconds from now, and tell what has become of it.

    A claim that has run out can still be renewed as long as nobody else has taken the task.
    """
    with db.session() as session:
        until = shared_now(session) + timedelta(seconds=lease)
        row = session.exec(_RENEW, params={"task": task_id, "token": token, "until": until}).one_or_none()
        session.commit()
    if row is None:
        return ClaimState.LOST
    canceled, killed = row
    if canceled:
        return ClaimState.CANCEL_REQUESTED
    return ClaimState.KILL_REQUESTED if killed else ClaimState.HELD


def finish_task(
    db: Database,
    task_id: int,
    *,
    token: str,
    status: TaskStatus,
    message: str,
    counts: TaskCounts | None,
) -> bool:
    """End a task that is claimed with `token` and settle its job; return False if the claim is lost.

    Without `counts`, as after an error that came before there was an account, what was recorded last
    stands, and what was not delivered by then has failed.

    Raises:
        ValueError: The account does not add up, or a success is short of an instance.
    """
    _check_account(status, counts)
    with db.session() as session:
        job = lock_job_of_task(session, task_id)
        if job is None:
            return False
        mine = {"task": task_id, "token": token}
        if not _END.apply(session, job, status=status, message=message, counts=counts, **mine):
            return False
        job.idle_runs = 0
        if status is TaskStatus.SUCCESS:
            settle_job_after_success(session, job)
        else:
            settle_job(session, job)
        session.commit()
    return True


def hand_back_task(
    db: Database,
    task_id: int,
    *,
    token: str,
    message: str,
    counts: TaskCounts | None,
    counted: bool,
) -> bool:
    """Give up a claim so that the task waits for its next attempt; return False if the claim is lost.

    ============================ =========
    why                          counted
    ============================ =========
    the attempt failed           True
    the worker is being stopped  False
    ============================ =========

    If the job is being canceled, the task is CANCELED instead.
    """
    with db.session() as session:
        job = lock_job_of_task(session, task_id)
        if job is None:
            return False
        mine = (col(Task.id) == task_id, *held_with(token))
        if not put_back_tasks(session, job, *mine, message=message, counts=counts, counted=counted):
            return False
        settle_job(session, job)
        session.commit()
    return True


_MOMENT: BindParameter[datetime] = bindparam("moment", type_=UtcDateTime)
_NEXT_ATTEMPT = col(Task.attempts) + 1
_MINE = (col(Task.id) == bindparam("task"), *held_with(bindparam("token")))
_FREE = (
    col(Task.id) == bindparam("task"),
    or_(
        col(Task.status) == TaskStatus.PENDING,
        and_(col(Task.status) == TaskStatus.IN_PROGRESS, col(Task.claimed_until) < _MOMENT),
    ),
)
_RECORD_CLAIM = record_of(*_FREE, attempt=_NEXT_ATTEMPT)
_CLAIM = (
    update(Task)
    .where(*_FREE)
    .values(
        status=TaskStatus.IN_PROGRESS,
        attempts=_NEXT_ATTEMPT,
        claim_token=bindparam("token"),
        claimed_until=bindparam("until"),
        started_at=func.coalesce(Task.started_at, _MOMENT),
    )
    .returning(Task)
    .execution_options(synchronize_session=False)
)
_RENEW = (
    update(Task)
    .where(*_MINE)
    .values(claimed_until=bindparam("until"))
    .returning(
        select(Job.cancel_requested).where(Job.id == Task.job_id).scalar_subquery(), col(Task.kill_requested)
    )
    .execution_options(synchronize_session=False)
)
_END = Ending(*_MINE)


def _check_account(status: TaskStatus, counts: TaskCounts | None) -> None:
    """Refuse what would break the promise that no transfer that is short of an image is a success."""
    if counts is not None and not counts.is_balanced:
        raise ValueError(f"The account does not add up: {counts}.")
    complete = counts is not None and counts.failed == 0
    if status in (TaskStatus.SUCCESS, TaskStatus.WARNING) and not complete:
        raise ValueError(f"The task cannot end as {status.value}: {counts}.")
