"""Who looked at the patients of a job, and who took them away in a file: both are in the audit trail.

Pages show a job anew every few seconds, so that somebody looks at it is told once an hour.
"""

from datetime import timedelta

from sqlmodel import Session, col, select

from adit_core.db import AuditEvent, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.services import audit

TOLD_AGAIN_AFTER = timedelta(hours=1)


def record_look(db: Database, user: User, job_id: int, *, address: str = "") -> None:
    """Tell the audit trail that `user` looks at the patients of a job, unless it knows that already."""
    with db.reading() as session:
        is_known = _was_told(session, user, job_id, address)
    if not is_known:
        _record(db, AuditAction.JOB_VIEWED, user, job_id, address)


def record_export(db: Database, user: User, job_id: int, *, address: str = "") -> None:
    """Tell the audit trail that `user` takes the patients of a job away in a file."""
    _record(db, AuditAction.JOB_EXPORTED, user, job_id, address)


def _was_told(session: Session, user: User, job_id: int, address: str) -> bool:
    told = (
        select(AuditEvent.id)
        .where(
            col(AuditEvent.at) > utc_now() - TOLD_AGAIN_AFTER,
            AuditEvent.action == AuditAction.JOB_VIEWED,
            AuditEvent.actor_id == user.id,
            AuditEvent.object_id == str(job_id),
            AuditEvent.address == address,
        )
        .limit(1)
    )
    return session.exec(told).first() is not None


def _record(db: Database, action: AuditAction, user: User, job_id: int, address: str) -> None:
    with db.session() as session:
        audit.record(session, action, actor=user, object_kind="job", object_id=job_id, address=address)
        session.commit()
