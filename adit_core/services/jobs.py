"""Jobs as their owners see and change them. Staff see and change everybody's."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlmodel import Session, col, select

from adit_core.db import (
    DicomNode,
    Job,
    JobKind,
    JobStatus,
    SeriesProgress,
    Task,
    TaskStatus,
    TransferOptions,
    User,
)
from adit_core.db.audit import AuditAction
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, NotAllowed, NotFound, SchedulerUnavailable
from adit_core.services import audit
from adit_core.services.job_progress import JobProgress, measure
from adit_core.services.job_status import OPEN_JOBS, TaskNumbers, count_tasks, lock_job, settle_job
from adit_core.services.launching import Launcher, launch_job, node_ids_of
from adit_core.services.node_gate import reasons_to_wait
from adit_core.services.rights import require_query, require_transfer
from adit_core.services.task_status import end_tasks, reset_tasks

_STARTING_TIME = timedelta(seconds=30)
"""How long a flow run that is starting may take to notice that its job was canceled."""


class Action(StrEnum):
    """What can be done with a job."""

    CANCEL = "cancel"
    RETRY = "retry"
    RESUME = "resume"


def allowed_actions(status: JobStatus, tasks: TaskNumbers) -> frozenset[Action]:
    """Return what can be done with a job.

    ======================== =============== ========
    status                   tasks           actions
    ======================== =============== ========
    PENDING, IN_PROGRESS     any             cancel
    FAILURE, WARNING         some FAILURE    retry
    CANCELED                 any             resume
    any other                any             none
    ======================== =============== ========
    """
    if status in (JobStatus.PENDING, JobStatus.IN_PROGRESS):
        return frozenset({Action.CANCEL})
    if status in (JobStatus.FAILURE, JobStatus.WARNING) and tasks.get(TaskStatus.FAILURE):
        return frozenset({Action.RETRY})
    if status is JobStatus.CANCELED:
        return frozenset({Action.RESUME})
    return frozenset()


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is shown."""

    id: int
    kind: JobKind
    name: str
    owner: str
    source: str | None
    destination: str | None
    options: TransferOptions
    urgent: bool
    status: JobStatus
    message: str
    run_number: int
    flow_run_id: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    progress: JobProgress
    actions: frozenset[Action]

    @property
    def way(self) -> str:
        """Where from and where to; only one of them where the job has no other."""
        return " → ".join(name for name in (self.source, self.destination) if name)


def list_jobs(
    db: Database,
    user: User,
    *,
    all_users: bool = False,
    statuses: Collection[JobStatus] = (),
    limit: int = 50,
    before_id: int | None = None,
) -> list[JobView]:
    """Return the user's jobs, the newest first.

    Args:
        db: Where they are kept.
        user: Who asks.
        all_users: Everybody's jobs; for staff only.
        statuses: Only jobs that have one of these; empty for all.
        limit: At most so many.
        before_id: Only jobs older than this one, to go on from where the last list ended.

    Raises:
        NotAllowed: The user is not staff and asks for everybody's jobs.
    """
    if all_users and not _sees_all(user):
        raise NotAllowed("Only staff may see the jobs of others.")
    chosen = select(Job).order_by(col(Job.id).desc()).limit(limit)
    if not all_users:
        chosen = chosen.where(Job.owner_id == user.id)
    if statuses:
        chosen = chosen.where(col(Job.status).in_(statuses))
    if before_id is not None:
        chosen = chosen.where(Job.id < before_id)
    with db.reading() as session:
        return _views(session, session.exec(chosen).all())


