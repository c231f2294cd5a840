"""A question before something is done, which closes when it is answered."""

from collections.abc import Callable

import streamlit as st

from ui.components.sentences import errors_as_sentences

_ASKED = "asked"
"""In the state of the browser's session: what the user is being asked about."""


def ask(subject: tuple[object, ...]) -> None:
    """Ask about `subject` from the next run of the page on; for callbacks of buttons."""
    st.session_state[_ASKED] = subject


def asked() -> tuple[object, ...]:
    """Return what the user is being asked about; empty if it is nothing."""
    return st.session_state.get(_ASKED, ())


def show_question(title: str, consequence: str, answer: str, act: Callable[[], None]) -> None:
    """Show a question with the button `answer`, which does it; what goes wrong is said in the question."""

    @st.dialog(title, on_dismiss=_close)
    def dialog() -> None:
        st.write(consequence)
        with st.container(horizontal=True, horizontal_alignment="right"):
            declined = st.button("Go back", key="go-back")
            confirmed = st.button(answer, type="primary", key="confirm")
        if confirmed:
            with errors_as_sentences():
                act()
                _close()
                st.rerun()
        if declined:
            _close()
            st.rerun()

    dialog()


def _close() -> None:
    st.session_state.pop(_ASKED, None)
