"""What is to become of the selected studies: the order, what it would do, and its submission."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from adit_core.api.wiring import Wiring, connected
from adit_core.db import JobKind
from adit_core.errors import AditError, InvalidInput
from adit_core.services.live_search import LiveSearch
from adit_core.services.preview import MOST_STUDIES, preview_studies
from adit_core.services.sessions import Principal
from adit_core.services.submit_selective import (
    PickedStudy,
    merged_picks,
    picked_problems,
    picked_wishes,
    submit_selective_transfer,
)
from adit_core.services.transfer_choices import TransferChoices, transfer_choices
from adit_core.services.transfer_preview import TransferPreview
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.validation import check_selective_transfer
from ui.components.amounts import number
from ui.components.sentences import errors_as_sentences, verbatim
from ui.components.submitting import fingerprint, offer_submission
from ui.session import address
from ui.views.selective_results import Picked
from ui.views.transfer_options import (
    choose_destination,
    choose_name,
    choose_options,
    choose_project,
    choose_storage,
    choose_urgent,
    transfer_in_words,
)
from ui.views.transfer_preview import offer_preview

_MOST_PSEUDONYMS = 12
"""Patients whose pseudonyms can be typed here; for more, a spreadsheet is the better place."""


@dataclass(frozen=True, slots=True)
class Order:
    """A transfer that could be submitted, unless something is missing."""

    request: TransferRequest
    studies: tuple[PickedStudy, ...]
    missing: tuple[str, ...]
    """What the user still has to do, in sentences."""


def show_order(
    search: LiveSearch, picked: Sequence[Picked], watcher: Principal, *, open_job: Callable[[int], None]
) -> None:
    """Ask how the selected studies are to be transferred, and offer to have it done."""
    wiring = connected()
    db = wiring.database
    st.header("Transfer", anchor=False)
    order = _ask(search, picked, transfer_choices(db, watcher.user, JobKind.SELECTIVE_TRANSFER), watcher)
    st.markdown(_summary(search, picked, order), width="stretch")
    problems = _problems(wiring, order)
    mark = fingerprint("selective", search.key, order.request, order.studies)
    if not problems:
        offer_preview(
            "Preview",
            mark,
            lambda: _look_ahead(wiring, order),
            help=f"Asks both nodes about up to {MOST_STUDIES} studies. Nothing is transferred.",
        )
    with st.container(horizontal=True, vertical_alignment="center"), errors_as_sentences():
        job_id = offer_submission(
            "Transfer",
            db,
            watcher.user.id,
            mark,
            lambda once: submit_selective_transfer(
                db, wiring.launcher, replace(order.request, once=once), order.studies
            ),
            disabled=bool(problems),
        )
        if problems:
            st.markdown(f"**Not possible yet.** {' '.join(problems)}", width="stretch")
        if job_id is not None:
            open_job(job_id)


def _look_ahead(wiring: Wiring, order: Order) -> TransferPreview:
    return preview_studies(
        wiring.database,
        order.request,
        JobKind.SELECTIVE_TRANSFER,
        merged_picks(order.studies),
        *picked_problems(order.studies),
        wishes=picked_wishes(order.studies),
    )


def _ask(search: LiveSearch, picked: Sequence[Picked], choices: TransferChoices, watcher: Principal) -> Order:
    left, right = st.columns(2, gap="medium")
    with left:
        destination = choose_destination(choices, search.node_name)
        storage = choose_storage(choices, destination)
        name = choose_name()
    with right:
        project = choose_project(choices)
        urgent = choose_urgent(choices)
    with st.expander("More options", icon=":material/tune:"):
        options = choose_options(choices, storage, project)
    request = TransferRequest(
        owner_id=watcher.user.id,
        source=search.node_name,
        destination=destination or "",
        project=project or "",
        name=name,
        urgent=urgent,
        options=options,
        archive_password=storage.archive_password if storage else "",
        address=address(),
    )
    pseudonyms = _ask_pseudonyms(picked) if project else {}
    missing = (
        *([] if picked else ["Select at least one study or series in the table."]),
        *([] if destination else ["Choose a destination."]),
        *([] if storage else ["Give the archive a password."]),
        *([] if project is not None else ["Choose a pseudonymization."]),
    )
    return Order(request, tuple(_studies(picked, pseudonyms)), missing)


def _ask_pseudonyms(picked: Sequence[Picked]) -> dict[str, str]:
    """Return by PatientID the pseudonyms that are given; the project gives the others."""
    patients = {each.study.reference.patient_id: each.study.patient_name for each in picked}
    if not patients:
        return {}
    if len(patients) > _MOST_PSEUDONYMS:
        st.caption(
            f"These are {number(len(patients))} patients. The project gives their pseudonyms; "
            "to give them yourself, use a batch transfer."
        )
        return {}
    given = {}
    with st.expander("Pseudonyms", expanded=len(patients) == 1):
        st.caption("Leave a field empty for the pseudonym that the project gives.")
        for patient_id, name in patients.items():
            label = f"Pseudonym of {verbatim(name)} ({verbatim(patient_id)})"
            key = f"order-pseudonym-{hashlib.sha256(patient_id.encode()).hexdigest()[:12]}"
            given[patient_id] = st.text_input(label, key=key, max_chars=64).strip()
    return given


def _studies(picked: Sequence[Picked], pseudonyms: dict[str, str]) -> Iterator[PickedStudy]:
    for each in picked:
        reference = each.study.reference
        yield PickedStudy(
            reference.patient_id,
            reference.study_instance_uid,
            tuple(one.reference.series_instance_uid for one in each.series),
            pseudonyms.get(reference.patient_id, ""),
        )


def _summary(search: LiveSearch, picked: Sequence[Picked], order: Order) -> str:
    if not picked:
        return "Nothing is selected."
    parts = [f"**{number(len(picked))}** {'study' if len(picked) == 1 else 'studies'}"]
    for word, counts in (
        ("series", [each.number_of_series for each in picked]),
        ("instances", [each.number_of_instances for each in picked]),
    ):
        known = [count for count in counts if count is not None]
        if known:
            more = "" if len(known) == len(counts) else "at least "
            parts.append(f"{more}**{number(sum(known))}** {word}")
    patients = len({each.study.reference.patient_id for each in picked})
    of = f"of {number(patients)} {'patient' if patients == 1 else 'patients'}"
    way = f"from **{verbatim(search.node_name)}**." if order.missing else transfer_in_words(order.request)
    return f"Selected: {', '.join(parts)} {of}, {way}"


def _problems(wiring: Wiring, order: Order) -> Sequence[str]:
    """Return in sentences why the order cannot be submitted."""
    if order.missing:
        return order.missing
    try:
        check_selective_transfer(wiring.database, order.request, order.studies)
    except InvalidInput as error:
        return [verbatim(_in_words(problem.message, problem.row, order)) for problem in error.problems]
    except AditError as error:
        return [verbatim(str(error))]
    return []


def _in_words(message: str, row: int | None, order: Order) -> str:
    """Return what is wrong, with the study instead of a row that nobody sees."""
    if row is None:
        return message
    return f"Study of patient {order.studies[row - 1].patient_id}: {message}"
