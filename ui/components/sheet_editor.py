"""What is wrong with a spreadsheet, as tables in which it can be put right."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import streamlit as st

from adit_core.errors import InputProblem
from adit_core.services.sheet_corrections import WrongCell, corrected, text_at, wrong_cells, wrong_rows
from adit_core.services.sheet_rows import HEADER_ROW
from adit_core.services.spreadsheet import Spreadsheet
from ui.components.amounts import number
from ui.components.sentences import verbatim
from ui.components.sheet import Draft, Edits

if TYPE_CHECKING:
    import pandas as pd

_MOST = 100
"""Problems that are shown at once, and rows."""
_ROWS_BELOW_HEADER = 3
"""Rows that are shown to tell what a column of a wrong header is."""
_MOST_SENTENCES = 8
"""Different problems that are said in full."""
_ROW, _COLUMN, _PROBLEM, _VALUE, _LEAVE_OUT = "Row", "Column", "What is wrong", "Value", "Leave out"


def edit_sheet(draft: Draft, problems: Sequence[InputProblem]) -> None:
    """Show what is wrong with the sheet, and read it again whenever something was corrected.

    The tables stay as they are until nothing is wrong any more, or the user wants to see what is left.
    Without problems, nothing is shown. Problems that belong to no row are said as sentences.
    """
    if not problems:
        if draft.edits:
            draft.begin_anew()
        return
    is_behind = set(draft.shown).isdisjoint(problems) if draft.edits else draft.shown != tuple(problems)
    if is_behind:
        draft.begin_anew(tuple(problems))
    _say(problems, draft)
    in_rows = [problem for problem in draft.shown if problem.row is not None]
    if in_rows:
        _edit(draft, in_rows)
    if draft.edits and st.button("Show what is left to correct", key="what-is-left", icon=":material/rule:"):
        draft.begin_anew(tuple(problems))
        st.rerun()


def take_edits(draft: Draft) -> None:
    """Make the sheet what the user has made of it in the tables so far; to be called before it is read."""
    problems = [problem for problem in draft.shown if problem.row is not None]
    cells = wrong_cells(draft.base, problems)
    texts = {
        cells[position].place: _text(changed[_VALUE])
        for position, changed in _changes(f"cells-{draft.version}")
        if _VALUE in changed
    }
    rows = _rows(draft.base, problems)
    left_out: list[int] = []
    for position, changed in _changes(f"rows-{draft.version}"):
        row = rows[position]
        texts.update({(row, int(name)): _text(value) for name, value in changed.items() if name.isdecimal()})
        if changed.get(_LEAVE_OUT) and row > HEADER_ROW:
            left_out.append(row)
    texts = {place: text for place, text in texts.items() if text != text_at(draft.base, place)}
    edits = Edits(texts, tuple(left_out))
    if edits != draft.edits:
        width = len(draft.base.header)
        titles = {cell.place[1]: cell.column for cell in cells if cell.place[1] >= width}
        draft.correct(edits, corrected(draft.base, texts, left_out=left_out, new_columns=titles))


def _changes(key: str) -> list[tuple[int, dict[str, Any]]]:
    """Return by position what was changed in rows of a table, as Streamlit keeps it."""
    state = st.session_state.get(key) or {}
    return list(state["edited_rows"].items()) if "edited_rows" in state else []


def _edit(draft: Draft, problems: Sequence[InputProblem]) -> None:
    cells = wrong_cells(draft.base, problems)
    if cells:
        _edit_cells(draft, cells[:_MOST])
    _edit_rows(draft, problems, is_open=len(cells) < len(problems))


def _say(problems: Sequence[InputProblem], draft: Draft) -> None:
    rows = len({problem.row for problem in problems if problem.row is not None and problem.row > HEADER_ROW})
    for problem in problems:
        if problem.row is None or problem.row == HEADER_ROW:
            words = str(problem)
            st.error(verbatim(words[:1].upper() + words[1:]), icon=":material/error:")
    if not rows:
        return
    where = "1 row" if rows == 1 else f"{number(rows)} rows"
    more = f" The first {_MOST} problems are shown; the others follow." if len(problems) > _MOST else ""
    st.error(
        f"There is something to correct in {where} of {verbatim(draft.name)}. "
        f"Correct it here, or correct the file and drop it again.{more}\n\n"
        + "\n".join(f"- {line}" for line in _sentences(problems)),
        icon=":material/error:",
    )


def _sentences(problems: Sequence[InputProblem]) -> list[str]:
    """Return each of the problems of rows once, with where it is; tables cut long ones off."""
    places: dict[tuple[str, str], list[int]] = {}
    for problem in problems:
        if problem.row is not None and problem.row > HEADER_ROW:
            places.setdefault((problem.field or "", problem.message), []).append(problem.row)
    lines = []
    for (column, message), rows in list(places.items())[:_MOST_SENTENCES]:
        where = f"Row {rows[0]}" if len(rows) == 1 else f"Row {rows[0]} and {number(len(rows) - 1)} more"
        lines.append(f"{where}{', ' if column else ''}{verbatim(column)}: {verbatim(message)}")
    return lines


def _edit_cells(draft: Draft, cells: Sequence[WrongCell]) -> None:
    """Show each wrong cell with its problem."""
    import pandas as pd  # noqa: PLC0415 - takes 70 MB, which a server without spreadsheets saves

    frame = pd.DataFrame(
        {
            _ROW: [cell.place[0] for cell in cells],
            _COLUMN: [cell.column for cell in cells],
            _PROBLEM: [cell.message for cell in cells],
            _VALUE: [cell.value for cell in cells],
        }
    )
    st.data_editor(
        frame,
        key=f"cells-{draft.version}",
        hide_index=True,
        disabled=[_ROW, _COLUMN, _PROBLEM],
        column_order=[_ROW, _COLUMN, _VALUE, _PROBLEM],
        column_config={
            _ROW: st.column_config.NumberColumn(width=60, format="%d"),
            _COLUMN: st.column_config.TextColumn(width=140),
            _VALUE: st.column_config.TextColumn(width=220, help="Click twice to change it."),
            _PROBLEM: st.column_config.TextColumn(width="large"),
        },
        alt="Wrong cells with their row, column, value and problem",
    )


def _edit_rows(draft: Draft, problems: Sequence[InputProblem], *, is_open: bool) -> None:
    """Show the wrong rows as a whole, below the header."""
    sheet = draft.base
    header_is_wrong = any(problem.row == HEADER_ROW for problem in problems)
    shown = _grid(sheet, _rows(sheet, problems), wrong_rows(problems))
    letters = [str(index) for index in range(len(sheet.header))]
    columns = {
        str(index): st.column_config.TextColumn(_letters(index), help=title or None)
        for index, title in enumerate(sheet.header)
    }
    label = "Row 1 with the names of the columns" if header_is_wrong else "Whole rows"
    with st.expander(label, expanded=is_open, icon=":material/table_rows:"):
        st.data_editor(
            shown,
            key=f"rows-{draft.version}",
            disabled=[_PROBLEM, "_index"],
            column_order=letters if header_is_wrong else [_LEAVE_OUT, _PROBLEM, *letters],
            column_config={
                "_index": st.column_config.NumberColumn(_ROW, format="%d"),
                _LEAVE_OUT: st.column_config.CheckboxColumn(width=80, help="The row is not read any more."),
                _PROBLEM: st.column_config.TextColumn(width="medium"),
                **columns,
            },
            alt="The header and the wrong rows of the spreadsheet",
        )


def _rows(sheet: Spreadsheet, problems: Sequence[InputProblem]) -> list[int]:
    """Return which rows are shown as a whole."""
    if any(problem.row == HEADER_ROW for problem in problems):
        return [HEADER_ROW, *list(sheet.rows)[:_ROWS_BELOW_HEADER]]
    return [HEADER_ROW, *list(wrong_rows(problems))[:_MOST]]


def _grid(sheet: Spreadsheet, rows: Sequence[int], wrong: Mapping[int, Sequence[str]]) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - as above

    cells: dict[str, list[Any]] = {
        _LEAVE_OUT: [False] * len(rows),
        _PROBLEM: ["Header" if row == HEADER_ROW else " ".join(wrong.get(row, ())) for row in rows],
    }
    for index in range(len(sheet.header)):
        cells[str(index)] = [text_at(sheet, (row, index)) for row in rows]
    return pd.DataFrame(cells, index=pd.Index(rows, name=_ROW))


def _text(value: object) -> str:
    """Return what a cell says; one that was emptied says nothing."""
    return value if isinstance(value, str) else ""


def _letters(index: int) -> str:
    """Return what spreadsheet programs call a column: A, B, … Z, AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, len(ascii_uppercase))
        letters = ascii_uppercase[rest] + letters
    return letters
