"""The rows of a spreadsheet by the names of its columns, and what can be wrong with a cell whatever it means.

Upper and lower case, spaces and underscores in the name of a column do not matter.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from adit_core.dicom.references import is_valid_uid
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.spreadsheet import MAX_BYTES, CellKind, Spreadsheet, read_spreadsheet

HEADER_ROW = 1
MAX_TEXT_LENGTH = 64  # VR LO, PS3.5 6.2

_NOT_IN_TEXT = re.compile(r"[\\\x00-\x1f\x7f]")
_AS_TEXT = "Format the column as text in your spreadsheet program and enter the value again."
_FLAWS = {
    CellKind.ROUNDED: f"Your spreadsheet program has made a number of this and rounded it. {_AS_TEXT}",
    CellKind.DATE: f"Your spreadsheet program has made a date of this. {_AS_TEXT}",
    CellKind.ERROR: "The formula in this cell shows an error. Replace it by a value.",
}


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row that is not wholly empty.

    ``number`` counts as the spreadsheet does (the header is row 1); ``texts`` has every column that is
    read, ``kinds`` the cells that are no text.
    """

    number: int
    texts: Mapping[str, str]
    kinds: Mapping[str, CellKind]


def open_sheet(source: Path | bytes, filename: str = "") -> Spreadsheet:
    """Read a spreadsheet from disk, or from memory; `filename` is what messages call it.

    Raises:
        InvalidInput: It cannot be read.
    """
    name = filename or (source.name if isinstance(source, Path) else "The file")
    return read_spreadsheet(_content(source, name), name)


def folded(title: str) -> str:
    """Return the name of a column in the one form that all its spellings have."""
    return re.sub(r"[\s_]", "", title).casefold()


def places_of(sheet: Spreadsheet) -> Mapping[str, list[int]]:
    """Return by folded name where the columns are."""
    places = defaultdict[str, list[int]](list)
    for index, title in enumerate(sheet.header):
        places[folded(title)].append(index)
    return places


def doubled_columns(known: Mapping[str, list[int]]) -> Iterator[InputProblem]:
    """Yield a problem for each column that is there more than once."""
    for column, indices in known.items():
        if len(indices) > 1:
            yield InputProblem("There is more than one such column; keep one.", HEADER_ROW, column)


def rows_of(sheet: Spreadsheet, columns: Mapping[str, int]) -> Iterator[SheetRow]:
    """Yield the rows below the header, with the columns at these places."""
    for number, *texts in sheet.rows.itertuples(name=None):
        places = {column: (number, index) for column, index in columns.items()}
        yield SheetRow(
            number=number,
            texts={column: texts[index] for column, index in columns.items()},
            kinds={column: sheet.kinds[place] for column, place in places.items() if place in sheet.kinds},
        )


def in_order(problems: Iterable[InputProblem]) -> list[InputProblem]:
    """Return problems in the order of their rows."""
    return sorted(problems, key=lambda problem: problem.row or 0)


def flaw(kind: CellKind | None) -> str:
    """Return what a spreadsheet program has spoilt in a cell, empty if nothing."""
    return _FLAWS.get(kind, "") if kind else ""


def uid_problem(text: str, kind: CellKind | None) -> str:
    """Return why this is no UID, empty if it is one."""
    if kind is CellKind.NUMBER:
        return f"Your spreadsheet program has made a number of this UID. {_AS_TEXT}"
    if is_valid_uid(text):
        return ""
    return (
        "This is not a UID: those are numbers with dots between them, 64 characters at most, one in a cell."
    )


def text_problem(text: str) -> str:
    """Return why this cannot be the text of an attribute, empty if it can."""
    if len(text) > MAX_TEXT_LENGTH:
        return f"This is longer than {MAX_TEXT_LENGTH} characters."
    if _NOT_IN_TEXT.search(text):
        return "This has a backslash, a line break or another control character; remove it."
    return ""


def _content(source: Path | bytes, name: str) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        with source.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(InputProblem(f"{name} cannot be read: {error.strerror}.")) from error
