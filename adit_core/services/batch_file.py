"""Batch files: spreadsheets that name the studies of a job, one row for each study or series.

========================= ======== =========================================================
column                    required
========================= ======== =========================================================
PatientID                 yes      as the archive knows it
StudyInstanceUID          yes
SeriesInstanceUID         no       empty for the whole study; one row for each series
Pseudonym                 no       the same for all studies of a patient, or for none
Transfer                  no       ``no`` leaves the row out, whatever else it says
QueryRow                  no       in the results of a batch query: the row of the query
Outcome                   no       there, too: says why a row is left out
========================= ======== =========================================================

If each row tells its QueryRow, these are the rows that tasks go by, so that they are recognised end to end.

Upper and lower case, spaces and underscores in a column's name do not matter; other columns are
ignored. Messages name rows and columns, but repeat no patient data.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adit_core.db import RowStatus
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.cells import CellKind, flaw, folded, text_problem, uid_problem
from adit_core.services.number_ranges import in_ranges
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
QUERY_ROW, OUTCOME = "QueryRow", "Outcome"
COLUMNS = (PATIENT_ID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, PSEUDONYM, TRANSFER)
"""Those that somebody fills in."""
_READ = (*COLUMNS, QUERY_ROW, OUTCOME)
REQUIRED_COLUMNS = (PATIENT_ID, STUDY_INSTANCE_UID)
_UID_COLUMNS = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)
YES, NO = "yes", "no"
"""What the column `TRANSFER` may say; empty is yes."""

_WILDCARDS = re.compile(r"[*?]")
_ROW_NUMBER = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_SAYS_NO = "Transfer says no"
_FAULTS = frozenset(status.value for status in RowStatus if status is not RowStatus.FOUND)


@dataclass(frozen=True, slots=True)
class BatchStudy:
    """A study that a batch file names. ``rows`` are those that it comes from."""

    patient_id: str
    study_instance_uid: str
    series_instance_uids: tuple[str, ...] = ()
    """The chosen series; empty for all."""
    pseudonym: str = ""
    rows: tuple[int, ...] = ()
    query_rows: tuple[int, ...] = ()
    """The rows of the batch query that found it; empty if the file does not tell."""

    @property
    def known_rows(self) -> tuple[int, ...]:
        """The rows by which its owner knows it: those of the query, if there are any."""
        return self.query_rows or self.rows


@dataclass(frozen=True, slots=True)
class LeftOutRow:
    """A row that is not transferred, and why: what came of it in a query, or that it says so."""

    row: int
    """Of the query, if the file tells; else of the file."""
    reason: str


@dataclass(frozen=True, slots=True)
class BatchFile:
    """The studies of a batch file, in the order of their first rows, and what it leaves out."""

    studies: tuple[BatchStudy, ...]
    left_out: tuple[LeftOutRow, ...] = ()

    @property
    def left_out_in_words(self) -> str:
        """Which rows are not transferred, and why; empty if all are."""
        rows = defaultdict[str, set[int]](set)
        for each in self.left_out:
            rows[each.reason].add(each.row)
        reasons = [
            f"{reason} ({'row' if len(numbers) == 1 else 'rows'} {in_ranges(numbers)})"
            for reason, numbers in rows.items()
        ]
        return f"Not transferred: {'; '.join(reasons)}." if reasons else ""


def read_batch_file(source: Path | bytes, filename: str = "") -> BatchFile:
    """Read a batch file from disk, or from memory; `filename` is what messages call it.

    Raises:
        InvalidInput: With all that is wrong with it at once.
    """
    return batch_of_sheet(open_sheet(source, filename))


def batch_of_sheet(sheet: Spreadsheet) -> BatchFile:
    """Return the studies that a sheet names. Raises what `read_batch_file` raises."""
    every = list(rows_of(sheet, _columns(sheet)))
    rows = [row for row in every if not _is_left_out(row)]
    query_rows = _query_rows(every)
    left_out = tuple(
        LeftOutRow(query_rows.get(row.number, row.number), _reason(row)) for row in every if _is_left_out(row)
    )
    if not rows:
        nothing = "There is a header, but no study below it that is to be moved."
        words = BatchFile((), left_out).left_out_in_words
        raise InvalidInput(InputProblem(" ".join(filter(None, (nothing, words)))))
    problems = [problem for row in rows for problem in _cell_problems(row)] or _conflicts(rows)
    if problems:
        raise InvalidInput(*in_order(problems))
    return BatchFile(tuple(_study(part, query_rows) for part in _grouped(rows, _STUDY)), left_out)


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
    return folded(title) in map(folded, _READ)


def patient_id_problem(text: str) -> str:
    """Return what is wrong with a Patient ID that is to name one patient, empty if nothing is."""
    return cell_problem(PATIENT_ID, text)


def _columns(sheet: Spreadsheet) -> dict[str, int]:
    """Return where each column is."""
    places = places_of(sheet)
    known = {column: places.get(folded(column), []) for column in _READ}
    missing = [
        InputProblem(
            f"There is no such column; row 1 must name it. It needs {' and '.join(REQUIRED_COLUMNS)}.",
            HEADER_ROW,
            column,
        )
        for column in REQUIRED_COLUMNS
        if not known[column]
    ]
    doubled = list(doubled_columns({column: known[column] for column in COLUMNS}))
    if missing or doubled:
        raise InvalidInput(*missing, *doubled)
    # Others may have columns of those names that mean something else.
    return {column: indices[0] for column, indices in known.items() if len(indices) == 1}


def _is_left_out(row: SheetRow) -> bool:
    return row.texts.get(TRANSFER, "").casefold() == NO


def _reason(row: SheetRow) -> str:
    # Nothing but words of our own: the cell may hold anything.
    outcome = row.texts.get(OUTCOME, "").casefold()
    return outcome if outcome in _FAULTS else _SAYS_NO


def _query_rows(rows: Sequence[SheetRow]) -> dict[int, int]:
    """Return the rows of the query by those of the file; empty, if not every one tells."""
    told = {row.number: row.texts.get(QUERY_ROW, "") for row in rows}
    if not all(_ROW_NUMBER.fullmatch(text) for text in told.values()):
        return {}
    return {number: int(text) for number, text in told.items()}


def _cell_problems(row: SheetRow) -> Iterator[InputProblem]:
    for column in COLUMNS:
        text = row.texts.get(column)
        message = cell_problem(column, text, row.kinds.get(column)) if text is not None else ""
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


def _study(rows: Sequence[SheetRow], query_rows: Mapping[int, int]) -> BatchStudy:
    """Make one study of its rows; one without a series asks for all of them."""
    series = dict.fromkeys(map(_SERIES, rows))
    return BatchStudy(
        patient_id=_PATIENT(rows[0]),
        study_instance_uid=_STUDY(rows[0]),
        series_instance_uids=() if "" in series else tuple(series),
        pseudonym=_PSEUDONYM(rows[0]),
        rows=tuple(row.number for row in rows),
        query_rows=tuple(dict.fromkeys(query_rows[row.number] for row in rows if query_rows)),
    )
