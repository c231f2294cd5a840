"""The form in which the explorer is told what to look for."""

from collections.abc import Sequence
from datetime import date

import streamlit as st

from adit_core.dicom.query import DateRange, PatientQuery, StudyQuery

MOST_FOUND = 500
_STUDIES, _PATIENTS = "Studies", "Patients"
_WILDCARDS = "The wildcards * and ? may be used."


def search_form(names: Sequence[str], *, expanded: bool) -> tuple[str, PatientQuery | StudyQuery] | None:
    """Show the form; return the archive and the question when it was just sent."""
    with st.expander("Search", expanded=expanded, icon=":material/search:"):
        level = st.segmented_control(
            "Look for",
            (_STUDIES, _PATIENTS),
            default=_STUDIES,
            required=True,
            key="level",
            bind="query-params",
        )
        with st.form("search", border=False):
            node = st.selectbox("Archive", names, key="node", bind="query-params")
            ask = _patient_keys if level == _PATIENTS else _study_keys
            query = ask()
            sent = st.form_submit_button("Search", type="primary", icon=":material/search:")
    if not sent:
        return None
    if query is None:
        st.error("The first day of the range is after its last one. Exchange them.", icon=":material/error:")
        return None
    return node, query


def _patient_keys() -> PatientQuery | None:
    patient_id, name = _patient_fields()
    with st.container(horizontal=True):
        first = _day("Born from", "birth-from")
        last = _day("Born until", "birth-until")
    return None if _is_reversed(first, last) else PatientQuery(patient_id, name, DateRange(first, last))


def _study_keys() -> StudyQuery | None:
    patient_id, name = _patient_fields()
    with st.container(horizontal=True):
        accession_number = st.text_input("Accession Number", key="accession-number", max_chars=64)
        description = st.text_input("Study Description", key="description", max_chars=200, help=_WILDCARDS)
    with st.container(horizontal=True):
        first, last = _day("Study Date from", "date-from"), _day("Study Date until", "date-until")
        modalities = st.text_input(
            "Modalities",
            key="modalities",
            max_chars=100,
            help="Such as CT, or several with commas between them: CT, MR. Studies that have any of them.",
        )
    if _is_reversed(first, last):
        return None
    return StudyQuery(
        patient_id=patient_id,
        patient_name=name,
        accession_number=accession_number.strip(),
        study_date=DateRange(first, last),
        study_description=description.strip(),
        modalities=frozenset(filter(None, (one.strip().upper() for one in modalities.split(",")))),
    )


def _patient_fields() -> tuple[str, str]:
    with st.container(horizontal=True):
        patient_id = st.text_input("PatientID", key="patient-id", max_chars=64, help=_WILDCARDS)
        name = st.text_input(
            "Patient's Name",
            key="patient-name",
            max_chars=200,
            help=f"Such as Doe^John or Doe*. {_WILDCARDS}",
        )
    return patient_id.strip(), name.strip()


def _day(label: str, key: str) -> date | None:
    return st.date_input(label, value=None, key=key, min_value=date(1890, 1, 1), format="YYYY-MM-DD")


def _is_reversed(first: date | None, last: date | None) -> bool:
    return first is not None and last is not None and first > last
