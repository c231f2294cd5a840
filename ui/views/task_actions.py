"""What can be done with the study that is opened, and why the rest cannot. Each action asks first."""

from dataclasses import dataclass

import streamlit as st

from adit_core.api.wiring import Wiring
from adit_core.db import Task, User
from adit_core.services.action_rules import TaskAction
from adit_core.services.task_actions import TASK_ACTIONS, refusals_of_task
from ui.components.question import ask, asked, show_question
from ui.components.sentences import verbatim
from ui.session import address, signed_in


@dataclass(frozen=True, slots=True)
class _Offer:
    """How an action is called, and what it means."""

    label: str
    question: str
    consequence: str


_OFFERS = {
    TaskAction.RESET: _Offer(
        "Reset study",
        "Begin this study anew?",
        "What happened so far stays in the history. What the destination has already is not sent again.",
    ),
    TaskAction.KILL: _Offer(
        "Kill study",
        "End this study by force?",
        "It ends as a failure within seconds. What arrived at the destination stays there.",
    ),
    TaskAction.DELETE: _Offer(
        "Delete study",
        "Take this study out of the job?",
        "It will not be transferred, and cannot be brought back.",
    ),
}


def offer_task_actions(wiring: Wiring, user: User, task: Task) -> None:
    """Show a button for each action on a task; those that the user may not do say why."""
    refusals = refusals_of_task(wiring.database, user, task.id)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Study {verbatim(task.study_instance_uid)}", width="content")
        for action, offer in _OFFERS.items():
            clicked = st.button(
                offer.label,
                key=f"task-{action.value}",
                disabled=action in refusals,
                help=refusals.get(action),
                on_click=ask,
                args=[(task.id, action)],
            )
            if clicked:
                st.rerun()  # a question belongs to the page, not to a part of it that renews itself


def show_task_question(wiring: Wiring) -> None:
    """Show the question about a task that the user is being asked, if there is one."""
    for action, offer in _OFFERS.items():
        match asked():
            case (int(task_id), asked_action) if asked_action is action:
                _show_question(wiring, task_id, action, offer)
            case _:
                pass


def _show_question(wiring: Wiring, task_id: int, action: TaskAction, offer: _Offer) -> None:
    def act() -> None:
        user = signed_in().user
        TASK_ACTIONS[action](wiring.database, wiring.launcher, user, task_id, address=address())

    show_question(offer.question, offer.consequence, offer.label, act)
