"""Looking ahead at a job: what would be moved, filtered and in its way, or asked."""

from collections.abc import Callable

import streamlit as st

from adit_core.services.query_preview import QueryPreview, RowPreview
from adit_core.services.transfer_preview import StudyPreview, TransferPreview
from ui.components.amounts import data_size, number
from ui.components.sentences import errors_as_sentences, verbatim
from ui.components.table import Column, Grid, Row, Text, table
from ui.components.times import duration
from ui.session import note_activity

_PREVIEW = "preview"
"""In the state of the browser's session: what was looked at last, and what came of it."""
_COLUMNS = (
    Column("PatientID", width="8rem"),
    Column("Date", width="6.5rem"),
    Column("Study Instance UID"),
    Column("Modality", width="7rem"),
    Column("Series", numeric=True, width="5rem"),
    Column("Instances", numeric=True, width="6.5rem"),
    Column("There already", numeric=True, width="7rem"),
)

_ROW_COLUMNS = (
    Column("Row", numeric=True, width="5rem"),
    Column("Finds", width="6rem"),
    Column("The archive is asked by"),
    Column("ADIT chooses by"),
)

Look = Callable[[], TransferPreview | QueryPreview]


def offer_preview(label: str, order: str, look: Look, *, help: str) -> None:  # noqa: A002
    """Show a button that looks ahead, and what came of it as long as the `order` stays the same."""
    if st.button(label, key="look", icon=":material/visibility:", help=help):
        note_activity()
        st.session_state.pop(_PREVIEW, None)
        with errors_as_sentences(), st.spinner("Looking ahead …"):
            st.session_state[_PREVIEW] = (order, look())
    match st.session_state.get(_PREVIEW):
        case (known, TransferPreview() as preview) if known == order:
            _show(preview)
        case (known, QueryPreview() as preview) if known == order:
            _show_query(preview)
        case _:
            pass


def _show(preview: TransferPreview) -> None:
    if preview.sample:
        st.caption(f"Looked at: {preview.sample}")
    with st.container(horizontal=True):
        for name, value in _figures(preview).items():
            st.metric(name, value, border=True)
    for reason, count in preview.filtered.items():
        st.markdown(f"{number(count)} series would be filtered: {verbatim(reason)}.")
    for note in preview.notes:
        st.warning(verbatim(note), icon=":material/info:")
    if preview.studies:
        table(
            Grid("Studies that would be transferred", _COLUMNS, tuple(map(_row, preview.studies))),
            key="ahead",
        )
    else:
        st.info("Nothing there would be transferred.", icon=":material/search_off:")


def _show_query(preview: QueryPreview) -> None:
    with st.container(horizontal=True):
        st.metric("Rows", number(preview.total), border=True)
        st.metric("Time", _time(preview.seconds), border=True)
    for note in preview.notes:
        st.warning(verbatim(note), icon=":material/info:")
    if preview.total > len(preview.rows):
        st.caption(f"The first {len(preview.rows)} rows:")
    table(Grid("Rows that would be asked", _ROW_COLUMNS, tuple(map(_asked_row, preview.rows))), key="ahead")


def _asked_row(row: RowPreview) -> Row:
    return Row(
        str(row.row),
        (
            Text(str(row.row)),
            Text("series" if row.finds_series else "studies"),
            Text(", ".join(row.asked)),
            Text(", ".join(row.sifted)),
        ),
    )


def _time(seconds: float | None) -> str:
    return "not known" if seconds is None else duration(seconds)


def _figures(preview: TransferPreview) -> dict[str, str]:
    return {
        "Studies": number(len(preview.studies)),
        "Series": number(preview.series),
        "Instances": number(preview.instances),
        "There already": number(preview.held),
        "To send": "not known" if preview.bytes is None else data_size(preview.bytes),
        "Time": _time(preview.seconds),
    }


def _row(study: StudyPreview) -> Row:
    return Row(
        study.study_instance_uid,
        (
            Text(study.patient_id, code=True),
            Text(study.study_date.isoformat() if study.study_date else ""),
            Text(study.study_instance_uid, study.conflicts, code=True),
            Text(", ".join(sorted({series.modality for series in study.wanted}))),
            Text(f"{len(study.wanted)} / {len(study.series)}"),
            Text(number(study.instances)),
            Text("" if study.held is None else number(study.held)),
        ),
    )
