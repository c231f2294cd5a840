"""Signing in by an OpenID provider: to it, back from it, and telling it that the user has signed out.

Everything that can be known of a failure goes to the log and to the audit trail, under a reference that
the user is shown; the page itself says what the user can do. Codes, tokens and claims go to neither.
"""

import logging
import secrets
from functools import partial
from html import escape
from pathlib import Path
from string import Template
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from starlette.responses import HTMLResponse, RedirectResponse, Response

from adit_core.api.authentication import address_of
from adit_core.api.cookies import provider_cookie, session_cookie
from adit_core.api.paths import PROVIDER_CALLBACK_PATH, PROVIDER_PATH, SIGN_IN_PATH
from adit_core.api.security_headers import script_hash
from adit_core.api.sign_in_page import local_path, sign_in_page
from adit_core.api.wiring import Wiring, wiring_of
from adit_core.db.secrets import Sealed
from adit_core.errors import (
    ActionNotPossible,
    AditError,
    DatabaseUnavailable,
    IdentityRejected,
    NotAllowed,
    ProviderUnavailable,
)
from adit_core.services.external_sign_in import ExternalRules, record_failure, sign_in_person
from adit_core.services.oidc_claims import ClaimNames, person_of
from adit_core.services.oidc_provider import Farewell, OpenIdProvider, Question
from adit_core.services.pending_sign_ins import LIFETIME, PendingSignIn
from adit_core.services.sessions import SessionLimits

_log = logging.getLogger(__name__)
_farewell_page = Template((Path(__file__).parent / "templates" / "sign_out.html").read_text(encoding="utf-8"))
_SEND_FORM = "document.forms[0].submit()"
# It may hang; so that it cannot keep threads from everybody else, it has a few of its own.
provider_calls = CapacityLimiter(4)

router = APIRouter(include_in_schema=False)
Wired = Annotated[Wiring, Depends(wiring_of)]


@router.get(PROVIDER_PATH)
async def begin(request: Request, wiring: Wired, next: str = "/") -> Response:  # noqa: A002 - as in the URL
    """Send a browser to the provider."""
    if wiring.provider is None:
        return RedirectResponse(SIGN_IN_PATH, status_code=303)
    wanted, question = local_path(next), Question()
    try:
        url = await to_thread.run_sync(wiring.provider.url_to_ask, question, limiter=provider_calls)
    except ProviderUnavailable as error:
        return await _refusal(request, wiring, error, wanted)
    response = RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})
    begun = wiring.pending.begin(question, wanted)
    provider_cookie(wiring.settings).set(response, begun, max_age=LIFETIME)
    return response


class Answer(BaseModel):
    """What a browser brings along from the provider (RFC 6749 4.1.2, RFC 9207)."""

    code: str = ""
    state: str = ""
    error: str = ""
    iss: str | None = None


@router.get(PROVIDER_CALLBACK_PATH)
async def end(request: Request, wiring: Wired, answer: Annotated[Answer, Query()]) -> Response:
    """Open a session for a browser that comes back from the provider."""
    if wiring.provider is None:
        return RedirectResponse(SIGN_IN_PATH, status_code=303)
    cookie = provider_cookie(wiring.settings)
    pending = wiring.pending.end(request.cookies.get(cookie.name, ""), answer.state)
    if pending is None:
        lost = IdentityRejected("It did not begin in this browser, is too old, or has ended already (state).")
        response = await _refusal(request, wiring, lost, "/")
    elif answer.error or not answer.code:
        denied = IdentityRejected("The provider sent the browser back without a code.")
        response = await _refusal(request, wiring, denied, pending.wanted)
    else:
        response = await _open_session(request, wiring, pending, answer)
    cookie.delete(response)
    return response


