"""The way to another page, which the browser goes by itself.

Not by ``st.switch_page``: with it the server is on the new page before the browser knows. If a part of
the old page is renewed in between, Streamlit takes that for a return to the old page: the browser throws
away what it has of the new one, and breaks when a part of that is renewed.
"""

from pathlib import Path
from typing import NoReturn
from urllib.parse import urlencode

import streamlit as st
from streamlit.components.v2 import component

_render = component("adit_way", js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"))
_LEADS_TO = "way"
"""In the state of the browser's session: the address to which the next run of the page leads."""


def lead_to(path: str, **query: str) -> NoReturn:
    """Leave this page for the one at `path` with a `query`."""
    st.session_state[_LEADS_TO] = f"/{path}" + (f"?{urlencode(query)}" if query else "")
    st.rerun()  # since a whole run ends the renewing of parts, which could take the way away again


def show_way() -> bool:
    """Lead the browser to where the page is left for; return whether it is."""
    address = st.session_state.pop(_LEADS_TO, None)
    if address is not None:
        _render(key="way", data={"address": address})
    return address is not None
