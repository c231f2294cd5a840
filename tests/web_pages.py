"""Runs the pages without a browser, and reads from them what a person would."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sqlmodel import col, update
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from adit_core.db import Job, Task, User
from adit_core.db.engine import Database
from adit_core.services.sessions import SessionLimits, open_session, session_id_of
from adit_core.settings import Settings
from tests.fakes.launcher import FakeLauncher

# Each page that is opened would look through all packages that are installed for components of theirs.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)

_SCRIPT = Path(__file__).parents[1] / "ui" / "app.py"
_TIMEOUT = 60.0
_VIEW = """
from ui import session
from ui.components.forms import show_done
from ui.components.sentences import errors_as_sentences
from ui.views import {name}

with errors_as_sentences():
    principal = session.signed_in()
    show_done()
    {name}.show(principal)
"""


@dataclass
class Dashboard:
    """The pages on a database, for users who are signed in."""

    db: Database
    settings: Settings
    launcher: FakeLauncher = field(default_factory=FakeLauncher)

    def home(self, user: User) -> AppTest:
        """Open the whole dashboard, as it is opened by those who name no page."""
        return self._opened(AppTest.from_file(_SCRIPT, default_timeout=_TIMEOUT), user, {})

    def page(self, user: User, path: str, /, **query: str) -> AppTest:
        """Open the whole dashboard at a page, named as in its address."""
        page = AppTest.from_file(_SCRIPT, default_timeout=_TIMEOUT)
        page._page_hash = calc_hash(path)  # AppTest goes to pages that are files only
        return self._opened(page, user, query)

    def jobs(self, user: User, **query: str) -> AppTest:
        """Open the list."""
        return self._opened(AppTest.from_function(_jobs_page, default_timeout=_TIMEOUT), user, query)

    def selective(self, user: User) -> AppTest:
        """Open the page for selective transfers."""
        return self._opened(AppTest.from_function(_selective_page, default_timeout=_TIMEOUT), user, {})

    def without_session(self, user: dict[str, Any]) -> AppTest:
        """Open the whole dashboard as somebody whom the gate did not let in."""
        page = AppTest.from_file(_SCRIPT, default_timeout=_TIMEOUT)
        page.user = user
        return page.run()

    def job(self, user: User, job_id: object, **query: str) -> AppTest:
        """Open the page of a job."""
        return self._opened(
            AppTest.from_function(_job_page, default_timeout=_TIMEOUT), user, {"id": str(job_id), **query}
        )

    def view(self, user: User, name: str, /, **query: object) -> AppTest:
        """Open the page that the module of this name in `ui.views` shows."""
        page = AppTest.from_string(_VIEW.format(name=name), default_timeout=_TIMEOUT)
        return self._opened(page, user, {key: str(value) for key, value in query.items()})

    def sign_in(self, user: User) -> str:
        return session_id_of(open_session(self.db, user, SessionLimits.of(self.settings), address=""))

    def _opened(self, page: AppTest, user: User, query: dict[str, Any]) -> AppTest:
        page.user = {"session": self.sign_in(user)}
        for name, value in query.items():
            page.query_params[name] = value
        return page.run()


def _job_page() -> None:
    import streamlit as st

    from ui import session
    from ui.components.sentences import errors_as_sentences
    from ui.views import job

    def open_jobs() -> None:
        st.session_state["went to"] = "jobs"

    def open_batch(query_id: int, source: str) -> None:
        st.session_state["went to"] = f"batch of {query_id} from {source}"

    with errors_as_sentences():
        job.show(session.signed_in(), open_jobs=open_jobs, open_batch=open_batch)


def _jobs_page() -> None:
    from ui import session
    from ui.components.sentences import errors_as_sentences
    from ui.views import jobs

    with errors_as_sentences():
        jobs.show(session.signed_in())


def _selective_page() -> None:
    import streamlit as st

    from ui import session
    from ui.components.sentences import errors_as_sentences
    from ui.views import selective

    def open_job(job_id: int) -> None:
        st.session_state["went to"] = job_id

    with errors_as_sentences():
        selective.show(session.signed_in(), open_job=open_job)


def rows(page: AppTest) -> list[dict[str, Any]]:
    """Return the rows of the only table, each by the titles of its columns, as one would read them."""
    (only,) = tables(page)
    return only


def components(page: AppTest) -> list[Any]:
    """Return the components of ours that a page shows: all but what every page has."""
    return [each for each in page.get("bidi_component") if each.proto.component_name != "adit_mending"]


def tables(page: AppTest) -> list[list[dict[str, Any]]]:
    """Return the rows of all tables."""
    return [_rows(json.loads(element.proto.json)) for element in components(page)]


def _rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    titles = [column["title"] for column in table["columns"]]
    return [
        dict(zip(titles, map(_words, row["cells"]), strict=True))
        | (
            {"details": [list(map(_words, part["cells"])) for part in row["details"]["rows"]]}
            if row["details"]
            else {}
        )
        for row in table["rows"]
    ]


def _words(cell: dict[str, Any]) -> str:
    return "\n".join([cell["value"], *cell.get("notes", ())])


def fill(page: AppTest, **texts: object) -> AppTest:
    """Fill in text fields, by their labels with `_` for spaces."""
    fields = {field.label.replace(" ", "_").replace(",", ""): field for field in page.text_input}
    for label, text in texts.items():
        fields[label].input(str(text))
    return page


def markup(page: AppTest) -> str:
    """Return the HTML that the page brings along."""
    return "\n".join(element.proto.body for element in page.get("html"))


def said(page: AppTest) -> str:
    """Return everything that the page says in words."""
    kinds = (page.title, page.markdown, page.caption, page.error, page.metric, page.code)
    words = [element.value for kind in kinds for element in kind]
    bars = [element.proto.text for element in page.get("progress")]
    return "\n".join(map(str, [*words, *bars, *(metric.label for metric in page.metric)]))


def buttons(page: AppTest) -> set[str]:
    return {button.label for button in page.button}


def set_job(db: Database, job: Job, **values: object) -> None:
    with db.session() as session:
        session.exec(update(Job).where(col(Job.id) == job.id).values(**values))
        session.commit()


def set_task(db: Database, job: Job, number: int, **values: object) -> int:
    """Change the task of a job that comes from a study of this number, and return its id."""
    with db.session() as session:
        (task_id,) = session.exec(
            update(Task)
            .where(col(Task.job_id) == job.id, col(Task.patient_id) == f"P{number}")
            .values(**values)
            .returning(col(Task.id))
        ).one()
        session.commit()
    return task_id


def press(page: AppTest, label: str) -> AppTest:
    (button,) = [button for button in page.button if button.label == label]
    return button.click().run()


def another_job(db: Database, like: Job, **fields: Any) -> Job:
    job = Job(
        kind=like.kind,
        owner_id=like.owner_id,
        source_id=like.source_id,
        destination_id=like.destination_id,
        **fields,
    )
    with db.session() as session:
        session.add(job)
        session.flush()
        session.add(Task(job_id=job.id, patient_id="P1", study_instance_uid="1.2.1"))
        session.commit()
    return job


def select_rows(page: AppTest, *keys: str) -> AppTest:
    """Select rows of the table that has boxes, by their keys, and nothing else."""
    return _tell_table(page, {"selected": list(keys)})


def _tell_table(page: AppTest, state: dict[str, Any]) -> AppTest:
    """Run the page as when the table's script tells what was done in it, for which AppTest has no words."""
    (table,) = components(page)
    states = page._tree.get_widget_states()
    told = states.widgets.add()
    told.id = table.proto.id
    told.json_value = json.dumps(state)
    return page._run(states)
