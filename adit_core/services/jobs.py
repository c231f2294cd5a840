"""Jobs as their owners see them. Staff see everybody's."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import or_
from sqlmodel import Session, col, select

from adit_core.db import (
    DicomNode,
    Group,
    Job,
    JobKind,
    JobStatus,
    SeriesProgress,
    Task,
    TaskKind,
    TaskStatus,
    TransferOptions,
    User,
)
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import NotAllowed, NotFound
from adit_core.services.action_rules import Asker, JobAction, refusals_of_job_actions
from adit_core.services.job_access import asker, job_states, may_see, sees_all, visible
from adit_core.services.job_progress import JobProgress, measure
from adit_core.services.job_status import TaskNumbers
from adit_core.services.job_storage import archive_file_of
from adit_core.services.launching import node_ids_of
from adit_core.services.looks import record_look
from adit_core.services.node_gate import reasons_to_wait


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is shown."""

    id: int
    kind: JobKind
    name: str
    owner: str
    group: str
    """Of the owner's groups the one that it was submitted for; empty for all of them together."""
    source: str | None
    destination: str | None
    options: TransferOptions
    archive_file: str
    """The encrypted archive, in the folder, that all studies go into; empty if there is none."""
    urgent: bool
    status: JobStatus
    message: str
    run_number: int
    flow_run_id: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    progress: JobProgress
    actions: frozenset[JobAction]
    """What the user who looks may do with it."""
    refusals: Mapping[JobAction, str]
    """Why the user may not do the rest."""

    @property
    def way(self) -> str:
        """Where from and where to; only one of them where the job has no other."""
        return " → ".join(name for name in (self.source, self.destination) if name)


def list_jobs(
    db: Database,
    user: User,
    *,
    all_users: bool = False,
    owner: str = "",
    text: str = "",
    statuses: Collection[JobStatus] = (),
    kinds: Collection[JobKind] = (),
    limit: int = 50,
    before_id: int | None = None,
) -> list[JobView]:
    """Return the user's jobs, the newest first.

    Args:
        db: Where they are kept.
        user: Who asks.
        all_users: Everybody's jobs; for staff only.
        owner: Only jobs of the user of this name; empty for all.
        text: Only jobs that have this in their name, or as their number; empty for all.
        statuses: Only jobs that have one of these; empty for all.
        kinds: Only jobs that are one of these; empty for all.
        limit: At most so many.
        before_id: Only jobs older than this one, to go on from where the last list ended.

    Raises:
        NotAllowed: The user is not staff and asks for everybody's jobs.
    """
    if all_users and not sees_all(user):
        raise NotAllowed("Only staff may see the jobs of others.")
    chosen = select(Job).order_by(col(Job.id).desc()).limit(limit)
    if not all_users:
        chosen = chosen.where(Job.owner_id == user.id, user.is_active)
    if owner:
        chosen = chosen.join(User, col(User.id) == col(Job.owner_id)).where(User.username == owner)
    if text:
        named = col(Job.name).icontains(text, autoescape=True)
        chosen = chosen.where(or_(named, col(Job.id) == int(text)) if _may_be_id(text) else named)
    if statuses:
        chosen = chosen.where(col(Job.status).in_(statuses))
    if kinds:
        chosen = chosen.where(col(Job.kind).in_(kinds))
    if before_id is not None:
        chosen = chosen.where(Job.id < before_id)
    who = asker(db, user)
    with db.reading() as session:
        return _views(session, who, session.exec(chosen).all())


def _may_be_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def show_job(db: Database, user: User, job_id: int) -> JobView:
    """Return a job.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    who = asker(db, user)
    with db.reading() as session:
        (view,) = _views(session, who, [visible(session.get(Job, job_id), user, job_id)])
    return view


def list_tasks(
    db: Database,
    user: User,
    job_id: int,
    *,
    statuses: Collection[TaskStatus] = (),
    limit: int = 100,
    after_id: int | None = None,
    address: str = "",
) -> list[Task]:
    """Return tasks of a job in the order of the spreadsheet; the audit trail is told of the look.

    Args:
        db: Where they are kept.
        user: Who asks.
        job_id: Their job.
        statuses: Only tasks that have one of these; empty for all.
        limit: At most so many.
        after_id: Only tasks after this one, to go on from where the last list ended.
        address: The network address that the request came from.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    tasks = tasks_of_job(db, user, job_id, statuses=statuses, limit=limit, after_id=after_id)
    record_look(db, user, job_id, address=address)
    return tasks


