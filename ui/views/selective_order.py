"""What is to become of the selected studies: the order, what it would do, and its submission."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from adit_core.api.wiring import Wiring, connected
from adit_core.db import TransferOptions
from adit_core.errors import AditError, InvalidInput
from adit_core.services.live_search import LiveSearch
from adit_core.services.once import OnceKey, submit_once
from adit_core.services.sessions import Principal
from adit_core.services.submit_selective import PickedStudy, submit_selective_transfer
from adit_core.services.transfer_choices import TransferChoices, transfer_choices
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.validation import check_selective_transfer
from ui.components.amounts import number
from ui.components.sentences import errors_as_sentences, verbatim
from ui.session import address, note_activity
from ui.views.selective_preview import offer_preview
from ui.views.selective_results import Picked

_UNCHANGED = "None: with the patients' names"
_MOST_PSEUDONYMS = 12
"""Patients whose pseudonyms can be typed here; for more, a spreadsheet is the better place."""
_FORMS = {
    "files": "DICOM files",
    "7z": "encrypted 7z archives, with the password of the node",
    "zip": "encrypted zip archives, with the password of the node",
    "nifti": "NIfTI volumes",
}


@dataclass(frozen=True, slots=True)
class Order:
    """A transfer that could be submitted."""

    request: TransferRequest
    studies: tuple[PickedStudy, ...]

    @property
    def digest(self) -> str:
        """Tell it from all other orders, without telling what it says."""
        return hashlib.sha256(repr((self.request, self.studies)).encode()).hexdigest()


def show_order(
    search: LiveSearch, picked: Sequence[Picked], watcher: Principal, *, open_job: Callable[[int], None]
) -> None:
    """Ask how the selected studies are to be transferred, and offer to have it done."""
    wiring = connected()
    choices = transfer_choices(wiring.database, watcher.user)
    st.subheader("Transfer", anchor=False)
    order = _ask(search, picked, choices, watcher)
    st.markdown(_summary(search, picked, order), width="stretch")
    problems = _problems(wiring, order, picked)
    if not problems:
        offer_preview(order.request, order.studies, order.digest)
    with st.container(horizontal=True, vertical_alignment="center"):
        submitted = st.button(
            "Submit transfer",
            type="primary",
            icon=":material/send:",
            disabled=bool(problems),
            on_click=_note,
            key="submit",
        )
        if problems:
            st.markdown(f"**Not possible yet.** {' '.join(problems)}", width="stretch")
    if submitted and not problems:
        with errors_as_sentences():
            open_job(_submit(wiring, search, order))


def _ask(search: LiveSearch, picked: Sequence[Picked], choices: TransferChoices, watcher: Principal) -> Order:
    first, second, third = st.columns(3)
    destinations = {node.name: node for node in choices.destinations_from(search.node_name)}
    destination = first.selectbox(
        "Destination",
        list(destinations),
        index=None,
        key="order-destination",
        placeholder="Choose a node",
        help="The node that is to have the studies. "
        "Whether a folder gets DICOM files, encrypted archives or NIfTI volumes is a setting of the node.",
    )
    node = destinations.get(destination or "")
    if node is not None and node.path:
        first.caption(f"It keeps them as {_FORMS[node.storage.value]}.")
    project = _ask_project(second, choices)
    name = third.text_input(
        "Name of the job",
        key="order-name",
        max_chars=150,
        help="To find it again. No patient data, please.",
    )
    excluded = third.multiselect(
        "Leave out modalities",
        sorted({modality for each in picked for modality in each.study.modalities}),
        key="order-excluded",
        accept_new_options=True,
        placeholder="None",
        help="Series of these are counted as filtered.",
    )
    urgent = choices.may_be_urgent and first.toggle(
        "Urgent", key="order-urgent", help="The job passes others that wait."
    )
    pseudonyms = _ask_pseudonyms(picked) if project else {}
    request = TransferRequest(
        owner_id=watcher.user.id,
        source=search.node_name,
        destination=destination or "",
        project=project or "",
        name=name,
        urgent=urgent,
        options=TransferOptions(excluded_modalities=tuple(excluded)),
        address=address(),
    )
    return Order(request, tuple(_studies(picked, pseudonyms)))


def _ask_project(place: DeltaGenerator, choices: TransferChoices) -> str | None:
    """Return the name of the project; empty for none, and None if nothing was chosen."""
    projects = {project.name: project for project in choices.projects}
    offered = [*projects, *([_UNCHANGED] if choices.may_stay_identified else [])]
    chosen = place.selectbox(
        "Pseudonymize for project",
        offered,
        index=0 if len(offered) == 1 else None,
        key="order-project",
        placeholder="Choose a project",
        help="The project says what is removed and replaced, and which trial protocol is written.",
    )
    if chosen is None or chosen == _UNCHANGED:
        return "" if chosen else None
    project = projects[chosen]
    trial = " ".join(filter(None, (project.trial_protocol_id, project.trial_protocol_name)))
    place.caption(f"Trial protocol: {verbatim(trial)}" if trial else "The project writes no trial protocol.")
    return chosen


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
    to = f" to **{verbatim(order.request.destination)}**" if order.request.destination else ""
    return f"Selected: {', '.join(parts)} {of}, from **{verbatim(search.node_name)}**{to}."


def _problems(wiring: Wiring, order: Order, picked: Sequence[Picked]) -> list[str]:
    """Return in sentences why the order cannot be submitted."""
    missing = [
        *([] if picked else ["Select at least one study or series in the table."]),
        *([] if order.request.destination else ["Choose a destination."]),
        *([] if st.session_state.get("order-project") else ["Choose what to pseudonymize for."]),
    ]
    if missing:
        return missing
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


def _note() -> None:
    note_activity()


def _submit(wiring: Wiring, search: LiveSearch, order: Order) -> int:
    """Submit an order, which of one search is done once however often somebody clicks; return its job."""
    once = OnceKey(f"selective-{search.key}-{order.digest[:32]}", order.digest)
    request = replace(order.request, once=once)
    return submit_once(
        wiring.database,
        request.owner_id,
        once,
        lambda: submit_selective_transfer(wiring.database, wiring.launcher, request, order.studies),
    ).job_id
