"""Query files: spreadsheets that ask an archive about studies or series, one question in each row.

What the columns mean is told by `adit_core.services.query_columns`. Messages name rows and columns, but
repeat no patient data.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.query_cells import cell_problem, is_selective, normalised
from adit_core.services.query_columns import (
    ACCESSION_NUMBER,
    FROM,
    KNOWN_COLUMNS,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_INSTANCE_UID,
    UNTIL,
    QueryColumn,
    column_of,
    title_problem,
)
from adit_core.services.sheet_rows import (
    HEADER_ROW,
    SheetRow,
    doubled_columns,
    in_order,
    open_sheet,
    rows_of,
)
from adit_core.services.spreadsheet import Spreadsheet

_IGNORED = "#"
_SELECTIVE = (PATIENT_ID, PATIENT_NAME, PATIENT_BIRTH_DATE, STUDY_INSTANCE_UID, ACCESSION_NUMBER)


@dataclass(frozen=True, slots=True)
class Question:
    """A row of a query file. ``cells`` has the text of every column, days as DICOM writes them."""

    row: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class QueryFile:
    """The questions of a query file, in its order."""

    questions: tuple[Question, ...]


def read_query_file(source: Path | bytes, filename: str = "") -> QueryFile:
    """Read a query file from disk, or from memory; `filename` is what messages call it.

    Raises:
        InvalidInput: With all that is wrong with it at once.
    """
    return query_of_sheet(open_sheet(source, filename))


def query_of_sheet(sheet: Spreadsheet) -> QueryFile:
    """Return the questions that a sheet asks. Raises what `read_query_file` raises."""
    columns, places = _columns(sheet)
    rows = list(rows_of(sheet, places))
    if not rows:
        raise InvalidInput(InputProblem("There is a header, but no row below it."))
    problems = [problem for row in rows for problem in _row_problems(row, columns)]
    if problems:
        raise InvalidInput(*in_order(problems))
    return QueryFile(tuple(_question(row, columns) for row in rows))


def is_ignored_column(title: str) -> bool:
    """Tell whether a column of this title is left unread on purpose."""
    return title.strip().startswith(_IGNORED)


_Columns = Mapping[str, QueryColumn]


def _columns(sheet: Spreadsheet) -> tuple[_Columns, Mapping[str, int]]:
    """Return the columns by name, and where each is."""
    read = [(i, title) for i, title in enumerate(sheet.header) if title and not is_ignored_column(title)]
    problems = [
        InputProblem(title_problem(title), HEADER_ROW, title) for _, title in read if title_problem(title)
    ]
    problems += _untitled_columns(sheet)
    found: dict[str, list[int]] = {}
    columns: dict[str, QueryColumn] = {}
    for index, title in read:
        if column := column_of(title):
            columns[column.name] = column
            found.setdefault(column.name, []).append(index)
    problems += doubled_columns(found)
    if not problems and not columns:
        problems.append(
            InputProblem(f"Row 1 must name the columns, such as {', '.join(KNOWN_COLUMNS)}.", HEADER_ROW)
        )
    if problems:
        raise InvalidInput(*problems)
    return columns, {name: indices[0] for name, indices in found.items()}


def _untitled_columns(sheet: Spreadsheet) -> Iterator[InputProblem]:
    """Yield a problem for each column with values but without a name: it may have been meant to ask."""
    for index, title in enumerate(sheet.header):
        if not title and any(texts[index] for texts in sheet.rows.values()):
            message = f"Column {index + 1} has values, but no name. Put {_IGNORED} there to have it ignored."
            yield InputProblem(message, HEADER_ROW)


def _row_problems(row: SheetRow, columns: _Columns) -> Iterator[InputProblem]:
    wrong = False
    for name, text in row.texts.items():
        if text and (message := cell_problem(columns[name], text, row.kinds.get(name))):
            wrong = True
            yield InputProblem(message, row.number, name)
    if not wrong:
        yield from _question_problems(_question(row, columns))


def _question_problems(question: Question) -> Iterator[InputProblem]:
    """Yield why an archive should not be asked that: it would tell all that it has, or nothing."""
    cells = question.cells
    start, end = cells.get(FROM, ""), cells.get(UNTIL, "")
    if start and end and start > end:
        yield InputProblem(f"This day is before {FROM}.", question.row, UNTIL)
    if not (start and end) and not any(is_selective(cells.get(name, "")) for name in _SELECTIVE):
        message = (
            f"This asks for too much. Fill in one of {', '.join(_SELECTIVE)}, not with wildcards or a "
            f"regular expression alone, or both {FROM} and {UNTIL}."
        )
        yield InputProblem(message, question.row)


def _question(row: SheetRow, columns: _Columns) -> Question:
    return Question(
        row.number,
        {name: normalised(columns[name], text) if text else "" for name, text in row.texts.items()},
    )