def tasks_of_job(
    db: Database,
    user: User,
    job_id: int,
    *,
    statuses: Collection[TaskStatus] = (),
    limit: int = 100,
    after_id: int | None = None,
    kind: TaskKind | None = None,
) -> list[Task]:
    """Return what `list_tasks` returns to those who tell the audit trail themselves what it is for.

    They are of one `kind`, if that is given.
    """
    chosen = select(Task).where(Task.job_id == job_id).order_by(col(Task.id))
    if kind is not None:
        chosen = chosen.where(Task.kind == kind)
    if statuses:
        chosen = chosen.where(col(Task.status).in_(statuses))
    if after_id is not None:
        chosen = chosen.where(Task.id > after_id)
    with db.reading() as session:
        visible(session.get(Job, job_id), user, job_id)
        return list(session.exec(chosen.limit(limit)))


def show_task(db: Database, user: User, task_id: int, *, address: str = "") -> Task:
    """Return a task; the audit trail is told of the look.

    Raises:
        NotFound: There is no such task, or it is not the user's to see.
    """
    with db.reading() as session:
        task = _visible_task(session, user, task_id)
    record_look(db, user, task.job_id, address=address)
    return task


def series_of_task(db: Database, user: User, task_id: int, *, address: str = "") -> list[SeriesProgress]:
    """Return how far the series of a task are, by series number; the audit trail is told of the look.

    Raises:
        NotFound: There is no such task, or it is not the user's to see.
    """
    show_task(db, user, task_id, address=address)
    with db.reading() as session:
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
        visible(session.get(Job, job_id), user, job_id)
        for task_id, modality in session.exec(chosen):
            modalities[task_id].append(modality)
    return {task_id: tuple(found) for task_id, found in modalities.items()}


def _visible_task(session: Session, user: User, task_id: int) -> Task:
    task = session.get(Task, task_id)
    job = session.get(Job, task.job_id) if task else None
    if task is None or job is None or not may_see(user, job):
        raise NotFound(f"There is no task {task_id}.")
    return task


@dataclass(frozen=True, slots=True)
class _Names:
    """What jobs refer to is called, by id."""

    users: Mapping[int, str]
    groups: Mapping[int | None, str]
    nodes: Mapping[int | None, str]


def _names(session: Session, jobs: Sequence[Job]) -> _Names:
    node_ids = {node_id for job in jobs for node_id in node_ids_of(job)}
    nodes = session.exec(select(DicomNode).where(col(DicomNode.id).in_(node_ids)))
    owners = session.exec(select(User).where(col(User.id).in_({job.owner_id for job in jobs})))
    groups = session.exec(select(Group).where(col(Group.id).in_({job.group_id for job in jobs})))
    return _Names(
        users={owner.id: owner.username for owner in owners},
        groups={group.id: group.name for group in groups},
        nodes={node.id: node.name for node in nodes},
    )


def _views(session: Session, who: Asker, jobs: Sequence[Job]) -> list[JobView]:
    progress = measure(session, jobs, now=utc_now())
    names = _names(session, jobs)
    waiting = reasons_to_wait(session, [job for job in jobs if _may_wait(job, progress[job.id].tasks)])
    states = job_states(session, jobs, {job_id: each.tasks for job_id, each in progress.items()})
    views = [
        _view(job, names, progress[job.id], refusals_of_job_actions(states[job.id], who)) for job in jobs
    ]
    return [replace(view, message=waiting.get(view.id, view.message)) for view in views]


def _may_wait(job: Job, tasks: TaskNumbers) -> bool:
    """Tell whether nothing of a job that should go on is under way."""
    return job.status in (JobStatus.PENDING, JobStatus.IN_PROGRESS) and not tasks.get(TaskStatus.IN_PROGRESS)


def _view(job: Job, names: _Names, progress: JobProgress, refusals: Mapping[JobAction, str]) -> JobView:
    return JobView(
        id=job.id,
        kind=job.kind,
        name=job.name,
        owner=names.users[job.owner_id],
        group=names.groups.get(job.group_id, ""),
        source=names.nodes.get(job.source_id),
        destination=names.nodes.get(job.destination_id),
        options=job.options,
        archive_file=archive_file_of(job),
        urgent=job.urgent,
        status=job.status,
        message=job.message,
        run_number=job.run_number,
        flow_run_id=job.flow_run_id,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        progress=progress,
        actions=frozenset(JobAction) - refusals.keys(),
        refusals=refusals,
    )
