"""What the address of a page says."""

import streamlit as st


def number_in_url(name: str) -> int | None:
    """Return the number that the address gives by this name; None if it gives none that an id could be."""
    text = st.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
