"""The way to another page, which the browser goes by itself.

Not by ``st.switch_page``: with it the server is on the new page before the browser knows. If a part of
the old page is renewed in between, Streamlit takes that for a return to the old page: the browser throws
away what it has of the new one, and breaks when a part of that is renewed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlencode

import streamlit as st
from streamlit.components.v2 import component

_render = component("adit_way", js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"))
_KEY = "way"
_WAY = "way that the browser is on"
"""In the state of its session: a :class:`_Way`. Streamlit keeps values of `_KEY` there, and forgets them."""


@dataclass(frozen=True, slots=True)
class _Way:
    """Leads to an address, as long as the browser is on the page that it `leaves`."""

    address: str
    leaves: str | None = None
    """The path of that page; None before it was first asked for."""


def lead_to(path: str, **query: str) -> NoReturn:
    """Leave this page for another one at `path`, with a `query`."""
    st.session_state[_WAY] = _Way(f"/{path}" + (f"?{urlencode(query)}" if query else ""))
    st.rerun()  # since a whole run ends the renewing of parts, which could take the way away again


def show_way(here: str) -> bool:
    """Lead the browser on if it is to leave the page at the path `here`; return whether it is.

    In each run until it has left: what one run shows, another one, for a second click, may take away before
    the browser has followed it.
    """
    way: _Way | None = st.session_state.get(_WAY)
    if way is None:
        return False
    if way.leaves is None:
        way = st.session_state[_WAY] = _Way(way.address, here)
    if way.leaves != here:
        del st.session_state[_WAY]
        return False
    _render(key=_KEY, data={"address": way.address})
    return True
