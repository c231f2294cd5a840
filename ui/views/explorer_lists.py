"""Lists of patients, studies and series, of which one can be opened."""

from collections.abc import Sequence
from datetime import date
from typing import TypeVar

import streamlit as st

from adit_core.dicom.query import PatientResult, SeriesResult, StudyResult
from ui.components.amounts import number
from ui.components.table import Column, Grid, Link, Row, Text, table

T = TypeVar("T")

_NOTHING = "Nothing was found. Use fewer or shorter keys, or a wildcard such as Doe\\*."
_HERE = "/explorer"
"""What the links in the lists would open in a tab of their own: patients are in no address."""
_PATIENT_COLUMNS = (
    Column("PatientID", width="12rem"),
    Column("Patient's Name"),
    Column("Birth Date", width="8rem"),
    Column("Sex", width="5rem"),
)
_STUDY_COLUMNS = (
    Column("Study Date", width="8rem"),
    Column("PatientID", width="9rem"),
    Column("Patient's Name", width="12rem"),
    Column("Description"),
    Column("Modalities", width="7rem"),
    Column("Accession Number", width="9rem"),
    Column("Instances", numeric=True, width="6rem"),
)
_SERIES_COLUMNS = (
    Column("Series", numeric=True, width="5rem"),
    Column("Modality", width="6rem"),
    Column("Description"),
    Column("Series Instance UID"),
    Column("Instances", numeric=True, width="6rem"),
)


def choose_patient(patients: Sequence[PatientResult], *, most: int) -> PatientResult | None:
    """List patients; return the one that was just opened."""
    rows = tuple(
        Row(
            str(at),
            (
                Link(patient.patient_id or "none", _HERE, code=True),
                Text(patient.patient_name),
                Text(_day(patient.patient_birth_date)),
                Text(patient.patient_sex),
            ),
        )
        for at, patient in enumerate(patients)
    )
    return _chosen(patients, Grid("Patients that were found", _PATIENT_COLUMNS, rows), "patients", most)


def choose_study(studies: Sequence[StudyResult], *, most: int) -> StudyResult | None:
    """List studies; return the one that was just opened."""
    rows = tuple(
        Row(
            str(at),
            (
                Link(_day(study.study_date) or "no date", _HERE),
                Text(study.reference.patient_id, code=True),
                Text(study.patient_name),
                Link(study.study_description, _HERE) if study.study_description else Text(""),
                Text(", ".join(sorted(study.modalities))),
                Text(study.accession_number, code=True),
                _count(study.number_of_instances),
            ),
        )
        for at, study in enumerate(studies)
    )
    return _chosen(studies, Grid("Studies that were found", _STUDY_COLUMNS, rows), "studies", most)


def choose_series(series: Sequence[SeriesResult]) -> SeriesResult | None:
    """List the series of a study; return the one that was just opened."""
    rows = tuple(
        Row(
            str(at),
            (
                Link("none" if one.series_number is None else str(one.series_number), _HERE),
                Text(one.modality),
                Link(one.series_description, _HERE) if one.series_description else Text(""),
                Text(one.reference.series_instance_uid, code=True),
                _count(one.number_of_instances),
            ),
        )
        for at, one in enumerate(series)
    )
    return _chosen(series, Grid("Series of the study", _SERIES_COLUMNS, rows), "series", len(series) + 1)


def _chosen(found: Sequence[T], grid: Grid, key: str, most: int) -> T | None:
    if not found:
        st.info(_NOTHING, icon=":material/search_off:")
        return None
    more = " There may be more: use further keys." if len(found) >= most else ""
    st.caption(f"{number(len(found))} found.{more} Open one to see what is in it.")
    picked = table(grid, key=key)
    return None if picked is None else found[int(picked)]


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""


def _count(value: int | None) -> Text:
    return Text("" if value is None else number(value))
