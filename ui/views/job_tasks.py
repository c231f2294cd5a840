"""The studies of a job, and how far the series of a chosen one are."""

from dataclasses import replace

import streamlit as st

from adit_core.api.wiring import Wiring
from adit_core.db import SeriesProgress, Task, TaskStatus, User
from adit_core.db.engine import Database
from adit_core.services.jobs import list_tasks, series_of_task
from adit_core.services.number_ranges import in_ranges
from ui.components.amounts import number
from ui.components.status import status_badge, status_tone, status_word
from ui.components.table import Bar, Column, Grid, Link, Row, Text, Tone, table
from ui.components.url import number_in_url
from ui.session import address, note_activity
from ui.views.job_approval import Approval
from ui.views.job_pages import go_to_first, offer_pages
from ui.views.task_actions import offer_task_actions

_PAGE_LENGTH = 50
_ROWS = "Rows"
_COLUMNS = (
    Column("Status", width="7.5rem"),
    Column("PatientID", width="8rem"),
    Column("Study Instance UID"),
    Column(_ROWS, numeric=True, width="5rem"),
    Column("Series", numeric=True, width="4.5rem"),
    Column("Instances", numeric=True, width="8rem"),
    Column("Attempts", numeric=True, width="5.5rem"),
)
_SERIES_COLUMNS = (
    Column("Series", numeric=True, width="4.5rem"),
    Column("Modality", width="5.5rem"),
    Column("Series Instance UID"),
    Column("Instances", numeric=True, width="8rem"),
    Column("Filtered", numeric=True, width="5.5rem"),
    Column("Failed", numeric=True, width="5rem"),
)


def show_tasks(wiring: Wiring, user: User, job_id: int, approval: Approval | None) -> None:
    """Show the tasks page by page; a click on one opens its series. Where one is shown is in the address.

    With `approval`, they can be ticked for it.
    """
    db = wiring.database
    statuses = st.pills(
        "Status",
        tuple(TaskStatus),
        selection_mode="multi",
        format_func=status_word,
        key="study",
        bind="query-params",
        on_change=go_to_first,
        wrap=True,
    )
    after_id = number_in_url("after")
    tasks = list_tasks(
        db, user, job_id, statuses=statuses, limit=_PAGE_LENGTH + 1, after_id=after_id, address=address()
    )
    if not tasks:
        st.caption("No study of the job has this status.")
        return
    chosen = number_in_url("task")
    shown = tasks[:_PAGE_LENGTH]
    rows = [_row(task, _series(db, user, task) if task.id == chosen else None, approval) for task in shown]
    grid = Grid("Studies of the job", _columns(approval), tuple(rows))
    if approval is None:
        picked = table(grid, key="tasks")
    else:
        picked = approval.table(grid, [task.id for task in shown])
    if picked is not None:
        _open_or_close(picked, chosen)
    for task in shown:
        if task.id == chosen:
            offer_task_actions(wiring, user, task)
    offer_pages(shown[-1].id, is_first=after_id is None, is_last=len(tasks) <= _PAGE_LENGTH)


def _columns(approval: Approval | None) -> tuple[Column, ...]:
    """Return the columns; studies that come from no spreadsheet are numbered where they can be chosen."""
    if approval is None or approval.choice.are_rows:
        return _COLUMNS
    return tuple(replace(each, title="Number") if each.title == _ROWS else each for each in _COLUMNS)


def _row(task: Task, details: Grid | None, approval: Approval | None) -> Row:
    notes = (task.message,) if task.message else ()
    rows = in_ranges(task.rows) if approval is None else approval.choice.in_words([task.id])
    return Row(
        str(task.id),
        (
            status_badge(task.status),
            Text(task.patient_id, code=True),
            Link(task.subject, f"/job?id={task.job_id}&task={task.id}", notes, code=True),
            Text(rows),
            Text(number(len(task.series_instance_uids)) if task.series_instance_uids else "all"),
            _instances(task, status_tone(task.status)),
            Text(number(task.attempts)),
        ),
        details,
        selectable=f"Approve {rows}, {task.subject}" if approval is not None else "",
    )


def _series(db: Database, user: User, task: Task) -> Grid:
    series = series_of_task(db, user, task.id, address=address())
    rows = [
        Row(
            each.series_instance_uid,
            (
                Text("" if each.series_number is None else str(each.series_number)),
                Text(each.modality),
                Text(each.series_instance_uid, (each.message,) if each.message else (), code=True),
                _instances(each, Tone.BAD if each.failed else Tone.GOOD),
                Text(number(each.filtered)),
                Text(number(each.failed)),
            ),
        )
        for each in series
    ]
    return Grid(f"Series of study {task.study_instance_uid}", _SERIES_COLUMNS, tuple(rows))


def _instances(part: Task | SeriesProgress, tone: Tone) -> Bar | Text:
    """Return the instances delivered of those planned; nothing as long as nothing is planned."""
    if not part.planned:
        return Text("")
    share = (part.delivered + part.filtered) / part.planned
    return Bar(f"{number(part.delivered)} / {number(part.planned)}", share, tone)


def _open_or_close(picked: str, chosen: int | None) -> None:
    note_activity()
    if picked == str(chosen):
        st.query_params.pop("task", None)
    else:
        st.query_params["task"] = picked
    st.rerun(scope="fragment")
