"""What is wrong with a spreadsheet, as tables in which it can be put right."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

import pandas as pd
import streamlit as st

from adit_core.errors import InputProblem
from adit_core.services.sheet_corrections import Place, WrongCell, corrected, text_at, wrong_cells, wrong_rows
from adit_core.services.sheet_rows import HEADER_ROW
from adit_core.services.spreadsheet import Spreadsheet
from ui.components.amounts import number
from ui.components.sentences import verbatim
from ui.components.sheet import Draft

_MOST = 100
"""Problems that are shown at once, and rows."""
_ROWS_BELOW_HEADER = 3
"""Rows that are shown to tell what a column of a wrong header is."""
_MOST_SENTENCES = 8
"""Different problems that are said in full."""
_ROW, _COLUMN, _PROBLEM, _VALUE, _LEAVE_OUT = "Row", "Column", "What is wrong", "Value", "Leave out"


def edit_sheet(draft: Draft, problems: Sequence[InputProblem]) -> None:
    """Show what is wrong with the sheet; what the user corrects is checked when they are done.

    Problems that belong to no row are said as sentences.
    """
    _say(problems, draft)
    in_rows = [problem for problem in problems if problem.row is not None]
    if not in_rows:
        return
    cells = wrong_cells(draft.sheet, in_rows)
    with st.form(f"corrections-{draft.version}", border=True):
        texts = _edit_cells(draft, cells[:_MOST]) if cells else {}
        shown, edited = _edit_rows(draft, in_rows, is_open=len(cells) < len(in_rows))
        done = st.form_submit_button("Check again", type="primary", icon=":material/rule:", key="check-again")
    if done:
        by_row = _changed(shown, edited)
        left_out = [int(row) for row in edited.index[edited[_LEAVE_OUT].astype(bool)] if row > HEADER_ROW]
        titles = {cell.place[1]: cell.column for cell in cells if cell.place[1] >= len(draft.sheet.header)}
        if {**texts, **by_row} or left_out:
            draft.correct(corrected(draft.sheet, {**texts, **by_row}, left_out=left_out, new_columns=titles))
            st.rerun()
        st.info("Nothing was changed. Click a value twice to change it.", icon=":material/edit:")


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
        f"Correct it here and check again, or correct the file and drop it again.{more}\n\n"
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


def _edit_cells(draft: Draft, cells: Sequence[WrongCell]) -> dict[Place, str]:
    """Show each wrong cell with its problem; return the texts that were changed, by place."""
    frame = pd.DataFrame(
        {
            _ROW: [cell.place[0] for cell in cells],
            _COLUMN: [cell.column for cell in cells],
            _PROBLEM: [cell.message for cell in cells],
            _VALUE: [cell.value for cell in cells],
        }
    )
    edited = st.data_editor(
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
    return {
        cell.place: _text(value)
        for cell, value in zip(cells, edited[_VALUE], strict=True)
        if _text(value) != cell.value
    }


def _edit_rows(
    draft: Draft, problems: Sequence[InputProblem], *, is_open: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Show the wrong rows as a whole, below the header; return them as they were and as they are now."""
    sheet = draft.sheet
    wrong = dict(list(wrong_rows(problems).items())[:_MOST])
    header_is_wrong = any(problem.row == HEADER_ROW for problem in problems)
    below = list(sheet.rows.index[:_ROWS_BELOW_HEADER]) if header_is_wrong else [*wrong]
    shown = _grid(sheet, [HEADER_ROW, *below], wrong)
    letters = [str(index) for index in range(len(sheet.header))]
    columns = {
        str(index): st.column_config.TextColumn(_letters(index), help=title or None)
        for index, title in enumerate(sheet.header)
    }
    label = "Row 1 with the names of the columns" if header_is_wrong else "Whole rows"
    with st.expander(label, expanded=is_open, icon=":material/table_rows:"):
        edited = st.data_editor(
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
    return shown, edited


def _grid(sheet: Spreadsheet, rows: Sequence[int], wrong: Mapping[int, Sequence[str]]) -> pd.DataFrame:
    cells: dict[str, list[Any]] = {
        _LEAVE_OUT: [False] * len(rows),
        _PROBLEM: ["Header" if row == HEADER_ROW else " ".join(wrong.get(row, ())) for row in rows],
    }
    for index in range(len(sheet.header)):
        cells[str(index)] = [text_at(sheet, (row, index)) for row in rows]
    return pd.DataFrame(cells, index=pd.Index(rows, name=_ROW))


def _changed(shown: pd.DataFrame, edited: pd.DataFrame) -> dict[Place, str]:
    return {
        (int(row), int(column)): _text(edited.at[row, column])
        for column in shown.columns
        if column not in (_LEAVE_OUT, _PROBLEM)
        for row in shown.index
        if _text(edited.at[row, column]) != shown.at[row, column]
    }


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
