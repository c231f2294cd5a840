"""Who is looking at a page: the only place in the pages that knows how identity arrives.

The gate hands Streamlit the id of the session when a browser connects, and Streamlit keeps it for as
long as the connection lasts. So the database is asked again at every run of a page and of every
fragment of it, or a session would outlive its end for as long as a tab stays open.
"""

import functools
from collections.abc import Callable
from html import escape
from typing import ParamSpec
from urllib.parse import quote, urlencode, urlsplit

import streamlit as st

from adit_core.api.paths import SIGN_IN_PATH
from adit_core.api.wiring import connected
from adit_core.services.sessions import Principal, SessionLimits, find_active_principal, find_principal
from ui.components.sentences import errors_as_sentences

_Parameters = ParamSpec("_Parameters")


def signed_in() -> Principal:
    """Return who uses the page, and count it as activity; end the run if the session is over."""
    wiring = connected()
    limits = SessionLimits.of(wiring.settings)
    principal = find_active_principal(wiring.database, _session_id(), limits)
    if principal is None:
        st.error("Your session has ended.", icon=":material/lock:")
        st.html(f'<a href="{escape(_sign_in_url())}" target="_self">Sign in again</a>')
        st.stop()
    return principal


def still_signed_in() -> Principal:
    """Return who watches the page, which is no activity; have the page say it if the session is over."""
    wiring = connected()
    principal = find_principal(wiring.database, _session_id(), SessionLimits.of(wiring.settings))
    if principal is None:
        st.rerun()
    return principal


def live(*, seconds: float | None) -> Callable[[Callable[_Parameters, None]], Callable[_Parameters, None]]:
    """Make a part of a page renew itself every so many `seconds`; with None it is shown as it is.

    Streamlit runs such a part without the page around it, so it asks for the session by itself.
    """

    def decorate(show: Callable[_Parameters, None]) -> Callable[_Parameters, None]:
        @st.fragment(run_every=seconds)
        @functools.wraps(show)
        def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> None:
            with errors_as_sentences():
                still_signed_in()
                show(*args, **kwargs)

        return checked

    return decorate


def address() -> str:
    """Return the network address of the browser, for the audit trail."""
    known = st.context.ip_address
    return known if isinstance(known, str) else ""


def _session_id() -> str:
    return str(st.user.get("session") or "")


def _sign_in_url() -> str:
    query = urlencode([(name, value) for name in st.query_params for value in st.query_params.get_all(name)])
    wanted = urlsplit(st.context.url or "").path + (f"?{query}" if query else "")
    return f"{SIGN_IN_PATH}?next={quote(wanted, safe='')}"
