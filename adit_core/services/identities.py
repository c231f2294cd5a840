"""Which accounts are linked to whom an OpenID provider knows."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, select

from adit_core.db import ExternalIdentity, User, WebSession
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, InvalidInput, NotFound, refuse
from adit_core.services import audit
from adit_core.services.rights import require_administrator
from adit_core.services.users import get_user


@dataclass(frozen=True, slots=True)
class IdentityView:
    """Somebody whom a provider knows, as it is shown."""

    issuer: str
    """The provider."""
    subject: str
    """What it calls the user."""
    linked_by: str
    linked_at: datetime
    last_used_at: datetime | None


def list_identities(db: Database, user: User) -> list[IdentityView]:
    """Return by whom a user is known to providers."""
    chosen = select(ExternalIdentity).where(ExternalIdentity.user_id == user.id)
    with db.reading() as session:
        rows = session.exec(chosen.order_by(ExternalIdentity.issuer, ExternalIdentity.subject)).all()
    return [
        IdentityView(row.issuer, row.subject, row.linked_by, row.linked_at, row.last_used_at) for row in rows
    ]


def link_identity(
    db: Database, username: str, *, issuer: str, subject: str, actor: User | str = audit.SYSTEM
) -> IdentityView:
    """Say that whom the provider `issuer` calls `subject` is a user, who can sign in by it from now on.

    Raises:
        NotFound: There is no such user.
        InvalidInput: Something is missing, too long, or linked to an account already.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    user = get_user(db, username)
    subject = storable(subject.strip())
    refuse(*_length_problems("issuer", issuer, 500), *_length_problems("subject", subject, 255))
    by = actor.username if isinstance(actor, User) else actor
    identity = ExternalIdentity(issuer=issuer, subject=subject, user_id=user.id, linked_by=by)
    try:
        with db.session() as session:
            session.add(identity)
            audit.record(
                session,
                AuditAction.IDENTITY_LINKED,
                actor=actor,
                object_kind="user",
                object_id=user.username,
                provider=issuer,
                subject=subject,
            )
            session.commit()
    except IntegrityError as error:
        taken = InputProblem("This is linked to an account already; unlink it there first.", field="subject")
        raise InvalidInput(taken) from error
    return IdentityView(issuer, subject, by, identity.linked_at, None)


def unlink_identity(
    db: Database, username: str, *, issuer: str, subject: str, actor: User | str = audit.SYSTEM
) -> None:
    """Take a link away; sessions that the provider opened for the user end at once.

    Raises:
        NotFound: There is no such user, or no such link.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    user = get_user(db, username)
    link = (
        col(ExternalIdentity.issuer) == issuer,
        col(ExternalIdentity.subject) == subject,
        col(ExternalIdentity.user_id) == user.id,
    )
    opened = (col(WebSession.user_id) == user.id, col(WebSession.issuer) == issuer)
    with db.session() as session:
        if not session.exec(delete(ExternalIdentity).where(*link)).rowcount:
            raise NotFound(f"{user.username} is not linked to {subject} of {issuer}.")
        session.exec(delete(WebSession).where(*opened))
        audit.record(
            session,
            AuditAction.IDENTITY_UNLINKED,
            actor=actor,
            object_kind="user",
            object_id=user.username,
            provider=issuer,
            subject=subject,
        )
        session.commit()


def _length_problems(field: str, text: str, longest: int) -> list[InputProblem]:
    if 0 < len(text) <= longest:
        return []
    return [InputProblem(f"Give 1 to {longest} characters.", field=field)]
