"""The pages of what a job consists of; the address says after which part the page begins."""

import streamlit as st

from ui.session import note_activity


def offer_pages(last: int, *, is_first: bool, is_last: bool) -> None:
    """Show the ways to the first page and to the one after `last`, where there are any."""
    if is_first and is_last:
        return
    with st.container(horizontal=True, horizontal_alignment="right"):
        first = st.button("First", on_click=go_to_first, icon=":material/first_page:", disabled=is_first)
        following = st.button(
            "Next", on_click=_go_after, args=[last], icon=":material/chevron_right:", disabled=is_last
        )
    if first or following:
        st.rerun(scope="fragment")


def go_to_first() -> None:
    """Go to the first page."""
    note_activity()
    st.query_params.pop("after", None)


def _go_after(last: int) -> None:
    note_activity()
    st.query_params["after"] = str(last)