def show_job(db: Database, user: User, job_id: int) -> JobView:
    """Return a job.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    with db.reading() as session:
        (view,) = _views(session, [_visible(session.get(Job, job_id), user, job_id)])
    return view


def list_tasks(
    db: Database,
    user: User,
    job_id: int,
    *,
    statuses: Collection[TaskStatus] = (),
    limit: int = 100,
    after_id: int | None = None,
) -> list[Task]:
    """Return tasks of a job in the order of the spreadsheet.

    Args:
        db: Where they are kept.
        user: Who asks.
        job_id: Their job.
        statuses: Only tasks that have one of these; empty for all.
        limit: At most so many.
        after_id: Only tasks after this one, to go on from where the last list ended.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    chosen = select(Task).where(Task.job_id == job_id).order_by(col(Task.id))
    if statuses:
        chosen = chosen.where(col(Task.status).in_(statuses))
    if after_id is not None:
        chosen = chosen.where(Task.id > after_id)
    with db.reading() as session:
        _visible(session.get(Job, job_id), user, job_id)
        return list(session.exec(chosen.limit(limit)))


def series_of_task(db: Database, user: User, task_id: int) -> list[SeriesProgress]:
    """Return how far the series of a task are, by series number.

    Raises:
        NotFound: There is no such task, or it is not the user's to see.
    """
    with db.reading() as session:
        task = session.get(Task, task_id)
        job = session.get(Job, task.job_id) if task else None
        if job is None or not _may_see(user, job):
            raise NotFound(f"There is no task {task_id}.")
        rows = session.exec(select(SeriesProgress).where(SeriesProgress.task_id == task_id))
        return sorted(rows, key=lambda row: (row.series_number or 0, row.series_instance_uid))


def modalities_of_tasks(db: Database, user: User, job_id: int) -> dict[int, tuple[str, ...]]:
    """Return by task id the modalities of a study, in alphabetical order; a task not yet planned has none.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    chosen = (
        select(SeriesProgress.task_id, SeriesProgress.modality)
        .join(Task)
        .where(Task.job_id == job_id, SeriesProgress.modality != "")
        .distinct()
        .order_by(SeriesProgress.modality)
    )
    modalities = defaultdict[int, list[str]](list)
    with db.reading() as session:
        _visible(session.get(Job, job_id), user, job_id)
        for task_id, modality in session.exec(chosen):
            modalities[task_id].append(modality)
    return {task_id: tuple(found) for task_id, found in modalities.items()}


def cancel_job(db: Database, launcher: Launcher, user: User, job_id: int, *, address: str = "") -> None:
    """Cancel a job: what has not started never will, what is under way is ended by its worker.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        ActionNotPossible: It has ended, or is being canceled.
    """
    with db.session() as session:
        job = _locked(session, user, job_id, Action.CANCEL)
        job.cancel_requested = True
        pending = col(Task.status) == TaskStatus.PENDING
        message = "Canceled before it started."
        end_tasks(session, job, pending, status=TaskStatus.CANCELED, message=message)
        settle_job(session, job)
        if job.status not in OPEN_JOBS and job.running_until is None:
            # A run that is starting just now may never say that it lives, and would be missed by nobody.
            job.running_until = utc_now() + _STARTING_TIME
        _record(session, AuditAction.JOB_CANCELED, user, job, address)
        session.commit()
    if job.flow_run_id is not None:
        # The worker asks the database, too, and so hears of it even if the scheduler does not.
        with suppress(SchedulerUnavailable):
            launcher.cancel(job.flow_run_id)


def retry_failed(db: Database, launcher: Launcher, user: User, job_id: int, *, address: str = "") -> None:
    """Begin the failed tasks of a job anew. What is at the destination already is not sent again.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        NotAllowed: The user may not do such a transfer (any more).
        ActionNotPossible: The job has not ended, or no task of it failed.
    """
    _begin_anew(db, user, job_id, Action.RETRY, address)
    launch_job(db, launcher, job_id)


def resume_job(db: Database, launcher: Launcher, user: User, job_id: int, *, address: str = "") -> None:
    """Go on with a canceled job: its canceled tasks begin anew.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        NotAllowed: The user may not do such a transfer (any more).
        ActionNotPossible: The job is not canceled.
    """
    _begin_anew(db, user, job_id, Action.RESUME, address)
    launch_job(db, launcher, job_id)


_TO_BEGIN_ANEW = {Action.RETRY: TaskStatus.FAILURE, Action.RESUME: TaskStatus.CANCELED}
_AUDITED_AS = {Action.RETRY: AuditAction.JOB_RETRIED, Action.RESUME: AuditAction.JOB_RESUMED}


def _begin_anew(db: Database, user: User, job_id: int, action: Action, address: str) -> None:
    _require_still_allowed(db, user, job_id)
    with db.session() as session:
        job = _locked(session, user, job_id, action)
        chosen = col(Task.status) == _TO_BEGIN_ANEW[action]
        reset_tasks(session, job, chosen, event=f"{action.value} asked for.", actor=user)
        job.cancel_requested = False
        job.run_number += 1
        job.idle_runs = 0
        job.flow_run_id = job.running_until = job.started_at = job.ended_at = None
        job.message = ""
        settle_job(session, job)
        _record(session, _AUDITED_AS[action], user, job, address)
        session.commit()


def _require_still_allowed(db: Database, user: User, job_id: int) -> None:
    with db.reading() as session:
        job = _visible(session.get(Job, job_id), user, job_id)
        source = None if job.source_id is None else session.get_one(DicomNode, job.source_id)
        if job.kind is JobKind.BATCH_QUERY and source is not None:
            require_query(db, user, source=source, urgent=job.urgent)
            return
        destination = session.get_one(DicomNode, job.destination_id)
    require_transfer(db, user, source=source, destination=destination, urgent=job.urgent)


def _locked(session: Session, user: User, job_id: int, action: Action) -> Job:
    """Lock a job for an action that its state allows."""
    job = _visible(lock_job(session, job_id), user, job_id)
    if action not in allowed_actions(job.status, count_tasks(session, job_id)):
        raise ActionNotPossible(f"Job {job_id} is {job.status.value}: {action.value} is not possible.")
    return job


def _record(session: Session, action: AuditAction, user: User, job: Job, address: str) -> None:
    audit.record(session, action, actor=user, object_kind="job", object_id=job.id, address=address)


def _sees_all(user: User) -> bool:
    return user.is_active and user.is_staff


def _may_see(user: User, job: Job) -> bool:
    return _sees_all(user) or (user.is_active and job.owner_id == user.id)


def visible_job(session: Session, user: User, job_id: int) -> Job:
    """Return a job that the user may see.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    return _visible(session.get(Job, job_id), user, job_id)


