"""The results of a batch query as a spreadsheet that a batch transfer takes as it is.

Each result is a row; so is each row of the query that has none, with a message that says why.

=================== ==============================================================================
columns             hold
=================== ==============================================================================
QueryRow            the row of the query, as its spreadsheet counts
Outcome, Message    what came of that row
PatientID,          what a batch transfer reads
StudyInstanceUID,
SeriesInstanceUID,
Pseudonym
Transfer            ``no`` where nothing is to be transferred as it is: nothing was found, or studies
                    of several patients, or what a batch transfer would refuse. Whoever knows better
                    changes it to ``yes``
the others          what the archive told, or what was asked where there is no result
=================== ==============================================================================
"""

from collections.abc import Iterator, Mapping
from datetime import date

from adit_core.db import QueryResult, RowStatus, User
from adit_core.db.engine import Database
from adit_core.services import batch_file
from adit_core.services.looks import record_export, record_look
from adit_core.services.query_columns import (
    ACCESSION_NUMBER,
    MODALITY,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    PSEUDONYM,
    SERIES_DESCRIPTION,
    SERIES_INSTANCE_UID,
    SERIES_NUMBER,
    STUDY_DESCRIPTION,
    STUDY_INSTANCE_UID,
    column_of,
)
from adit_core.services.query_results import AnsweredRow, all_rows
from adit_core.services.spreadsheet import Spreadsheet, sheet_of_records
from adit_core.services.text_sheet import SheetFormat, encode_sheet

QUERY_ROW, OUTCOME, MESSAGE = batch_file.QUERY_ROW, batch_file.OUTCOME, "Message"
STUDY_DATE, STUDY_TIME, NUMBER_OF_INSTANCES = "StudyDate", "StudyTime", "NumberOfInstances"
COLUMNS = (
    *(QUERY_ROW, OUTCOME, MESSAGE, batch_file.TRANSFER, PSEUDONYM),
    *(PATIENT_ID, PATIENT_NAME, PATIENT_BIRTH_DATE, ACCESSION_NUMBER, STUDY_INSTANCE_UID),
    *(STUDY_DATE, STUDY_TIME, STUDY_DESCRIPTION, MODALITY),
    *(SERIES_INSTANCE_UID, SERIES_NUMBER, SERIES_DESCRIPTION, NUMBER_OF_INSTANCES),
)
"""The columns that every export has; those of further attributes follow."""
_READ_BY_TRANSFER = (PATIENT_ID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, PSEUDONYM)

Line = Mapping[str, str]


def export_results(db: Database, user: User, job_id: int, form: SheetFormat, *, address: str = "") -> bytes:
    """Return the results of a batch query as a spreadsheet; the audit trail is told.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        ActionNotPossible: It is no query.
    """
    lines = list(_all_lines(db, user, job_id))
    record_export(db, user, job_id, address=address)
    header = header_of(lines)
    return encode_sheet(header, ([line.get(column, "") for column in header] for line in lines), form)


def results_sheet(db: Database, user: User, job_id: int, *, address: str = "") -> Spreadsheet:
    """Return the results of a batch query as the sheet that `export_results` would write; that is a look.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        ActionNotPossible: It is no query.
        InvalidInput: There are more than a spreadsheet may have.
    """
    lines = result_lines(db, user, job_id, address=address)
    header = header_of(lines)
    return sheet_of_records([{column: line.get(column, "") for column in header} for line in lines])


def result_lines(db: Database, user: User, job_id: int, *, address: str = "") -> list[Line]:
    """Return the results of a batch query as text by column, row by row of the query; that is a look.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        ActionNotPossible: It is no query.
    """
    lines = list(_all_lines(db, user, job_id))
    record_look(db, user, job_id, address=address)
    return lines


def _all_lines(db: Database, user: User, job_id: int) -> Iterator[Line]:
    for row in all_rows(db, user, job_id):
        yield from _lines(row)


def header_of(lines: list[Line]) -> list[str]:
    """Return the columns of all lines: those that every export has, then further ones in their order."""
    further = dict.fromkeys(column for line in lines for column in line if column not in COLUMNS)
    return [*COLUMNS, *further]


def _lines(row: AnsweredRow) -> Iterator[Line]:
    further = [name for name in row.cells if _is_further(name)]
    shared = {QUERY_ROW: str(row.row), OUTCOME: row.status.value, PSEUDONYM: row.cells.get(PSEUDONYM, "")}
    if not row.results:
        yield {**_as_asked(row), **shared, MESSAGE: row.message, batch_file.TRANSFER: batch_file.NO}
    for result in row.results:
        line = {**dict.fromkeys(further, ""), **_values(result), **shared}
        problem = _problem(line)
        is_refused = problem or row.status is not RowStatus.FOUND
        yield {
            **line,
            MESSAGE: " ".join(filter(None, (row.message, problem))),
            batch_file.TRANSFER: batch_file.NO if is_refused else batch_file.YES,
        }


def _as_asked(row: AnsweredRow) -> Line:
    """Return what was asked, for whoever looks for the mistake; days that limit the search are left out."""
    return {name: text for name, text in row.cells.items() if name in COLUMNS or _is_further(name)}


def _is_further(name: str) -> bool:
    column = column_of(name)
    return column is not None and column.is_further


def _problem(line: Line) -> str:
    """Return why a batch transfer would refuse a result, empty if it would not."""
    for column in _READ_BY_TRANSFER:
        if problem := batch_file.cell_problem(column, line.get(column, "")):
            return f"{column}: {problem}"
    return ""


def _values(result: QueryResult) -> Line:
    return {
        **result.further,
        PATIENT_ID: result.patient_id,
        PATIENT_NAME: result.patient_name,
        PATIENT_BIRTH_DATE: _day(result.patient_birth_date),
        ACCESSION_NUMBER: result.accession_number,
        STUDY_INSTANCE_UID: result.study_instance_uid,
        STUDY_DATE: _day(result.study_date),
        STUDY_TIME: result.study_time,
        STUDY_DESCRIPTION: result.study_description,
        MODALITY: ", ".join(result.modalities),
        SERIES_INSTANCE_UID: result.series_instance_uid,
        SERIES_NUMBER: _number(result.series_number),
        SERIES_DESCRIPTION: result.series_description,
        NUMBER_OF_INSTANCES: _number(result.number_of_instances),
    }


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""


def _number(number: int | None) -> str:
    return "" if number is None else str(number)
