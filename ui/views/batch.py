"""Batch transfer: the studies that a spreadsheet, or a batch query, lists."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from adit_core.api.wiring import Wiring, connected
from adit_core.db import JobKind, User
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.batch_file import COLUMNS, BatchFile, batch_of_sheet
from adit_core.services.batch_preview import preview_batch
from adit_core.services.preview import MOST_STUDIES
from adit_core.services.query_export import results_sheet
from adit_core.services.sessions import Principal
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.transfer_choices import transfer_choices
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.validation import check_batch_transfer
from ui.components.amounts import many, number
from ui.components.sentences import errors_as_sentences, verbatim
from ui.components.sheet import (
    Draft,
    dropped_sheet,
    forget_sheet,
    handed_sheet,
    offer_template,
    say_what_it_holds,
    show_sheet,
)
from ui.components.sheet_editor import edit_sheet, take_edits
from ui.components.submitting import fingerprint, offer_submission
from ui.components.url import number_in_url
from ui.session import address
from ui.views.transfer_options import choose_transfer, transfer_in_words
from ui.views.transfer_preview import offer_preview

_EXAMPLE = ("0012345", "1.2.840.113619.2.1", "", "", "yes")
_HELP = (
    "Drop a CSV file or an Excel workbook (.xlsx) here, with a row for each study or series. It needs the "
    "columns PatientID and StudyInstanceUID; SeriesInstanceUID, Pseudonym and Transfer (yes or no) are "
    "optional, others are ignored."
)


def show(principal: Principal, *, open_job: Callable[[int], None]) -> None:
    """Show the form; `open_job` goes to the page of the job that was submitted."""
    st.title("Batch transfer", anchor=False)
    wiring, user = connected(), principal.user
    choices = transfer_choices(wiring.database, user, JobKind.BATCH_TRANSFER)
    file_part = st.container()
    with file_part:
        draft = _chosen_sheet(wiring.database, user)
    if draft is None:
        return
    take_edits(draft)
    st.header("Transfer", anchor=False)
    request = choose_transfer(user, choices)
    batch, problems = _checked(wiring.database, draft, request)
    with file_part:
        _show_batch(draft, batch, problems)
    if request is not None and batch is not None and not problems:
        _offer(wiring, user, draft, request, batch, open_job=open_job)


def _chosen_sheet(db: Database, user: User) -> Draft | None:
    draft = None
    with errors_as_sentences():
        draft = dropped_sheet(_HELP)
        query_id = number_in_url("from")
        if draft is None and query_id is not None:
            name = f"the results of job {query_id}"
            draft = handed_sheet(
                f"job {query_id}", name, lambda: results_sheet(db, user, query_id, address=address())
            )
    if draft is None:
        offer_template("batch-transfer", COLUMNS, _EXAMPLE)
    return draft


def _checked(
    db: Database, draft: Draft, request: TransferRequest | None
) -> tuple[BatchFile | None, tuple[InputProblem, ...]]:
    """Return the studies, and what is wrong with them, or with what was chosen for them."""
    reading = draft.read(batch_of_sheet)
    if reading.content is None or request is None:
        return reading.content, reading.problems
    with errors_as_sentences():
        try:
            check_batch_transfer(db, request, reading.content)
        except InvalidInput as error:
            return reading.content, error.problems
        return reading.content, ()
    return None, ()


def _show_batch(draft: Draft, batch: BatchFile | None, problems: tuple[InputProblem, ...]) -> None:
    edit_sheet(draft, problems)
    if batch is not None and not problems:
        say_what_it_holds(draft, _amount(batch))
        if batch.left_out:
            st.info(verbatim(batch.left_out_in_words), icon=":material/playlist_remove:")
    show_sheet(draft)


def _amount(batch: BatchFile) -> str:
    patients = len({study.patient_id for study in batch.studies})
    series = sum(len(study.series_instance_uids) for study in batch.studies)
    chosen = f", {number(series)} of their series chosen" if series else ""
    return (
        f"{many(len(batch.studies), 'study', 'studies')} of {many(patients, 'patient', 'patients')}{chosen}"
    )


def _offer(
    wiring: Wiring,
    user: User,
    draft: Draft,
    request: TransferRequest,
    batch: BatchFile,
    *,
    open_job: Callable[[int], None],
) -> None:
    db = wiring.database
    order = fingerprint("batch", request, draft.mark)
    st.header("Summary", anchor=False)
    st.markdown(f"{_amount(batch)}, {transfer_in_words(request)}")

    offer_preview(
        "Preview",
        order,
        lambda: preview_batch(db, request, batch),
        help=f"Asks both nodes about up to {MOST_STUDIES} studies. Nothing is transferred.",
    )
    with errors_as_sentences():
        job_id = offer_submission(
            "Transfer",
            db,
            user.id,
            order,
            lambda once: submit_batch_transfer(db, wiring.launcher, replace(request, once=once), batch),
        )
        if job_id is not None:
            forget_sheet()
            open_job(job_id)
