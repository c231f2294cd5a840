"""The script that Streamlit runs at every visit and every click."""

from pathlib import Path

import streamlit as st

from adit_core.api.logo import MARK, WORDMARK
from ui import menu, session
from ui.components.sentences import errors_as_sentences

_SIDEBAR_WIDTH = 220
_STYLE = Path(__file__).parent / "components" / "style.css"

st.set_page_config(page_title="ADIT", page_icon=MARK, layout="wide", initial_sidebar_state=_SIDEBAR_WIDTH)
st.html(_STYLE)
st.logo(WORDMARK, icon_image=MARK, size="large")
with errors_as_sentences():
    menu.chosen_page(session.signed_in()).run()
