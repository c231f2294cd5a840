"""Signing in by the word of an OpenID provider: whose account it is, and what changes in it.

======================================================= ==================================================
the provider's word is about                            then
======================================================= ==================================================
somebody in none of the groups that may sign in         refused
a person linked to an account that is closed            refused
a person linked to an account                           signed in
a person without one, and none are to be added          refused
a person without one, and without a usable user name    refused
a person without one, called as somebody here is        refused, until staff link the two
a person without one                                    an account is added, without rights, and signed in
======================================================= ==================================================

Accounts are linked by what the provider calls a person for ever (issuer and subject), never by a name
or an e-mail address, which can be given to somebody else. At each sign-in, membership of those groups
that the mapping names, and of staff if it is mapped, is made what the provider says; groups that were
given by hand stay. The full name is taken over; the e-mail address only where there is none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, delete, select

from adit_core.db import ExternalIdentity, Group, Membership, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable, utc_now
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, NotAllowed
from adit_core.services import audit
from adit_core.services.active_group import forget_left_groups
from adit_core.services.oidc_claims import Person
from adit_core.services.sessions import UNKNOWN_USER, SessionLimits, add_session
from adit_core.settings import Settings


@dataclass(frozen=True, slots=True)
class ExternalRules:
    """What the provider's word is worth here."""

    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Which of our groups the members of one of the provider's are in."""
    staff_groups: frozenset[str] = frozenset()
    """The provider's groups whose members are staff; if there are none, staff are made by hand."""
    allowed_groups: frozenset[str] = frozenset()
    """The provider's groups whose members may sign in; if there are none, everybody may."""
    create_users: bool = True
    """Whether those get an account who have none."""

    @classmethod
    def of(cls, settings: Settings) -> "ExternalRules":
        """Return the rules that the settings make."""
        return cls(
            groups=settings.oidc_groups,
            staff_groups=frozenset(settings.oidc_staff_groups),
            allowed_groups=frozenset(settings.oidc_allowed_groups),
            create_users=settings.oidc_create_users,
        )

    @property
    def managed(self) -> frozenset[str]:
        """Our groups that the provider decides on."""
        return frozenset(name for names in self.groups.values() for name in names)

    def granted(self, person: Person) -> frozenset[str]:
        """Return our groups that the person is to be in, of those that are managed."""
        return frozenset(name for theirs in person.groups for name in self.groups.get(theirs, ()))


def sign_in_person(
    db: Database,
    person: Person,
    rules: ExternalRules,
    limits: SessionLimits,
    *,
    id_token: str,
    address: str,
    reference: str,
) -> str:
    """Start a session for somebody whom the provider vouches for, and return its token.

    Args:
        db: Where accounts are kept.
        person: Who it is.
        rules: What the provider's word is worth.
        limits: How long the session lasts.
        id_token: What the provider said; it is kept sealed, to end the provider's session with.
        address: The network address.
        reference: Names this attempt in the audit trail, if it is refused.

    Raises:
        NotAllowed: By the table above; it is written to the audit trail.
        ActionNotPossible: The same person signs in twice at the same moment, for the first time.
        SecretUnreadable: There is no key for secrets.
    """
    sealed = db.keyring.seal(id_token)
    try:
        with db.session() as session:
            identity, user = _account(session, person, rules)
            _synchronize(session, user, person, rules)
            identity.last_used_at = utc_now()
            audit.record(session, AuditAction.SIGNED_IN, actor=user, address=address, provider=person.issuer)
            token = add_session(session, user, limits, address=address, issuer=person.issuer, id_token=sealed)
            session.commit()
    except NotAllowed as error:
        _record_refusal(db, person, str(error), address=address, reference=reference)
        raise
    except IntegrityError as error:
        raise ActionNotPossible("You are signing in somewhere else at this moment. Try again.") from error
    return token


def record_failure(db: Database, reason: str, *, address: str, reference: str) -> None:
    """Write to the audit trail that a sign-in failed before it was known who it is."""
    with db.session() as session:
        audit.record(
            session,
            AuditAction.SIGN_IN_FAILED,
            actor=UNKNOWN_USER,
            succeeded=False,
            address=address,
            reason=storable(reason, 300),
            reference=reference,
        )
        session.commit()


