"""Retention: what is deleted when it is old enough. The audit trail and the links of projects are not."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, delete, or_, select

from adit_core.db import ApiToken, Job, JobEvent, Study, Submission, Task, WebSession
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.services import audit
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.repeatable import remove_outdated_answers

_JOBS_AT_ONCE = 20
_STUDIES_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept after they are over; without `jobs`, these are kept for ever."""

    jobs: timedelta | None
    studies: timedelta
    """What archives told of studies, in answer to searches."""
    tokens: timedelta
    """Tokens that have expired or were revoked."""
    submissions: timedelta = timedelta(days=30)
    """Keys by which a program may repeat a submission; those of other creations are kept for a day."""


@dataclass(frozen=True, slots=True)
class Outdated:
    """How much was deleted."""

    jobs: int
    studies: int
    tokens: int
    sessions: int
    submissions: int


def remove_outdated(db: Database, retention: Retention, *, now: datetime) -> Outdated:
    """Delete what is older than it is kept, a part at a time, so that nobody waits for it for long.

    Jobs that are under way, or wait for approval, are never too old. With a job go its tasks, rows, results
    and history; what it delivered, and who moved it, stays in the audit trail.

    Raises:
        DatabaseUnavailable: The database does not answer.
    """
    with db.session() as session:
        over = (col(ApiToken.expires_at), col(ApiToken.revoked_at))
        tokens = session.exec(
            delete(ApiToken).where(or_(*(each < now - retention.tokens for each in over)))
        ).rowcount
        sessions = session.exec(delete(WebSession).where(col(WebSession.expires_at) <= now)).rowcount
        submissions = session.exec(
            delete(Submission).where(col(Submission.created_at) < now - retention.submissions)
        ).rowcount
        submissions += remove_outdated_answers(session, now=now)
        session.commit()
    jobs = 0 if retention.jobs is None else _remove_jobs(db, now - retention.jobs)
    return Outdated(jobs, _remove_studies(db, now - retention.studies), tokens, sessions, submissions)


def _remove_jobs(db: Database, before: datetime) -> int:
    removed = 0
    while True:
        with db.session() as session:
            ids = session.exec(
                select(Job.id)
                .where(col(Job.status).not_in(OPEN_JOBS), col(Job.ended_at) < before)
                .limit(_JOBS_AT_ONCE)
            ).all()
            if not ids:
                return removed
            # Before the jobs, or each task would be looked for in all events.
            for table in (JobEvent, Task):
                session.exec(delete(table).where(col(table.job_id).in_(ids)))
            session.exec(delete(Job).where(col(Job.id).in_(ids)))
            audit.record(session, AuditAction.OUTDATED_REMOVED, actor=audit.SYSTEM, jobs=len(ids))
            session.commit()
        removed += len(ids)


def _remove_studies(db: Database, before: datetime) -> int:
    removed = 0
    outdated = select(Study.id).where(col(Study.fetched_at) < before).limit(_STUDIES_AT_ONCE)
    while True:
        with db.session() as session:
            number = session.exec(delete(Study).where(col(Study.id).in_(outdated))).rowcount
            session.commit()
        if not number:
            return removed
        removed += number
