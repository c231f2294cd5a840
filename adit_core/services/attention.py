"""What waits for a user: jobs to approve, jobs that failed, images to review."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, or_
from sqlmodel import Session, col, select

from adit_core.db import HeldInstance, Job, JobStatus, Permission, ReviewStatus, Task, TaskStatus, User
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.services.projects import usable_projects
from adit_core.services.rights import has_permission

_RECENT = timedelta(days=14)
"""Failures before this are no news."""


@dataclass(frozen=True, slots=True)
class Attention:
    """How much waits for somebody; nothing is counted that is not theirs to do."""

    jobs_to_approve: int
    failed_jobs: int
    """The user's own jobs that ended in the last 14 days, and of which studies failed."""
    images_to_review: int


def attention(db: Database, user: User) -> Attention:
    """Return what waits for `user`; nothing does, if the account is closed."""
    if not user.is_active:
        return Attention(jobs_to_approve=0, failed_jobs=0, images_to_review=0)
    may_review = has_permission(db, user, Permission.REVIEW_HELD_INSTANCES)
    projects = [project.id for project in usable_projects(db, user)] if may_review else []
    with db.reading() as session:
        return Attention(
            jobs_to_approve=_jobs_to_approve(session) if user.is_staff else 0,
            failed_jobs=_failed_jobs(session, user),
            images_to_review=_images_to_review(session, projects) if projects else 0,
        )


def _jobs_to_approve(session: Session) -> int:
    return session.exec(select(func.count()).select_from(Job).where(Job.status == JobStatus.UNVERIFIED)).one()


def _failed_jobs(session: Session, user: User) -> int:
    failed = select(Task.id).where(Task.job_id == Job.id, Task.status == TaskStatus.FAILURE).exists()
    return session.exec(
        select(func.count())
        .select_from(Job)
        .where(
            Job.owner_id == user.id,
            col(Job.status).in_((JobStatus.FAILURE, JobStatus.WARNING)),
            col(Job.ended_at) > utc_now() - _RECENT,
            or_(col(Job.status) == JobStatus.FAILURE, failed),
        )
    ).one()


def _images_to_review(session: Session, project_ids: list[int]) -> int:
    return session.exec(
        select(func.count())
        .select_from(HeldInstance)
        .join(Task, col(Task.id) == col(HeldInstance.task_id))
        .join(Job, col(Job.id) == col(Task.job_id))
        .where(HeldInstance.status == ReviewStatus.HELD, col(Job.project_id).in_(project_ids))
    ).one()
