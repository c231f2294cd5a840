"""Uploading DICOM files, and having them transferred to a node."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from adit_core.api.wiring import Wiring, connected
from adit_core.db import JobKind, TransferOptions, UploadedStudy, User
from adit_core.db.engine import Database
from adit_core.errors import NotFound
from adit_core.services.once import OnceKey, submit_once
from adit_core.services.preview import MOST_STUDIES, preview_upload
from adit_core.services.sessions import Principal
from adit_core.services.submit_upload import submit_upload
from adit_core.services.transfer_choices import TransferChoices, transfer_choices
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.uploads import UploadSummary, describe_upload, discard_upload, upload_limits
from ui.components.amounts import data_size, many, number
from ui.components.sentences import errors_as_sentences
from ui.components.submitting import fingerprint
from ui.components.table import Column, Grid, Row, Text, table
from ui.components.uploader import Uploaded, uploader
from ui.session import address
from ui.views.transfer_options import Storage, choose_options_of_upload, choose_storage
from ui.views.transfer_preview import offer_preview

_IN_URL = "upload"
_TOLD = "uploaded"
"""In the state of the browser's session: what the browser was told of the upload, which is kept nowhere."""
_MOST_LISTED = 200
_AS_THEY_ARE = "No, leave them as they are"
_STUDY_COLUMNS = (
    Column("PatientID", width="9rem"),
    Column("Study", width="8rem"),
    Column("Description"),
    Column("Modalities", width="8rem"),
    Column("Series", numeric=True, width="5rem"),
    Column("Instances", numeric=True, width="6rem"),
)
_REFUSED_COLUMNS = (Column("File"), Column("Why it is left out"))


def show(principal: Principal, *, open_job: Callable[[int], None]) -> None:
    """Take in files, tell what they are, and submit them; `open_job` goes to the page of the job."""
    st.title("Upload", anchor=False)
    wiring = connected()
    choices = transfer_choices(wiring.database, principal.user, JobKind.UPLOAD)
    upload_id = st.query_params.get(_IN_URL, "")
    if upload_id:
        _show_upload(wiring, principal.user, choices, upload_id, open_job)
    else:
        _offer_upload(wiring, principal)


def _offer_upload(wiring: Wiring, principal: Principal) -> None:
    limits = upload_limits(wiring.settings)
    st.markdown(
        "Bring DICOM files of your own, such as a CD's folder. You see what was recognised, "
        "and choose where it goes, before anything is transferred."
    )
    uploaded = uploader(csrf_token=principal.csrf_token, limits=limits, key="uploader")
    st.caption(
        f"At most {number(limits.files)} files and {data_size(limits.total_bytes)} at once. "
        "What is not submitted is removed after "
        f"{wiring.settings.upload_keep / 86_400:g} days."
    )
    if uploaded is not None:
        st.session_state[_TOLD] = uploaded
        st.query_params[_IN_URL] = uploaded.id
        st.rerun()


def _show_upload(
    wiring: Wiring, user: User, choices: TransferChoices, upload_id: str, open_job: Callable[[int], None]
) -> None:
    try:
        summary = describe_upload(wiring.database, user, upload_id)
    except NotFound as error:
        st.error(f"{error} It may have been submitted already: look among your jobs.")
        if st.button("Upload something", icon=":material/upload:"):
            _leave()
            st.rerun()
        return
    _show_counts(summary)
    _show_studies(summary)
    told = st.session_state.get(_TOLD)
    if isinstance(told, Uploaded) and told.id == upload_id:
        _show_refused(told)
    _offer_submission(wiring, user, choices, summary, open_job)


def _show_counts(summary: UploadSummary) -> None:
    counts = {
        "Patients": number(summary.patients),
        "Studies": number(len(summary.studies)),
        "Series": number(summary.series),
        "Instances": number(summary.instances),
        "Modalities": ", ".join(summary.modalities) or "unknown",
    }
    with st.container(horizontal=True):
        for name, value in counts.items():
            st.metric(name, value, border=True)


def _show_studies(summary: UploadSummary) -> None:
    studies = sorted(summary.studies, key=lambda study: (study.patient_id, str(study.study_date or "")))
    rows = tuple(Row(study.study_instance_uid, _cells(study)) for study in studies[:_MOST_LISTED])
    table(Grid("Studies that were recognised", _STUDY_COLUMNS, rows), key="studies")
    if len(summary.studies) > _MOST_LISTED:
        st.caption(f"The first {_MOST_LISTED} of {number(len(summary.studies))} studies are listed.")


def _cells(study: UploadedStudy) -> tuple[Text, ...]:
    modalities = sorted({series.modality for series in study.series if series.modality})
    return (
        Text(study.patient_id or "none", code=True),
        Text(study.study_date.isoformat() if study.study_date else "no date"),
        Text(study.study_description or "no description", (study.study_instance_uid,)),
        Text(", ".join(modalities)),
        Text(number(len(study.series))),
        Text(number(study.instances)),
    )


