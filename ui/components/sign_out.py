"""Who is signed in, and the way out."""

from html import escape
from pathlib import Path
from string import Template

import streamlit as st

from adit_core.api.paths import SIGN_OUT_PATH
from adit_core.services.sessions import Principal

_form = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))


def sign_out_form(principal: Principal) -> None:
    """Show who is signed in, and a button that ends the session."""
    user = principal.user
    st.html(
        _form.substitute(
            action=SIGN_OUT_PATH,
            csrf_token=escape(principal.csrf_token),
            name=escape(user.full_name or user.username),
        )
    )
