"""Maintenance mode: while it is on, nobody but staff begins anything; what runs goes on."""

from adit_core.db import Maintenance, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable
from adit_core.db.engine import Database
from adit_core.errors import UnderMaintenance, refuse
from adit_core.services import audit
from adit_core.services.announcements import message_problems
from adit_core.services.rights import require_staff

_ROW = 1


def begin_maintenance(db: Database, user: User, message: str, *, address: str = "") -> Maintenance:
    """Switch maintenance mode on; if it is on already, another sentence is said. Only staff may.

    Raises:
        NotAllowed: The user is not staff.
        InvalidInput: There is no sentence, or it is too long.
    """
    require_staff(user)
    refuse(*message_problems(message))
    with db.session() as session:
        row = session.merge(Maintenance(id=_ROW, message=storable(message.strip()), started_by=user.username))
        audit.record(session, AuditAction.MAINTENANCE_BEGUN, actor=user, address=address)
        session.commit()
    return row


def end_maintenance(db: Database, user: User, *, address: str = "") -> None:
    """Switch maintenance mode off; if it is off already, nothing happens. Only staff may.

    Raises:
        NotAllowed: The user is not staff.
    """
    require_staff(user)
    with db.session() as session:
        row = session.get(Maintenance, _ROW)
        if row is not None:
            session.delete(row)
            audit.record(session, AuditAction.MAINTENANCE_ENDED, actor=user, address=address)
            session.commit()


def maintenance_now(db: Database) -> Maintenance | None:
    """Return what is said while maintenance mode is on; None if it is off."""
    with db.reading() as session:
        return session.get(Maintenance, _ROW)


def require_no_maintenance(db: Database, user: User) -> None:
    """Do nothing if `user` may begin something now: staff always, others unless it is maintained.

    Raises:
        UnderMaintenance: It is; the message is what staff said.
    """
    row = None if user.is_staff else maintenance_now(db)
    if row is not None:
        raise UnderMaintenance(f"ADIT is being maintained, and takes no new jobs for now: {row.message}")