def _show_refused(told: Uploaded) -> None:
    for problem in told.problems:
        st.warning(problem, icon=":material/warning:")
    if not told.refused:
        st.success("Every file is a DICOM instance.", icon=":material/check:")
        return
    files = many(len(told.refused), "file is", "files are")
    with st.expander(f"{files} left out", expanded=len(told.refused) <= 10, icon=":material/block:"):
        rows = tuple(
            Row(str(at), (Text(file.name, code=True), Text(file.reason)))
            for at, file in enumerate(told.refused[:_MOST_LISTED])
        )
        table(Grid("Files that are left out", _REFUSED_COLUMNS, rows), key="refused")
        if len(told.refused) > _MOST_LISTED:
            st.caption(f"The first {_MOST_LISTED} are listed.")


@dataclass(frozen=True, slots=True)
class _Choices:
    """What was chosen for an upload so far."""

    destination: str | None
    project: str | None
    """Or that the files stay as they are."""
    storage: Storage | None
    options: TransferOptions
    name: str
    urgent: bool

    @property
    def missing(self) -> str:
        """What is still to be chosen; empty if it is nothing."""
        if self.destination is None:
            return "a destination"
        if self.storage is None:
            return "a password for the archive"
        return "" if self.project else "whether, and for which project, to pseudonymize"

    def request(self, user: User, upload_id: str) -> TransferRequest | None:
        """Return what is asked for; None as long as something is missing."""
        if self.destination is None or self.project is None or self.storage is None:
            return None
        return TransferRequest(
            owner_id=user.id,
            source=None,
            destination=self.destination,
            project="" if self.project == _AS_THEY_ARE else self.project,
            name=self.name,
            urgent=self.urgent,
            options=self.options,
            archive_password=self.storage.archive_password,
            address=address(),
            once=OnceKey(f"upload {upload_id}", fingerprint(self)),
        )


def _offer_submission(
    wiring: Wiring,
    user: User,
    choices: TransferChoices,
    summary: UploadSummary,
    open_job: Callable[[int], None],
) -> None:
    chosen = _choose(choices)
    request = chosen.request(user, summary.id)
    if request is not None:
        _offer_preview(wiring.database, request, summary)
    with st.container(horizontal=True):
        submitted = st.button("Submit", type="primary", icon=":material/send:")
        discarded = st.button("Discard", icon=":material/delete:")
    if discarded:
        with errors_as_sentences():
            discard_upload(wiring.database, user, summary.id)
            _leave()
            st.rerun()
    if submitted and request is None:
        st.error(f"Choose {chosen.missing}.", icon=":material/error:")
    elif submitted and request is not None:
        with errors_as_sentences():
            _submit(wiring, request, summary.id, open_job)


def _choose(choices: TransferChoices) -> _Choices:
    destinations = [node.name for node in choices.destinations]
    if not destinations:
        st.info("There is no node that you may transfer to. An administrator can let your group use one.")
    with st.container(border=True):
        destination = st.selectbox(
            "Destination", destinations, index=None, placeholder="Choose a node", key="destination"
        )
        storage = choose_storage(choices, destination)
        project = st.selectbox(
            "Pseudonymize for project",
            _projects(choices),
            index=None,
            placeholder="Choose a project",
            key="project",
            help="The project says what is removed and replaced, and which pseudonyms its patients have.",
        )
        with st.expander("More options", icon=":material/tune:"):
            options = choose_options_of_upload(choices, storage, project)
        name = st.text_input("Name of the job", max_chars=150, key="name", help="To find it again; optional.")
        urgent = choices.may_be_urgent and st.checkbox(
            "Urgent", key="urgent", help="It goes before jobs that are not."
        )
    return _Choices(destination, project, storage, options, name, urgent)


def _offer_preview(db: Database, request: TransferRequest, summary: UploadSummary) -> None:
    offer_preview(
        "Preview",
        fingerprint("upload", summary.id, request),
        lambda: preview_upload(db, request, summary.id),
        help=f"Looks at up to {MOST_STUDIES} studies, and asks the destination. Nothing is transferred.",
    )


def _submit(
    wiring: Wiring, request: TransferRequest, upload_id: str, open_job: Callable[[int], None]
) -> None:
    job = submit_once(
        wiring.database,
        request.owner_id,
        request.once,
        lambda: submit_upload(wiring.database, wiring.launcher, request, upload_id),
    )
    _leave()
    open_job(job.job_id)


def _projects(choices: TransferChoices) -> list[str]:
    names = [project.name for project in choices.projects]
    return [*names, _AS_THEY_ARE] if choices.may_stay_identified else names


def _leave() -> None:
    st.query_params.pop(_IN_URL, None)
    st.session_state.pop(_TOLD, None)
