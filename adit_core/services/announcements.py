"""What administrators tell everybody who opens a page."""

from collections.abc import Iterator
from datetime import datetime

from sqlmodel import Session, col, or_, select

from adit_core.db import Announcement, Importance, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable, utc_now
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, NotFound, refuse
from adit_core.services import audit
from adit_core.services.rights import require_staff

MAX_LENGTH = 1000


def add_announcement(
    db: Database,
    user: User,
    message: str,
    *,
    importance: Importance = Importance.NEWS,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    address: str = "",
) -> Announcement:
    """Tell everybody something; only staff may.

    Args:
        db: Where it is kept.
        user: Who announces it.
        message: What everybody is told, without Markdown.
        importance: How loudly.
        starts_at: From when on; None for at once.
        ends_at: Until when; None until it is removed.
        address: The network address that the request came from.

    Raises:
        NotAllowed: The user is not staff.
        InvalidInput: With all that is wrong.
    """
    require_staff(user)
    begin = starts_at or utc_now()
    refuse(*message_problems(message), *_time_problems(begin, ends_at))
    row = Announcement(
        message=storable(message.strip()),
        importance=importance,
        starts_at=begin,
        ends_at=ends_at,
        created_by=user.username,
    )
    with db.session() as session:
        session.add(row)
        session.flush()
        _record(session, AuditAction.ANNOUNCED, user, row, address)
        session.commit()
    return row


def remove_announcement(db: Database, user: User, announcement_id: int, *, address: str = "") -> None:
    """Take an announcement back; only staff may.

    Raises:
        NotAllowed: The user is not staff.
        NotFound: There is no such announcement.
    """
    require_staff(user)
    with db.session() as session:
        row = session.get(Announcement, announcement_id)
        if row is None:
            raise NotFound(f"There is no announcement {announcement_id}.")
        _record(session, AuditAction.ANNOUNCEMENT_REMOVED, user, row, address)
        session.delete(row)
        session.commit()


def list_announcements(db: Database, user: User) -> list[Announcement]:
    """Return all announcements, the newest first, also those of the past and the future.

    Raises:
        NotAllowed: The user is not staff.
    """
    require_staff(user)
    with db.reading() as session:
        return list(session.exec(select(Announcement).order_by(col(Announcement.id).desc())))


def current_announcements(db: Database, *, now: datetime | None = None) -> list[Announcement]:
    """Return what everybody is told now, the newest first."""
    moment = now or utc_now()
    chosen = (
        select(Announcement)
        .where(Announcement.starts_at <= moment)
        .where(or_(col(Announcement.ends_at).is_(None), col(Announcement.ends_at) > moment))
        .order_by(col(Announcement.id).desc())
    )
    with db.reading() as session:
        return list(session.exec(chosen))


def message_problems(message: str) -> Iterator[InputProblem]:
    """Yield what is wrong with a sentence that everybody is told."""
    if not message.strip():
        yield InputProblem("Say in a sentence what everybody is to know.", field="message")
    elif len(message.strip()) > MAX_LENGTH:
        yield InputProblem(f"This is too long; use at most {MAX_LENGTH} characters.", field="message")


def _time_problems(begin: datetime, end: datetime | None) -> Iterator[InputProblem]:
    if end is not None and end <= max(begin, utc_now()):
        yield InputProblem("It would never be shown: the end has to be later.", field="ends_at")


def _record(session: Session, action: AuditAction, user: User, row: Announcement, address: str) -> None:
    audit.record(session, action, actor=user, object_kind="announcement", object_id=row.id, address=address)
