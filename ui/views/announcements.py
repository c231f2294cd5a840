"""What everybody is told, and maintenance mode."""

from datetime import datetime, time

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import Announcement, Importance, User
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.services.announcements import (
    MAX_LENGTH,
    add_announcement,
    list_announcements,
    remove_announcement,
)
from adit_core.services.maintenance import begin_maintenance, end_maintenance, maintenance_now
from adit_core.services.rights import require_staff
from adit_core.services.sessions import Principal
from ui.components.forms import empty_state, problems_by_label, say_done
from ui.components.sentences import verbatim
from ui.components.times import moment, zone
from ui.session import address

_LABELS = {"message": "Sentence", "ends_at": "Until"}


def show(principal: Principal) -> None:
    """Show maintenance mode and all announcements; only staff may see and change them."""
    require_staff(principal.user)
    db = connected().database
    st.title("Announcements", anchor=False)
    _offer_maintenance(db, principal.user)
    _offer_new(db, principal.user)
    announcements = list_announcements(db, principal.user)
    if not announcements:
        empty_state("Nothing is announced.", "What you announce is shown at the top of every page.")
    for row in announcements:
        _show_one(db, principal.user, row)


def _offer_maintenance(db: Database, actor: User) -> None:
    with st.container(border=True):
        st.header("Maintenance mode", anchor=False)
        st.caption("While it is on, nobody but staff begins anything. Jobs that run go on.")
        now = maintenance_now(db)
        if now is not None:
            origin = f"since {moment(now.started_at)}, by {verbatim(now.started_by)}"
            st.markdown(f"**On** {origin}: {verbatim(now.message)}")
            if st.button("Switch maintenance mode off", type="primary"):
                end_maintenance(db, actor, address=address())
                say_done("Maintenance mode is off: everybody can submit jobs again.")
            return
        with st.form("maintenance", border=False):
            message = st.text_input(
                "What those are told who want to submit a job",
                placeholder="The archive is moved; we are back at 20:00.",
                max_chars=MAX_LENGTH,
            )
            sent = st.form_submit_button("Switch maintenance mode on")
        if sent:
            with problems_by_label(_LABELS):
                begin_maintenance(db, actor, message, address=address())
                say_done("Maintenance mode is on: only staff can submit jobs.")


def _offer_new(db: Database, actor: User) -> None:
    with st.form("announcement", clear_on_submit=False):
        st.header("Announce something", anchor=False)
        message = st.text_area("Sentence", max_chars=MAX_LENGTH, help="It is shown at the top of every page.")
        importance = st.segmented_control(
            "Importance",
            list(Importance),
            format_func=lambda each: each.value.capitalize(),
            default=Importance.NEWS,
            required=True,
        )
        left, right = st.columns(2)
        last_day = left.date_input(
            "Until (day)", None, format="YYYY-MM-DD", help="Leave it empty to show it until it is removed."
        )
        last_time = right.time_input("Until (time)", time(18), help=f"By the clocks of {zone()}.")
        sent = st.form_submit_button("Announce", type="primary")
    if sent:
        ends_at = None if last_day is None else datetime.combine(last_day, last_time or time(), zone())
        with problems_by_label(_LABELS):
            add_announcement(
                db,
                actor,
                message,
                importance=importance or Importance.NEWS,
                ends_at=ends_at,
                address=address(),
            )
            say_done("It is shown at the top of every page.")


def _show_one(db: Database, actor: User, row: Announcement) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        until = f"until {moment(row.ends_at)}" if row.ends_at else "until it is removed"
        facts = f"{_state(row)} · from {moment(row.starts_at)} {until} · by {verbatim(row.created_by)}"
        st.markdown(f"{verbatim(row.message)}  \n:small[{facts}]", width="stretch")
        if st.button("Remove", key=f"remove-{row.id}", icon=":material/delete:"):
            remove_announcement(db, actor, row.id, address=address())
            say_done("It is not shown any more.")


def _state(row: Announcement) -> str:
    now = utc_now()
    if row.starts_at > now:
        return "Not shown yet"
    return "Over" if row.ends_at is not None and row.ends_at <= now else "Shown now"
