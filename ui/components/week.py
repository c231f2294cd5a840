"""A week as a picture: when something is open, hour by hour."""

from datetime import time
from html import escape

import streamlit as st

from adit_core.db import Weekday, WeeklyWindow

_DAYS = tuple(Weekday)
_STYLE = """<style>
.week { display: grid; grid-template-columns: 2.6rem 1fr; gap: 3px 6px; font-size: .8rem; max-width: 46rem; }
.week .day { position: relative; height: 1.15rem; background: rgb(128 128 128 / 18%); border-radius: 3px; }
.week .open { position: absolute; top: 0; bottom: 0; background: #1f9d61; border-radius: 3px; }
.week .hours { display: flex; justify-content: space-between; opacity: .75; }
</style>"""


def show_week(windows: tuple[WeeklyWindow, ...], *, words: str) -> None:
    """Draw `windows` in the hours of seven days; `words` say the same to those who cannot see it."""
    rows = "".join(f"<span>{day}</span><div class='day'>{_bars(day, windows)}</div>" for day in _DAYS)
    hours = "".join(f"<span>{hour}</span>" for hour in range(0, 25, 6))
    st.html(
        f"{_STYLE}<div class='week' role='img' aria-label='{escape(words, quote=True)}'>{rows}"
        f"<span></span><div class='hours'>{hours}</div></div>"
    )


def _bars(day: Weekday, windows: tuple[WeeklyWindow, ...]) -> str:
    if not windows:
        return _bar(0, 24)
    before = _DAYS[_DAYS.index(day) - 1]
    bars = []
    for window in windows:
        start, until = _hour(window.start), _hour(window.until)
        ends_next_day = window.until <= window.start
        if window.weekday is day:
            bars.append(_bar(start, 24 if ends_next_day else until))
        if window.weekday is before and ends_next_day and until:
            bars.append(_bar(0, until))
    return "".join(bars)


def _bar(start: float, end: float) -> str:
    return f"<div class='open' style='left:{start / 0.24:.2f}%;width:{(end - start) / 0.24:.2f}%'></div>"


def _hour(at: time) -> float:
    return at.hour + at.minute / 60
