"""What happened to a job, the newest first."""

import streamlit as st

from adit_core.db import JobEvent, User
from adit_core.db.engine import Database
from adit_core.services.job_history import history_of_job, latest_of_job
from ui.components.sentences import verbatim
from ui.components.times import moment
from ui.components.url import number_in_url

_SHOWN = 20


def show_history(db: Database, user: User, job_id: int) -> None:
    """Show what happened to the job, or to the task that the address names."""
    task_id = number_in_url("task")
    with st.expander("History of the study" if task_id else "History of the job"):
        if task_id:
            events = history_of_job(db, user, job_id, task_id=task_id)[::-1]
        else:
            events = latest_of_job(db, user, job_id, limit=_SHOWN)
        for event in events:
            st.markdown(_line(event))
        if not events:
            st.caption("Nothing has happened yet.")


def _line(event: JobEvent) -> str:
    parts = [
        moment(event.at),
        *([f"attempt {event.attempt}"] if event.attempt else []),
        *([f"by {verbatim(event.actor)}"] if event.actor else []),
        *([f"**{verbatim(event.status)}**"] if event.status else []),
    ]
    return f"{' · '.join(parts)}: {verbatim(event.message)}"
