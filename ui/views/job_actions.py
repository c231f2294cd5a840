"""What can be done with a job, and why the rest cannot. Each action asks before it acts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st

from adit_core.api.wiring import Wiring
from adit_core.db import JobKind
from adit_core.services.action_rules import JobAction
from adit_core.services.job_actions import JOB_ACTIONS
from adit_core.services.jobs import JobView
from ui.components.question import ask, asked, show_question
from ui.session import address, signed_in


@dataclass(frozen=True, slots=True)
class _Offer:
    """How an action is called, and what it means."""

    label: str
    question: str
    consequence: str
    icon: str


_OFFERS = {
    JobAction.VERIFY: _Offer(
        label="Approve all",
        question="Approve all of this job?",
        consequence=(
            "It will run as its owner submitted it. To approve a part of it, go back and choose that part."
        ),
        icon=":material/verified:",
    ),
    JobAction.CANCEL: _Offer(
        label="Cancel job",
        question="Cancel this job?",
        consequence=(
            "Studies that have not started will not be transferred. Those under way end within seconds; "
            "what arrived at the destination stays there. You can resume the job later."
        ),
        icon=":material/cancel:",
    ),
    JobAction.RETRY: _Offer(
        label="Retry failed",
        question="Try the failed studies again?",
        consequence="Every failed study is begun anew. What the destination has already is not sent again.",
        icon=":material/replay:",
    ),
    JobAction.RESUME: _Offer(
        label="Resume job",
        question="Resume this job?",
        consequence="Every canceled study is begun anew. What the destination has already is not sent again.",
        icon=":material/play_arrow:",
    ),
    JobAction.RESTART: _Offer(
        label="Restart job",
        question="Begin the whole job anew?",
        consequence="Every study is begun anew. What the destination has already is not sent again.",
        icon=":material/restart_alt:",
    ),
    JobAction.SEARCH_AGAIN: _Offer(
        label="Search again",
        question="Look for studies once more?",
        consequence="What is new at the source since the last search is transferred, and nothing else.",
        icon=":material/manage_search:",
    ),
    JobAction.MAKE_URGENT: _Offer(
        label="Make urgent",
        question="Let this job pass others?",
        consequence="It starts before jobs that are not urgent. If it is under way, it goes on as it is.",
        icon=":material/bolt:",
    ),
    JobAction.DELETE: _Offer(
        label="Delete job",
        question="Delete this job?",
        consequence="It is removed with its list of studies, and cannot be brought back.",
        icon=":material/delete:",
    ),
}


def offer_actions(job: JobView, wiring: Wiring, *, leave: Callable[[], None]) -> None:
    """Show a button for each action that the user may do, and the way to the job's run in Prefect.

    `leave` goes elsewhere once the job is gone.
    """
    offers = _offers(job)
    for action, offer in offers.items():
        if action in job.actions:
            subject = (job.id, action)
            st.button(offer.label, icon=offer.icon, key=action.value, on_click=ask, args=[subject])
    with st.popover("Why not …", type="tertiary"):
        for action, offer in offers.items():
            if action in job.refusals:
                st.markdown(f"**{offer.label}**: {job.refusals[action]}")
    if job.flow_run_id is not None:
        url = f"{wiring.settings.prefect_ui_url.rstrip('/')}/runs/flow-run/{job.flow_run_id}"
        st.link_button("Run in Prefect", url, icon=":material/open_in_new:")
    for action, offer in offers.items():
        if asked() == (job.id, action):
            _show_question(job, action, offer, wiring, leave)


def _offers(job: JobView) -> Mapping[JobAction, _Offer]:
    """Return what may come into question for a job of this kind."""
    if job.kind is JobKind.MASS_TRANSFER:
        return _OFFERS
    return {action: offer for action, offer in _OFFERS.items() if action is not JobAction.SEARCH_AGAIN}


def _show_question(
    job: JobView, action: JobAction, offer: _Offer, wiring: Wiring, leave: Callable[[], None]
) -> None:
    def act() -> None:
        user = signed_in().user
        JOB_ACTIONS[action](wiring.database, wiring.launcher, user, job.id, address=address())
        if action is JobAction.DELETE:
            leave()

    show_question(offer.question, offer.consequence, offer.label, act)
