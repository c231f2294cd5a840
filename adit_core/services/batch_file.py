"""Batch files: spreadsheets that name the studies of a job, one row for each study or series.

========================= ======== =========================================================
column                    required
========================= ======== =========================================================
PatientID                 yes      as the archive knows it
StudyInstanceUID          yes
SeriesInstanceUID         no       empty for the whole study; one row for each series
Pseudonym                 no       the same for all studies of a patient, or for none
========================= ======== =========================================================

Upper and lower case, spaces and underscores in a column's name do not matter; other columns are
ignored. Messages name rows and columns, but repeat no patient data.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from adit_core.dicom.references import is_valid_uid
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.spreadsheet import MAX_BYTES, CellKind, Spreadsheet, read_spreadsheet

PATIENT_ID = "PatientID"
STUDY_INSTANCE_UID = "StudyInstanceUID"
SERIES_INSTANCE_UID = "SeriesInstanceUID"
PSEUDONYM = "Pseudonym"
COLUMNS = (PATIENT_ID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, PSEUDONYM)
REQUIRED_COLUMNS = (PATIENT_ID, STUDY_INSTANCE_UID)
_UID_COLUMNS = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)

_MAX_TEXT_LENGTH = 64  # VR LO, PS3.5 6.2
_NOT_IN_TEXT = re.compile(r"[\\\x00-\x1f\x7f]")
_WILDCARDS = re.compile(r"[*?]")

_AS_TEXT = "Format the column as text in your spreadsheet program and enter the value again."
_FLAWS = {
    CellKind.ROUNDED: f"Your spreadsheet program has made a number of this and rounded it. {_AS_TEXT}",
    CellKind.DATE: f"Your spreadsheet program has made a date of this. {_AS_TEXT}",
    CellKind.ERROR: "The formula in this cell shows an error. Replace it by a value.",
}


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
    name = filename or (source.name if isinstance(source, Path) else "The file")
    sheet = read_spreadsheet(_content(source, name), name)
    rows = list(_rows(sheet, _columns(sheet)))
    if not rows:
        raise InvalidInput(InputProblem("There is a header, but no study below it."))
    problems = [problem for row in rows for problem in _cell_problems(row)] or _conflicts(rows)
    if problems:
        raise InvalidInput(*sorted(problems, key=lambda problem: problem.row or 0))
    return BatchFile(tuple(_study(part) for part in _grouped(rows, _STUDY)))


def is_known_column(title: str) -> bool:
    """Tell whether a column of this title is read."""
    return _folded(title) in map(_folded, COLUMNS)


def patient_id_problem(text: str) -> str:
    """Return what is wrong with a Patient ID that is to name one patient, empty if nothing is."""
    return _cell_problem(PATIENT_ID, text, None)


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    texts: Mapping[str, str]
    kinds: Mapping[str, CellKind]

    @property
    def patient_id(self) -> str:
        return self.texts[PATIENT_ID]

    @property
    def study_instance_uid(self) -> str:
        return self.texts[STUDY_INSTANCE_UID]

    @property
    def series_instance_uid(self) -> str:
        return self.texts.get(SERIES_INSTANCE_UID, "")

    @property
    def pseudonym(self) -> str:
        return self.texts.get(PSEUDONYM, "")


def _content(source: Path | bytes, name: str) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        with source.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(InputProblem(f"{name} cannot be read: {error.strerror}.")) from error


def _columns(sheet: Spreadsheet) -> dict[str, int]:
    """Return where each column is."""
    places = defaultdict[str, list[int]](list)
    for index, title in enumerate(sheet.header):
        places[_folded(title)].append(index)
    known = {column: places[_folded(column)] for column in COLUMNS}
    missing = [
        InputProblem(
            f"There is no such column; row 1 must name it. It needs {' and '.join(REQUIRED_COLUMNS)}.",
            1,
            column,
        )
        for column in REQUIRED_COLUMNS
        if not known[column]
    ]
    doubled = [
        InputProblem("There is more than one such column; keep one.", 1, column)
        for column, indices in known.items()
        if len(indices) > 1
    ]
    if missing or doubled:
        raise InvalidInput(*missing, *doubled)
    return {column: indices[0] for column, indices in known.items() if indices}


def _folded(title: str) -> str:
    return re.sub(r"[\s_]", "", title).casefold()


def _rows(sheet: Spreadsheet, columns: Mapping[str, int]) -> Iterator[_Row]:
    for number, *texts in sheet.rows.itertuples(name=None):
        places = {column: (number, index) for column, index in columns.items()}
        yield _Row(
            number=number,
            texts={column: texts[index] for column, index in columns.items()},
            kinds={column: sheet.kinds[place] for column, place in places.items() if place in sheet.kinds},
        )


def _cell_problems(row: _Row) -> Iterator[InputProblem]:
    for column, text in row.texts.items():
        message = _cell_problem(column, text, row.kinds.get(column))
        if message:
            yield InputProblem(message, row.number, column)


def _cell_problem(column: str, text: str, kind: CellKind | None) -> str:
    """Return what is wrong with a cell, empty if nothing is."""
    if not text:
        return "This is missing." if column in REQUIRED_COLUMNS else ""
    if kind is not None and kind in _FLAWS:
        return _FLAWS[kind]
    if column in _UID_COLUMNS:
        return _uid_problem(text, kind)
    return _text_problem(column, text)


def _uid_problem(text: str, kind: CellKind | None) -> str:
    if kind is CellKind.NUMBER:
        return f"Your spreadsheet program has made a number of this UID. {_AS_TEXT}"
    if is_valid_uid(text):
        return ""
    return (
        "This is not a UID: those are numbers with dots between them, 64 characters at most, one in a cell."
    )


def _text_problem(column: str, text: str) -> str:
    if len(text) > _MAX_TEXT_LENGTH:
        return f"This is longer than {_MAX_TEXT_LENGTH} characters."
    if _NOT_IN_TEXT.search(text):
        return "This has a backslash, a line break or another control character; remove it."
    if column == PATIENT_ID and _WILDCARDS.search(text):
        return "This has a * or a ?, which archives take as wildcards; name one patient."
    return ""


def _conflicts(rows: Sequence[_Row]) -> list[InputProblem]:
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
    with_pseudonym = [row for row in rows if row.pseudonym]
    return [
        *_differences(rows, _STUDY, _PATIENT, PATIENT_ID, "names another patient than row {} for this study"),
        *_differences(
            rows, _PATIENT, _PSEUDONYM, PSEUDONYM, "gives this patient another pseudonym than row {}, or none"
        ),
        *_differences(
            with_pseudonym, _PSEUDONYM, _PATIENT, PSEUDONYM, "gives another patient the pseudonym of row {}"
        ),
    ]


_Key = Callable[[_Row], str]
_STUDY: _Key = attrgetter("study_instance_uid")
_PATIENT: _Key = attrgetter("patient_id")
_PSEUDONYM: _Key = attrgetter("pseudonym")


def _differences(
    rows: Sequence[_Row], same: _Key, expected_same: _Key, column: str, words: str
) -> Iterator[InputProblem]:
    for group in _grouped(rows, same):
        first = group[0]
        for row in group:
            if expected_same(row) != expected_same(first):
                yield InputProblem(f"This row {words.format(first.number)}.", row.number, column)


def _grouped(rows: Sequence[_Row], key: _Key) -> list[list[_Row]]:
    groups = defaultdict[str, list[_Row]](list)
    for row in rows:
        groups[key(row)].append(row)
    return list(groups.values())


def _study(rows: Sequence[_Row]) -> BatchStudy:
    """Make one study of its rows; one without a series asks for all of them."""
    series = dict.fromkeys(row.series_instance_uid for row in rows)
    return BatchStudy(
        patient_id=rows[0].patient_id,
        study_instance_uid=rows[0].study_instance_uid,
        series_instance_uids=() if "" in series else tuple(series),
        pseudonym=rows[0].pseudonym,
        rows=tuple(row.number for row in rows),
    )
