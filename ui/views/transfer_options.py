"""What every transfer is told besides its studies: from where, where to, for whom and how."""

from collections.abc import Sequence

import streamlit as st

from adit_core.db import DicomNode, NodeKind, PseudonymProject, StorageForm, TransferOptions, User
from adit_core.db.projects import PseudonymSource
from adit_core.services.transfer_choices import TransferChoices
from adit_core.services.transfer_request import TransferRequest
from ui.components.sentences import verbatim
from ui.session import address

MODALITIES = ("CR", "CT", "DX", "KO", "MG", "MR", "NM", "OT", "PR", "PT", "RF", "SR", "US", "XA")
"""Those that are offered; others can be typed (PS3.3 C.7.3.1.1.1)."""
_UNCHANGED = ""
_STORED = {
    StorageForm.FILES: "It writes DICOM files.",
    StorageForm.SEVEN_ZIP: "It writes encrypted 7z archives, with the password that the folder has.",
    StorageForm.ZIP: "It writes encrypted zip archives, with the password that the folder has.",
    StorageForm.NIFTI: "It writes NIfTI volumes; what has none is filtered.",
}
_PSEUDONYMS = {
    PseudonymSource.GIVEN: "The pseudonym of each patient has to be given.",
}


def choose_transfer(user: User, choices: TransferChoices) -> TransferRequest | None:
    """Show the choices, and return what was chosen; None as long as something is missing."""
    left, right = st.columns(2, gap="medium")
    with left:
        source = choose_source(choices)
    with right:
        destination = choose_destination(choices, source)
    with left:
        project = choose_project(choices)
    with right:
        name = choose_name()
    with st.expander("More options", icon=":material/tune:"):
        options = choose_options()
    urgent = choose_urgent(choices)
    if source is None or destination is None or project is None:
        missing = [
            word
            for word, chosen in (
                ("a source", source),
                ("a destination", destination),
                ("a pseudonymization", project),
            )
            if chosen is None
        ]
        listed = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        st.caption(f"Choose {listed} to go on.")
        return None
    return TransferRequest(
        owner_id=user.id,
        source=source,
        destination=destination,
        project=project,
        name=name,
        urgent=urgent,
        options=options,
        address=address(),
    )


def choose_source(choices: TransferChoices) -> str | None:
    """Ask for the node that has the studies, and return its name."""
    if not choices.sources:
        st.info(
            "There is no source that you may use. An administrator can give your group access to one.",
            icon=":material/lock:",
        )
        return None
    return _choose("Source", [node.name for node in choices.sources], key="source")


def choose_destination(choices: TransferChoices, source: str | None) -> str | None:
    """Ask for the node that is to have the studies, and return its name."""
    nodes = choices.destinations if source is None else choices.destinations_from(source)
    if not nodes:
        st.info(
            "There is no destination that you may use. An administrator can give your group access to one.",
            icon=":material/lock:",
        )
        return None
    chosen = _choose("Destination", [node.name for node in nodes], key="destination")
    for node in nodes:
        if node.name == chosen:
            st.caption(_stored(node))
    return chosen


def choose_name() -> str:
    """Ask for the name of the job."""
    return st.text_input(
        "Name of the job",
        key="job-name",
        max_chars=150,
        placeholder="Optional",
        help="By which you find the job again. Anybody who may see the job reads it: name no patient.",
    )


def choose_urgent(choices: TransferChoices) -> bool:
    """Ask those who may pass others whether they want to."""
    if not choices.may_be_urgent:
        return False
    return st.toggle("Urgent", key="urgent", help="The job starts before jobs that are not urgent.")


def transfer_in_words(request: TransferRequest) -> str:
    """Return from where to where a transfer goes and how, as Markdown."""
    excluded = ", ".join(request.options.excluded_modalities)
    return " ".join(
        [
            f"from **{verbatim(request.source or '')}** to **{verbatim(request.destination)}**,",
            f"pseudonymized for **{verbatim(request.project)}**."
            if request.project
            else "**with the patients' names**.",
            *([f"Series of {verbatim(excluded)} are left out."] if excluded else []),
            *(["It is urgent."] if request.urgent else []),
        ]
    )


def _choose(label: str, names: Sequence[str], *, key: str, help: str | None = None) -> str | None:  # noqa: A002
    """Return the chosen name. One that is the only one is chosen already."""
    return st.selectbox(
        label,
        names,
        index=0 if len(names) == 1 else None,
        placeholder="Choose",
        key=key,
        help=help,
        bind="query-params",
    )


def _stored(node: DicomNode) -> str:
    return _STORED[node.storage] if node.kind is NodeKind.FOLDER else "It is an archive."


def choose_project(choices: TransferChoices) -> str | None:
    """Ask what studies are pseudonymized for; return the project's name, and an empty one for nothing."""
    projects = choices.projects
    names = [project.name for project in projects]
    if choices.may_stay_identified:
        names.append(_UNCHANGED)
    if not names:
        st.info(
            "You have access to no project that studies can be pseudonymized for, and may not transfer them "
            "with the patients' names. An administrator can change that for your group.",
            icon=":material/lock:",
        )
        return None
    chosen = st.selectbox(
        "Pseudonymization",
        names,
        # That names leave is for the user to say.
        index=0 if len(names) == 1 and projects else None,
        placeholder="Choose",
        format_func=lambda name: name or "None: with the patients' names",
        key="project",
        help="The project says how studies are de-identified, and links patients to their pseudonyms.",
    )
    for project in projects:
        if project.name == chosen:
            st.caption(_project_in_words(project))
    return chosen


def _project_in_words(project: PseudonymProject) -> str:
    protocol = " ".join(filter(None, (project.trial_protocol_id, project.trial_protocol_name)))
    return " ".join(
        [
            f"De-identified by the profile {verbatim(project.profile.name)}.",
            *([f"Trial protocol: {verbatim(protocol)}."] if protocol else []),
            *([_PSEUDONYMS[project.pseudonyms]] if project.pseudonyms in _PSEUDONYMS else []),
        ]
    )


def choose_options() -> TransferOptions:
    """Ask for what is rarely needed."""
    excluded = st.multiselect(
        "Modalities to leave out",
        MODALITIES,
        key="excluded",
        accept_new_options=True,
        placeholder="None",
        help="Series of these modalities are counted as filtered, and not transferred.",
    )
    direct = st.checkbox(
        "The source may send straight to the destination",
        value=True,
        key="direct",
        help="Only where both nodes allow it and nothing is to be changed. It is faster.",
    )
    codes = dict.fromkeys(code.strip().upper() for code in excluded if code.strip())
    return TransferOptions(excluded_modalities=tuple(codes), direct_move=direct)
