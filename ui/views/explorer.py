"""Looking into archives: from patients to studies, series and single instances."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import User
from adit_core.dicom.query import PatientQuery, PatientResult, SeriesResult, StudyQuery, StudyResult
from adit_core.services.nodes import usable_nodes
from adit_core.services.rights import NodeRole
from adit_core.services.sessions import Principal
from ui.components.handover import HandedOver, HandedStudy, hand_over
from ui.components.sentences import verbatim
from ui.session import address
from ui.views.explorer_answers import forget, known_patients, known_series, known_studies
from ui.views.explorer_changes import show_changes
from ui.views.explorer_images import show_series
from ui.views.explorer_lists import choose_patient, choose_series, choose_study
from ui.views.explorer_search import MOST_FOUND, search_form

_PLACE = "explorer place"
"""In the state of the browser's session: where somebody is. It names patients, so it is in no address."""
OpenTransfer = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where somebody is: what was searched for, and what of it was opened."""

    node: str
    query: PatientQuery | StudyQuery
    patient: PatientResult | None = None
    study: StudyResult | None = None
    series: SeriesResult | None = None


def show(principal: Principal, *, open_transfer: OpenTransfer) -> None:
    """Show the archives that the user may read; `open_transfer` goes to where studies are transferred."""
    st.title("Explorer", anchor=False)
    names = [node.name for node in usable_nodes(connected().database, principal.user, NodeRole.SOURCE)]
    if not names:
        st.info(
            "There is no archive that you may read. "
            "An administrator can let your group use a node as a source.",
            icon=":material/info:",
        )
        return
    place = st.session_state.get(_PLACE)
    if not isinstance(place, _Place) or place.node not in names:
        place = None
    wanted = search_form(names, expanded=place is None or place.study is None)
    if wanted is not None:
        forget()
        place = _Place(*wanted)
        _go(place)
    if place is None:
        st.caption("Choose an archive and say what you look for. Nothing is transferred by looking.")
        return
    _show_way(place)
    _show_place(place, principal.user, open_transfer)


def _show_way(place: _Place) -> None:
    """Show the way to where somebody is, each part of which leads back to it."""
    steps = [(f"Found in {place.node}", replace(place, patient=None, study=None, series=None))]
    if place.patient is not None:
        steps.append((f"Patient {place.patient.patient_id}", replace(place, study=None, series=None)))
    if place.study is not None:
        steps.append((f"Study {_study_words(place.study)}", replace(place, series=None)))
    if place.series is not None:
        steps.append((f"Series {_series_words(place.series)}", place))
    with st.container(horizontal=True, gap="small"):
        for level, (label, there) in enumerate(steps):
            is_here = there == place
            st.button(
                verbatim(label),
                key=f"way-{level}",
                type="tertiary",
                disabled=is_here,
                icon=":material/chevron_right:" if level else ":material/search:",
                on_click=_go,
                args=[there],
            )


def _show_place(place: _Place, user: User, open_transfer: OpenTransfer) -> None:
    if place.series is not None:
        show_series(place.node, place.series)
    elif place.study is not None:
        _show_study(place, place.study, user, open_transfer)
    elif isinstance(place.query, PatientQuery) and place.patient is None:
        patients = known_patients(user, place.node, place.query, limit=MOST_FOUND, address=address())
        if (patient := choose_patient(patients, most=MOST_FOUND)) is not None:
            _go_and_show(replace(place, patient=patient))
    else:
        studies = known_studies(user, place.node, _study_query(place), limit=MOST_FOUND, address=address())
        if (study := choose_study(studies, most=MOST_FOUND)) is not None:
            _go_and_show(replace(place, study=study))


def _show_study(place: _Place, study: StudyResult, user: User, open_transfer: OpenTransfer) -> None:
    reference = study.reference
    if st.button(
        "Transfer this study",
        icon=":material/send:",
        help="Choose where to on the page of selective transfers.",
    ):
        hand_over(HandedOver(place.node, (HandedStudy(reference.patient_id, reference.study_instance_uid),)))
        open_transfer()
    series = known_series(user, place.node, reference, limit=MOST_FOUND, address=address())
    if (chosen := choose_series(series)) is not None:
        _go_and_show(replace(place, series=chosen))
    show_changes(user, place.node, reference)


def _study_query(place: _Place) -> StudyQuery:
    if place.patient is not None:
        return StudyQuery(patient_id=place.patient.patient_id)
    assert isinstance(place.query, StudyQuery)
    return place.query


def _study_words(study: StudyResult) -> str:
    day = study.study_date.isoformat() if study.study_date else "without date"
    return " · ".join(part for part in (day, study.study_description) if part)


def _series_words(series: SeriesResult) -> str:
    number = "" if series.series_number is None else str(series.series_number)
    return " · ".join(part for part in (number, series.modality, series.series_description) if part)


def _go(place: _Place) -> None:
    st.session_state[_PLACE] = place


def _go_and_show(place: _Place) -> None:
    _go(place)
    st.rerun()
