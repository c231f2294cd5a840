"""Who calls the API: a program that has a token, or a page of the dashboard in its session.

============================== ===========================================================
request has                    is answered
============================== ===========================================================
``Authorization`` with a token as its user, within the scopes of the token
a session's cookie             as its user; what changes anything has to come from our pages
neither, or what is over       401
not the scope that is needed   403
============================== ===========================================================

Tokens come as ``Token …`` (clients of ADIT) or as ``Bearer …`` (RFC 6750). What the user may do is
for the services to decide.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.exceptions import HTTPException

from adit_core.api.cookies import session_cookie
from adit_core.api.origin import is_same_origin
from adit_core.api.rate import RateLimiter
from adit_core.api.wiring import Wiring, wiring_of
from adit_core.db import TokenScope, User
from adit_core.services.sessions import (
    Principal,
    SessionLimits,
    find_active_principal,
    find_principal,
    session_id_of,
)
from adit_core.services.tokens import TokenBearer, TokenState, find_bearer

CSRF_HEADER = "X-CSRF-Token"
_SCHEMES = ("token", "bearer")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_WRONG = "This token is none of ADIT. Give one that `adit tokens create` or the API has made."
_OVER = {
    TokenState.EXPIRED: "This token has expired; have a new one made.",
    TokenState.REVOKED: "This token was revoked; have a new one made.",
}

# They tell the OpenAPI document how to sign in; whether that was done is judged below.
_token_scheme = HTTPBearer(scheme_name="token", auto_error=False, description="A token of ADIT.")
_session_scheme = APIKeyCookie(name="adit_session", scheme_name="session", auto_error=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, from where, and with what."""

    user: User
    scopes: frozenset[TokenScope]
    address: str
    """The network address."""
    until: datetime | None = None
    """When the token expires, if it does."""
    csrf_token: str | None = None
    """Of the session that the call came in, if it came in one."""


def signed_in(scope: TokenScope) -> Callable[..., Awaitable[Caller]]:
    """Return a dependency that gives the caller, who has `scope`; sessions of the dashboard have all.

    It answers with 401 if nobody is signed in, 403 if the scope is missing or a foreign page sent the
    request, and 429 if there were too many requests.
    """

    async def caller(found: Annotated[Caller, Depends(any_caller)]) -> Caller:
        return require_scope(found, scope)

    return caller


def any_caller(
    request: Request,
    _token: Annotated[object, Depends(_token_scheme)] = None,
    _session: Annotated[object, Depends(_session_scheme)] = None,
) -> Caller:
    """Return who calls, whatever the scopes are. Raises what `signed_in` answers with."""
    wiring = wiring_of(request)
    authorization = request.headers.get("authorization")
    if authorization is not None:
        bearer = _bearer(wiring, authorization, address_of(request))
        require_pace(request.app.state.rate_limiter, f"token {bearer.token_id}")
        return Caller(bearer.user, bearer.scopes, address_of(request), until=bearer.until)
    principal = _principal(request, wiring)
    if principal.must_choose_password:
        raise HTTPException(403, "Choose a password of your own first: open the dashboard.")
    require_pace(request.app.state.rate_limiter, f"session {principal.session_id}")
    return Caller(principal.user, frozenset(TokenScope), address_of(request), csrf_token=principal.csrf_token)


def require_scope(caller: Caller, scope: TokenScope) -> Caller:
    """Return the caller; raises HTTPException (403) if the token lacks the scope."""
    if scope in caller.scopes:
        return caller
    raise HTTPException(
        403,
        f"This token lacks the scope {scope}; use one that has it.",
        {"WWW-Authenticate": f'Bearer realm="ADIT", error="insufficient_scope", scope="{scope}"'},
    )


def require_pace(limiter: RateLimiter, caller: str) -> None:
    """Do nothing, if there were not too many requests of `caller`; else raise HTTPException (429)."""
    seconds = limiter.seconds_to_wait(caller)
    if seconds:
        detail = f"These were too many requests; try again in {seconds} s."
        raise HTTPException(429, detail, {"Retry-After": str(seconds)})


def address_of(request: Request) -> str:
    """Return the network address that a request came from, empty if that is not known."""
    return request.client.host if request.client is not None else ""


def _bearer(wiring: Wiring, authorization: str, address: str) -> TokenBearer:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() not in _SCHEMES or not token.strip():
        raise _unauthorized("Sign in by the header `Authorization: Bearer …`, with a token of ADIT.")
    found = find_bearer(wiring.database, token.strip(), address=address)
    if found is None:
        raise _unauthorized(_WRONG, 'error="invalid_token"')
    if isinstance(found, TokenState):
        raise _unauthorized(_OVER[found], 'error="invalid_token"')
    return found


def _principal(request: Request, wiring: Wiring) -> Principal:
    cookie = request.cookies.get(session_cookie(wiring.settings).name, "")
    is_safe = request.method in _SAFE_METHODS
    find = find_principal if is_safe else find_active_principal
    limits = SessionLimits.of(wiring.settings)
    principal = find(wiring.database, session_id_of(cookie), limits) if cookie else None
    if principal is None:
        raise _unauthorized("Sign in first: with a token in the header Authorization, or in the dashboard.")
    if not is_safe and not _is_from_our_pages(request, principal):
        raise HTTPException(403, f"This came from elsewhere. Send the session's token in {CSRF_HEADER}.")
    return principal


def _is_from_our_pages(request: Request, principal: Principal) -> bool:
    """Tell so by what the browser says of the page, or by the session's token against forgery."""
    given = request.headers.get(CSRF_HEADER, "")
    if given:
        return hmac.compare_digest(given.encode(), principal.csrf_token.encode())
    says_where_from = "sec-fetch-site" in request.headers or "origin" in request.headers
    return says_where_from and is_same_origin(request)


def _unauthorized(detail: str, *attributes: str) -> HTTPException:
    challenge = ", ".join(('Bearer realm="ADIT"', *attributes))
    return HTTPException(401, detail, {"WWW-Authenticate": challenge})
