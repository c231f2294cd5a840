"""Batch query: asking an archive about the rows of a spreadsheet."""

from collections.abc import Callable

import streamlit as st

from adit_core.api.wiring import Wiring, connected
from adit_core.db import JobKind, User
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.query_columns import KNOWN_COLUMNS
from adit_core.services.query_file import QueryFile, query_of_sheet
from adit_core.services.query_preview import preview_query
from adit_core.services.sessions import Principal
from adit_core.services.submit_query import submit_batch_query
from adit_core.services.transfer_choices import transfer_choices
from adit_core.services.validation import check_batch_query
from ui.components.amounts import number
from ui.components.sentences import errors_as_sentences, verbatim
from ui.components.sheet import (
    Draft,
    dropped_sheet,
    forget_sheet,
    offer_template,
    say_what_it_holds,
    show_sheet,
)
from ui.components.sheet_editor import edit_sheet, take_edits
from ui.components.submitting import fingerprint, offer_submission
from ui.session import address
from ui.views.transfer_options import choose_name, choose_source, choose_urgent
from ui.views.transfer_preview import offer_preview

_EXAMPLES = {"PatientID": "0012345", "From": "2024-01-01", "Until": "2024-12-31", "Modality": "CT, MR"}
_HELP = (
    "Drop a CSV file or an Excel workbook (.xlsx) here, with a question in each row. Columns are those of "
    "the template or any other keyword of DICOM. Put # before the name of a column to have it ignored."
)
_CELLS = """
- Text may hold the wildcards `*` (any characters) and `?` (one character); names are written `Miller^Susan`.
- Text between slashes, such as `/chest|thorax/`, is a regular expression.
- `From` and `Until` are the first and the last day of the study: `2024-01-31`, `20240131` or `31.01.2024`.
- Several modalities are separated by commas: `CT, MR`.
- A row finds series if it has `SeriesInstanceUID`, `SeriesDescription` or `SeriesNumber`, else studies.
- `Pseudonym` asks for nothing: it is what the patient is to be called after a transfer of the results.
"""


def show(principal: Principal, *, open_job: Callable[[int], None]) -> None:
    """Show the form; `open_job` goes to the page of the job that was submitted."""
    st.title("Batch query", anchor=False)
    wiring, user = connected(), principal.user
    choices = transfer_choices(wiring.database, user, JobKind.BATCH_QUERY)
    file_part = st.container()
    with file_part:
        draft = _chosen_sheet()
    if draft is None:
        return
    take_edits(draft)
    st.header("Query", anchor=False)
    left, right = st.columns(2, gap="medium")
    with left:
        source = choose_source(choices)
    with right:
        name = choose_name()
    urgent = choose_urgent(choices)
    query, problems = _checked(wiring.database, user, draft, source, name=name, urgent=urgent)
    with file_part:
        _show_query(draft, query, problems)
    if source is None:
        st.caption("Choose a source to go on.")
    elif query is not None and not problems:
        _offer(wiring, user, draft, query, open_job, source=source, name=name, urgent=urgent)


def _chosen_sheet() -> Draft | None:
    draft = None
    with errors_as_sentences():
        draft = dropped_sheet(_HELP)
    if draft is None:
        offer_template(
            "batch-query", tuple(KNOWN_COLUMNS), tuple(_EXAMPLES.get(name, "") for name in KNOWN_COLUMNS)
        )
        with st.expander("What a cell may hold", icon=":material/help:"):
            st.markdown(_CELLS)
    return draft


def _checked(
    db: Database, user: User, draft: Draft, source: str | None, *, name: str, urgent: bool
) -> tuple[QueryFile | None, tuple[InputProblem, ...]]:
    """Return the questions, and what is wrong with them, or with the archive that is to be asked."""
    reading = draft.read(query_of_sheet)
    if reading.content is None or source is None:
        return reading.content, reading.problems
    with errors_as_sentences():
        try:
            check_batch_query(db, user.id, source, reading.content, name=name, urgent=urgent)
        except InvalidInput as error:
            return reading.content, error.problems
        return reading.content, ()
    return None, ()


def _show_query(draft: Draft, query: QueryFile | None, problems: tuple[InputProblem, ...]) -> None:
    edit_sheet(draft, problems)
    if query is not None and not problems:
        say_what_it_holds(draft, _amount(query))
    show_sheet(draft)


def _amount(query: QueryFile) -> str:
    rows = len(query.questions)
    return f"{number(rows)} {'row' if rows == 1 else 'rows'} to ask about"


def _offer(
    wiring: Wiring,
    user: User,
    draft: Draft,
    query: QueryFile,
    open_job: Callable[[int], None],
    *,
    source: str,
    name: str,
    urgent: bool,
) -> None:
    st.header("Summary", anchor=False)
    passing = " The job is urgent." if urgent else ""
    st.markdown(f"{_amount(query)} in **{verbatim(source)}**.{passing} Nothing is transferred.")
    order = fingerprint("query", source, name, urgent, draft.mark)
    offer_preview(
        "Preview",
        order,
        lambda: preview_query(wiring.database, user.id, source, query, name=name, urgent=urgent),
        help="Tells what each row asks of the archive, and how long it may take. Nothing is asked yet.",
    )
    with errors_as_sentences():
        job_id = offer_submission(
            "Query",
            wiring.database,
            user.id,
            order,
            lambda once: submit_batch_query(
                wiring.database,
                wiring.launcher,
                owner_id=user.id,
                source=source,
                query=query,
                name=name,
                urgent=urgent,
                address=address(),
                once=once,
            ),
        )
        if job_id is not None:
            forget_sheet()
            open_job(job_id)
