"""What users do with their own account: another password, and the sessions that they are signed in by."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, delete, select

from adit_core.db import User, WebSession
from adit_core.db.audit import AuditAction
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, InvalidInput, NotAllowed, NotFound
from adit_core.services import audit
from adit_core.services.sessions import Principal, SessionLimits, is_live
from adit_core.services.sign_in_throttle import Attempt, SignInThrottle, throttled
from adit_core.services.users import check_password, set_password


@dataclass(frozen=True, slots=True)
class SessionView:
    """A browser in which a user is signed in."""

    id: str
    """The SHA-256 of its token, which does not open it."""
    address: str
    """The network address that it was opened from."""
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    is_this: bool
    """Whether it is the session in which this was asked."""


def change_own_password(
    db: Database,
    throttle: SignInThrottle,
    principal: Principal,
    *,
    current: str,
    new: str,
    repeated: str,
    address: str = "",
) -> None:
    """Give the user another password; all sessions but this one end.

    Raises:
        InvalidInput: The current password is wrong, or the new one cannot be used.
        TooManyFailures: The current password was wrong too often.
        NotAllowed: The user signs in elsewhere.
    """
    user = principal.user
    if user.password_hash is None:
        raise NotAllowed("You sign in elsewhere, and have no password here.")
    attempt = Attempt(user.username, address)
    known = throttled(db, throttle, attempt, lambda: check_password(db, user.username, current))
    if known is None:
        raise InvalidInput(InputProblem("This is not your current password.", field="current password"))
    if new != repeated:
        raise InvalidInput(InputProblem("The two do not agree; type it again.", field="repeated password"))
    if new == current:
        raise InvalidInput(InputProblem("Choose one that you do not have yet.", field="new password"))
    set_password(db, user.username, new, actor=user, kept_session=principal.session_id)


def list_sessions(db: Database, principal: Principal, limits: SessionLimits) -> list[SessionView]:
    """Return the sessions in which the user is signed in, the one that was used last first."""
    chosen = (
        select(WebSession)
        .where(WebSession.user_id == principal.user.id)
        .where(is_live(limits, utc_now()))
        .order_by(col(WebSession.last_seen_at).desc(), col(WebSession.created_at).desc())
    )
    with db.reading() as session:
        return [
            SessionView(
                id=row.token_hash,
                address=row.address,
                created_at=row.created_at,
                last_seen_at=row.last_seen_at,
                expires_at=row.expires_at,
                is_this=row.token_hash == principal.session_id,
            )
            for row in session.exec(chosen)
        ]


def end_session(db: Database, user: User, session_id: str, *, address: str = "") -> None:
    """End one of the user's sessions at once.

    Raises:
        NotFound: It has ended already, or is another user's.
    """
    mine = col(WebSession.user_id) == user.id
    with db.session() as session:
        ended = session.exec(delete(WebSession).where(mine, col(WebSession.token_hash) == session_id))
        if not ended.rowcount:
            raise NotFound("This session has ended already.")
        audit.record(session, AuditAction.SESSIONS_ENDED, actor=user, address=address, sessions=1)
        session.commit()


def end_other_sessions(db: Database, principal: Principal, *, address: str = "") -> int:
    """End all sessions of the user but this one, and return how many there were."""
    others = (
        col(WebSession.user_id) == principal.user.id,
        col(WebSession.token_hash) != principal.session_id,
    )
    with db.session() as session:
        number = session.exec(delete(WebSession).where(*others)).rowcount
        audit.record(
            session, AuditAction.SESSIONS_ENDED, actor=principal.user, address=address, sessions=number
        )
        session.commit()
    return number
