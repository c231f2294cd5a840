"""Who is looking at a page: the only place in the pages that knows how identity arrives.

The gate hands Streamlit the id of the session when a browser connects, and Streamlit keeps it for as
long as the connection lasts. So the database is asked again at every run of a page and of every
fragment of it, or a session would outlive its end for as long as a tab stays open.
"""

import functools
from collections.abc import Callable
from html import escape
from typing import NoReturn
from urllib.parse import quote, urlencode, urlsplit

import streamlit as st

from adit_core.api.paths import SIGN_IN_PATH
from adit_core.api.wiring import connected
from adit_core.services.sessions import Principal, SessionLimits, find_active_principal, find_principal
from ui.components.sentences import errors_as_sentences
from ui.components.times import prefer_zone

_RENEWED = "renewed"
"""In the state of the browser's session: set if the page runs again without the user having done anything."""


def signed_in() -> Principal:
    """Return who uses the page, which counts as activity; end the run if the session is over."""
    renewed = st.session_state.pop(_RENEWED, False)
    principal = _find_principal() if renewed else note_activity()
    if principal is None:
        st.error("Your session has ended.", icon=":material/lock:")
        st.html(f'<a href="{escape(_sign_in_url())}" target="_self">Sign in again</a>')
        st.stop()
    prefer_zone(principal.user.time_zone)
    return principal


def note_activity() -> Principal | None:
    """Count what the user just did as activity; for what Streamlit does without running the whole page."""
    wiring = connected()
    return find_active_principal(wiring.database, _session_id(), SessionLimits.of(wiring.settings))


def count_as_activity() -> None:
    """Count what the user just did as activity; for callbacks of inputs in a part that renews itself."""
    note_activity()


def live(*, seconds: float | None) -> Callable[[Callable[[Principal], None]], Callable[[], None]]:
    """Make a part of a page renew itself every so many `seconds`; with None it is shown as it is.

    Streamlit runs such a part without the page around it, so it asks for the session by itself and
    hands on who is signed in. Watching is no activity, or an open tab would keep a session for ever.
    """

    def decorate(show: Callable[[Principal], None]) -> Callable[[], None]:
        @st.fragment(run_every=seconds)
        @functools.wraps(show)
        def checked() -> None:
            with errors_as_sentences():
                show(_find_principal() or renew_page())

        return checked

    return decorate


def renew_page() -> NoReturn:
    """Run the whole page again, because of something that the user did not do."""
    st.session_state[_RENEWED] = True
    st.rerun()


def address() -> str:
    """Return the network address of the browser, for the audit trail."""
    known = st.context.ip_address
    return known if isinstance(known, str) else ""


def _find_principal() -> Principal | None:
    wiring = connected()
    return find_principal(wiring.database, _session_id(), SessionLimits.of(wiring.settings))


def _session_id() -> str:
    return str(st.user.get("session") or "")


def _sign_in_url() -> str:
    query = urlencode([(name, value) for name in st.query_params for value in st.query_params.get_all(name)])
    wanted = urlsplit(st.context.url or "").path + (f"?{query}" if query else "")
    return f"{SIGN_IN_PATH}?next={quote(wanted, safe='')}"
