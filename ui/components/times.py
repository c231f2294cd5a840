"""Moments and durations in words. Moments are absolute and name their time zone."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

_PREFERRED = "time zone"
"""In the state of the browser's session: the zone that the user has chosen."""


def prefer_zone(name: str) -> None:
    """Show moments in the zone of that name from now on; in that of the browser, if it is empty."""
    st.session_state[_PREFERRED] = name


def moment(at: datetime | None) -> str:
    """Return such as ``2026-11-24 09:15 CET``, in the time zone of the user; nothing for None."""
    return "" if at is None else at.astimezone(zone()).strftime("%Y-%m-%d %H:%M %Z")


def duration(seconds: float) -> str:
    """Return such as ``45 s``, ``12 min`` or ``3 h 20 min``."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def zone() -> tzinfo:
    """Return the zone that the user has chosen, or else that of the browser.

    It is UTC where neither is known on this machine.
    """
    for name in (st.session_state.get(_PREFERRED), st.context.timezone):
        try:
            if name:
                return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            continue
    return UTC
