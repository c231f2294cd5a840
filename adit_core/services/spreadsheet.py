"""Reading spreadsheets as text: CSV and Excel workbooks, cell by cell as a person sees them.

What programs make of identifiers is undone where it can be (zeros that a number format shows), and
marked where it cannot (digits that were rounded away).
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zipfile import ZipFile

from openpyxl import load_workbook
from openpyxl.cell.cell import TYPE_ERROR
from openpyxl.cell.read_only import EMPTY_CELL

from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.cells import CellKind
from adit_core.services.text_guard import unguarded

MAX_BYTES = 10 << 20
"""The largest file."""
MAX_ROWS = 50_000
"""The most rows below the header."""
MAX_COLUMNS = 200
_MAX_UNPACKED_BYTES = 6 * MAX_BYTES
_MAX_LINES = 2 * MAX_ROWS
"""Rows that are in a file, empty ones included: each takes as much memory as it has columns."""
_LAST_ROW = 1 << 20
"""Of any workbook; a damaged one may name others."""

_ZIP = b"PK\x03\x04"
_COMPOUND_FILE = b"\xd0\xcf\x11\xe0"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_SCIENTIFIC = re.compile(r"\d([.,]\d+)?E\+\d+")
_ONLY_ZEROS = re.compile(r"0{2,}")
_END = "\x00"
"""A character that no file has that is read."""
_EXACT = 10**15
"""Excel keeps 15 digits of a number (and IEEE 754 doubles not much more)."""


@dataclass(frozen=True, slots=True)
class Spreadsheet:
    """The cells of a sheet, without the spaces around their text.

    ``rows`` has a row for each one below the header that is not wholly empty, with its number as the
    spreadsheet counts (the header is row 1) and as many columns as ``header``.
    """

    header: tuple[str, ...]
    rows: Mapping[int, tuple[str, ...]]
    kinds: Mapping[tuple[int, int], CellKind]
    """By row number and column index; cells that are missing here are text."""


def read_spreadsheet(content: bytes, filename: str) -> Spreadsheet:
    """Read a CSV file (comma, semicolon or tab; UTF-8 or Windows-1252) or the first sheet of a workbook.

    The content decides what it is; `filename` is for messages.

    Raises:
        InvalidInput: It is neither, it is damaged, it is empty, or it is larger than the limits.
    """
    if len(content) > MAX_BYTES:
        raise _invalid(f"The file is larger than {MAX_BYTES >> 20} MB; divide it.")
    if content.startswith(_COMPOUND_FILE):
        raise _invalid(
            f"{filename} is an old Excel file or protected by a password: save it as .xlsx without password."
        )
    grid = dict((_read_workbook if content.startswith(_ZIP) else _read_csv)(content, filename))
    if not grid:
        raise _invalid(f"{filename} is empty.")
    return _table(grid)


def sheet_of_records(records: Sequence[Mapping[str, str]]) -> Spreadsheet:
    """Return rows that came as text by column as the sheet that they would be: the first one is row 2.

    Columns that a row does not name are empty in it, and rows that are wholly empty are left out.

    Raises:
        InvalidInput: There are more than the limits allow, or none.
    """
    header = tuple(dict.fromkeys(name.strip() for record in records for name in record))
    if not header:
        raise _invalid("There are no rows.")
    if len(header) > MAX_COLUMNS:
        raise _invalid(f"There are more than {MAX_COLUMNS} columns.")
    _within_limit(len(records) + 1)
    stripped = ({name.strip(): text.strip() for name, text in record.items()} for record in records)
    grid = {1: [_Cell(name) for name in header]}
    for number, record in enumerate(stripped, 2):
        if any(record.values()):
            grid[number] = [_Cell(record.get(name, "")) for name in header]
    return _table(grid)


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    kind: CellKind | None = None


_NumberedRow = tuple[int, list[_Cell]]
"""A row that is not wholly empty."""


def _table(grid: Mapping[int, list[_Cell]]) -> Spreadsheet:
    header = tuple(cell.text for cell in grid.get(1, ()))
    while header and not header[-1]:
        header = header[:-1]
    below = {number: cells for number, cells in grid.items() if number > 1}
    kinds = {
        (number, index): cell.kind
        for number, cells in below.items()
        for index, cell in enumerate(cells)
        if cell.kind is not None
    }
    rows = {number: padded([cell.text for cell in cells], len(header)) for number, cells in below.items()}
    return Spreadsheet(header, rows, kinds)


def padded(texts: Sequence[str], width: int) -> tuple[str, ...]:
    """Return so many texts, empty ones behind those that there are."""
    return (*texts, *[""] * (width - len(texts)))[:width]


def _read_csv(content: bytes, filename: str) -> Iterator[_NumberedRow]:
    text = _decoded(content, filename)
    if text.count("\n") + text.count("\r") > 2 * _MAX_LINES:  # a line may end with both
        raise _too_many_rows()
    lines = text.splitlines() or [""]
    if len(lines) > _MAX_LINES:
        raise _too_many_rows()
    delimiter = max(",;\t", key=lines[0].count)
    width = 1 + max(line.count(delimiter) for line in lines)
    if width > MAX_COLUMNS:
        raise _invalid(f"{filename} has more than {MAX_COLUMNS} columns.")
    for number, values in enumerate(_records(text, delimiter, filename), 1):
        cells = [_text_cell(unguarded(value.strip())) for value in values]
        if _is_filled(cells):
            yield _within_limit(number), cells


def _records(text: str, delimiter: str, filename: str) -> list[list[str]]:
    """Return the records of a CSV file, of which lines without anything are some."""
    # What stands behind all quotation marks that are closed is a record of its own.
    marked = io.StringIO(f"{text}\n{_END}", newline=None)
    csv.field_size_limit(MAX_BYTES)
    records = list(csv.reader(marked, delimiter=delimiter))
    if records.pop() != [_END]:
        raise _invalid(f"{filename} cannot be read as CSV: a quotation mark is not closed.")
    return records


def _decoded(content: bytes, filename: str) -> str:
    encodings = ("utf-16",) if content.startswith(_UTF_16) else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _CONTROL.search(text):
            return text
    raise _invalid(f"{filename} is neither a CSV file in UTF-8 nor an Excel workbook (.xlsx).")


def _read_workbook(content: bytes, filename: str) -> Iterator[_NumberedRow]:
    try:
        _check_unpacked_size(content)
        # Formulas count as what they showed when the workbook was saved.
        workbook = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = workbook.worksheets[0]
        sheet.reset_dimensions()  # some programs write wrong ones
        rows = sheet.iter_rows(max_col=MAX_COLUMNS, max_row=_LAST_ROW)
        for number, row in _without_gaps(enumerate(rows, 1)):
            cells = [_workbook_cell(cell) for cell in row]
            if _is_filled(cells):
                yield _within_limit(number), cells
    except InvalidInput:
        raise
    except Exception as error:
        raise _invalid(f"{filename} is damaged, or not an Excel workbook (.xlsx): save it anew.") from error


def _without_gaps(rows: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """Leave out rows without a cell; raise InvalidInput if there are too many of them in the file."""
    gap: Any = None
    count = 0
    for number, row in rows:
        if row is gap:  # openpyxl gives the same one for each
            continue
        count += 1
        if count > _MAX_LINES:
            raise _too_many_rows()
        if all(cell is EMPTY_CELL for cell in row):
            gap = row
        else:
            yield number, row


def _check_unpacked_size(content: bytes) -> None:
    with ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MAX_UNPACKED_BYTES:
            raise _invalid(f"The workbook unpacks to more than {_MAX_UNPACKED_BYTES >> 20} MB; divide it.")


def _workbook_cell(cell: Any) -> _Cell:
    value = cell.value
    if value is None:
        return _Cell("")
    if isinstance(value, str):
        return _Cell(value.strip(), CellKind.ERROR) if cell.data_type == TYPE_ERROR else _text_cell(value)
    if isinstance(value, bool):
        return _Cell(str(value).upper())
    if isinstance(value, int | float):
        return _number_cell(value, cell.number_format)
    return _Cell(str(value), CellKind.DATE)


def _text_cell(text: str) -> _Cell:
    text = text.strip()
    return _Cell(text, CellKind.ROUNDED if _SCIENTIFIC.fullmatch(text) else None)


def _number_cell(value: float, number_format: str) -> _Cell:
    if isinstance(value, float) and abs(value) >= _EXACT:
        return _Cell(repr(value), CellKind.ROUNDED)
    if value != int(value):
        return _Cell(repr(value), CellKind.NUMBER)
    digits = str(int(value))
    shown = number_format.split(";", maxsplit=1)[0]
    width = len(shown) if _ONLY_ZEROS.fullmatch(shown) else 0
    return _Cell(digits.zfill(width), CellKind.NUMBER)


def _is_filled(cells: list[_Cell]) -> bool:
    return any(cell.text for cell in cells)


def _within_limit(number: int) -> int:
    if number > MAX_ROWS + 1:
        raise _too_many_rows()
    return number


def _too_many_rows() -> InvalidInput:
    return _invalid(f"There are more than {MAX_ROWS} rows; divide the file.")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(InputProblem(message))
