"""Who one is, signing in without a browser, and one's tokens."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints
from starlette.exceptions import HTTPException

from adit_core.api.authentication import Caller, address_of
from adit_core.api.sign_in import password_checks
from adit_core.api.v1.callers import Anybody, Submitter, Wired
from adit_core.api.v1.creating import OneCreation
from adit_core.api.v1.values import Given, Id, JobName, Shown
from adit_core.api.wiring import Wiring
from adit_core.db import Permission, TokenScope
from adit_core.errors import NotAllowed
from adit_core.services.active_group import active_group_of, choose_active_group, groups_of_user
from adit_core.services.rights import permissions_of
from adit_core.services.sign_in_throttle import Attempt, throttled
from adit_core.services.tokens import (
    LONGEST_LIFE,
    NewToken,
    TokenState,
    create_token,
    list_tokens,
    revoke_token,
    token_for_password,
)

router = APIRouter(tags=["me"])


class Me(Shown):
    """Who is signed in, and what that person, or the token, may do."""

    username: str = Field(examples=["ada"])
    full_name: str
    email: str
    is_staff: bool
    needs_approval: bool
    permissions: list[Permission]
    """What the groups permit, or the active one alone; staff need none of them."""
    groups: list[str]
    """The groups that one is in."""
    active_group: str | None
    """The only one of them whose rights count; null if those of all count together."""
    scopes: list[TokenScope]
    csrf_token: str | None
    """In a session of the dashboard: what changes have to carry in the header X-CSRF-Token."""


class MeWish(Given):
    """What is to be changed about oneself."""

    active_group: Annotated[str, StringConstraints(max_length=150)] | None = Field(examples=["Radiology"])
    """The only one of one's groups whose rights are to count; null for all of them together."""


class Token(Shown):
    """A token, without the token itself."""

    id: int
    owner: str
    name: str
    prefix: str
    scopes: list[TokenScope]
    state: TokenState
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str
    revoked_at: datetime | None


class FreshToken(Token):
    """A token that was just made."""

    token: str = Field(examples=["adit_3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
    """Keep it: it is not shown again."""


class TokenWish(Given):
    """What a token is to be."""

    name: JobName = Field(examples=["notebook"])
    """What it is for."""
    scopes: list[TokenScope] = Field(min_length=1, examples=[["read", "jobs"]])
    days: int | None = Field(default=None, ge=1, le=LONGEST_LIFE.days)
    """For how long; null until it is revoked."""


class Password(Given):
    """A user name and a password."""

    username: Annotated[str, StringConstraints(max_length=150)] = Field(examples=["ada"])
    password: Annotated[str, StringConstraints(max_length=1024)] = Field(
        examples=["correct horse battery staple"]
    )


@router.get("/me")
def show_me(wiring: Wired, caller: Anybody) -> Me:
    """Tell who is signed in."""
    return _me(wiring, caller)


@router.patch("/me")
def change_me(wiring: Wired, caller: Submitter, wish: MeWish) -> Me:
    """Choose the group that one works for. It counts for all one's tokens, and in the dashboard.

    A token is refused while the group that is active may not use the API.
    """
    choose_active_group(wiring.database, caller.user, wish.active_group or "", address=caller.address)
    return _me(wiring, caller)


def _me(wiring: Wiring, caller: Caller) -> Me:
    user = caller.user
    return Me(
        username=user.username,
        full_name=user.full_name,
        email=user.email,
        is_staff=user.is_staff,
        needs_approval=user.needs_approval,
        permissions=sorted(permissions_of(wiring.database, user)),
        groups=groups_of_user(wiring.database, user),
        active_group=active_group_of(wiring.database, user) or None,
        scopes=sorted(caller.scopes),
        csrf_token=caller.csrf_token,
    )


@router.post("/sign-in", status_code=201)
async def sign_in(request: Request, wiring: Wired, given: Password) -> FreshToken:
    """Get a token for a user name and a password. It lasts as long as a session of the dashboard."""
    check = partial(
        token_for_password,
        wiring.database,
        given.username,
        given.password,
        lifetime=timedelta(seconds=wiring.settings.session_length),
        address=address_of(request),
        who=wiring.settings.local_sign_in,
    )
    attempt = Attempt(given.username, address_of(request))
    sign_in = partial(throttled, wiring.database, wiring.throttle, attempt, check)
    made = await to_thread.run_sync(sign_in, limiter=password_checks)
    if made is None:
        raise HTTPException(401, "The user name or the password is wrong.")
    return _fresh(made)


@router.get("/tokens")
def list_all(wiring: Wired, caller: Anybody, all_users: bool = False) -> list[Token]:
    """List one's tokens, the newest first; of all users, for staff only."""
    return [
        Token.model_validate(view) for view in list_tokens(wiring.database, caller.user, all_users=all_users)
    ]


@router.post("/tokens", status_code=201)
def create(wiring: Wired, caller: Anybody, creation: OneCreation, wish: TokenWish) -> FreshToken:
    """Make a token for oneself. One that was made with another token can do no more, and lasts no longer.

    It is shown once: asked for again under the same Idempotency-Key, it is refused with 409.
    """
    _require_no_more(caller, wish)

    def create() -> FreshToken:
        made = create_token(
            wiring.database,
            caller.user,
            name=wish.name,
            scopes=wish.scopes,
            lifetime=None if wish.days is None else timedelta(days=wish.days),
            not_after=caller.until,
            address=caller.address,
        )
        return _fresh(made)

    return creation.once_shown(wish, FreshToken, create, _was_shown)


@router.delete("/tokens/{token_id}")
def revoke(wiring: Wired, caller: Anybody, token_id: Id) -> Token:
    """End a token for good: one's own, or for staff anybody's."""
    view = revoke_token(wiring.database, caller.user, token_id, address=caller.address)
    return Token.model_validate(view)


def _require_no_more(caller: Caller, wish: TokenWish) -> None:
    further = sorted(frozenset(wish.scopes) - caller.scopes)
    if further:
        raise NotAllowed(
            f"This token lacks the scopes {', '.join(further)}, and cannot give them to another."
        )


def _was_shown(token: FreshToken) -> str:
    return (
        f"This token (id {token.id}) was made and shown under this Idempotency-Key before, and is not kept. "
        "Revoke it if it was lost, and make another under a new key."
    )


def _fresh(made: NewToken) -> FreshToken:
    return FreshToken(token=made.token, **Token.model_validate(made.view).model_dump())
