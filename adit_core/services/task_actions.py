"""What users do with a single task. The rules, and what becomes of them, are those of `job_actions`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import Session, col, select

from adit_core.db import Job, Task, TaskStatus, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import NotFound
from adit_core.services import audit
from adit_core.services.action_rules import (
    TaskAction,
    TaskState,
    refusal_of_task_action,
    refusals_of_task_actions,
)
from adit_core.services.history import record_of_job, record_of_tasks
from adit_core.services.job_access import asker, may_see
from adit_core.services.job_actions import give_new_run
from adit_core.services.job_status import OPEN_JOBS, lock_job, settle_job
from adit_core.services.launching import Launcher, launch_job
from adit_core.services.maintenance import require_no_maintenance
from adit_core.services.rights import require_again
from adit_core.services.task_status import reset_tasks


def refusals_of_task(db: Database, user: User, task_id: int) -> dict[TaskAction, str]:
    """Return by action why the user may not do it with a task; those that the user may do are left out.

    Raises:
        NotFound: There is no such task, or it is not the user's to see.
    """
    who = asker(db, user)
    with db.reading() as session:
        job, task = _found(session, user, task_id)
        return refusals_of_task_actions(_state(session, job, task), who)


def delete_task(db: Database, launcher: Launcher, user: User, task_id: int, *, address: str = "") -> None:  # noqa: ARG001
    """Take a task that waits out of its job; the job's history and the audit trail keep what it was.

    Raises:
        NotFound: There is no such task, or it is not the user's to see.
        ActionNotPossible: It does not wait (any more), or is the only one of its job.
    """
    with _acting(db, user, task_id, TaskAction.DELETE, address) as acting:
        study = f" of study {acting.task.study_instance_uid}" if acting.task.study_instance_uid else ""
        record_of_job(acting.session, acting.job, f"Task {task_id}{study} was deleted.", actor=user)
        acting.session.delete(acting.task)
        settle_job(acting.session, acting.job)


def reset_task(db: Database, launcher: Launcher, user: User, task_id: int, *, address: str = "") -> None:
    """Begin a task that has ended anew. A run that is under way takes it up; otherwise there is a new one.

    Raises:
        NotFound: There is no such task, or it is not the user's to see.
        NotAllowed: The user may not do such a transfer (any more), or the task was not approved.
        ActionNotPossible: It has not ended, or its job is being canceled.
    """
    with db.reading() as session:
        job, _ = _found(session, user, task_id)
    require_no_maintenance(db, user)
    require_again(db, user, job)
    with _acting(db, user, task_id, TaskAction.RESET, address) as acting:
        session, job = acting.session, acting.job
        reset_tasks(session, job, col(Task.id) == task_id, event="Reset.", actor=user)
        if job.status in OPEN_JOBS:
            settle_job(session, job)
        else:
            give_new_run(session, job)
    launch_job(db, launcher, job.id)


def kill_task(db: Database, launcher: Launcher, user: User, task_id: int, *, address: str = "") -> None:  # noqa: ARG001
    """Have the attempt under way ended by its worker within seconds; the task ends as FAILURE.

    Raises:
        NotFound: There is no such task, or it is not the user's to see.
        NotAllowed: The user is not staff.
        ActionNotPossible: It is not in progress.
    """
    with _acting(db, user, task_id, TaskAction.KILL, address) as acting:
        this = col(Task.id) == task_id
        record_of_tasks(acting.session, this, at=utc_now(), message="Kill asked for.", actor=user)
        acting.task.kill_requested = True


TASK_ACTIONS: Mapping[TaskAction, Callable[..., None]] = {
    TaskAction.DELETE: delete_task,
    TaskAction.RESET: reset_task,
    TaskAction.KILL: kill_task,
}
"""What does each action; all are called with database, launcher, user, task id and, by name, address."""

_IN_THE_AUDIT_TRAIL = {
    TaskAction.DELETE: AuditAction.TASK_DELETED,
    TaskAction.RESET: AuditAction.TASK_RESET,
    TaskAction.KILL: AuditAction.TASK_KILLED,
}


@dataclass(frozen=True, slots=True)
class _Acting:
    """A transaction in which the job of a task is locked for an action that the task's state allows."""

    session: Session
    job: Job
    task: Task


@contextmanager
def _acting(db: Database, user: User, task_id: int, action: TaskAction, address: str) -> Iterator[_Acting]:
    """Lock the job of a task for an action and record it; commit when the block ends."""
    who = asker(db, user)
    with db.session() as session:
        seen, _ = _found(session, user, task_id)
        lock_job(session, seen.id)
        job, task = _found(session, user, task_id)  # as they are now that nobody else can change them
        if refusal := refusal_of_task_action(action, _state(session, job, task), who):
            raise refusal.error(f"Task {task_id}")
        audit.record(
            session,
            _IN_THE_AUDIT_TRAIL[action],
            actor=user,
            object_kind="task",
            object_id=task_id,
            address=address,
            job=job.id,
            study=task.study_instance_uid,
            delivered=task.delivered,
        )
        yield _Acting(session, job, task)
        session.commit()


def _found(session: Session, user: User, task_id: int) -> tuple[Job, Task]:
    row = session.exec(
        select(Job, Task).join(Task).where(Task.id == task_id).execution_options(populate_existing=True)
    ).one_or_none()
    if row is None or not may_see(user, row[0]):
        raise NotFound(f"There is no task {task_id}.")
    return row


def _state(session: Session, job: Job, task: Task) -> TaskState:
    return TaskState(
        status=task.status,
        job_status=job.status,
        refused=task.refused,
        is_only_one=task.status is TaskStatus.PENDING and _count(session, job) == 1,
    )


def _count(session: Session, job: Job) -> int:
    return session.exec(select(func.count()).where(Task.job_id == job.id)).one()