def _visible(job: Job | None, user: User, job_id: int) -> Job:
    if job is None or not _may_see(user, job):
        raise NotFound(f"There is no job {job_id}.")
    return job


def _views(session: Session, jobs: Sequence[Job]) -> list[JobView]:
    progress = measure(session, jobs, now=utc_now())
    node_ids = {node_id for job in jobs for node_id in node_ids_of(job)}
    nodes = session.exec(select(DicomNode).where(col(DicomNode.id).in_(node_ids)))
    owners = session.exec(select(User).where(col(User.id).in_({job.owner_id for job in jobs})))
    node_names: dict[int | None, str] = {node.id: node.name for node in nodes}
    owner_names = {owner.id: owner.username for owner in owners}
    waiting = reasons_to_wait(
        session, {job.id: node_ids_of(job) for job in jobs if _may_wait(job, progress[job.id].tasks)}
    )
    views = [_view(job, owner_names[job.owner_id], node_names, progress[job.id]) for job in jobs]
    return [replace(view, message=waiting.get(view.id, view.message)) for view in views]


def _may_wait(job: Job, tasks: TaskNumbers) -> bool:
    """Tell whether nothing of a job that should go on is under way."""
    return job.status in (JobStatus.PENDING, JobStatus.IN_PROGRESS) and not tasks.get(TaskStatus.IN_PROGRESS)


def _view(job: Job, owner: str, node_names: Mapping[int | None, str], progress: JobProgress) -> JobView:
    return JobView(
        id=job.id,
        kind=job.kind,
        name=job.name,
        owner=owner,
        source=node_names.get(job.source_id),
        destination=node_names.get(job.destination_id),
        options=job.options,
        urgent=job.urgent,
        status=job.status,
        message=job.message,
        run_number=job.run_number,
        flow_run_id=job.flow_run_id,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        progress=progress,
        actions=allowed_actions(job.status, progress.tasks),
    )
