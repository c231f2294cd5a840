"""Testing a node: what it answers, and what of that differs from its settings."""

import streamlit as st

from adit_core.db import DicomNode, NodeKind
from adit_core.db.engine import Database
from adit_core.dicom.folder_probe import FolderAnswers
from adit_core.dicom.probe import ServerAnswers, Verdict
from adit_core.services.node_check import NodeCheck, check_node
from ui.components.amounts import data_size
from ui.components.forms import problems_by_label
from ui.components.sentences import verbatim
from ui.components.table import Badge, Column, Grid, Row, Text, Tone, table

_TONES = {
    Verdict.SUPPORTED: Tone.GOOD,
    Verdict.REFUSED: Tone.BAD,
    Verdict.UNSUPPORTED: Tone.NEUTRAL,
    Verdict.UNCLEAR: Tone.WARNING,
}
_COLUMNS = (Column("Service", width="12rem"), Column("Answer", width="8rem"), Column("In words"))


def offer_test(db: Database, node: DicomNode) -> None:
    """Show a button that asks the node what it supports, and what it answered."""
    st.markdown(
        "The test connects to the node, asks for each service without moving any study, and compares the "
        "answers with the settings, which stay as they are."
    )
    move_destination, web_url = "", ""
    if node.kind is NodeKind.SERVER:
        left, right = st.columns(2)
        move_destination = left.text_input(
            "Destination of a C-MOVE",
            placeholder=node.calling_ae_title,
            max_chars=16,
            help="The AE title that the archive has to know, such as that of our receiver.",
        )
        web_url = right.text_input(
            "Base URL of its DICOMweb services", help="If it has any that are to be tested, too."
        )
    if st.button("Test the node", type="primary", icon=":material/network_check:"):
        with st.spinner("Asking the node …"), problems_by_label({"web_url": "Base URL"}):
            found = check_node(
                db, node.name, move_destination=move_destination.strip(), web_url=web_url.strip()
            )
            _show_result(found)


def _show_result(found: NodeCheck) -> None:
    if found.is_good:
        st.success("Jobs can use the node in all ways that its settings say.", icon=":material/check_circle:")
    else:
        st.error("Jobs will fail because of what differs from the settings.", icon=":material/error:")
    for difference in found.differences:
        say = st.error if difference.is_harmful else st.info
        say(f"**{verbatim(difference.about)}**: {verbatim(difference.message)}")
    if not found.differences:
        st.caption("Nothing differs from the settings.")
    if found.server is not None and not found.server.failure:
        _show_server(found.server)
    if found.web:
        rows = [(answer.service.value, answer.verdict, answer.words) for answer in found.web]
        table(_grid("Services by DICOMweb", rows), key="web-answers")
    if found.folder is not None:
        _show_folder(found.folder)


def _show_server(answers: ServerAnswers) -> None:
    seconds = answers.echo_seconds
    facts = [
        *([f"C-ECHO answered in {seconds * 1000:.0f} ms"] if seconds is not None else []),
        f"encryption: {answers.tls_version or answers.encryption.value}",
        f"{sum(bool(each.transfer_syntax_uids) for each in answers.storage)} SOP classes accepted",
    ]
    st.caption(" · ".join(facts))
    rows = [
        (f"{each.service.value}, {each.query_root.value.capitalize()} Root", each.verdict, each.words)
        for each in answers.services
    ]
    table(_grid("Services by DIMSE", rows), key="answers")


def _show_folder(answers: FolderAnswers) -> None:
    free = "" if answers.free_bytes is None else f" · {data_size(answers.free_bytes)} free"
    st.caption(verbatim(f"Tried on {answers.host}; on other machines the path may be something else{free}"))


def _grid(caption: str, answers: list[tuple[str, Verdict, str]]) -> Grid:
    rows = (
        Row(name, (Text(name), Badge(verdict.value, _TONES[verdict]), Text(words)))
        for name, verdict, words in answers
    )
    return Grid(caption, _COLUMNS, tuple(rows))
