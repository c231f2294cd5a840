"""The rows of a spreadsheet by the names of its columns, however those are spelled (`cells.py`)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.cells import CellKind, folded
from adit_core.services.spreadsheet import MAX_BYTES, Spreadsheet, read_spreadsheet

HEADER_ROW = 1


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
    for number, texts in sheet.rows.items():
        places = {column: (number, index) for column, index in columns.items()}
        yield SheetRow(
            number=number,
            texts={column: texts[index] for column, index in columns.items()},
            kinds={column: sheet.kinds[place] for column, place in places.items() if place in sheet.kinds},
        )


def in_order(problems: Iterable[InputProblem]) -> list[InputProblem]:
    """Return problems in the order of their rows."""
    return sorted(problems, key=lambda problem: problem.row or 0)


def _content(source: Path | bytes, name: str) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        with source.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(InputProblem(f"{name} cannot be read: {error.strerror}.")) from error
