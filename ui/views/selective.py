"""Selective transfer: find studies in an archive, pick studies or series, and have them transferred."""

from collections.abc import Callable

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import JobKind
from adit_core.dicom.query import StudyQuery
from adit_core.services.live_search import LiveSearch
from adit_core.services.sessions import Principal
from adit_core.services.transfer_choices import TransferChoices, transfer_choices
from ui.components.amounts import number
from ui.components.handover import take_over
from ui.components.sentences import verbatim
from ui.session import address, live, renew_page
from ui.views.selective_criteria import ask_criteria
from ui.views.selective_order import show_order
from ui.views.selective_results import choose_studies
from ui.views.transfer_options import MODALITIES

_RENEWAL = 0.7
_SEARCH = "selective-search"
"""In the state of the browser's session, since what was searched for must not be in the address."""


def show(principal: Principal, *, open_job: Callable[[int], None]) -> None:
    """Show the search, what it found, and what is to become of it; `open_job` goes to the job's page."""
    st.title("Selective transfer", anchor=False)
    choices = transfer_choices(connected().database, principal.user, JobKind.SELECTIVE_TRANSFER)
    if not choices.sources:
        st.info(
            "There is no archive that you may take studies from. An administrator can let your group do so.",
            icon=":material/info:",
        )
        return
    _look_for_what_was_handed_over(principal, choices)
    _search(principal, choices)
    search = _current_search()
    if search is None:
        st.caption(
            "Search for studies. Then select those that are to be transferred, or some of their series."
        )
        return
    was_running = search.is_running

    @live(seconds=_RENEWAL if was_running else None)
    def show_found(watcher: Principal) -> None:
        if was_running and not search.is_running:
            renew_page()
        _show_state(search)
        picked = choose_studies(search, watcher)
        if search.studies:
            show_order(search, picked, watcher, open_job=open_job)

    show_found()


def _search(principal: Principal, choices: TransferChoices) -> None:
    names = [node.name for node in choices.sources]
    source = st.selectbox(
        "Source",
        names,
        key="source",
        bind="query-params",
        help="The archive that has the studies. You see those that you may take studies from.",
    )
    search = _current_search()
    if search is not None and search.node_name != source:
        _forget(search)
        search = None
    query = ask_criteria(search.query if search else None, MODALITIES)
    if query is None or source is None:
        return
    if search is not None:
        _forget(search)
    _start(principal, source, query)


def _start(principal: Principal, source: str, query: StudyQuery) -> None:
    new = LiveSearch(source, query)
    st.session_state[_SEARCH] = new
    new.start(connected().database, principal.user, address=address())
    new.wait(0.3)  # most archives answer as fast as that, and the page need not change twice then


def _look_for_what_was_handed_over(principal: Principal, choices: TransferChoices) -> None:
    """Find the study that was chosen on another page, which then only has to be selected."""
    handed = take_over()
    if handed is None or handed.source not in [node.name for node in choices.sources]:
        return
    if (search := _current_search()) is not None:
        _forget(search)
    study = handed.studies[0]
    st.session_state["source"] = handed.source
    query = StudyQuery(patient_id=study.patient_id, study_instance_uid=study.study_instance_uid)
    _start(principal, handed.source, query)


def _current_search() -> LiveSearch | None:
    return st.session_state.get(_SEARCH)


def _forget(search: LiveSearch) -> None:
    search.stop()
    st.session_state.pop(_SEARCH, None)


def _show_state(search: LiveSearch) -> None:
    found = len(search.studies)
    studies = f"**{number(found)}** {'study' if found == 1 else 'studies'} in {verbatim(search.node_name)}"
    with st.container(horizontal=True, vertical_alignment="center", height=48, border=False):
        if search.is_running:
            st.markdown(f":material/progress_activity: Searching … {studies} so far.", width="content")
            st.button("Stop", on_click=search.stop, type="tertiary", icon=":material/stop_circle:")
        elif search.error:
            st.markdown(f"The search ended early. {studies}.", width="content")
        elif search.was_stopped:
            st.markdown(f"You stopped the search. {studies}; there may be more.", width="content")
        elif search.may_have_more:
            st.markdown(f"The first {studies}. Narrow the search to see the others.", width="content")
        else:
            st.markdown(f"{studies}.", width="content")
    if search.error:
        st.error(search.error, icon=":material/error:")
    elif not found and not search.is_running:
        st.info(
            "Nothing was found. Use fewer criteria, or wildcards: `*` for any characters, `?` for one.",
            icon=":material/search_off:",
        )
