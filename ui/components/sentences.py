"""What is said to people in words: errors they can act on, and text of theirs as they wrote it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from adit_core.errors import AditError


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Show an error that ADIT raised on purpose as the sentence that it carries."""
    try:
        yield
    except AditError as error:
        st.error(str(error), icon=":material/error:")


def verbatim(text: str) -> str:
    """Return `text` so that Markdown shows it as it is (CommonMark 2.4, backslash escapes)."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)
