"""What every transfer is told besides its studies: from where, where to, for whom and how."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import streamlit as st

from adit_core.db import DicomNode, NodeKind, PseudonymProject, StorageForm, TransferOptions, User
from adit_core.db.projects import PseudonymSource
from adit_core.services.job_storage import LONGEST_PASSWORD, SHORTEST_PASSWORD, keeps_files
from adit_core.services.transfer_choices import TransferChoices
from adit_core.services.transfer_request import TransferRequest
from ui.components.sentences import verbatim
from ui.session import address

MODALITIES = ("CR", "CT", "DX", "KO", "MG", "MR", "NM", "OT", "PR", "PT", "RF", "SR", "US", "XA")
"""Those that are offered; others can be typed (PS3.3 C.7.3.1.1.1)."""
_UNCHANGED = ""
_STORED = {
    StorageForm.FILES: "It is a folder, which keeps DICOM files unless you say otherwise.",
    StorageForm.SEVEN_ZIP: "It writes encrypted 7z archives, with the password that the folder has.",
    StorageForm.ZIP: "It writes encrypted zip archives, with the password that the folder has.",
    StorageForm.NIFTI: "It writes NIfTI volumes; what has none is filtered.",
}
_LONGEST_MARK = 64
_PSEUDONYMS = {
    PseudonymSource.GIVEN: "The pseudonym of each patient has to be given.",
}


class _Form(StrEnum):
    """What becomes of the studies of a job in a folder of files."""

    FILES = "DICOM files"
    ARCHIVE = "One encrypted archive"
    VOLUMES = "NIfTI volumes"


@dataclass(frozen=True, slots=True)
class Storage:
    """How a job has its studies kept in a folder of files; as it is used to, unless it says otherwise."""

    as_nifti: bool = False
    archive_password: str = field(default="", repr=False)


def choose_transfer(user: User, choices: TransferChoices) -> TransferRequest | None:
    """Show the choices, and return what was chosen; None as long as something is missing."""
    left, right = st.columns(2, gap="medium")
    with left:
        source = choose_source(choices)
    with right:
        destination = choose_destination(choices, source)
        storage = choose_storage(choices, destination)
    with left:
        project = choose_project(choices)
    with right:
        name = choose_name()
    with st.expander("More options", icon=":material/tune:"):
        options = choose_options(choices, storage, project)
    urgent = choose_urgent(choices)
    if source is None or destination is None or project is None or storage is None:
        missing = [
            word
            for word, chosen in (
                ("a source", source),
                ("a destination", destination),
                ("a password for the archive", storage),
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
        archive_password=storage.archive_password,
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


def choose_storage(choices: TransferChoices, destination: str | None) -> Storage | None:
    """Ask how a folder of files is to keep the studies; return None as long as a password is missing."""
    if not any(node.name == destination and keeps_files(node) for node in choices.destinations):
        return Storage()
    forms = [
        _Form.FILES,
        *([_Form.ARCHIVE] if choices.may_be_archived else []),
        *([_Form.VOLUMES] if choices.may_become_nifti else []),
    ]
    if len(forms) == 1:
        return Storage()
    form = st.selectbox(
        "Kept as",
        forms,
        key="kept-as",
        help="An archive is a 7z file named after the job, which holds all its studies. NIfTI volumes are "
        "made of images; what has none is filtered.",
    )
    if form is not _Form.ARCHIVE:
        return Storage(as_nifti=form is _Form.VOLUMES)
    password = st.text_input(
        "Password of the archive",
        type="password",
        key="archive-password",
        max_chars=LONGEST_PASSWORD,
        autocomplete="new-password",
        placeholder=f"At least {SHORTEST_PASSWORD} characters",
        help="Whoever is to open the archive needs it. Keep it: nobody can read it here afterwards.",
    )
    return Storage(archive_password=password) if password else None


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
    options = request.options
    excluded = ", ".join(options.excluded_modalities)
    trial = " ".join(filter(None, (options.trial_protocol_id, options.trial_protocol_name)))
    return " ".join(
        [
            f"from **{verbatim(request.source or '')}** to **{verbatim(request.destination)}**,",
            f"pseudonymized for **{verbatim(request.project)}**."
            if request.project
            else "**with the patients' names**.",
            *([f"Series of {verbatim(excluded)} are left out."] if excluded else []),
            *(["All go into **one encrypted archive**."] if request.archive_password else []),
            *(["Images become **NIfTI volumes**."] if options.as_nifti else []),
            *([f"Their trial protocol is {verbatim(trial)}."] if trial else []),
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


def choose_options(choices: TransferChoices, storage: Storage | None, project: str | None) -> TransferOptions:
    """Ask for what is rarely needed."""
    options = choose_options_of_upload(choices, storage, project)
    direct = st.checkbox(
        "The source may send straight to the destination",
        value=True,
        key="direct",
        help="Only where both nodes allow it and nothing is to be changed. It is faster.",
    )
    return options.model_copy(update={"direct_move": direct})


def choose_options_of_upload(
    choices: TransferChoices, storage: Storage | None, project: str | None
) -> TransferOptions:
    """Ask for what is rarely needed of what has no source."""
    excluded = st.multiselect(
        "Modalities to leave out",
        MODALITIES,
        key="excluded",
        accept_new_options=True,
        placeholder="None",
        help="Series of these modalities are counted as filtered, and not transferred.",
    )
    codes = dict.fromkeys(code.strip().upper() for code in excluded if code.strip())
    protocol_id, protocol_name = _choose_trial(choices, project)
    return TransferOptions(
        excluded_modalities=tuple(codes),
        direct_move=False,
        as_nifti=storage is not None and storage.as_nifti,
        trial_protocol_id=protocol_id,
        trial_protocol_name=protocol_name,
    )


def _choose_trial(choices: TransferChoices, project_name: str | None) -> tuple[str, str]:
    """Ask for another trial protocol than that of the project, if there is one; return its ID and name."""
    project = next((each for each in choices.projects if each.name == project_name), None)
    if project is None:
        return "", ""
    left, right = st.columns(2, gap="medium")
    protocol_id = left.text_input(
        "Trial protocol ID",
        key="trial-id",
        max_chars=_LONGEST_MARK,
        placeholder=project.trial_protocol_id or "None",
        help="Written into the images instead of the trial protocol of the project.",
    )
    protocol_name = right.text_input(
        "Trial protocol name",
        key="trial-name",
        max_chars=_LONGEST_MARK,
        placeholder="Optional" if protocol_id else project.trial_protocol_name or "None",
    )
    return protocol_id.strip(), protocol_name.strip()
