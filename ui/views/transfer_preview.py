"""Looking ahead at a transfer: what would be moved, filtered and in its way."""

from collections.abc import Callable

import streamlit as st

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


def offer_preview(label: str, order: str, look: Callable[[], TransferPreview], *, help: str) -> None:  # noqa: A002
    """Show a button that looks ahead, and what came of it as long as the `order` stays the same."""
    if st.button(label, key="look", icon=":material/visibility:", help=help):
        note_activity()
        st.session_state.pop(_PREVIEW, None)
        with errors_as_sentences(), st.spinner("Asking both nodes …"):
            st.session_state[_PREVIEW] = (order, look())
    match st.session_state.get(_PREVIEW):
        case (known, TransferPreview() as preview) if known == order:
            _show(preview)
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


def _figures(preview: TransferPreview) -> dict[str, str]:
    return {
        "Studies": number(len(preview.studies)),
        "Series": number(preview.series),
        "Instances": number(preview.instances),
        "There already": number(preview.held),
        "To send": "not known" if preview.bytes is None else data_size(preview.bytes),
        "Time": "not known" if preview.seconds is None else duration(preview.seconds),
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
