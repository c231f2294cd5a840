"""What archives answered somebody, so that a click does not ask them again.

It is kept in the state of the browser's session, for the place where somebody is and no longer.
"""

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import User
from adit_core.dicom.query import (
    InstanceResult,
    PatientQuery,
    PatientResult,
    SeriesQuery,
    SeriesResult,
    StudyQuery,
    StudyResult,
)
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.services import search

T = TypeVar("T")
_ANSWERS = "explorer answers"


def known_patients(
    user: User, node: str, query: PatientQuery, *, limit: int, address: str
) -> list[PatientResult]:
    """Return the patients that an archive knows. Raises what the search raises, as all of these do."""
    db = connected().database
    return _once(
        "patients",
        (node, query),
        lambda: search.find_patients(db, user, node, query, limit=limit, address=address),
    )


def known_studies(user: User, node: str, query: StudyQuery, *, limit: int, address: str) -> list[StudyResult]:
    """Return the studies that an archive knows, the newest first."""
    db = connected().database

    def ask() -> list[StudyResult]:
        found = search.find_studies(db, user, node, query, limit=limit, address=address)
        return sorted(found, key=lambda study: str(study.study_date or ""), reverse=True)

    return _once("studies", (node, query), ask)


def known_series(
    user: User, node: str, study: StudyReference, *, limit: int, address: str
) -> list[SeriesResult]:
    """Return the series of a study, in the order of their numbers."""
    db = connected().database

    def ask() -> list[SeriesResult]:
        found = search.find_series(db, user, node, SeriesQuery(study), limit=limit, address=address)
        return sorted(found, key=lambda one: (one.series_number or 0, one.reference.series_instance_uid))

    return _once("series", (node, study), ask)


def known_instances(
    user: User, node: str, series: SeriesReference, *, limit: int, address: str
) -> list[InstanceResult]:
    """Return the instances of a series, in the order of their numbers."""
    db = connected().database

    def ask() -> list[InstanceResult]:
        found = search.find_instances(db, user, node, series, limit=limit, address=address)
        return sorted(found, key=lambda one: (one.instance_number or 0, one.reference.sop_instance_uid))

    return _once("instances", (node, series), ask)


def forget() -> None:
    """Ask the archives anew from now on."""
    st.session_state.pop(_ANSWERS, None)


def _once(level: str, question: object, ask: Callable[[], list[T]]) -> list[T]:
    answers: dict[str, tuple[object, list[T]]] = st.session_state.setdefault(_ANSWERS, {})
    if level not in answers or answers[level][0] != question:
        with st.spinner("The archive is being asked …"):
            answers[level] = (question, ask())
    return answers[level][1]
