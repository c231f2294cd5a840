"""Writing spreadsheets of text: no cell is, or becomes, a number, a date or a formula.

Identifiers keep their leading zeros, and what somebody typed into a modality is not run by a spreadsheet
program. In workbooks each cell is marked as text; CSV files know no types, see `text_guard`.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import PurePath
from typing import Any

from openpyxl import Workbook
from openpyxl.cell.cell import Cell, WriteOnlyCell

from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.text_guard import guarded

_TEXT = "@"
"""The number format of text."""
_STRING = "s"
"""The type of a cell that holds text whatever it begins with."""
_MOST_CHARACTERS = 32_767
"""Of a cell in a workbook."""


class SheetFormat(StrEnum):
    """A kind of spreadsheet, by the suffix of its files."""

    CSV = "csv"
    XLSX = "xlsx"

    @classmethod
    def of_file(cls, name: str) -> "SheetFormat":
        """Return the format that the name of a file asks for.

        Raises:
            InvalidInput: It asks for none of them.
        """
        suffix = PurePath(name).suffix.removeprefix(".").casefold()
        if suffix not in list(cls):
            raise InvalidInput(InputProblem("Call the file .xlsx or .csv.", field="output"))
        return cls(suffix)


def encode_sheet(header: Sequence[str], rows: Iterable[Sequence[str]], form: SheetFormat) -> bytes:
    """Return a spreadsheet of these texts; control characters in them become spaces."""
    texts = ([_printable(text) for text in row] for row in (header, *rows))
    return _encode_csv(texts) if form is SheetFormat.CSV else _encode_workbook(texts)


def _encode_csv(rows: Iterable[Sequence[str]]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file).writerows(map(guarded, row) for row in rows)
    return file.getvalue().encode("utf-8-sig")  # without the mark, Excel takes it for Windows-1252


def _encode_workbook(rows: Iterable[Sequence[str]]) -> bytes:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("results")
    for row in rows:
        sheet.append([_text_cell(sheet, text) for text in row])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _text_cell(sheet: Any, text: str) -> Cell | None:
    if not text:
        return None
    cell = WriteOnlyCell(sheet, text[:_MOST_CHARACTERS])
    cell.data_type = _STRING
    cell.number_format = _TEXT
    cell.quotePrefix = True  # or editing the cell would make a formula of it
    return cell


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text).strip()
