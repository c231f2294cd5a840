"""A table with badges, links and bars, in real HTML: it can be read aloud, searched and copied from.

Rows that did not change are left alone when the table is shown again, so that a page which renews
itself neither flickers nor loses what the user has selected or focused.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

_HERE = Path(__file__).parent
_render = component(
    "adit_table",
    html="<div class='scroll'></div>",
    css=(_HERE / "table.css").read_text(encoding="utf-8"),
    js=(_HERE / "table.js").read_text(encoding="utf-8"),
)


class Tone(StrEnum):
    """What a colour says."""

    NEUTRAL = "neutral"
    ACTIVE = "active"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `width` is a CSS width, without which the column takes what is left."""

    title: str
    numeric: bool = False
    width: str = ""
    sortable: bool = False
    """Whether a click on its title sorts by it; only rows that are all there should be sorted."""


@dataclass(frozen=True, slots=True)
class Text:
    """Words, with quieter lines below. `code` is for what is compared letter by letter."""

    value: str
    notes: tuple[str, ...] = ()
    code: bool = False
    kind: str = field(default="text", init=False)


@dataclass(frozen=True, slots=True)
class Link:
    """Words that lead to `href`. A plain click on one within the page is handed to it: the key of the row."""

    value: str
    href: str
    notes: tuple[str, ...] = ()
    code: bool = False
    kind: str = field(default="link", init=False)


@dataclass(frozen=True, slots=True)
class Badge:
    """A word on a coloured ground."""

    value: str
    tone: Tone
    kind: str = field(default="badge", init=False)


@dataclass(frozen=True, slots=True)
class Bar:
    """Words above a bar that is filled to a share of 0 to 1."""

    value: str
    share: float
    tone: Tone
    kind: str = field(default="bar", init=False)


Cell = Text | Link | Badge | Bar


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows below columns; `caption` says what they are to those who cannot see them."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple["Row", ...]
    most_height: str = ""
    """How high the table may become before it is scrolled, such as ``30rem``; empty for any height."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row; `key` is what a click on a link within the page answers. `details` are shown below it."""

    key: str
    cells: tuple[Cell, ...]
    details: Grid | None = None
    selectable: str = ""
    """What the box for selecting the row is called for those who cannot see it; empty for no box."""


def table(grid: Grid, *, key: str) -> str | None:
    """Show a table, told from others by `key`.

    Return the key of the row of which a link within the page was just clicked.
    """
    answer: Any = _render(key=key, data=asdict(grid), on_picked_change=_rerun_only)
    return answer.picked


@dataclass(frozen=True, slots=True)
class Choice:
    """What was done in a table with boxes."""

    picked: str | None
    """The key of the row of which a link within the page was just clicked."""
    selected: tuple[str, ...]
    """The keys of the rows that are selected. That of a row in details is below that of its row."""


def selection_table(
    grid: Grid, *, key: str, on_change: Callable[[], None], selected: Sequence[str] = ()
) -> Choice:
    """Show a table whose rows have boxes for selecting them, and return what is selected.

    A row that is selected stands for all rows in its details. `on_change` is called when a choice changed.
    `selected` are the keys that are selected where the table is shown for the first time.
    """
    before: Any = st.session_state.get(key)
    known = list(before.selected or ()) if before is not None else list(selected)
    answer: Any = _render(
        key=key,
        data={**asdict(grid), "selected": known},
        default={"selected": known},
        on_picked_change=_rerun_only,
        on_selected_change=on_change,
    )
    return Choice(answer.picked, tuple(map(str, answer.selected or ())))


def _rerun_only() -> None:
    """Exist, because Streamlit hands out what was clicked only where there is a callback."""
