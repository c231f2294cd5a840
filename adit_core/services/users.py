"""Accounts: adding them, changing them, and checking passwords.

Passwords are kept as argon2id (RFC 9106). Checking one costs the same whether or not the user
exists, so that the time of an answer does not tell which user names do. It does tell of accounts that were
imported, until they sign in for the first time: their passwords are kept as Django keeps them.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, delete, select, update

from adit_core.db import Group, GroupPermission, Membership, Permission, User, WebSession
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, InvalidInput, NotFound, refuse
from adit_core.services import audit
from adit_core.services.django_passwords import DjangoPbkdf2Hasher
from adit_core.services.rights import require_administrator

MIN_PASSWORD_LENGTH = 10
MAX_PASSWORD_LENGTH = 1024
_EMAIL = re.compile(r"[!-?A-~]+@[!-?A-~]+")
"""Nothing but what is printed and is no space, so that a header cannot be ended by it."""
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,149}")

_OWN_TO_CHANGE = frozenset({"email", "notify_by_email", "time_zone"})
"""What users change of their own account; the rest of `UserChanges` is for staff."""

_hasher = PasswordHash((Argon2Hasher(), DjangoPbkdf2Hasher()))
"""The first makes hashes; those of the second came from ADIT's first edition."""


def create_user(
    db: Database,
    *,
    username: str,
    password: str | None,
    full_name: str = "",
    email: str = "",
    staff: bool = False,
    needs_approval: bool = False,
    notify_by_email: bool = False,
    must_change_password: bool = False,
    actor: User | str = audit.SYSTEM,
) -> User:
    """Add an account and return it.

    Args:
        db: Where the account is kept.
        username: 1 to 150 of a-z, 0-9 and (not first) ``. _ @ + -``; capitals are made small.
        password: At least 10 characters; None for an account that signs in elsewhere.
        full_name: As other people write it.
        email: Where messages go.
        staff: Staff see and act on everybody's jobs, and administer.
        needs_approval: Jobs of this user run only once a member of staff has verified them.
        notify_by_email: An e-mail tells of the end of each job.
        must_change_password: The user can do nothing before choosing another password.
        actor: Who adds it.

    Raises:
        InvalidInput: With all that is wrong; a user name that is taken is one such thing.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    name = _normalized(username)
    refuse(
        *_username_problems(name),
        *([] if password is None else _password_problems(password)),
        *_length_problems("full_name", full_name, 150),
        *_email_problems(email.strip(), is_needed=notify_by_email),
    )
    user = User(
        username=name,
        password_hash=None if password is None else _hasher.hash(password),
        full_name=storable(full_name.strip()),
        email=storable(email.strip()),
        is_staff=staff,
        needs_approval=needs_approval,
        notify_by_email=notify_by_email,
        must_change_password=must_change_password and password is not None,
    )
    try:
        with db.session() as session:
            session.add(user)
            audit.record(session, AuditAction.USER_ADDED, actor=actor, object_kind="user", object_id=name)
            session.commit()
    except IntegrityError as error:
        taken = InputProblem(f"The user name {name} is taken; choose another one.", field="username")
        raise InvalidInput(taken) from error
    return user


@dataclass(frozen=True, slots=True)
class UserChanges:
    """What is to become of an account; what is None stays as it is."""

    full_name: str | None = None
    email: str | None = None
    is_staff: bool | None = None
    is_active: bool | None = None
    needs_approval: bool | None = None
    notify_by_email: bool | None = None
    time_zone: str | None = None


def change_user(
    db: Database, username: str, changes: UserChanges, *, actor: User | str = audit.SYSTEM
) -> User:
    """Change an account and return it as it is then; if it is closed, its user is signed out everywhere.

    Raises:
        NotFound: There is no such user.
        InvalidInput: The address is none, or there is none to send e-mails to, or the actor would give up
            the own account.
        NotAllowed: The actor is a user who is not staff, and changes more than their own mail and time zone.
    """
    wanted = {name: value for name, value in asdict(changes).items() if value is not None}
    if not (_is_own(username, actor) and wanted.keys() <= _OWN_TO_CHANGE):
        require_administrator(actor)
    user_id = get_user(db, username).id
    refuse(*_own_account_problems(user_id, changes, actor), *_zone_problems(changes.time_zone))
    with db.session() as session:
        user = session.get_one(User, user_id)
        for name, value in wanted.items():
            setattr(user, name, storable(value.strip()) if isinstance(value, str) else value)
        refuse(
            *_length_problems("full_name", user.full_name, 150),
            *_email_problems(user.email, is_needed=user.notify_by_email),
        )
        if not user.is_active:
            session.exec(delete(WebSession).where(col(WebSession.user_id) == user_id))
        audit.record(
            session,
            AuditAction.USER_CHANGED,
            actor=actor,
            object_kind="user",
            object_id=user.username,
            changed=", ".join(wanted),
        )
        session.commit()
    return user


def check_password(db: Database, username: str, password: str) -> User | None:
    """Return the user whom the name and the password belong to, or None.

    A hash that was made with weaker parameters than today's is replaced on the way.
    """
    user = find_user(db, username)
    stored = user.password_hash if user is not None else None
    nobody = _hash_of_nobody()  # made in any case, so that a process's first answer tells nothing, either
    matches, stronger = _hasher.verify_and_update(password, stored or nobody)
    if user is None or stored is None or not matches or not user.is_active:
        return None
    if stronger is not None:
        with db.session() as session:
            _store_hash(session, user.id, stronger)
            session.commit()
    return user


def set_password(
    db: Database,
    username: str,
    password: str,
    *,
    must_change: bool = False,
    kept_session: str = "",
    actor: User | str = audit.SYSTEM,
) -> None:
    """Give a user a new password, and sign the user out everywhere.

    Args:
        db: Where the account is kept.
        username: The user.
        password: The new one.
        must_change: Whether the user can do nothing before choosing another one.
        kept_session: The id of a session in which the user stays signed in; empty for none.
        actor: Who gives it.

    Raises:
        InvalidInput: The password is too short or too long.
        NotFound: There is no such user.
        NotAllowed: The actor is a user who is not staff, and it is the account of another.
    """
    if not _is_own(username, actor):
        require_administrator(actor)
    refuse(*_password_problems(password))
    user = get_user(db, username)
    new_hash = _hasher.hash(password)
    with db.session() as session:
        session.exec(
            update(User)
            .where(col(User.id) == user.id)
            .values(password_hash=new_hash, must_change_password=must_change)
        )
        session.exec(
            delete(WebSession).where(
                col(WebSession.user_id) == user.id, col(WebSession.token_hash) != kept_session
            )
        )
        audit.record(
            session,
            AuditAction.USER_CHANGED,
            actor=actor,
            object_kind="user",
            object_id=user.username,
            changed="password",
        )
        session.commit()


def get_user(db: Database, username: str) -> User:
    """Return the user of that name.

    Raises:
        NotFound: There is no such user.
    """
    user = find_user(db, username)
    if user is None:
        raise NotFound(f"There is no user called {username}.")
    return user


def user_of_id(db: Database, user_id: int) -> User:
    """Return the user of that id.

    Raises:
        NotFound: There is no such user.
    """
    with db.reading() as session:
        user = session.get(User, user_id)
    if user is None:
        raise NotFound("There is no such user.")
    return user


def find_user(db: Database, username: str) -> User | None:
    """Return the user of that name, or None."""
    name = usable_name(username)
    if not name:
        return None
    with db.reading() as session:
        return session.exec(select(User).where(User.username == name)).first()


def usable_name(text: str) -> str:
    """Return the user name that somebody called `text` would get; empty if it can be none."""
    name = _normalized(text)
    return name if _USERNAME.fullmatch(name) else ""


def usable_email(text: str) -> str:
    """Return `text` if it can be an e-mail address, else nothing."""
    return "" if _email_problems(text.strip(), is_needed=False) else text.strip()


def list_users(db: Database) -> list[User]:
    """Return all users by name."""
    with db.reading() as session:
        return list(session.exec(select(User).order_by(User.username)))


def add_to_group(
    db: Database, username: str, group_name: str, permissions: frozenset[Permission] = frozenset()
) -> None:
    """Make a user a member of a group, and add permissions to the group.

    A group that does not exist is made. What is there already stays as it is.

    Raises:
        NotFound: There is no such user.
    """
    user = get_user(db, username)
    with db.session() as session:
        group = session.exec(select(Group).where(Group.name == group_name)).first()
        if group is None:
            group = Group(name=group_name)
            session.add(group)
            session.flush()
        session.merge(Membership(user_id=user.id, group_id=group.id))
        for permission in permissions:
            session.merge(GroupPermission(group_id=group.id, permission=permission))
        session.commit()


@cache
def _hash_of_nobody() -> str:
    """Made when it is first needed: it takes longer than the rest of what most commands do."""
    return _hasher.hash("the password of a user who does not exist")


def _store_hash(session: Session, user_id: int, password_hash: str) -> None:
    session.exec(update(User).where(col(User.id) == user_id).values(password_hash=password_hash))


def _normalized(username: str) -> str:
    return username.strip().lower()


def _is_own(username: str, actor: User | str) -> bool:
    return isinstance(actor, User) and actor.is_active and actor.username == _normalized(username)


def _own_account_problems(user_id: int, changes: UserChanges, actor: User | str) -> Iterator[InputProblem]:
    """Yield why nobody can undo it: the last member of staff could lock everybody out."""
    if isinstance(actor, User) and actor.id == user_id:
        for field in ("is_active", "is_staff"):
            if getattr(changes, field) is False:
                yield InputProblem("Have somebody else do this to your own account.", field=field)


def account_problems(username: str, full_name: str, email: str) -> list[InputProblem]:
    """Return what is wrong with an account that is not made by `create_user`; the name is a small one."""
    return [
        *_username_problems(username),
        *_length_problems("full_name", full_name, 150),
        *_email_problems(email, is_needed=False),
    ]


def _username_problems(username: str) -> list[InputProblem]:
    if _USERNAME.fullmatch(username):
        return []
    rule = "Use letters from a to z, digits and . _ @ + -, at most 150, and start with a letter or digit."
    return [InputProblem(f"This cannot be a user name. {rule}", field="username")]


def _password_problems(password: str) -> list[InputProblem]:
    if len(password) < MIN_PASSWORD_LENGTH:
        message = f"The password is too short; use at least {MIN_PASSWORD_LENGTH} characters."
    elif len(password) > MAX_PASSWORD_LENGTH:
        message = f"The password is too long; use at most {MAX_PASSWORD_LENGTH} characters."
    else:
        return []
    return [InputProblem(message, field="password")]


def _email_problems(email: str, *, is_needed: bool) -> list[InputProblem]:
    if is_needed and not email:
        return [InputProblem("Give an address for the e-mails to go to.", field="email")]
    if email and not _EMAIL.fullmatch(email):
        return [InputProblem("This is no e-mail address; give one such as ada@hospital.org.", field="email")]
    return _length_problems("email", email, 254)


def _zone_problems(name: str | None) -> Iterator[InputProblem]:
    try:
        if name:
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        yield InputProblem("There is no such time zone; write it as Europe/Berlin.", field="time_zone")


def _length_problems(field: str, text: str, longest: int) -> list[InputProblem]:
    if len(text) <= longest:
        return []
    return [InputProblem(f"This is too long; use at most {longest} characters.", field=field)]
