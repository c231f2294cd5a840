"""Tokens of the API: shown once when they are made, looked up at every request, ended by time or revoked.

The user gets 256 random bits; the database holds their SHA-256. A token never allows more than its user
may do, with the group that is active; it allows nothing once the account is closed, or as long as the user
lacks the permission to use the API.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from adit_core.db import ApiToken, Permission, TokenScope, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable, utc_now
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, NotAllowed, NotFound, refuse
from adit_core.services import audit
from adit_core.services.rights import has_permission
from adit_core.services.sessions import PasswordUsers, record_failure, require_password_user
from adit_core.services.users import check_password

LONGEST_LIFE = timedelta(days=3 * 366)
_MARK = "adit_"
"""Tokens begin with it, so that programs that look for leaked secrets recognise them."""
_PREFIX_LENGTH = len(_MARK) + 6
_WRITE_INTERVAL = timedelta(minutes=1)
_MAX_NAME_LENGTH = 150
_BEARER = select(ApiToken, User).join(User).where(col(ApiToken.token_hash) == bindparam("digest"))


class TokenState(StrEnum):
    """Whether a token can be used."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token as it is shown: without the token."""

    id: int
    owner: str
    name: str
    prefix: str
    scopes: tuple[TokenScope, ...]
    state: TokenState
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made, and what opens with it; nobody can be told again."""

    token: str
    view: TokenView


@dataclass(frozen=True, slots=True)
class TokenBearer:
    """Who uses the API by a token."""

    user: User
    token_id: int
    scopes: frozenset[TokenScope]
    until: datetime | None = None
    """When the token expires, if it does."""


def create_token(
    db: Database,
    user: User,
    *,
    name: str,
    scopes: Iterable[TokenScope],
    lifetime: timedelta | None = None,
    not_after: datetime | None = None,
    actor: User | None = None,
    address: str = "",
) -> NewToken:
    """Make a token of `user`.

    Args:
        db: Where its digest is kept.
        user: In whose name it acts.
        name: What it is for.
        scopes: What it may be used for.
        lifetime: How long; None until it is revoked.
        not_after: When it ends at the latest, whatever its lifetime is.
        actor: Who makes it; the user, if nobody is named.
        address: The network address that the request came from.

    Raises:
        InvalidInput: With all that is wrong.
        NotAllowed: The account is closed or may not use the API, or the token of another user is asked for
            by one who is not staff.
    """
    maker = actor or user
    _require_owner_or_staff(maker, user)
    _require_api(db, user)
    wanted = frozenset(scopes)
    refuse(*_name_problems(name), *_scope_problems(wanted, user), *_lifetime_problems(lifetime))
    token = _MARK + secrets.token_urlsafe(32)
    now = utc_now()
    row = ApiToken(
        user_id=user.id,
        token_hash=_digest(token),
        prefix=token[:_PREFIX_LENGTH],
        name=storable(name.strip()),
        scopes=wanted,
        created_at=now,
        expires_at=_end(now, lifetime, not_after),
    )
    with db.session() as session:
        session.add(row)
        session.flush()
        audit.record(
            session,
            AuditAction.TOKEN_CREATED,
            actor=maker,
            object_kind="token",
            object_id=row.id,
            address=address,
            owner=user.username,
            scopes=", ".join(sorted(wanted)),
        )
        session.commit()
    return NewToken(token, _view(row, user.username, now))


def token_for_password(
    db: Database,
    username: str,
    password: str,
    *,
    lifetime: timedelta,
    address: str = "",
    who: PasswordUsers = "everybody",
) -> NewToken | None:
    """Make a token of the user whom name and password belong to; None if they do not.

    It has all scopes that are of use to the user. What fails is written to the audit trail, too.

    Raises:
        NotAllowed: Somebody else chose the password, and the user has to change it first; or the user is
            not among those `who` may sign in with one, or may not use the API.
    """
    user = check_password(db, username, password)
    if user is None:
        record_failure(db, username, address=address)
        return None
    require_password_user(db, user, who, address=address)
    if user.must_change_password:
        raise NotAllowed("Choose a password of your own first: sign in to the dashboard.")
    scopes = frozenset(TokenScope) - (frozenset() if user.is_staff else {TokenScope.ADMIN})
    return create_token(db, user, name="sign-in", scopes=scopes, lifetime=lifetime, address=address)


def find_bearer(db: Database, token: str, *, address: str = "") -> TokenBearer | TokenState | None:
    """Return whom a token belongs to; why it is of no use any more; or None if nobody was ever given it.

    The use is noted, once a minute at most. A token of a closed account is as one that is revoked.

    Raises:
        NotAllowed: The user may not use the API any more.
    """
    with db.reading() as session:
        found = session.exec(_BEARER, params={"digest": _digest(token)}).first()
    if found is None:
        return None
    row, user = found
    now = utc_now()
    state = _state(row, now) if user.is_active else TokenState.REVOKED
    if state is not TokenState.VALID:
        return state
    _require_api(db, user)
    _note_use(db, row, now, address)
    return TokenBearer(user, row.id, row.scopes, row.expires_at)


def revoke_token(db: Database, actor: User, token_id: int, *, address: str = "") -> TokenView:
    """End a token for good, and return it; one that was revoked before stays as it is.

    Raises:
        NotFound: There is no such token, or it is another user's and `actor` is not staff.
    """
    with db.session() as session:
        row = session.get(ApiToken, token_id)
        owner = session.get_one(User, row.user_id) if row is not None else None
        if row is None or owner is None or not _may_manage(actor, owner):
            raise NotFound(f"There is no token {token_id}.")
        if row.revoked_at is None:
            row.revoked_at = utc_now()
            audit.record(
                session,
                AuditAction.TOKEN_REVOKED,
                actor=actor,
                object_kind="token",
                object_id=token_id,
                address=address,
                owner=owner.username,
            )
            session.commit()
    return _view(row, owner.username, utc_now())


def list_tokens(db: Database, user: User, *, all_users: bool = False) -> list[TokenView]:
    """Return the user's tokens, the newest first, those of no more use among them.

    Raises:
        NotAllowed: Those of all users are asked for by one who is not staff.
    """
    if all_users and not (user.is_active and user.is_staff):
        raise NotAllowed("Only staff may see the tokens of others.")
    chosen = select(ApiToken, User.username).join(User).order_by(col(ApiToken.id).desc())
    if not all_users:
        chosen = chosen.where(User.id == user.id, User.is_active)
    now = utc_now()
    with db.reading() as session:
        return [_view(row, owner, now) for row, owner in session.exec(chosen)]


def _end(now: datetime, lifetime: timedelta | None, not_after: datetime | None) -> datetime | None:
    ends = [end for end in (not_after, None if lifetime is None else now + lifetime) if end is not None]
    return min(ends, default=None)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _note_use(db: Database, row: ApiToken, now: datetime, address: str) -> None:
    if row.last_used_at is not None and now - row.last_used_at < _WRITE_INTERVAL:
        return
    with db.session() as session:
        session.exec(
            update(ApiToken)
            .where(col(ApiToken.id) == row.id)
            .values(last_used_at=now, last_used_from=storable(address, 64))
        )
        session.commit()


def _state(row: ApiToken, now: datetime) -> TokenState:
    if row.revoked_at is not None:
        return TokenState.REVOKED
    is_over = row.expires_at is not None and row.expires_at <= now
    return TokenState.EXPIRED if is_over else TokenState.VALID


def _view(row: ApiToken, owner: str, now: datetime) -> TokenView:
    return TokenView(
        id=row.id,
        owner=owner,
        name=row.name,
        prefix=row.prefix,
        scopes=tuple(sorted(row.scopes)),
        state=_state(row, now),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        last_used_from=row.last_used_from,
        revoked_at=row.revoked_at,
    )


def _may_manage(actor: User, owner: User) -> bool:
    return actor.is_active and (actor.is_staff or actor.id == owner.id)


def _require_owner_or_staff(actor: User, owner: User) -> None:
    if not _may_manage(actor, owner):
        raise NotAllowed("Only staff may make tokens of other users.")
    if not owner.is_active:
        raise NotAllowed(f"The account of {owner.username} is closed.")


def _require_api(db: Database, owner: User) -> None:
    if not has_permission(db, owner, Permission.USE_API):
        raise NotAllowed(
            f"{owner.username} lacks the permission to {Permission.USE_API.value}. An administrator can give "
            "it to a group; only the group that is active counts."
        )


def _name_problems(name: str) -> list[InputProblem]:
    if name.strip() and len(name.strip()) <= _MAX_NAME_LENGTH:
        return []
    message = f"Say in 1 to {_MAX_NAME_LENGTH} characters what the token is for."
    return [InputProblem(message, field="name")]


def _scope_problems(scopes: frozenset[TokenScope], owner: User) -> list[InputProblem]:
    if not scopes:
        return [InputProblem(f"Name at least one of {', '.join(TokenScope)}.", field="scopes")]
    if TokenScope.ADMIN in scopes and not owner.is_staff:
        return [InputProblem("Only staff can use the scope admin; leave it out.", field="scopes")]
    return []


def _lifetime_problems(lifetime: timedelta | None) -> list[InputProblem]:
    if lifetime is None or timedelta(0) < lifetime <= LONGEST_LIFE:
        return []
    message = f"A token lasts from one second to {LONGEST_LIFE.days} days, or until it is revoked."
    return [InputProblem(message, field="lifetime")]
