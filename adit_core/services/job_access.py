"""Whose job is whose, and what is known of jobs and users that decides what they may do."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import func
from sqlmodel import Session, col, select

from adit_core.db import Job, JobEvent, JobKind, JobStatus, Permission, Task, TaskStatus, User
from adit_core.db.engine import Database
from adit_core.errors import NotFound
from adit_core.services.action_rules import Asker, JobState
from adit_core.services.job_status import TaskNumbers
from adit_core.services.rights import permissions_of


def sees_all(user: User) -> bool:
    """Tell whether everybody's jobs are the user's to see and act on."""
    return user.is_active and user.is_staff


def may_see(user: User, job: Job) -> bool:
    """Tell whether a job is the user's to see and act on."""
    return sees_all(user) or (user.is_active and job.owner_id == user.id)


def visible(job: Job | None, user: User, job_id: int) -> Job:
    """Return the job.

    Raises:
        NotFound: There is none, or it is not the user's to see.
    """
    if job is None or not may_see(user, job):
        raise NotFound(f"There is no job {job_id}.")
    return job


def require_tasks(job: Job, there_are: Iterable[int], named: Iterable[int]) -> None:
    """Do nothing if all tasks that are named are among those that there are of the job.

    Raises:
        NotFound: It names those that are not.
    """
    if unknown := sorted(set(named).difference(there_are)):
        raise NotFound(f"Job {job.id} has no task {', '.join(map(str, unknown))}.")


def asker(db: Database, user: User) -> Asker:
    """Return what decides what the user may do with jobs that are the user's to see."""
    if sees_all(user):
        return Asker(is_staff=True, may_process_urgently=True)
    may_process_urgently = Permission.PROCESS_URGENTLY in permissions_of(db, user)
    return Asker(is_staff=False, may_process_urgently=may_process_urgently)


def job_states(
    session: Session, jobs: Sequence[Job], tasks: Mapping[int, TaskNumbers]
) -> dict[int, JobState]:
    """Return by job id what decides what may be done with each of `jobs`, whose `tasks` were counted."""
    # Only of a job that waits is the answer not plain, and it is not for free.
    started = _started(session, [job.id for job in jobs if job.status is JobStatus.PENDING])
    refused = _refused(session, [job.id for job in jobs if tasks[job.id].get(TaskStatus.CANCELED)])
    return {
        job.id: JobState(
            status=job.status,
            tasks=tasks[job.id],
            refused=refused.get(job.id, 0),
            urgent=job.urgent,
            was_started=job.id in started,
            searches=job.kind is JobKind.MASS_TRANSFER,
        )
        for job in jobs
    }


def _refused(session: Session, job_ids: Sequence[int]) -> dict[int, int]:
    rows = session.exec(
        select(Task.job_id, func.count())
        .where(col(Task.job_id).in_(job_ids), Task.status == TaskStatus.CANCELED, col(Task.refused))
        .group_by(col(Task.job_id))
    )
    return dict(rows.all())


def _started(session: Session, job_ids: Sequence[int]) -> frozenset[int]:
    """Return those of the jobs of which a task was ever in progress."""
    if not job_ids:
        return frozenset()
    started = (
        select(JobEvent.id)
        .where(
            JobEvent.job_id == Job.id,
            col(JobEvent.task_id).is_not(None),
            JobEvent.status == TaskStatus.IN_PROGRESS.value,
        )
        .exists()
    )
    return frozenset(session.exec(select(Job.id).where(col(Job.id).in_(job_ids), started)))
