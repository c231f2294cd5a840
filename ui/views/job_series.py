"""All series of a job, each with its state, study by study."""

import streamlit as st

from adit_core.db import TaskStatus, User
from adit_core.db.engine import Database
from adit_core.services.job_series import JobSeries, SeriesState, list_series
from ui.components.amounts import number
from ui.components.status import status_word
from ui.components.table import Bar, Column, Grid, Row, Text, Tone, table
from ui.components.url import number_in_url
from ui.session import address
from ui.views.job_pages import go_to_first, offer_pages

_STUDIES_OF_PAGE = 50
_COLUMNS = (
    Column("State", width="7rem"),
    Column("PatientID", width="8rem"),
    Column("Series", numeric=True, width="4.5rem"),
    Column("Modality", width="5.5rem"),
    Column("Series Instance UID"),
    Column("Instances", numeric=True, width="8rem"),
    Column("Filtered", numeric=True, width="5.5rem"),
    Column("Failed", numeric=True, width="5rem"),
)


def show_series(db: Database, user: User, job_id: int) -> None:
    """Show the series of a job, those of so many studies on a page."""
    statuses = st.pills(
        "Status of the study",
        tuple(TaskStatus),
        selection_mode="multi",
        format_func=status_word,
        key="study",
        bind="query-params",
        on_change=go_to_first,
        wrap=True,
    )
    after_id = number_in_url("after")
    page = list_series(
        db, user, job_id, statuses=statuses, limit=_STUDIES_OF_PAGE, after_id=after_id, address=address()
    )
    if page.series:
        table(Grid("Series of the job", _COLUMNS, tuple(map(_row, page.series))), key="all-series")
    else:
        st.caption("No series is known yet, or of none has the study this status.")
    last = page.next_after
    offer_pages(last or 0, is_first=after_id is None, is_last=last is None)


def _row(series: JobSeries) -> Row:
    return Row(
        f"{series.task_id} {series.series_instance_uid}",
        (
            Text(series.state.value.capitalize()),
            Text(series.patient_id, code=True),
            Text("" if series.series_number is None else str(series.series_number)),
            Text(series.modality),
            Text(series.series_instance_uid, (series.message,) if series.message else (), code=True),
            _instances(series),
            Text(number(series.filtered)),
            Text(number(series.failed)),
        ),
    )


def _instances(series: JobSeries) -> Bar | Text:
    if not series.planned:
        return Text("")
    tone = Tone.BAD if series.state is SeriesState.FAILED else Tone.GOOD
    share = (series.delivered + series.filtered) / series.planned
    return Bar(f"{number(series.delivered)} / {number(series.planned)}", share, tone)
