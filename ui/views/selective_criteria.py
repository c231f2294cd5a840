"""The form that says which studies are looked for. Nothing of it may get into the address of the page."""

from collections.abc import Sequence
from datetime import date

import streamlit as st

from adit_core.dicom.query import DateRange, StudyQuery

_EARLIEST = date(1970, 1, 1)


def ask_criteria(last: StudyQuery | None, modalities: Sequence[str]) -> StudyQuery | None:
    """Show the form, filled with the `last` query, and return the new one once it is sent."""
    asked = last or StudyQuery()
    with st.form("criteria", enter_to_submit=True):
        first, second, third = st.columns(3)
        patient_id = first.text_input("PatientID", asked.patient_id, key="criteria-id", max_chars=64)
        name = second.text_input(
            "PatientName",
            asked.patient_name,
            key="criteria-name",
            max_chars=64,
            help="Family name, a caret and the given name, such as `Doe^J*`.",
        )
        accession = third.text_input(
            "AccessionNumber", asked.accession_number, key="criteria-accession", max_chars=64
        )
        start = first.date_input(
            "StudyDate from",
            asked.study_date.start,
            key="criteria-from",
            min_value=_EARLIEST,
            format="YYYY-MM-DD",
        )
        end = second.date_input(
            "StudyDate until",
            asked.study_date.end,
            key="criteria-until",
            min_value=_EARLIEST,
            format="YYYY-MM-DD",
        )
        chosen = third.multiselect(
            "Modality",
            sorted({*modalities, *asked.modalities}),
            sorted(asked.modalities),
            key="criteria-modality",
            accept_new_options=True,
            placeholder="Any",
            help="Studies that have any of these.",
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            description = st.text_input(
                "StudyDescription",
                asked.study_description,
                key="criteria-description",
                max_chars=64,
                help="`*` stands for any characters, `?` for one, as in `*thorax*`; so in all fields.",
            )
            sent = st.form_submit_button("Search", type="primary", icon=":material/search:")
    if not sent:
        return None
    if start and end and start > end:
        st.error("StudyDate: “from” is after “until”. Change one of them.", icon=":material/error:")
        return None
    return StudyQuery(
        patient_id=patient_id.strip(),
        patient_name=name.strip(),
        accession_number=accession.strip(),
        study_date=DateRange(start, end),
        study_description=description.strip(),
        modalities=frozenset(each.strip().upper() for each in chosen if each.strip()),
    )
