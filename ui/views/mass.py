"""Mass transfer: whatever a range of days and filters choose."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import streamlit as st

from adit_core.api.wiring import Wiring, connected
from adit_core.db import JobKind, MassTransferOptions, Partition, User
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.preview import MOST_STUDIES, preview_mass_transfer
from adit_core.services.sessions import Principal
from adit_core.services.submit_mass import submit_mass_transfer
from adit_core.services.transfer_choices import transfer_choices
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.validation import check_mass_transfer
from ui.components.amounts import many
from ui.components.sentences import errors_as_sentences, verbatim
from ui.components.submitting import fingerprint, offer_submission
from ui.views.mass_filters import choose_search, field_in_words, search_in_words
from ui.views.transfer_options import choose_transfer, transfer_in_words
from ui.views.transfer_preview import offer_preview


def show(principal: Principal, *, open_job: Callable[[int], None]) -> None:
    """Show the form; `open_job` goes to the page of the job that was submitted."""
    st.title("Mass transfer", anchor=False)
    wiring, user = connected(), principal.user
    choices = transfer_choices(wiring.database, user, JobKind.MASS_TRANSFER)
    search = None
    try:
        search = choose_search()
    except InvalidInput as error:
        _say(error.problems)
    st.header("Transfer", anchor=False)
    request = choose_transfer(user, choices)
    if search is None or request is None:
        return
    with errors_as_sentences():
        accepted = check_mass_transfer(wiring.database, request, search)
        _offer(wiring, user, request, search, periods=accepted.periods or 0, open_job=open_job)


def _say(problems: tuple[InputProblem, ...]) -> None:
    for problem in problems:
        st.error(
            f"**{field_in_words(problem.field or '')}**: {verbatim(problem.message)}", icon=":material/error:"
        )


def _offer(
    wiring: Wiring,
    user: User,
    request: TransferRequest,
    search: MassTransferOptions,
    *,
    periods: int,
    open_job: Callable[[int], None],
) -> None:
    db = wiring.database
    order = fingerprint("mass", request, search.model_dump_json())
    st.header("Summary", anchor=False)
    st.markdown(f"What is found in {_amount(search, periods)}, {transfer_in_words(request)}")
    st.markdown("\n".join(f"- {line}" for line in search_in_words(search)))
    day = _choose_day(search)
    offer_preview(
        "Preview a day",
        fingerprint(order, day),
        lambda: preview_mass_transfer(db, request, search, day=day),
        help=f"Searches one day and looks at up to {MOST_STUDIES} of its studies. Nothing is transferred.",
    )
    job_id = offer_submission(
        "Transfer",
        db,
        user.id,
        order,
        lambda once: submit_mass_transfer(db, wiring.launcher, replace(request, once=once), search),
    )
    if job_id is not None:
        open_job(job_id)


def _amount(search: MassTransferOptions, periods: int) -> str:
    days = (search.last_day - search.first_day).days + 1
    unit = "a day" if search.partition is Partition.DAILY else "a week"
    searches = many(periods, "search", "searches")
    return f"{many(days, 'day', 'days')} (**{searches}** of {unit} each)"


def _choose_day(search: MassTransferOptions) -> date | None:
    return st.date_input(
        "Sample day",
        value=None,
        min_value=search.first_day,
        max_value=search.last_day,
        format="YYYY-MM-DD",
        # Streamlit refuses a day that lies outside of a range that was changed meanwhile.
        key=f"sample-{search.first_day}-{search.last_day}",
        help="Without one, the first day that is no weekend.",
        width=220,
    )
