"""Approving chosen parts of a job that waits for it: they are ticked in the list, or their numbers typed.

What is typed is what is chosen. A tick changes what is typed, so that a choice outlives the page of the list
on which it was made, and of thousands of rows all can be chosen at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from adit_core.api.wiring import Wiring
from adit_core.db import JobKind, User
from adit_core.errors import InvalidInput
from adit_core.services.action_rules import JobAction
from adit_core.services.approval_choice import ApprovalChoice, approval_choice
from adit_core.services.job_actions import verify_job
from adit_core.services.jobs import JobView
from ui.components.amounts import many, number
from ui.components.question import ask, asked, show_question
from ui.components.sentences import verbatim
from ui.components.table import Grid, selection_table
from ui.session import address, count_as_activity, note_activity, signed_in

_PARTS = {
    JobKind.BATCH_QUERY: ("group of rows", "groups of rows"),
    JobKind.MASS_TRANSFER: ("search", "searches"),
}
_STUDIES = ("study", "studies")
_MOST_CHARACTERS = 200
_OTHERS = (
    "What is not chosen ends as canceled, “Not approved.” Neither resuming nor restarting the job brings it "
    "back; a member of staff can have each done after all by resetting it. "
    "As some of it is not done, the job will end as canceled."
)


@dataclass(frozen=True, slots=True)
class Approval:
    """What of a job is chosen to be approved, and how it is chosen in a table."""

    job_id: int
    choice: ApprovalChoice
    chosen: frozenset[int]
    """Tasks."""

    def table(self, grid: Grid, task_ids: Sequence[int]) -> str | None:
        """Show a table of these tasks with boxes; return the key of the row of which a link was clicked."""
        # A table knows by itself what is ticked, so what was typed takes another table.
        typed = st.session_state.get(_times_typed(self.job_id), 0)
        key = f"tasks-{task_ids[0]}-{typed}"
        ticked = [str(task_id) for task_id in task_ids if task_id in self.chosen]
        return selection_table(
            grid, key=key, selected=ticked, on_change=lambda: self._take_ticks(key, task_ids)
        ).picked

    def _take_ticks(self, key: str, task_ids: Sequence[int]) -> None:
        note_activity()
        ticked = frozenset(st.session_state[key].selected or ())
        elsewhere = self.chosen.difference(task_ids)
        here = {task_id for task_id in task_ids if str(task_id) in ticked}
        st.session_state[_numbers(self.job_id)] = self.choice.in_words(elsewhere | here)


def offer_approval(wiring: Wiring, user: User, job: JobView) -> Approval | None:
    """Show what of a job is chosen, and the button that approves it; None if there is nothing to choose."""
    if JobAction.VERIFY not in job.actions:
        return None
    choice = approval_choice(wiring.database, user, job.id)
    if len(choice.numbers) < 2:
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Rows to approve" if choice.are_rows else "Numbers to approve",
            key=_numbers(job.id),
            placeholder="Such as 2-10, 15",
            help="Numbers and ranges, as the list shows them.",
            on_change=_note_typing,
            args=[job.id],
        )
        chosen, problem = _read(choice, text)
        clicked = st.button(
            f"Approve the {number(len(chosen))} chosen" if chosen else "Approve the chosen",
            key="approve-chosen",
            icon=":material/verified:",
            disabled=not chosen,
            help=None if chosen else "Choose something of the job first.",
            on_click=ask,
            args=[(job.id, JobAction.VERIFY, chosen)],
        )
    if problem:
        st.error(verbatim(problem), icon=":material/error:")
    if job.kind is JobKind.BATCH_QUERY:
        groups = "; ".join(choice.in_words([task_id]) for task_id in choice.numbers)
        st.caption(f"Rows that are asked about together are approved together: {_short(groups, ';')}.")
    if clicked:
        st.rerun()  # a question belongs to the page, not to a part of it that renews itself
    return Approval(job.id, choice, chosen)


def show_approval_question(wiring: Wiring, user: User, job: JobView) -> None:
    """Show the question about the chosen parts of a job that the user is being asked, if there is one."""
    match asked():
        case (job.id, JobAction.VERIFY, frozenset() as chosen):
            _show_question(wiring, user, job, chosen)
        case _:
            pass


def _show_question(wiring: Wiring, user: User, job: JobView, chosen: frozenset[int]) -> None:
    def act() -> None:
        verify_job(
            wiring.database,
            wiring.launcher,
            signed_in().user,
            job.id,
            task_ids=chosen,
            address=address(),
        )

    choice = approval_choice(wiring.database, user, job.id)
    show_question(
        "Approve only what is chosen?",
        _consequence(job, choice, chosen),
        f"Approve {_amount(job, len(chosen))}",
        act,
    )


def _consequence(job: JobView, choice: ApprovalChoice, chosen: frozenset[int]) -> str:
    others = choice.numbers.keys() - chosen
    if not others:
        return "That is all of the job: it will run as its owner submitted it."
    kind = "Rows" if choice.are_rows else "Numbers"
    return "\n\n".join(
        [
            f"**{_amount(job, len(chosen))} will be done.** {kind}: {_short(choice.in_words(chosen))}",
            f"**{_amount(job, len(others))} will not.** {kind}: {_short(choice.in_words(others))}",
            _OTHERS,
        ]
    )


def _amount(job: JobView, count: int) -> str:
    return many(count, *_PARTS.get(job.kind, _STUDIES))


def _short(numbers: str, separator: str = ",") -> str:
    """Return numbers without what would make a sentence too long to be read."""
    if len(numbers) <= _MOST_CHARACTERS:
        return numbers
    return f"{numbers[:_MOST_CHARACTERS].rpartition(separator)[0]}{separator} …"


def _read(choice: ApprovalChoice, text: str) -> tuple[frozenset[int], str]:
    """Return the tasks that are chosen, and what is wrong with how they are named."""
    try:
        return choice.task_ids(text), ""
    except InvalidInput as error:
        return frozenset(), str(error)


def _note_typing(job_id: int) -> None:
    count_as_activity()
    times = _times_typed(job_id)
    st.session_state[times] = st.session_state.get(times, 0) + 1


def _numbers(job_id: int) -> str:
    return f"approve-{job_id}"


def _times_typed(job_id: int) -> str:
    return f"approve-{job_id}-typed"