def _account(session: Session, person: Person, rules: ExternalRules) -> tuple[ExternalIdentity, User]:
    if rules.allowed_groups and not rules.allowed_groups & person.groups:
        raise NotAllowed(
            "You are in none of the groups that may use ADIT. The administrators of your account can help."
        )
    identity = session.get(ExternalIdentity, (person.issuer, person.subject))
    if identity is None:
        return _new_account(session, person, rules)
    user = session.get_one(User, identity.user_id)
    if not user.is_active:
        raise NotAllowed("Your account is closed. The administrators of this ADIT can open it again.")
    return identity, user


def _new_account(session: Session, person: Person, rules: ExternalRules) -> tuple[ExternalIdentity, User]:
    if not rules.create_users:
        raise NotAllowed(
            "You have no account here. The administrators of this ADIT can add one, and link it to you."
        )
    if not person.username:
        raise NotAllowed(
            "Your account tells no user name that can be one here. The administrators of this ADIT can help."
        )
    if session.exec(select(User.id).where(User.username == person.username)).first() is not None:
        raise NotAllowed(
            f"There is an account called {person.username} here, and whether it is yours is not known. "
            "Ask an administrator of this ADIT to link it to you."
        )
    user = User(username=person.username, password_hash=None)
    session.add(user)
    session.flush()
    identity = ExternalIdentity(
        issuer=person.issuer, subject=person.subject, user_id=user.id, linked_by=audit.SYSTEM
    )
    session.add(identity)
    for action in (AuditAction.USER_ADDED, AuditAction.IDENTITY_LINKED):
        _record(session, action, user, person)
    return identity, user


def _synchronize(session: Session, user: User, person: Person, rules: ExternalRules) -> None:
    changed = list(_change_account(user, person, rules))
    session.add(user)
    if changed:
        _record(session, AuditAction.USER_CHANGED, user, person, changed=", ".join(changed))
    if rules.managed:
        _synchronize_groups(session, user, person, rules)


def _change_account(user: User, person: Person, rules: ExternalRules) -> Iterator[str]:
    """Take over what the provider decides on, and yield the names of what has changed."""
    full_name = storable(person.full_name, 150)
    if full_name and full_name != user.full_name:
        user.full_name = full_name
        yield "full_name"
    if person.email and not user.email:
        user.email = person.email
        yield "email"
    is_staff = bool(rules.staff_groups & person.groups)
    if rules.staff_groups and is_staff != user.is_staff:
        user.is_staff = is_staff
        yield "is_staff"


def _synchronize_groups(session: Session, user: User, person: Person, rules: ExternalRules) -> None:
    """Make membership of the managed groups what it is to be; names that are no group's are passed over."""
    granted = rules.granted(person)
    mine = set(session.exec(select(Membership.group_id).where(Membership.user_id == user.id)))
    managed = session.exec(select(Group).where(col(Group.name).in_(rules.managed)).order_by(Group.name))
    for group in managed.all():
        if group.name in granted and group.id not in mine:
            session.add(Membership(user_id=user.id, group_id=group.id))
            _record_membership(session, group, user, person, "member added")
        elif group.name not in granted and group.id in mine:
            membership = (col(Membership.user_id) == user.id, col(Membership.group_id) == group.id)
            session.exec(delete(Membership).where(*membership))
            _record_membership(session, group, user, person, "member removed")
    forget_left_groups(session)


def _record(session: Session, action: AuditAction, user: User, person: Person, **details: Any) -> None:
    audit.record(
        session,
        action,
        actor=audit.SYSTEM,
        object_kind="user",
        object_id=user.username,
        provider=person.issuer,
        **details,
    )


def _record_membership(session: Session, group: Group, user: User, person: Person, changed: str) -> None:
    audit.record(
        session,
        AuditAction.GROUP_CHANGED,
        actor=audit.SYSTEM,
        object_kind="group",
        object_id=group.name,
        changed=changed,
        about=user.username,
        provider=person.issuer,
    )


def _record_refusal(db: Database, person: Person, reason: str, *, address: str, reference: str) -> None:
    """Write down who was refused, with what staff need to link the account."""
    with db.session() as session:
        linked = select(User).join(ExternalIdentity, col(ExternalIdentity.user_id) == col(User.id))
        user = session.exec(
            linked.where(ExternalIdentity.issuer == person.issuer, ExternalIdentity.subject == person.subject)
        ).first()
        audit.record(
            session,
            AuditAction.SIGN_IN_FAILED,
            actor=user or UNKNOWN_USER,
            succeeded=False,
            address=address,
            reason=storable(reason, 300),
            provider=person.issuer,
            subject=person.subject,
            reference=reference,
        )
        session.commit()
