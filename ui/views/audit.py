"""The audit trail: who did what, from where, with which outcome."""

from datetime import date, datetime, time, timedelta

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import AuditEvent
from adit_core.db.audit import AuditAction
from adit_core.services.audit_trail import list_events
from adit_core.services.rights import require_staff
from adit_core.services.sessions import Principal
from ui.components.table import Badge, Column, Grid, Row, Text, Tone, table
from ui.components.times import moment, zone
from ui.components.url import number_in_url

_PAGE_LENGTH = 50
_ACTIONS = {action: action.value[0].upper() + action.value[1:] for action in AuditAction}
_KINDS = ("", "user", "group", "node", "profile", "project", "job", "task", "token", "study", "announcement")
_COLUMNS = (
    Column("Time", width="11.5rem"),
    Column("User", width="9rem"),
    Column("Event", width="12rem"),
    Column("About"),
    Column("From", width="9rem"),
)


def show(principal: Principal) -> None:
    """Show what was done, the latest first; only staff may see it."""
    require_staff(principal.user)
    st.title("Audit", anchor=False)
    first, second, third = st.columns([2, 4, 2])
    actor = first.text_input(
        "User", key="actor", bind="query-params", on_change=_go_to_latest, help="The whole user name."
    )
    actions = second.multiselect(
        "Event",
        list(_ACTIONS),
        format_func=lambda action: _ACTIONS[action],
        placeholder="Any event",
        on_change=_go_to_latest,
    )
    kind = third.selectbox(
        "About", _KINDS, format_func=lambda word: word.capitalize() or "Anything", on_change=_go_to_latest
    )
    object_id = first.text_input(
        "Number or name", on_change=_go_to_latest, help="Of the job, node, user … as a whole."
    )
    with second.container(horizontal=True):
        clocks = f"By the clocks of {zone()}."
        first_day = st.date_input("From", None, format="YYYY-MM-DD", on_change=_go_to_latest, help=clocks)
        last_day = st.date_input("Until", None, format="YYYY-MM-DD", on_change=_go_to_latest, help=clocks)
    events = list_events(
        connected().database,
        principal.user,
        actor=actor.strip().lower() if actor else "",
        actions=actions,
        object_kind=kind,
        object_id=object_id.strip(),
        since=_midnight(first_day),
        until=_midnight(last_day and last_day + timedelta(days=1)),
        limit=_PAGE_LENGTH + 1,
        before_id=number_in_url("before"),
    )
    if not events:
        st.markdown("**Nothing like that was done.** Search for less.")
        return
    table(Grid("Events, the latest first", _COLUMNS, tuple(map(_row, events[:_PAGE_LENGTH]))), key="audit")
    _offer_pages(events)


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), zone())


def _row(event: AuditEvent) -> Row:
    about = f"{event.object_kind} {event.object_id}".strip()
    details = tuple(
        f"{name.replace('_', ' ')}: {_in_words(value)}"
        for name, value in event.details.items()
        if value not in (None, "")
    )
    word = _ACTIONS[event.action]
    return Row(
        str(event.id),
        (
            Text(moment(event.at)),
            Text(event.actor),
            Text(word) if event.succeeded else Badge(word, Tone.BAD),
            Text(about, details),
            Text(event.address),
        ),
    )


def _in_words(value: object) -> object:
    return ("no", "yes")[value] if isinstance(value, bool) else value


def _offer_pages(events: list[AuditEvent]) -> None:
    is_first, is_last = "before" not in st.query_params, len(events) <= _PAGE_LENGTH
    if is_first and is_last:
        return
    last_id = events[:_PAGE_LENGTH][-1].id
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button("Latest", on_click=_go_to_latest, icon=":material/first_page:", disabled=is_first)
        st.button(
            "Older", on_click=_go_before, args=[last_id], icon=":material/chevron_right:", disabled=is_last
        )


def _go_before(event_id: int) -> None:
    st.query_params["before"] = str(event_id)


def _go_to_latest() -> None:
    st.query_params.pop("before", None)
