"""The script that Streamlit runs at every visit and every click."""

from pathlib import Path

import streamlit as st

from adit_core.api.logo import MARK, WORDMARK
from adit_core.api.wiring import connected
from ui import menu, session
from ui.components.banner import show_banner
from ui.components.forms import show_done
from ui.components.mending import mend_broken_pages
from ui.components.sentences import errors_as_sentences
from ui.components.way import show_way
from ui.views import account_password

_SIDEBAR_WIDTH = 220
_STYLE = Path(__file__).parent / "components" / "style.css"

st.set_page_config(page_title="ADIT", page_icon=MARK, layout="wide", initial_sidebar_state=_SIDEBAR_WIDTH)
st.html(_STYLE)
st.logo(WORDMARK, icon_image=MARK, size="large")
mend_broken_pages()
with errors_as_sentences():
    principal = session.signed_in()
    page = menu.chosen_page(principal)
    show_banner(connected().database)
    show_done()
    if principal.must_choose_password:
        account_password.show_forced_change(principal)
    elif not show_way(page.url_path):
        page.run()
