"""What forms say: what is wrong by the label of the field, and that something was done."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

import streamlit as st

from adit_core.errors import AditError, InvalidInput
from ui.components.sentences import verbatim

_DONE = "done"
"""In the state of the browser's session: what was just done, to be said once."""


@contextmanager
def problems_by_label(labels: Mapping[str, str]) -> Iterator[None]:
    """Show what ADIT refuses as sentences; `labels` says what the form calls the fields of services."""
    try:
        yield
    except InvalidInput as error:
        for problem in error.problems:
            label = labels.get(problem.field or "", problem.field or "")
            name = f"**{verbatim(label)}**: " if label else ""
            st.error(f"{name}{verbatim(problem.message)}", icon=":material/error:")
    except AditError as error:
        st.error(verbatim(str(error)), icon=":material/error:")


def say_done(message: str) -> NoReturn:
    """Run the page again, on which `message` then says what was done."""
    st.session_state[_DONE] = message
    st.rerun()


def show_done() -> None:
    """Say what was just done, if there is anything to be said."""
    message = st.session_state.pop(_DONE, "")
    if message:
        st.toast(message, icon=":material/check_circle:")


def go_to(**address: str) -> None:
    """Have the address of the page say this and nothing else; for callbacks."""
    st.query_params.from_dict(address)


def open_part(**address: str) -> NoReturn:
    """Run the page again at another address."""
    go_to(**address)
    st.rerun()


def back_button(label: str) -> None:
    """Show the way back from one thing to the list of all."""
    st.button(label, type="tertiary", icon=":material/arrow_back:", on_click=go_to)


def empty_state(headline: str, advice: str) -> None:
    """Say that there is nothing yet, and what to do next."""
    with st.container(border=True, horizontal_alignment="center"):
        st.markdown(f"**{headline}**", width="content")
        st.markdown(advice, width="content")
