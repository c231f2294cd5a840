"""The rows of a query, what was found for each, and all of it as a spreadsheet."""

from collections.abc import Callable

import streamlit as st

from adit_core.db import Permission, QueryResult, RowStatus, User
from adit_core.db.engine import Database
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.jobs import JobView
from adit_core.services.query_export import export_results
from adit_core.services.query_results import AnsweredRow, count_outcomes, list_rows
from adit_core.services.rights import has_permission
from ui.components.amounts import number
from ui.components.sheet import MEDIA_TYPES
from ui.components.table import Badge, Column, Grid, Link, Row, Text, Tone, table
from ui.components.url import number_in_url
from ui.session import address, note_activity
from ui.views.job_pages import go_to_first, offer_pages

_PAGE_LENGTH = 50
_TONES = {
    RowStatus.UNANSWERED: Tone.NEUTRAL,
    RowStatus.FOUND: Tone.GOOD,
    RowStatus.NOTHING_FOUND: Tone.WARNING,
    RowStatus.SEVERAL_PATIENTS: Tone.WARNING,
    RowStatus.FAILED: Tone.BAD,
}
_COLUMNS = (
    Column("Row", numeric=True, width="4.5rem"),
    Column("Outcome", width="9rem"),
    Column("Asked for"),
    Column("Results", numeric=True, width="5.5rem"),
)
_RESULT_COLUMNS = (
    Column("PatientID", width="8rem"),
    Column("Name", width="11rem"),
    Column("Date", width="6.5rem"),
    Column("Modality", width="5.5rem"),
    Column("Description"),
    Column("UID"),
    Column("Instances", numeric=True, width="5.5rem"),
)


def offer_results(db: Database, user: User, job_id: int) -> None:
    """Show a button for each kind of file that the results can be downloaded as."""
    came_from = address()
    for form, media_type in MEDIA_TYPES.items():
        st.download_button(
            f"Results (.{form})",
            lambda form=form: export_results(db, user, job_id, form, address=came_from),
            file_name=f"job-{job_id}-results.{form}",
            mime=media_type,
            icon=":material/download:",
            key=f"results-{form}",
            on_click="ignore",
        )


def offer_transfer(db: Database, user: User, job: JobView, open_batch: Callable[[int, str], None]) -> None:
    """Show a button that brings the results of a query that is over into a batch transfer.

    `open_batch` goes there.
    """
    if job.status in OPEN_JOBS or not has_permission(db, user, Permission.TRANSFER_BATCHES):
        return
    found = count_outcomes(db, user, job.id).get(RowStatus.FOUND, 0)
    if st.button(
        "Transfer these",
        icon=":material/send:",
        type="primary",
        key="transfer-results",
        disabled=not found,
        help=None if found else "Nothing was found that could be transferred.",
    ):
        open_batch(job.id, job.source or "")


def show_rows(db: Database, user: User, job_id: int) -> None:
    """Show the rows page by page; a click on one opens what was found. All choices are in the address."""
    statuses = st.pills(
        "Outcome",
        tuple(RowStatus),
        selection_mode="multi",
        format_func=str.capitalize,
        key="outcome",
        bind="query-params",
        on_change=go_to_first,
        wrap=True,
    )
    after = number_in_url("after")
    rows = list_rows(
        db, user, job_id, statuses=statuses, limit=_PAGE_LENGTH + 1, after=after, address=address()
    )
    if not rows:
        st.caption("No row of the query came to this.")
        return
    chosen, shown = number_in_url("row"), rows[:_PAGE_LENGTH]
    grid = Grid("Rows of the query", _COLUMNS, tuple(_row(job_id, row, chosen) for row in shown))
    picked = table(grid, key="rows")
    if picked is not None:
        _open_or_close(picked, chosen)
    offer_pages(shown[-1].row, is_first=after is None, is_last=len(rows) <= _PAGE_LENGTH)


def _row(job_id: int, row: AnsweredRow, chosen: int | None) -> Row:
    asked = ", ".join(f"{name} {text}" for name, text in row.cells.items() if text)
    notes = (row.message,) if row.message else ()
    outcome = "waiting" if row.is_open else row.status.value
    return Row(
        str(row.row),
        (
            Text(number(row.row)),
            Badge(outcome.capitalize(), _TONES[row.status]),
            Link(asked, f"/job?id={job_id}&row={row.row}", notes) if row.results else Text(asked, notes),
            Text(number(len(row.results)) if row.results else ""),
        ),
        _results(row) if row.row == chosen and row.results else None,
    )


def _results(row: AnsweredRow) -> Grid:
    rows = tuple(Row(str(result.id), _cells(result)) for result in row.results)
    return Grid(f"Results of row {row.row}", _RESULT_COLUMNS, rows)


def _cells(result: QueryResult) -> tuple[Text, ...]:
    series = (result.series_description,) if result.series_instance_uid else ()
    return (
        Text(result.patient_id, code=True),
        Text(result.patient_name),
        Text(result.study_date.isoformat() if result.study_date else ""),
        Text(", ".join(result.modalities)),
        Text(result.study_description, series),
        Text(result.series_instance_uid or result.study_instance_uid, code=True),
        Text("" if result.number_of_instances is None else number(result.number_of_instances)),
    )


def _open_or_close(picked: str, chosen: int | None) -> None:
    note_activity()
    if picked == str(chosen):
        st.query_params.pop("row", None)
    else:
        st.query_params["row"] = picked
    st.rerun(scope="fragment")
