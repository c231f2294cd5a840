"""Batch files: spreadsheets that name the studies of a job, one row for each study or series.

========================= ======== =========================================================
column                    required
========================= ======== =========================================================
PatientID                 yes      as the archive knows it
StudyInstanceUID          yes
SeriesInstanceUID         no       empty for the whole study; one row for each series
Pseudonym                 no       the same for all studies of a patient, or for none
Transfer                  no       ``no`` leaves the row out, whatever else it says
========================= ======== =========================================================

Upper and lower case, spaces and underscores in a column's name do not matter; other columns are
ignored. Messages name rows and columns, but repeat no patient data.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.cells import CellKind, flaw, folded, text_problem, uid_problem
from adit_core.services.sheet_rows import (
    HEADER_ROW,
    SheetRow,
    doubled_columns,
    in_order,
    open_sheet,
    places_of,
    rows_of,
)
from adit_core.services.spreadsheet import Spreadsheet

PATIENT_ID = "PatientID"
STUDY_INSTANCE_UID = "StudyInstanceUID"
SERIES_INSTANCE_UID = "SeriesInstanceUID"
PSEUDONYM = "Pseudonym"
TRANSFER = "Transfer"
COLUMNS = (PATIENT_ID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, PSEUDONYM, TRANSFER)
REQUIRED_COLUMNS = (PATIENT_ID, STUDY_INSTANCE_UID)
_UID_COLUMNS = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)
YES, NO = "yes", "no"
"""What the column `TRANSFER` may say; empty is yes."""

_WILDCARDS = re.compile(r"[*?]")


@dataclass(frozen=True, slots=True)
class BatchStudy:
    """A study that a batch file names. ``rows`` are those that it comes from."""

    patient_id: str
    study_instance_uid: str
    series_instance_uids: tuple[str, ...] = ()
    """The chosen series; empty for all."""
    pseudonym: str = ""
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchFile:
    """The studies of a batch file, in the order of their first rows."""

    studies: tuple[BatchStudy, ...]


def read_batch_file(source: Path | bytes, filename: str = "") -> BatchFile:
    """Read a batch file from disk, or from memory; `filename` is what messages call it.

    Raises:
        InvalidInput: With all that is wrong with it at once.
    """
    return batch_of_sheet(open_sheet(source, filename))


def batch_of_sheet(sheet: Spreadsheet) -> BatchFile:
    """Return the studies that a sheet names. Raises what `read_batch_file` raises."""
    rows = [row for row in rows_of(sheet, _columns(sheet)) if row.texts.get(TRANSFER, "").casefold() != NO]
    if not rows:
        raise InvalidInput(InputProblem("There is a header, but no study below it that is to be moved."))
    problems = [problem for row in rows for problem in _cell_problems(row)] or _conflicts(rows)
    if problems:
        raise InvalidInput(*in_order(problems))
    return BatchFile(tuple(_study(part) for part in _grouped(rows, _STUDY)))


def cell_problem(column: str, text: str, kind: CellKind | None = None) -> str:
    """Return what is wrong with a cell of a batch file, empty if nothing is."""
    if not text:
        return "This is missing." if column in REQUIRED_COLUMNS else ""
    if problem := flaw(kind):
        return problem
    if column in _UID_COLUMNS:
        return uid_problem(text, kind)
    if column == TRANSFER:
        return "" if text.casefold() == YES else f"Write {YES} or {NO}, or leave it empty for {YES}."
    if column == PATIENT_ID and _WILDCARDS.search(text):
        return "This has a * or a ?, which archives take as wildcards; name one patient."
    return text_problem(text)


def is_known_column(title: str) -> bool:
    """Tell whether a column of this title is read."""
    return folded(title) in map(folded, COLUMNS)


def patient_id_problem(text: str) -> str:
    """Return what is wrong with a Patient ID that is to name one patient, empty if nothing is."""
    return cell_problem(PATIENT_ID, text)


def _columns(sheet: Spreadsheet) -> dict[str, int]:
    """Return where each column is."""
    places = places_of(sheet)
    known = {column: places.get(folded(column), []) for column in COLUMNS}
    missing = [
        InputProblem(
            f"There is no such column; row 1 must name it. It needs {' and '.join(REQUIRED_COLUMNS)}.",
            HEADER_ROW,
            column,
        )
        for column in REQUIRED_COLUMNS
        if not known[column]
    ]
    doubled = list(doubled_columns(known))
    if missing or doubled:
        raise InvalidInput(*missing, *doubled)
    return {column: indices[0] for column, indices in known.items() if indices}


def _cell_problems(row: SheetRow) -> Iterator[InputProblem]:
    for column, text in row.texts.items():
        message = cell_problem(column, text, row.kinds.get(column))
        if message:
            yield InputProblem(message, row.number, column)


def _conflicts(rows: Sequence[SheetRow]) -> list[InputProblem]:
    """Return where rows contradict each other.

    ===================== ==================
    rows with the same    must have the same
    ===================== ==================
    StudyInstanceUID      PatientID
    PatientID             Pseudonym
    Pseudonym             PatientID
    ===================== ==================

    A pseudonym that is given for some rows of a patient only is a contradiction, too: the patient
    would be delivered once with the name and once without.
    """
    with_pseudonym = [row for row in rows if _PSEUDONYM(row)]
    return [
        *_differences(rows, _STUDY, _PATIENT, PATIENT_ID, "names another patient than row {} for this study"),
        *_differences(
            rows, _PATIENT, _PSEUDONYM, PSEUDONYM, "gives this patient another pseudonym than row {}, or none"
        ),
        *_differences(
            with_pseudonym, _PSEUDONYM, _PATIENT, PSEUDONYM, "gives another patient the pseudonym of row {}"
        ),
    ]


_Key = Callable[[SheetRow], str]


def _cell(column: str) -> _Key:
    return lambda row: row.texts.get(column, "")


_STUDY = _cell(STUDY_INSTANCE_UID)
_SERIES = _cell(SERIES_INSTANCE_UID)
_PATIENT = _cell(PATIENT_ID)
_PSEUDONYM = _cell(PSEUDONYM)


def _differences(
    rows: Sequence[SheetRow], same: _Key, expected_same: _Key, column: str, words: str
) -> Iterator[InputProblem]:
    for group in _grouped(rows, same):
        first = group[0]
        for row in group:
            if expected_same(row) != expected_same(first):
                yield InputProblem(f"This row {words.format(first.number)}.", row.number, column)


def _grouped(rows: Sequence[SheetRow], key: _Key) -> list[list[SheetRow]]:
    groups = defaultdict[str, list[SheetRow]](list)
    for row in rows:
        groups[key(row)].append(row)
    return list(groups.values())


def _study(rows: Sequence[SheetRow]) -> BatchStudy:
    """Make one study of its rows; one without a series asks for all of them."""
    series = dict.fromkeys(map(_SERIES, rows))
    return BatchStudy(
        patient_id=_PATIENT(rows[0]),
        study_instance_uid=_STUDY(rows[0]),
        series_instance_uids=() if "" in series else tuple(series),
        pseudonym=_PSEUDONYM(rows[0]),
        rows=tuple(row.number for row in rows),
    )
