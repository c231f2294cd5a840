"""The history of a job: what happened to it and its tasks, in order, and who wanted it."""

from datetime import datetime

from sqlalchemy import ColumnElement, literal
from sqlmodel import Session, col, insert, select

from adit_core.db import Job, JobEvent, JobStatus, Task, TaskStatus, User
from adit_core.db.columns import UtcDateTime, storable


def record_of_job(
    session: Session, job: Job, message: str, *, status: JobStatus | None = None, actor: User | None = None
) -> None:
    """Add what happened to a job to the transaction of `session`.

    ``status`` is the one that it led to, ``actor`` the user who wanted it.
    """
    session.add(
        JobEvent(job_id=job.id, actor=actor and actor.username, status=status, message=storable(message))
    )


def record_of_tasks(
    session: Session,
    *conditions: ColumnElement[bool],
    at: datetime,
    message: str,
    status: TaskStatus | None = None,
    attempt: ColumnElement[int] | None = None,
    actor: User | None = None,
) -> None:
    """Add what is about to happen to the tasks that fulfil `conditions`.

    It goes before the change itself, since that decides who fulfils them. The caller has locked the job.

    Args:
        session: The transaction of the change.
        conditions: Which tasks it happens to.
        at: When.
        message: What, in words.
        status: The status that it leads to.
        attempt: The attempt that it happens in, the one that is counted now by default.
        actor: The user who wants it.
    """
    happened = select(  # pyright: ignore[reportCallIssue] - more columns than its overloads have
        literal(at, UtcDateTime),
        Task.job_id,
        Task.id,
        col(Task.attempts) if attempt is None else attempt,
        literal(actor and actor.username),
        literal(status and status.value),
        literal(storable(message)),
    ).where(*conditions)
    columns = ["at", "job_id", "task_id", "attempt", "actor", "status", "message"]
    session.exec(insert(JobEvent).from_select(columns, happened, include_defaults=False))
