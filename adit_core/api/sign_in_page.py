"""The page on which people sign in."""

import secrets
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from starlette.responses import HTMLResponse

from adit_core.api.cookies import sign_in_cookie
from adit_core.api.logo import MARK
from adit_core.api.paths import PROVIDER_PATH, SIGN_IN_PATH
from adit_core.api.wiring import Wiring

_FORM_LIFETIME = 60 * 60
"""Seconds that a form may lie open before it is sent."""

_page = Template((Path(__file__).parent / "templates" / "sign_in.html").read_text(encoding="utf-8"))
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


def sign_in_page(
    wiring: Wiring, *, wanted: str, username: str = "", alert: str = "", status_code: int = 200
) -> HTMLResponse:
    """Return the page, and have the browser keep the token that its form has to agree with.

    Args:
        wiring: What this process works with.
        wanted: Where the browser goes afterwards, if that is a page of this server.
        username: What is in the field already.
        alert: Says why nobody was signed in.
        status_code: The same for programs.
    """
    csrf_token = secrets.token_urlsafe(32)
    has_provider = wiring.provider is not None
    around = _around_form(wiring, is_open=bool(username))
    body = _page.substitute(
        icon=quote(MARK),
        logo=MARK,
        alert=f'<p role="alert">{escape(alert)}</p>' if alert else "",
        provider=_provider_button(wiring, local_path(wanted)) if has_provider else "",
        before_form=around[0],
        after_form=around[1],
        rank="second" if has_provider else "first",
        action=SIGN_IN_PATH,
        username=escape(username),
        csrf_token=csrf_token,
        next=escape(local_path(wanted)),
        focus_username="" if username or has_provider else "autofocus",
        focus_password="autofocus" if username else "",
    )
    response = HTMLResponse(body, status_code, headers=_HEADERS)
    sign_in_cookie(wiring.settings).set(response, csrf_token, max_age=_FORM_LIFETIME)
    return response


def local_path(wanted: str) -> str:
    """Return `wanted` if it is a path on this server, else ``/``, so that links cannot lead away.

    Browsers take two slashes, or a slash and a backslash, for the start of a host, and leave out tabs
    and line ends.
    """
    is_local = wanted.startswith("/") and not wanted.startswith("//")
    is_plain = wanted.isprintable() and "\\" not in wanted
    return quote(wanted, safe="/?&=%:@!$'()*+,;~#[]") if is_local and is_plain else "/"


def _provider_button(wiring: Wiring, wanted: str) -> str:
    # A link, since form-action would forbid a form to be led on to another host.
    address = f"{PROVIDER_PATH}?next={quote(wanted, safe='')}"
    return f'<a class="button" href="{escape(address)}">Sign in with {escape(wiring.settings.oidc_name)}</a>'


def _around_form(wiring: Wiring, *, is_open: bool) -> tuple[str, str]:
    if wiring.provider is None:
        return "", ""
    if wiring.settings.local_sign_in == "everybody":
        return '<p class="or">or with a password</p>', ""
    opened = " open" if is_open else ""
    return f"<details{opened}><summary>Staff: sign in with a password</summary>", "</details>"
