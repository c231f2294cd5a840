"""What users do with jobs. Each action is decided with the job locked, audited, and in the job's history.

An action that comes too late raises and changes nothing. What it means for the flow run comes after
the transaction: the scheduler is told, and if it cannot be reached, the worker hears of a cancel from
the database, and the reconciler has a job run that should.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, delete, select, update

from adit_core.db import Job, JobEvent, JobStatus, Task, TaskKind, TaskStatus, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import SchedulerUnavailable
from adit_core.services import audit
from adit_core.services.action_rules import JobAction, JobState, refusal_of_job_action
from adit_core.services.history import record_of_job
from adit_core.services.job_access import asker, job_states, require_tasks, visible
from adit_core.services.job_status import OPEN_JOBS, count_tasks, lock_job, settle_job
from adit_core.services.launching import Launcher, launch_job
from adit_core.services.maintenance import require_no_maintenance
from adit_core.services.rights import require_again
from adit_core.services.task_status import Ending, reset_tasks

_STARTING_TIME = timedelta(seconds=30)
"""How long a flow run that is starting may take to notice that its job was canceled."""
_APPROVED = col(Task.refused).is_(False)


def verify_job(
    db: Database,
    launcher: Launcher,
    user: User,
    job_id: int,
    *,
    task_ids: Collection[int] | None = None,
    address: str = "",
) -> None:
    """Approve a job so that it runs; of its tasks only `task_ids`, if they are given.

    The other tasks end as CANCELED, and stay so unless a member of staff resets them.

    Raises:
        NotFound: There is no such job, it is not the user's to see, or a task is none of it.
        NotAllowed: The user is not staff.
        ActionNotPossible: It does not wait for approval.
    """
    with _acting(db, user, job_id, JobAction.VERIFY, address) as acting:
        acting.job.status = JobStatus.PENDING
        acting.job.message = ""
        if task_ids is not None:
            _refuse_others(acting, frozenset(task_ids))
        settle_job(acting.session, acting.job)
    launch_job(db, launcher, job_id)


def delete_job(db: Database, launcher: Launcher, user: User, job_id: int, *, address: str = "") -> None:
    """Delete a job of which nothing was started, with its tasks and its history; the audit trail stays.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        ActionNotPossible: Something of it was started, or it has ended.
    """
    with _acting(db, user, job_id, JobAction.DELETE, address) as acting:
        flow_run_id = acting.job.flow_run_id
        # Before the row, or each task would be looked for in all events.
        for table in (JobEvent, Task):
            acting.session.exec(delete(table).where(col(table.job_id) == job_id))
        acting.session.delete(acting.job)
    _cancel_run(launcher, flow_run_id)


def cancel_job(db: Database, launcher: Launcher, user: User, job_id: int, *, address: str = "") -> None:
    """Cancel a job: what has not started never will, what is under way is ended by its worker.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        ActionNotPossible: It has ended, is being canceled, or waits for approval.
    """
    with _acting(db, user, job_id, JobAction.CANCEL, address) as acting:
        acting.job.cancel_requested = True
        Ending(col(Task.status) == TaskStatus.PENDING).apply(
            acting.session,
            acting.job,
            status=TaskStatus.CANCELED,
            message="Canceled before it started.",
            actor=user,
        )
        settle_job(acting.session, acting.job)
        if acting.job.status not in OPEN_JOBS and acting.job.running_until is None:
            # A run that is starting just now may never say that it lives, and would be missed by nobody.
            acting.job.running_until = utc_now() + _STARTING_TIME
        flow_run_id = acting.job.flow_run_id
    # The worker asks the database, too, and so hears of it even if the scheduler does not.
    _cancel_run(launcher, flow_run_id)


def resume_job(db: Database, launcher: Launcher, user: User, job_id: int, *, address: str = "") -> None:
    """Go on with a canceled job: its canceled tasks begin anew.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        NotAllowed: The user may not do such a transfer (any more).
        ActionNotPossible: The job is not canceled.
    """
    canceled = col(Task.status) == TaskStatus.CANCELED
    _begin_anew(db, launcher, user, job_id, JobAction.RESUME, canceled, address=address)


def retry_failed(db: Database, launcher: Launcher, user: User, job_id: int, *, address: str = "") -> None:
    """Begin the failed tasks of a job anew. What is at the destination already is not sent again.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        NotAllowed: The user may not do such a transfer (any more).
        ActionNotPossible: The job has not ended, or no task of it failed.
    """
    failed = col(Task.status) == TaskStatus.FAILURE
    _begin_anew(db, launcher, user, job_id, JobAction.RETRY, failed, address=address)


def restart_job(db: Database, launcher: Launcher, user: User, job_id: int, *, address: str = "") -> None:
    """Begin all tasks of a job anew. What is at the destination already is not sent again.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        NotAllowed: The user is not staff.
        ActionNotPossible: The job has not ended.
    """
    _begin_anew(db, launcher, user, job_id, JobAction.RESTART, address=address)


def search_again(db: Database, launcher: Launcher, user: User, job_id: int, *, address: str = "") -> None:
    """Have a mass transfer look for studies once more; only what is new at the source is transferred.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        NotAllowed: The user may not do such a transfer (any more).
        ActionNotPossible: The job is no mass transfer, has not ended, or was canceled.
    """
    searches = col(Task.kind) == TaskKind.DISCOVERY
    _begin_anew(db, launcher, user, job_id, JobAction.SEARCH_AGAIN, searches, address=address)


def make_urgent(db: Database, launcher: Launcher, user: User, job_id: int, *, address: str = "") -> None:
    """Let a job pass others. If its run has not begun, it gets one in the urgent queue instead.

    One that runs already goes on as it is; should it need another run, that one is urgent.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        NotAllowed: The user may not have jobs processed urgently.
        ActionNotPossible: It is urgent already, or has ended.
    """
    with _acting(db, user, job_id, JobAction.MAKE_URGENT, address) as acting:
        acting.job.urgent = True
        flow_run_id = _take_from_queue(acting.job)
    _cancel_run(launcher, flow_run_id)
    launch_job(db, launcher, job_id)


JOB_ACTIONS: Mapping[JobAction, Callable[..., None]] = {
    JobAction.VERIFY: verify_job,
    JobAction.DELETE: delete_job,
    JobAction.CANCEL: cancel_job,
    JobAction.RESUME: resume_job,
    JobAction.RETRY: retry_failed,
    JobAction.RESTART: restart_job,
    JobAction.SEARCH_AGAIN: search_again,
    JobAction.MAKE_URGENT: make_urgent,
}
"""What does each action; all are called with database, launcher, user, job id and, by name, address."""

_IN_THE_AUDIT_TRAIL = {
    JobAction.VERIFY: AuditAction.JOB_VERIFIED,
    JobAction.DELETE: AuditAction.JOB_DELETED,
    JobAction.CANCEL: AuditAction.JOB_CANCELED,
    JobAction.RESUME: AuditAction.JOB_RESUMED,
    JobAction.RETRY: AuditAction.JOB_RETRIED,
    JobAction.RESTART: AuditAction.JOB_RESTARTED,
    JobAction.SEARCH_AGAIN: AuditAction.JOB_SEARCHED_AGAIN,
    JobAction.MAKE_URGENT: AuditAction.JOB_MADE_URGENT,
}
_IN_THE_HISTORY = {
    JobAction.VERIFY: "Approved.",
    JobAction.CANCEL: "Cancel asked for.",
    JobAction.RESUME: "Resumed.",
    JobAction.RETRY: "Failed tasks begin anew.",
    JobAction.RESTART: "Restarted.",
    JobAction.SEARCH_AGAIN: "Searches again.",
    JobAction.MAKE_URGENT: "Made urgent.",
}


@dataclass(frozen=True, slots=True)
class _Acting:
    """A transaction in which a job is locked for an action that its state allows."""

    session: Session
    job: Job
    user: User


@contextmanager
def _acting(db: Database, user: User, job_id: int, action: JobAction, address: str) -> Iterator[_Acting]:
    """Lock a job for an action and record it; commit when the block ends.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        NotAllowed: The user may not do this.
        ActionNotPossible: The state of the job does not allow it.
    """
    who = asker(db, user)
    with db.session() as session:
        job = visible(lock_job(session, job_id), user, job_id)
        if refusal := refusal_of_job_action(action, _state(session, job), who):
            raise refusal.error(f"Job {job_id}")
        if action in _IN_THE_HISTORY:
            record_of_job(session, job, _IN_THE_HISTORY[action], actor=user)
        audit.record(
            session,
            _IN_THE_AUDIT_TRAIL[action],
            actor=user,
            object_kind="job",
            object_id=job_id,
            address=address,
        )
        yield _Acting(session, job, user)
        session.commit()


def _state(session: Session, job: Job) -> JobState:
    return job_states(session, [job], {job.id: count_tasks(session, job.id)})[job.id]


def _begin_anew(
    db: Database,
    launcher: Launcher,
    user: User,
    job_id: int,
    action: JobAction,
    *conditions: ColumnElement[bool],
    address: str,
) -> None:
    with db.reading() as session:
        job = visible(session.get(Job, job_id), user, job_id)
    require_no_maintenance(db, user)
    require_again(db, user, job)
    with _acting(db, user, job_id, action, address) as acting:
        message = _IN_THE_HISTORY[action]
        reset_tasks(acting.session, acting.job, *conditions, _APPROVED, event=message, actor=user)
        give_new_run(acting.session, acting.job)
    launch_job(db, launcher, job_id)


def give_new_run(session: Session, job: Job) -> None:
    """Make a locked job that has ended, and some tasks of which were just reset, ready to be launched."""
    job.cancel_requested = False
    job.run_number += 1
    job.idle_runs = 0
    job.flow_run_id = job.running_until = job.started_at = job.ended_at = None
    job.message = ""
    settle_job(session, job)


def _refuse_others(acting: _Acting, approved: Collection[int]) -> None:
    """End the tasks of a job that are not approved."""
    session, job = acting.session, acting.job
    tasks = frozenset(session.exec(select(Task.id).where(Task.job_id == job.id)))
    require_tasks(job, tasks, approved)
    if others := tasks.difference(approved):
        session.execute(update(Task), [{"id": task_id, "refused": True} for task_id in others])
        Ending(col(Task.refused).is_(True)).apply(
            session,
            job,
            status=TaskStatus.CANCELED,
            message="Not approved.",
            actor=acting.user,
        )


def _cancel_run(launcher: Launcher, flow_run_id: str | None) -> None:
    if flow_run_id is not None:
        with suppress(SchedulerUnavailable):
            launcher.cancel(flow_run_id)


def _take_from_queue(job: Job) -> str | None:
    """Make a locked job whose run has not begun ready for another one; return the run that waits."""
    if job.status not in OPEN_JOBS or job.running_until is not None:
        return None
    waiting = job.flow_run_id
    job.run_number += 1
    job.flow_run_id = None
    return waiting
