"""Correcting a spreadsheet that was read, without the program that it was made with.

What is put into a cell is text, so nothing is made a number or a date of it. Rows keep their numbers, so
that messages name those of the file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adit_core.errors import InputProblem
from adit_core.services.cells import folded
from adit_core.services.sheet_rows import HEADER_ROW, places_of
from adit_core.services.spreadsheet import MAX_COLUMNS, Spreadsheet, padded

Place = tuple[int, int]
"""A row as the spreadsheet counts (the header is row 1), and the index of a column."""


@dataclass(frozen=True, slots=True)
class WrongCell:
    """A cell below the header with which there is a problem."""

    place: Place
    column: str
    message: str
    value: str


def wrong_cells(sheet: Spreadsheet, problems: Iterable[InputProblem]) -> list[WrongCell]:
    """Return the cells that problems name; other problems are those of the header, of rows or of the file.

    A cell may lie in a column that the sheet does not have yet.
    """
    places = {title: indices[0] for title, indices in places_of(sheet).items()}
    cells: list[WrongCell] = []
    missing: dict[str, int] = {}
    for problem in problems:
        if problem.row is None or problem.row <= HEADER_ROW or not problem.field:
            continue
        title = folded(problem.field)
        index = places.get(title)
        if index is None:
            index = missing.setdefault(title, len(sheet.header) + len(missing))
        place = (problem.row, index)
        cells.append(WrongCell(place, problem.field, problem.message, text_at(sheet, place)))
    return cells


def wrong_rows(problems: Iterable[InputProblem]) -> dict[int, list[str]]:
    """Return by row below the header what is wrong there, as a person would say it."""
    rows: dict[int, list[str]] = {}
    for problem in problems:
        if problem.row is not None and problem.row > HEADER_ROW:
            words = f"{problem.field}: {problem.message}" if problem.field else problem.message
            rows.setdefault(problem.row, []).append(words)
    return rows


def text_at(sheet: Spreadsheet, place: Place) -> str:
    """Return the text of a cell; empty for one that is not there."""
    row, index = place
    if index >= len(sheet.header):
        return ""
    if row == HEADER_ROW:
        return sheet.header[index]
    return sheet.rows[row][index] if row in sheet.rows else ""


def corrected(
    sheet: Spreadsheet,
    texts: Mapping[Place, str],
    *,
    left_out: Sequence[int] = (),
    new_columns: Mapping[int, str] | None = None,
) -> Spreadsheet:
    """Return the sheet with other texts in some cells.

    Args:
        sheet: What was read; it is left as it is.
        texts: What the cells are to say; spaces around it are removed.
        left_out: Rows below the header that are not to be read any more.
        new_columns: The titles of columns behind the last one, by index.
    """
    texts = {place: text.strip() for place, text in texts.items()}
    added = {index: title for index, title in (new_columns or {}).items() if index >= len(sheet.header)}
    width = min(max([len(sheet.header), *(index + 1 for index in added)]), MAX_COLUMNS)
    header = [*sheet.header, *(added.get(index, "") for index in range(len(sheet.header), width))]
    gone = frozenset(left_out)
    rows = {number: padded(row, width) for number, row in sheet.rows.items() if number not in gone}
    for (row, index), text in texts.items():
        if index >= width:
            continue
        if row == HEADER_ROW:
            header[index] = text
        elif row in rows:
            rows[row] = (*rows[row][:index], text, *rows[row][index + 1 :])
    kinds = {
        place: kind for place, kind in sheet.kinds.items() if place not in texts and place[0] not in gone
    }
    return Spreadsheet(tuple(header), rows, kinds)
