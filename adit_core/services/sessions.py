"""Sessions of browsers: opened by signing in, looked up at every request, ended by time or by signing out.

The browser holds 256 random bits; the database holds their SHA-256, which is enough to recognise
them and of no use to anybody who reads it.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement
from sqlmodel import Session, and_, col, delete, not_, select, update

from adit_core.db import User, WebSession
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable, utc_now
from adit_core.db.engine import Database
from adit_core.db.secrets import Sealed
from adit_core.errors import NotAllowed
from adit_core.services import audit
from adit_core.services.users import check_password, find_user
from adit_core.settings import Settings

UNKNOWN_USER = "unknown user"
"""The actor of a sign-in that failed because there is no such user."""
PasswordUsers = Literal["everybody", "staff"]
"""Who may sign in with a password."""
_WRITE_INTERVAL = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lasts."""

    idle: timedelta
    """Without activity."""
    length: timedelta
    """In any case."""

    @classmethod
    def of(cls, settings: Settings) -> "SessionLimits":
        """Return the limits that the settings ask for."""
        return cls(
            idle=timedelta(seconds=settings.session_idle), length=timedelta(seconds=settings.session_length)
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is signed in, by which session."""

    user: User
    session_id: str
    """The SHA-256 of the token: names the session, but does not open it."""
    csrf_token: str
    """What a form of this session must carry."""
    issuer: str = ""
    """The OpenID provider that said who it is; empty if a password did."""

    @property
    def must_choose_password(self) -> bool:
        """Whether nothing can be done before that; it can if no password was needed to come in."""
        return self.user.must_change_password and not self.issuer


def sign_in(
    db: Database,
    username: str,
    password: str,
    limits: SessionLimits,
    *,
    address: str,
    who: PasswordUsers = "everybody",
) -> str | None:
    """Start a session of the user whom name and password belong to and return its token; None if they do not.

    Either is written to the audit trail. A name that is nobody's is not: it may be a password that
    was typed into the wrong field.

    Raises:
        NotAllowed: This user is not among those `who` may sign in with a password.
    """
    user = check_password(db, username, password)
    if user is not None:
        require_password_user(db, user, who, address=address)
        return open_session(db, user, limits, address=address)
    record_failure(db, username, address=address)
    return None


def require_password_user(db: Database, user: User, who: PasswordUsers, *, address: str) -> None:
    """Do nothing if `user` may sign in with a password; else write it to the audit trail.

    Raises:
        NotAllowed: The user may not.
    """
    if who == "staff" and not user.is_staff:
        record_failure(db, user.username, address=address)
        raise NotAllowed("Passwords are for staff only here. Sign in by the other way that the page offers.")


def record_failure(db: Database, username: str, *, address: str) -> None:
    """Write to the audit trail that somebody gave a wrong password, or the name of nobody."""
    actor = find_user(db, username) or UNKNOWN_USER
    with db.session() as session:
        audit.record(session, AuditAction.SIGN_IN_FAILED, actor=actor, succeeded=False, address=address)
        session.commit()


def open_session(db: Database, user: User, limits: SessionLimits, *, address: str) -> str:
    """Start a session of `user` and return its token, which is kept nowhere else.

    Sessions that have ended are deleted on the way.
    """
    with db.session() as session:
        audit.record(session, AuditAction.SIGNED_IN, actor=user, address=address)
        token = add_session(session, user, limits, address=address)
        session.commit()
    return token


def add_session(
    session: Session,
    user: User,
    limits: SessionLimits,
    *,
    address: str,
    issuer: str = "",
    id_token: Sealed | None = None,
) -> str:
    """Start a session of `user` in the transaction of `session`; else as `open_session`, without a trace."""
    token = secrets.token_urlsafe(32)
    now = utc_now()
    _delete_ended(session, limits, now)
    session.add(
        WebSession(
            token_hash=session_id_of(token),
            user_id=user.id,
            csrf_token=secrets.token_urlsafe(32),
            address=storable(address, 64),
            created_at=now,
            last_seen_at=now,
            expires_at=now + limits.length,
            issuer=issuer,
            id_token=id_token,
        )
    )
    return token


def session_id_of(token: str) -> str:
    """Return the name of the session that a token opens."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_principal(db: Database, session_id: str, limits: SessionLimits) -> Principal | None:
    """Return who is signed in by a session; None if it has ended or the account was closed."""
    found = _read(db, session_id, limits)
    return found[0] if found is not None else None


def find_active_principal(db: Database, session_id: str, limits: SessionLimits) -> Principal | None:
    """Do as `find_principal`, and count the call as activity, which is written once a minute at most."""
    found = _read(db, session_id, limits)
    if found is None:
        return None
    principal, last_seen_at = found
    now = utc_now()
    if now - last_seen_at >= _WRITE_INTERVAL:
        with db.session() as session:
            session.exec(
                update(WebSession).where(col(WebSession.token_hash) == session_id).values(last_seen_at=now)
            )
            session.commit()
    return principal


def close_session(db: Database, principal: Principal, *, address: str) -> Sealed | None:
    """End a session, at the wish of its user; one that has ended already is no error.

    Returns what the OpenID provider said when it was opened, if one did.
    """
    with db.session() as session:
        ended = delete(WebSession).where(col(WebSession.token_hash) == principal.session_id)
        id_token = session.exec(ended.returning(col(WebSession.id_token))).scalars().first()
        audit.record(session, AuditAction.SIGNED_OUT, actor=principal.user, address=address)
        session.commit()
    return id_token


def _read(db: Database, session_id: str, limits: SessionLimits) -> tuple[Principal, datetime] | None:
    now = utc_now()
    live = (
        select(WebSession, User)
        .join(User, col(User.id) == col(WebSession.user_id))
        .where(WebSession.token_hash == session_id, User.is_active)
        .where(is_live(limits, now))
    )
    with db.reading() as session:
        found = session.exec(live).first()
    if found is None:
        return None
    web_session, user = found
    principal = Principal(user, session_id, web_session.csrf_token, web_session.issuer)
    return principal, web_session.last_seen_at


def is_live(limits: SessionLimits, now: datetime) -> ColumnElement[bool]:
    """Return the condition that a session has not ended by itself."""
    return and_(col(WebSession.expires_at) > now, col(WebSession.last_seen_at) > now - limits.idle)


def _delete_ended(session: Session, limits: SessionLimits, now: datetime) -> None:
    session.exec(delete(WebSession).where(not_(is_live(limits, now))))
