"""The history of a job: what happened to it and its tasks, in order, and who wanted it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Insert, bindparam
from sqlmodel import Session, col, insert, select

from adit_core.db import Job, JobEvent, JobStatus, Task, TaskStatus, User
from adit_core.db.columns import Table, storable

_EVENTS = Table.metadata.tables["job_event"]


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
        actor: The user who wants it.
    """
    record(session, record_of(*conditions), happening(at=at, message=message, status=status, actor=actor))


def record_of(*conditions: ColumnElement[bool], attempt: ColumnElement[int] | None = None) -> Insert:
    """Return a statement for `record`, which does what `record_of_tasks` does, for those who do it often.

    It happens in this `attempt`, the one that is counted now by default.
    """
    columns = ["at", "job_id", "task_id", "attempt", "actor", "status", "message"]
    told = {name: bindparam(f"event_{name}", type_=_EVENTS.c[name].type) for name in columns}
    happened = select(  # pyright: ignore[reportCallIssue] - more columns than its overloads have
        told["at"],
        Task.job_id,
        Task.id,
        col(Task.attempts) if attempt is None else attempt,
        told["actor"],
        told["status"],
        told["message"],
    ).where(*conditions)
    return insert(_EVENTS).from_select(columns, happened, include_defaults=False)


def happening(
    *, at: datetime, message: str, status: TaskStatus | None = None, actor: User | None = None
) -> dict[str, Any]:
    """Return what `record` is told of."""
    return {
        "event_at": at,
        "event_actor": actor and actor.username,
        "event_status": status and status.value,
        "event_message": storable(message),
    }


def record(session: Session, statement: Insert, parameters: Mapping[str, Any]) -> None:
    """Add what `statement` says: a `happening`, and whatever its conditions name."""
    session.flush()  # what happened before comes before it
    session.exec(statement, params=parameters)
