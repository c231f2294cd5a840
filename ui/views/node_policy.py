"""The policy of a node: when, how fast and how far it may be used."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import available_timezones

import streamlit as st

from adit_core.db import DicomNode, NodeKind, NodePolicy, OutsideWindow, User, Weekday, WeeklyWindow
from adit_core.db.engine import Database
from adit_core.services.node_policies import change_policy, get_policy
from adit_core.services.opening_hours import OpeningHours
from ui.components.forms import problems_by_label, say_done
from ui.components.sentences import verbatim
from ui.components.week import show_week

_LABELS = {
    "window": "Weekly windows",
    "instances_per_second": "Instances per second",
    "time_zone": "Time zone",
    "find_limit": "Results of a query",
    "min_free_bytes": "GB that stay free",
    "quota_bytes": "Quota in GB",
}
_GB = 1e9
_OUTSIDE = {
    OutsideWindow.FINISH: "The study under way is finished",
    OutsideWindow.STOP: "It stops after the series under way; the rest waits",
}
_DAYS = [day.value for day in Weekday]


def offer_policy(db: Database, actor: User, node: DicomNode) -> None:
    """Show the policy of a node, and the form that changes it."""
    policy = get_policy(db, node.name)
    words = OpeningHours(policy.windows, policy.time_zone).in_words()
    st.markdown(f"Open: **{verbatim(words)}**. Studies wait outside of these hours; they do not fail.")
    show_week(policy.windows, words=f"Open: {words}")
    with st.form("policy", border=False):
        st.markdown("**Weekly windows**: one a row. Without any, the node is always open.")
        rows = st.data_editor(
            list(map(_row, policy.windows)) or [_empty_row()],
            key=f"windows-{node.id}",
            num_rows="dynamic",
            hide_index=True,
            column_config={
                "Day": st.column_config.SelectboxColumn(options=_DAYS),
                "Last day": st.column_config.SelectboxColumn(
                    options=_DAYS, help="For the same hours on several days; leave it empty for one day."
                ),
                "From": st.column_config.TextColumn(help="Such as 20:00.", max_chars=5),
                "Until": st.column_config.TextColumn(
                    help="Such as 06:00, which is on the next day if it is not later than From.", max_chars=5
                ),
            },
        )
        left, right = st.columns(2)
        zones = sorted(available_timezones() | {policy.time_zone})
        time_zone = left.selectbox("Time zone", zones, zones.index(policy.time_zone))
        outside = right.selectbox(
            "When a window ends",
            list(_OUTSIDE),
            list(_OUTSIDE).index(policy.outside),
            format_func=lambda each: _OUTSIDE[each],
        )
        rate = left.number_input(
            "Instances per second",
            0.0,
            1e6,
            policy.instances_per_second or 0.0,
            help="From or to it, over all workers. 0 is for any number.",
        )
        limit = right.number_input(
            "Results of a query",
            0,
            2**31 - 1,
            policy.find_limit or 0,
            step=1,
            help="How many results the archive gives to one query at most. 0 if that is not known.",
        )
        space = _space_fields(policy) if node.kind is NodeKind.FOLDER else {}
        saved = st.form_submit_button("Save policy", type="primary")
    if saved:
        with problems_by_label(_LABELS):
            change_policy(
                db,
                node.name,
                windows=_windows(rows),
                time_zone=time_zone,
                outside=outside,
                instances_per_second=rate,
                find_limit=limit,
                **space,
                actor=actor,
            )
            say_done(f"Changed the policy of {node.name}.")


def _space_fields(policy: NodePolicy) -> dict[str, int]:
    """Show what is asked of the disk of a folder, and return it in bytes."""
    left, right = st.columns(2)
    min_free = left.number_input(
        "GB that stay free",
        0.0,
        1e9,
        (policy.min_free_bytes or 0) / _GB,
        help="Below, nothing new is delivered, and jobs wait. 0 is for what is usual: 2 GiB, or 5 % of a "
        "small disk.",
    )
    quota = right.number_input(
        "Quota in GB",
        0.0,
        1e9,
        (policy.quota_bytes or 0) / _GB,
        help="How much the folder may hold. 0 is for any amount.",
    )
    return {"min_free_bytes": round(min_free * _GB), "quota_bytes": round(quota * _GB)}


def _row(window: WeeklyWindow) -> dict[str, str | None]:
    return {
        "Day": window.weekday.value,
        "Last day": None,
        "From": f"{window.start:%H:%M}",
        "Until": f"{window.until:%H:%M}",
    }


def _empty_row() -> dict[str, str | None]:
    return {"Day": None, "Last day": None, "From": None, "Until": None}


def _windows(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the rows as `parse_windows` reads them; those that are empty are left out."""
    windows = []
    for row in rows:
        day, last, start, until = (_text(row.get(name)) for name in ("Day", "Last day", "From", "Until"))
        if day or last or start or until:
            days = f"{day}-{last}" if last else day
            windows.append(f"{days} {start}-{until}")
    return windows


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
