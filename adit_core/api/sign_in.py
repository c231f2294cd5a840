"""Signing in with a user name and a password, and signing out.

The form is protected against forgery by a token that must arrive both in a cookie and in a field,
and by asking the browser where the form was (OWASP: signed out users have no session to keep it in).
"""

import hmac
from functools import partial
from typing import Annotated
from urllib.parse import parse_qsl

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from adit_core.api.authentication import address_of
from adit_core.api.cookies import browser_cookie, session_cookie, sign_in_cookie
from adit_core.api.origin import is_same_origin
from adit_core.api.paths import SIGN_IN_PATH, SIGN_OUT_PATH
from adit_core.api.provider_sign_in import farewell_page
from adit_core.api.sign_in_page import local_path, sign_in_page
from adit_core.api.wiring import Wiring, wiring_of
from adit_core.errors import NotAllowed, TooManyFailures
from adit_core.services import sessions
from adit_core.services.sessions import SessionLimits, session_id_of
from adit_core.services.sign_in_throttle import Attempt, remember_browser, throttled

_BROWSER_KNOWN = 365 * 24 * 60 * 60
"""Seconds for which a browser is known in which somebody has signed in."""
_MAX_FORM_LENGTH = 16 * 1024
"""Bytes of a form that are read before it is refused."""

# Checking a password takes 64 MiB and a core for a moment, so a flood of them has to queue.
password_checks = CapacityLimiter(2)

router = APIRouter(include_in_schema=False)
Wired = Annotated[Wiring, Depends(wiring_of)]


@router.get(SIGN_IN_PATH)
def show_form(wiring: Wired, next: str = "/") -> Response:  # noqa: A002 - the name in the URL
    """Show the form. After it, the browser goes to `next`, if that is a page of this server."""
    return sign_in_page(wiring, wanted=next)


@router.post(SIGN_IN_PATH)
async def sign_in(request: Request, wiring: Wired) -> Response:
    """Open a session for a browser that sent the right user name and password."""
    fields = await _read_form(request)
    wanted, username = fields.get("next", "/"), fields.get("username", "")
    agreed = request.cookies.get(sign_in_cookie(wiring.settings).name, "")
    if not _same(agreed, fields.get("csrf_token", "")) or not is_same_origin(request):
        alert = "This form was open for too long. Please sign in again."
        return sign_in_page(wiring, wanted=wanted, username=username, alert=alert, status_code=403)
    browser = request.cookies.get(browser_cookie(wiring.settings).name, "")
    attempt = Attempt(username, address_of(request), browser)
    open_session = partial(_open_session, wiring, attempt, fields.get("password", ""))
    try:
        opened = await to_thread.run_sync(open_session, limiter=password_checks)
    except TooManyFailures as error:
        return sign_in_page(wiring, wanted=wanted, username=username, alert=str(error), status_code=429)
    except NotAllowed as error:
        return sign_in_page(wiring, wanted=wanted, username=username, alert=str(error), status_code=403)
    if opened is None:
        alert = "The user name or the password is wrong."
        return sign_in_page(wiring, wanted=wanted, username=username, alert=alert, status_code=401)
    token, browser = opened
    response = RedirectResponse(local_path(wanted), status_code=303)
    session_cookie(wiring.settings).set(response, token, max_age=wiring.settings.session_length)
    browser_cookie(wiring.settings).set(response, browser, max_age=_BROWSER_KNOWN)
    sign_in_cookie(wiring.settings).delete(response)
    return response


@router.post(SIGN_OUT_PATH)
async def sign_out(request: Request, wiring: Wired) -> Response:
    """End the session of a browser whose form carries the session's token against forgery."""
    fields = await _read_form(request)
    cookie = session_cookie(wiring.settings)
    session_id = session_id_of(request.cookies.get(cookie.name, ""))
    limits = SessionLimits.of(wiring.settings)
    principal = await run_in_threadpool(sessions.find_principal, wiring.database, session_id, limits)
    response: Response = RedirectResponse(SIGN_IN_PATH, status_code=303)
    if principal is not None:
        if not _same(principal.csrf_token, fields.get("csrf_token", "")) or not is_same_origin(request):
            return PlainTextResponse("Sign out with the button in ADIT; this came from elsewhere.", 403)
        close = partial(sessions.close_session, wiring.database, principal, address=address_of(request))
        id_token = await run_in_threadpool(close)
        if id_token is not None:
            response = await farewell_page(wiring, id_token) or response
    cookie.delete(response)
    return response


def _open_session(wiring: Wiring, attempt: Attempt, password: str) -> tuple[str, str] | None:
    """Return the tokens of a session and of the browser; None if the password is wrong."""
    db, limits = wiring.database, SessionLimits.of(wiring.settings)
    open_session = partial(
        sessions.sign_in,
        db,
        attempt.username,
        password,
        limits,
        address=attempt.address,
        who=wiring.settings.local_sign_in,
    )
    token = throttled(db, wiring.throttle, attempt, open_session)
    return None if token is None else (token, remember_browser(db, attempt.username, attempt.browser))


async def _read_form(request: Request) -> dict[str, str]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_LENGTH:
            raise HTTPException(413, "The form is too long.")
    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))


def _same(expected: str, given: str) -> bool:
    return bool(expected) and hmac.compare_digest(expected.encode(), given.encode())
