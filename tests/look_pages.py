"""Runs the pages Upload, Explorer and Review without a browser."""

import json
from typing import Any

from streamlit.testing.v1 import AppTest

from adit_core.db import User
from tests.web_pages import Dashboard

_TIMEOUT = 60.0


def open_upload(dashboard: Dashboard, user: User, **query: str) -> AppTest:
    return _opened(dashboard, AppTest.from_function(_upload_page, default_timeout=_TIMEOUT), user, query)


def open_explorer(dashboard: Dashboard, user: User, **state: object) -> AppTest:
    page = AppTest.from_function(_explorer_page, default_timeout=_TIMEOUT)
    for name, value in state.items():
        page.session_state[f"explorer {name}"] = value
    return _opened(dashboard, page, user, {})


def open_review(dashboard: Dashboard, user: User, **query: str) -> AppTest:
    return _opened(dashboard, AppTest.from_function(_review_page, default_timeout=_TIMEOUT), user, query)


def tables(page: AppTest) -> dict[str, list[list[str]]]:
    """Return the cells of each table, as one would read them, by what it says it is."""
    shown = [json.loads(element.proto.json) for element in page.get("bidi_component")]
    grids = [each for each in shown if "caption" in each]
    return {
        grid["caption"]: [
            ["\n".join([c["value"], *c.get("notes", ())]) for c in row["cells"]] for row in grid["rows"]
        ]
        for grid in grids
    }


def component_data(page: AppTest, name: str) -> dict[str, Any]:
    """Return what a component is told that has such a datum."""
    shown = [json.loads(element.proto.json) for element in page.get("bidi_component")]
    (found,) = [each for each in shown if name in each]
    return found


def _opened(dashboard: Dashboard, page: AppTest, user: User, query: dict[str, str]) -> AppTest:
    page.user = {"session": dashboard.sign_in(user)}
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


def _upload_page() -> None:
    import streamlit as st

    from ui import session
    from ui.components.sentences import errors_as_sentences
    from ui.views import upload

    def open_job(job_id: int) -> None:
        st.session_state["went to"] = job_id

    with errors_as_sentences():
        upload.show(session.signed_in(), open_job=open_job)


def _explorer_page() -> None:
    import streamlit as st

    from ui import session
    from ui.components.sentences import errors_as_sentences
    from ui.views import explorer

    def open_transfer() -> None:
        st.session_state["went to"] = "selective"

    with errors_as_sentences():
        explorer.show(session.signed_in(), open_transfer=open_transfer)


def _review_page() -> None:
    from ui import session
    from ui.components.sentences import errors_as_sentences
    from ui.views import review

    with errors_as_sentences():
        review.show(session.signed_in())
