"""The changes of a task's status other than its start: end, go back to the queue, begin anew.

Each is one conditional update of those tasks of a job that are in the state that the change starts
from. The caller has locked the job (`job_status.lock_job`) and settles it afterwards.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, func
from sqlmodel import Session, col, delete, select, update

from adit_core.db import DicomNode, Job, JobKind, QueryRow, SeriesProgress, Task, TaskKind, TaskStatus, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable, utc_now
from adit_core.services import audit
from adit_core.services.history import happening, record, record_of, record_of_tasks
from adit_core.services.job_status import OPEN_TASKS, has_open_tasks
from adit_core.services.progress import ACCOUNT, TaskCounts
from adit_core.services.query_rows import forget_answers

_UNCLAIMED: dict[str, Any] = {"claim_token": None, "claimed_until": None, "kill_requested": False}
_ENDED_NOW = (col(Task.job_id) == bindparam("of_job"), col(Task.ended_at) == bindparam("end_at"))
_CLOSE_SERIES = (
    update(SeriesProgress)
    .where(col(SeriesProgress.task_id).in_(select(Task.id).where(*_ENDED_NOW)))
    .values(failed=col(SeriesProgress.planned) - col(SeriesProgress.delivered) - col(SeriesProgress.filtered))
    .execution_options(synchronize_session=False)
)
_DELIVERED = (
    select(Task, User)
    .join(User, col(User.id) == bindparam("owner"))
    .where(*_ENDED_NOW, Task.kind == TaskKind.TRANSFER, Task.delivered > 0)
    .execution_options(populate_existing=True)
)


class Ending:
    """The end of open tasks that fulfil some conditions; its statements are made once."""

    def __init__(self, *conditions: ColumnElement[bool]) -> None:
        chosen = (col(Task.job_id) == bindparam("of_job"), col(Task.status).in_(OPEN_TASKS), *conditions)
        self._record = record_of(*chosen)
        end = (
            update(Task)
            .where(*chosen)
            .values(
                status=bindparam("end_status"),
                message=bindparam("end_message"),
                ended_at=bindparam("end_at"),
                **_UNCLAIMED,
            )
            .execution_options(synchronize_session=False)
        )
        undelivered = col(Task.planned) - col(Task.delivered) - col(Task.filtered)
        self._end_as_recorded = end.values(failed=undelivered)
        self._end_with_account = end.values(ACCOUNT)

    def apply(
        self,
        session: Session,
        job: Job,
        *,
        status: TaskStatus,
        message: str,
        counts: TaskCounts | None = None,
        actor: User | None = None,
        **parameters: Any,
    ) -> int:
        """End the tasks of `job` and return how many were ended; `actor` is the user who wants it.

        Without `counts`, the account is closed as it was recorded last: what was neither delivered nor
        filtered has failed. The audit trail is told of every study of which something was delivered, and of
        a query once none of its tasks is open. `parameters` are those of the conditions.
        """
        now = utc_now()
        chosen = {"of_job": job.id, **parameters}
        event = happening(at=now, message=message, status=status, actor=actor)
        record(session, self._record, {**chosen, **event})
        ended = session.exec(
            self._end_with_account if counts else self._end_as_recorded,
            params={
                **chosen,
                "end_status": status,
                "end_message": storable(message),
                "end_at": now,
                **(counts.parameters() if counts else {}),
            },
        )
        if ended.rowcount:
            session.exec(_CLOSE_SERIES, params={"of_job": job.id, "end_at": now})
            _audit_transfers(session, job, now)
            if job.kind is JobKind.BATCH_QUERY:
                _audit_query(session, job)
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

    If the job is being canceled nobody would take them from there, so they are CANCELED; those that
    somebody wanted killed are FAILURE.
    """
    in_progress = col(Task.status) == TaskStatus.IN_PROGRESS
    if job.cancel_requested:
        ending = Ending(in_progress, *conditions)
        return ending.apply(session, job, status=TaskStatus.CANCELED, message=message, counts=counts)
    to_kill = Ending(in_progress, col(Task.kill_requested).is_(True), *conditions)
    killed = to_kill.apply(session, job, status=TaskStatus.FAILURE, message="Killed.", counts=counts)
    chosen = (col(Task.job_id) == job.id, in_progress, *conditions)
    record_of_tasks(session, *chosen, at=utc_now(), message=message, status=TaskStatus.PENDING)
    put_back = session.exec(
        update(Task)
        .where(*chosen)
        .values(
            status=TaskStatus.PENDING,
            message=storable(message),
            attempts=col(Task.attempts) - (0 if counted else 1),
            **(asdict(counts) if counts else {}),
            **_UNCLAIMED,
        )
        .execution_options(synchronize_session=False)
    )
    return killed + put_back.rowcount


def reset_tasks(
    session: Session, job: Job, *conditions: ColumnElement[bool], event: str, actor: User | None = None
) -> int:
    """Make ended tasks of `job` PENDING again, as if new, and return how many.

    What happened before stays in their history only, except that instances of other patients were sent:
    they are still where they were sent to, and are not sent again.
    """
    chosen = (col(Task.job_id) == job.id, col(Task.status).not_in(OPEN_TASKS), *conditions)
    record_of_tasks(session, *chosen, at=utc_now(), message=event, status=TaskStatus.PENDING, actor=actor)
    tasks = select(Task.id).where(*chosen)
    session.exec(delete(SeriesProgress).where(col(SeriesProgress.task_id).in_(tasks)))
    forget_answers(session, of_tasks=col(QueryRow.task_id).in_(tasks))
    # What a query plans is known before it begins: its rows.
    planned = case((col(Task.kind) == TaskKind.QUERY, col(Task.planned)), else_=0)
    reset = session.exec(
        update(Task)
        .where(*chosen)
        .values(
            status=TaskStatus.PENDING,
            message="",
            refused=False,
            attempts=0,
            started_at=None,
            ended_at=None,
            **asdict(TaskCounts()) | {"planned": planned, "of_others": col(Task.of_others)},
        )
        .execution_options(synchronize_session=False)
    )
    return reset.rowcount


def _audit_transfers(session: Session, job: Job, ended_at: datetime) -> None:
    for task, owner in _delivered(session, job, ended_at):
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


def _audit_query(session: Session, job: Job) -> None:
    if has_open_tasks(session, job.id):
        return
    rows, answered = session.exec(
        select(func.sum(Task.planned), func.sum(Task.delivered)).where(Task.job_id == job.id)
    ).one()
    audit.record(
        session,
        AuditAction.QUERIED,
        actor=session.get_one(User, job.owner_id),
        succeeded=bool(answered),
        object_kind="node",
        object_id=session.get_one(DicomNode, job.source_id).name,
        job=job.id,
        rows=int(rows),
        answered=int(answered),
    )


def _delivered(session: Session, job: Job, ended_at: datetime) -> Sequence[tuple[Task, User]]:
    """Return the tasks of which something was delivered, each with the owner of the job."""
    chosen = {"of_job": job.id, "owner": job.owner_id, "end_at": ended_at}
    return session.exec(_DELIVERED, params=chosen).all()
