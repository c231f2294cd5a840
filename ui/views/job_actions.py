"""What can be done with a job. Each action asks before it acts."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from adit_core.api.wiring import Wiring
from adit_core.services.jobs import Action, JobView, cancel_job, resume_job, retry_failed
from ui.components.sentences import errors_as_sentences
from ui.session import address, signed_in


@dataclass(frozen=True, slots=True)
class _Offer:
    """How an action is called, what it means, and the service that does it."""

    label: str
    question: str
    consequence: str
    icon: str
    act: Callable[..., None]


_OFFERS = {
    Action.CANCEL: _Offer(
        label="Cancel job",
        question="Cancel this job?",
        consequence=(
            "Studies that have not started will not be transferred. Those under way end within seconds; "
            "what arrived at the destination stays there. You can resume the job later."
        ),
        icon=":material/cancel:",
        act=cancel_job,
    ),
    Action.RETRY: _Offer(
        label="Retry failed",
        question="Try the failed studies again?",
        consequence="Every failed study is begun anew. What the destination has already is not sent again.",
        icon=":material/replay:",
        act=retry_failed,
    ),
    Action.RESUME: _Offer(
        label="Resume job",
        question="Resume this job?",
        consequence="Every canceled study is begun anew. What the destination has already is not sent again.",
        icon=":material/play_arrow:",
        act=resume_job,
    ),
}


_QUESTION = "question"
"""In the state of the browser's session: the job and the action that the user is being asked about."""


def offer_actions(job: JobView, wiring: Wiring) -> None:
    """Show a button for each action that the job allows, and the way to its run in Prefect."""
    for action, offer in _OFFERS.items():
        if action in job.actions:
            st.button(offer.label, icon=offer.icon, key=action.value, on_click=_ask, args=[job.id, action])
    if job.flow_run_id is not None:
        url = f"{wiring.settings.prefect_ui_url.rstrip('/')}/runs/flow-run/{job.flow_run_id}"
        st.link_button("Run in Prefect", url, icon=":material/open_in_new:")
    job_id, action = st.session_state.get(_QUESTION, (None, None))
    if job_id == job.id:
        _show_question(job, _OFFERS[action], wiring)


def _ask(job_id: int, action: Action) -> None:
    st.session_state[_QUESTION] = (job_id, action)


def _close_question() -> None:
    st.session_state.pop(_QUESTION, None)


def _show_question(job: JobView, offer: _Offer, wiring: Wiring) -> None:
    @st.dialog(offer.question, on_dismiss=_close_question)
    def ask() -> None:
        user = signed_in().user
        st.write(offer.consequence)
        with st.container(horizontal=True, horizontal_alignment="right"):
            declined = st.button("Go back", key="go-back")
            confirmed = st.button(offer.label, type="primary", key="confirm")
        if confirmed:
            with errors_as_sentences():
                offer.act(wiring.database, wiring.launcher, user, job.id, address=address())
                _close_question()
                st.rerun()
        if declined:
            _close_question()
            st.rerun()

    ask()
