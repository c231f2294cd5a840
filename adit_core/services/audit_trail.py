"""Reading the audit trail; only staff may."""

from collections.abc import Collection
from datetime import datetime

from sqlmodel import col, select

from adit_core.db import AuditEvent, User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.services.rights import require_staff


def list_events(
    db: Database,
    user: User,
    *,
    actor: str = "",
    actions: Collection[AuditAction] = (),
    object_kind: str = "",
    object_id: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
    before_id: int | None = None,
) -> list[AuditEvent]:
    """Return what was done, the latest first.

    Args:
        db: Where it is kept.
        user: Who asks.
        actor: Only what this one did; empty for all.
        actions: Only these; empty for all.
        object_kind: Only what was done to such; empty for all.
        object_id: Only what was done to this one; empty for all.
        since: Only from this moment on.
        until: Only before this moment.
        limit: At most so many.
        before_id: Only events before this one, to go on from where the last list ended.

    Raises:
        NotAllowed: The user is not staff.
    """
    require_staff(user)
    chosen = select(AuditEvent).order_by(col(AuditEvent.id).desc()).limit(limit)
    for column, wanted in (
        (AuditEvent.actor, actor),
        (AuditEvent.object_kind, object_kind),
        (AuditEvent.object_id, object_id),
    ):
        if wanted:
            chosen = chosen.where(col(column) == wanted)
    if actions:
        chosen = chosen.where(col(AuditEvent.action).in_(actions))
    if since is not None:
        chosen = chosen.where(col(AuditEvent.at) >= since)
    if until is not None:
        chosen = chosen.where(col(AuditEvent.at) < until)
    if before_id is not None:
        chosen = chosen.where(col(AuditEvent.id) < before_id)
    with db.reading() as session:
        return list(session.exec(chosen))
