"""Images that may show who the patient is: reviewers look, blank, let them leave or reject them."""

from collections.abc import Callable

import streamlit as st

from adit_core.api.wiring import Wiring, connected
from adit_core.db import ReviewStatus, User
from adit_core.services.held import HeldView, list_held
from adit_core.services.sessions import Principal
from ui.components.amounts import number
from ui.components.table import Badge, Column, Grid, Link, Row, Text, Tone, table
from ui.components.times import moment
from ui.components.url import number_in_url
from ui.views.review_image import show_decision, show_image

_PAGE_LENGTH = 25
_TONES = {
    ReviewStatus.HELD: Tone.WARNING,
    ReviewStatus.RELEASED: Tone.GOOD,
    ReviewStatus.REJECTED: Tone.BAD,
}
_COLUMNS = (
    Column("Image", width="5rem"),
    Column("Status", width="7rem"),
    Column("Job", numeric=True, width="5rem"),
    Column("Project", width="9rem"),
    Column("Pseudonym", width="9rem"),
    Column("Why it is held"),
    Column("Since", width="11.5rem"),
)


def show(principal: Principal) -> None:
    """Show what is held back, and one of it if the address names one."""
    st.title("Review", anchor=False)
    wiring, user = connected(), principal.user
    held_id = number_in_url("image")
    if held_id is None:
        _show_list(wiring, user)
        return
    if st.button("All held images", type="tertiary", icon=":material/arrow_back:", on_click=_close):
        st.rerun()
    found = list_held(wiring.database, user, statuses=tuple(ReviewStatus), after_id=held_id - 1, limit=1)
    if not found or found[0].id != held_id:
        st.error(f"There is no image {held_id} that you may review. Choose one from the list.")
        return
    show_image(wiring, user, found[0])
    show_decision(wiring, user, found[0], go_on=_open_next(wiring, user, found[0]))


def _show_list(wiring: Wiring, user: User) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        statuses = st.pills(
            "Status",
            tuple(ReviewStatus),
            selection_mode="multi",
            default=[ReviewStatus.HELD],
            format_func=lambda status: status.value.capitalize(),
            key="review",
            bind="query-params",
            on_change=_go_to_first,
        )
        job_id = st.number_input(
            "Job",
            min_value=1,
            max_value=2**31 - 1,
            value=None,
            placeholder="All jobs",
            key="job",
            bind="query-params",
            on_change=_go_to_first,
            width=160,
        )
    after_id = number_in_url("after") or 0
    found = list_held(
        wiring.database,
        user,
        statuses=tuple(statuses or ReviewStatus),
        job_id=job_id,
        after_id=after_id,
        limit=_PAGE_LENGTH + 1,
    )
    if not found:
        _explain_emptiness(only_held=list(statuses) == [ReviewStatus.HELD] and job_id is None)
        return
    shown = found[:_PAGE_LENGTH]
    picked = table(Grid("Images that are held back", _COLUMNS, tuple(map(_row, shown))), key="held")
    if picked is not None:
        st.query_params["image"] = picked
        st.rerun()
    _offer_pages(shown[-1].id, is_first=after_id == 0, is_last=len(found) <= _PAGE_LENGTH)


def _row(held: HeldView) -> Row:
    return Row(
        str(held.id),
        (
            Link(number(held.id), f"/review?image={held.id}"),
            Badge(held.status.value.capitalize(), _TONES[held.status]),
            Text(str(held.job_id)),
            Text(held.project),
            Text(held.pseudonym, code=True),
            Text(held.reason, (f"Instance {held.sop_instance_uid}",)),
            Text(moment(held.held_at)),
        ),
    )


def _explain_emptiness(*, only_held: bool) -> None:
    with st.container(border=True, horizontal_alignment="center"):
        if only_held:
            st.markdown("**No image waits for a reviewer.**", width="content")
            st.markdown(
                "Images of pseudonymized transfers appear here if their pixels may show a name.",
                width="content",
            )
        else:
            st.markdown("**No image here matches the filter.**", width="content")
            st.markdown("Choose other statuses, or leave the job empty.", width="content")


def _offer_pages(last_id: int, *, is_first: bool, is_last: bool) -> None:
    if is_first and is_last:
        return
    with st.container(horizontal=True, horizontal_alignment="right"):
        first = st.button("First", icon=":material/first_page:", disabled=is_first, on_click=_go_to_first)
        following = st.button(
            "Next", icon=":material/chevron_right:", disabled=is_last, on_click=_go_after, args=[last_id]
        )
    if first or following:
        st.rerun()


def _open_next(wiring: Wiring, user: User, held: HeldView) -> Callable[[], None]:
    """Return what opens the next image of the job that waits, or the list if there is none."""

    def go_on() -> None:
        following = list_held(wiring.database, user, job_id=held.job_id, limit=1)
        if following:
            st.query_params["image"] = str(following[0].id)
        else:
            _close()

    return go_on


def _close() -> None:
    st.query_params.pop("image", None)


def _go_to_first() -> None:
    st.query_params.pop("after", None)


def _go_after(held_id: int) -> None:
    st.query_params["after"] = str(held_id)
