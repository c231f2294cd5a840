"""What de-identification would make of a study: each attribute before and after, and the rule."""

from collections.abc import Sequence

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import User
from adit_core.deid.changes import AttributeChange
from adit_core.dicom.references import StudyReference
from adit_core.services.dry_run import SeriesDryRun, dry_run
from adit_core.services.projects import usable_projects
from adit_core.services.routes import receiver_address
from ui.components.amounts import number
from ui.components.sentences import errors_as_sentences, verbatim
from ui.components.table import Column, Grid, Row, Text, table
from ui.session import address

_MADE = "explorer dry run"
_MOST_LISTED = 300
_COLUMNS = (Column("Attribute"), Column("Before"), Column("After"), Column("Rule", width="16rem"))


def show_changes(user: User, node: str, study: StudyReference) -> None:
    """Offer to show what a project would make of a study. Nothing leaves, and nobody gets a pseudonym."""
    st.header("Before and after de-identification", anchor=False)
    wiring = connected()
    projects = [project.name for project in usable_projects(wiring.database, user)]
    if not projects:
        st.caption("There is no project that you may use. An administrator can let your group use one.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        project = st.selectbox("Project", projects, key="dry-run-project")
        wanted = st.button(
            "Show what it would do",
            icon=":material/visibility:",
            help="One instance of each series is looked at. Nothing leaves, and nobody is given a pseudonym.",
        )
    question = (node, study, project)
    if wanted:
        st.session_state.pop(_MADE, None)
        with errors_as_sentences(), st.spinner("One instance of each series is being fetched …"):
            found = dry_run(
                wiring.database,
                user,
                project=project,
                source=node,
                study=study,
                receiver=receiver_address(wiring.settings),
                address=address(),
            )
            # What would leave comes first: that is what there is to see.
            found.sort(key=lambda one: bool(one.filtered or one.failure))
            st.session_state[_MADE] = (question, found)
    match st.session_state.get(_MADE):
        case (asked, found) if asked == question:
            _show_result(found)
        case _:
            pass


def _show_result(found: Sequence[SeriesDryRun]) -> None:
    at = st.selectbox(
        "Series", range(len(found)), format_func=lambda at: _series_words(found[at]), key="dry-run"
    )
    series = found[at]
    if series.filtered or series.failure:
        reason = series.filtered or series.failure
        st.warning(f"The series would not leave: {verbatim(reason)}.", icon=":material/block:")
        if not series.changes:
            return
    st.markdown(f"Pixels: {verbatim(series.pixels)}.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = st.text_input("Search attributes", key="changed-attribute", icon=":material/search:")
        only_changed = st.toggle("Only what changes", value=True, key="only-changed")
    shown = [
        change
        for change in series.changes
        if (change.before != change.after or not only_changed) and _has(change, wanted)
    ]
    if not shown:
        st.caption("No attribute is like this.")
        return
    rows = tuple(Row(str(place), _cells(change)) for place, change in enumerate(shown[:_MOST_LISTED]))
    table(Grid("Attributes before and after de-identification", _COLUMNS, rows), key="changes")
    if len(shown) > _MOST_LISTED:
        st.caption(f"The first {_MOST_LISTED} of {number(len(shown))} are listed: search for the others.")


def _series_words(series: SeriesDryRun) -> str:
    return f"{series.modality} · {series.series_instance_uid}"


def _has(change: AttributeChange, wanted: str) -> bool:
    text = " ".join((change.path, change.before, change.after or "", change.rule))
    return wanted.casefold() in text.casefold()


def _cells(change: AttributeChange) -> tuple[Text, ...]:
    return (
        Text(change.path),
        Text(change.before),
        Text("removed" if change.after is None else change.after or "empty"),
        Text(change.rule),
    )