async def _open_session(request: Request, wiring: Wiring, pending: PendingSignIn, answer: Answer) -> Response:
    reference = _new_reference()
    sign_in = partial(_sign_in, wiring, pending, answer, address=address_of(request), reference=reference)
    try:
        token = await to_thread.run_sync(sign_in, limiter=provider_calls)
    except DatabaseUnavailable:
        raise
    except AditError as error:
        return await _refusal(request, wiring, error, pending.wanted, reference)
    response = RedirectResponse(pending.wanted, status_code=303, headers={"Cache-Control": "no-store"})
    session_cookie(wiring.settings).set(response, token, max_age=wiring.settings.session_length)
    return response


def _sign_in(wiring: Wiring, pending: PendingSignIn, answer: Answer, *, address: str, reference: str) -> str:
    assert wiring.provider is not None, "asked for before"
    statement = wiring.provider.statement(pending.question, answer.code, issuer=answer.iss)
    return sign_in_person(
        wiring.database,
        person_of(statement, ClaimNames.of(wiring.settings)),
        ExternalRules.of(wiring.settings),
        SessionLimits.of(wiring.settings),
        id_token=statement.id_token,
        address=address,
        reference=reference,
    )


async def farewell_page(wiring: Wiring, id_token: Sealed) -> Response | None:
    """Return a page that has the browser end the provider's session, too; None if that cannot be done."""
    if wiring.provider is None:
        return None
    try:
        farewell = await to_thread.run_sync(
            _farewell, wiring, wiring.provider, id_token, limiter=provider_calls
        )
    except AditError as error:
        _log.warning("The session at the OpenID provider could not be ended: %s", error)
        return None
    return None if farewell is None else _page_of(wiring, farewell)


def _farewell(wiring: Wiring, provider: OpenIdProvider, id_token: Sealed) -> Farewell | None:
    back_to = wiring.settings.web_url.rstrip("/") + SIGN_IN_PATH
    return provider.farewell(wiring.database.keyring.unseal(id_token), back_to=back_to)


def _page_of(wiring: Wiring, farewell: Farewell) -> HTMLResponse:
    """Return a form that sends itself: by POST, so that the token is in no URL and no log."""
    fields = "\n".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in farewell.fields.items()
    )
    body = _farewell_page.substitute(
        action=escape(farewell.url), fields=fields, name=escape(wiring.settings.oidc_name), script=_SEND_FORM
    )
    # Without form-action: the provider may lead the browser on to hosts of its own.
    policy = (
        f"default-src 'none'; script-src {script_hash(_SEND_FORM)}; base-uri 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(body, headers={"Cache-Control": "no-store", "Content-Security-Policy": policy})


async def _refusal(
    request: Request, wiring: Wiring, error: AditError, wanted: str, reference: str = ""
) -> HTMLResponse:
    """Return the page that says so, and note what happened."""
    reference = reference or _new_reference()
    if isinstance(error, NotAllowed):
        # Its message names the user, and is in the audit trail already.
        _log.warning("Sign-in %s by OpenID Connect was refused; the audit trail says why.", reference)
    else:
        _log.warning("Sign-in %s by OpenID Connect failed: %s", reference, error)
        if wiring.throttle.is_worth_noting(address_of(request)):
            note = partial(record_failure, wiring.database, str(error))
            await to_thread.run_sync(partial(note, address=address_of(request), reference=reference))
    status_code, sentence = _told(error, wiring.settings.oidc_name)
    alert = f"{sentence} Reference: {reference}"
    return sign_in_page(wiring, wanted=wanted, alert=alert, status_code=status_code)


def _told(error: AditError, name: str) -> tuple[int, str]:
    """Return a status and what the user is told."""
    if isinstance(error, NotAllowed):
        return 403, str(error)
    if isinstance(error, ActionNotPossible):
        return 409, str(error)
    if isinstance(error, IdentityRejected):
        return 400, (
            f"Signing in with {name} was not completed. Begin again with the button below; "
            "if that does not help, tell your administrators the reference."
        )
    return 503, (
        f"Signing in with {name} does not work at the moment. Try again later, or sign in with a password; "
        "if it goes on, tell your administrators the reference."
    )


def _new_reference() -> str:
    return secrets.token_hex(4)
