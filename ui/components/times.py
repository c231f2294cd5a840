"""Moments and durations in words. Moments are absolute and name their time zone."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st


def moment(at: datetime | None) -> str:
    """Return such as ``2026-11-24 09:15 CET``, in the time zone of the browser; nothing for None."""
    return "" if at is None else at.astimezone(_browser_zone()).strftime("%Y-%m-%d %H:%M %Z")


def duration(seconds: float) -> str:
    """Return such as ``45 s``, ``12 min`` or ``3 h 20 min``."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _browser_zone() -> tzinfo:
    """Return UTC where the browser says nothing, or something that this machine does not know."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
