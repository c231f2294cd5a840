"""The audit trail: who did what to whose data, from where, with which outcome (after PS3.15 A.5)."""

from sqlmodel import Session

from adit_core.db import AuditEvent, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable

SYSTEM = "ADIT"
"""The actor of what nobody asked for."""


def record(
    session: Session,
    action: AuditAction,
    *,
    actor: User | str,
    succeeded: bool = True,
    object_kind: str = "",
    object_id: str | int = "",
    address: str = "",
    **details: str | int | bool | None,
) -> None:
    """Add an event to the transaction of `session`, so that it stands if what it tells of does.

    Args:
        session: The transaction of what was done.
        action: What was done.
        actor: Who did it; a name for somebody without an account.
        succeeded: Whether it was done, or only tried.
        object_kind: What it was done to: job, study, node, user.
        object_id: Which one: an id, a UID or a name.
        address: The network address that it was done from.
        details: What else a reader must know; ids, counts and names of nodes, but no patient data.
    """
    session.add(
        AuditEvent(
            actor=actor.username if isinstance(actor, User) else storable(actor, 150),
            actor_id=actor.id if isinstance(actor, User) else None,
            action=action,
            succeeded=succeeded,
            object_kind=object_kind,
            object_id=storable(str(object_id), 200),
            address=storable(address, 64),
            details=details,
        )
    )
