"""The history of a job as its owner sees it."""

from sqlmodel import col, select

from adit_core.db import Job, JobEvent, User
from adit_core.db.engine import Database
from adit_core.services.job_access import visible


def history_of_job(
    db: Database,
    user: User,
    job_id: int,
    *,
    task_id: int | None = None,
    limit: int = 100,
    after_id: int | None = None,
) -> list[JobEvent]:
    """Return what happened to a job and its tasks, in order.

    Args:
        db: Where it is kept.
        user: Who asks.
        job_id: The job.
        task_id: Only what happened to this task of it.
        limit: At most so many events.
        after_id: Only events after this one, to go on from where the last list ended.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    chosen = select(JobEvent).where(JobEvent.job_id == job_id)
    if task_id is not None:
        chosen = chosen.where(JobEvent.task_id == task_id)
    if after_id is not None:
        chosen = chosen.where(JobEvent.id > after_id)
    with db.reading() as session:
        visible(session.get(Job, job_id), user, job_id)
        return list(session.exec(chosen.order_by(col(JobEvent.id)).limit(limit)))


def latest_of_job(db: Database, user: User, job_id: int, *, limit: int = 50) -> list[JobEvent]:
    """Return the last that happened to a job itself, the newest first, without what happened to its tasks.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    chosen = select(JobEvent).where(JobEvent.job_id == job_id, col(JobEvent.task_id).is_(None))
    with db.reading() as session:
        visible(session.get(Job, job_id), user, job_id)
        return list(session.exec(chosen.order_by(col(JobEvent.id).desc()).limit(limit)))
