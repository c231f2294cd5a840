"""The way to another page, as the server leads the browser there."""

import json

from streamlit.testing.v1 import AppTest

_SCRIPT = """
import streamlit as st
from ui.components.way import lead_to, show_way

here = st.session_state.setdefault("here", "batch")
if not show_way(here):
    st.text(here)
    if st.button("Submit"):
        lead_to("job", id="7")
"""


def addresses(page: AppTest) -> list[str]:
    return [json.loads(element.proto.json)["address"] for element in page.get("bidi_component")]


def test_a_page_is_left_until_the_browser_has_gone_however_often_it_is_run():
    page = AppTest.from_string(_SCRIPT).run()
    assert not addresses(page)
    page.button[0].click().run()
    for _ in range(2):  # a second click
        assert addresses(page) == ["/job?id=7"]
        assert not page.text
        page.run()
    page.session_state["here"] = "job"
    assert [text.value for text in page.run().text] == ["job"]
    assert not addresses(page)


def test_a_page_that_was_left_can_be_visited_again():
    page = AppTest.from_string(_SCRIPT).run()
    page.button[0].click().run()
    for here in ("job", "batch"):
        page.session_state["here"] = here
        assert [text.value for text in page.run().text] == [here]
