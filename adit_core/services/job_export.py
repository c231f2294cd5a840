"""The studies, or the series, of a transfer, with what became of each, as a spreadsheet for people."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from adit_core.db import Task, User
from adit_core.db.engine import Database
from adit_core.services.job_series import JobSeries, series_of_job
from adit_core.services.jobs import tasks_of_job
from adit_core.services.looks import record_export
from adit_core.services.text_sheet import SheetFormat, encode_sheet

COLUMNS = (
    *("Row", "Status", "PatientID", "Pseudonym", "StudyInstanceUID", "SeriesInstanceUID"),
    *("Planned", "Delivered", "Filtered", "Failed", "Bytes", "Attempts", "Started", "Ended", "Message"),
)
"""Times are UTC; a study of which chosen series are wanted names them in one cell."""
SERIES_COLUMNS = (
    *("PatientID", "Pseudonym", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Modality"),
    *("State", "Planned", "Delivered", "Filtered", "Failed", "Message"),
)
_AT_ONCE = 1000


def export_tasks(db: Database, user: User, job_id: int, form: SheetFormat, *, address: str = "") -> bytes:
    """Return the tasks of a job as a spreadsheet; the audit trail is told.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    content = encode_sheet(COLUMNS, map(_cells, _all_tasks(db, user, job_id)), form)
    record_export(db, user, job_id, address=address)
    return content


def export_series(db: Database, user: User, job_id: int, form: SheetFormat, *, address: str = "") -> bytes:
    """Return the series of a job as a spreadsheet; the audit trail is told.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    content = encode_sheet(SERIES_COLUMNS, map(_series_cells, series_of_job(db, user, job_id)), form)
    record_export(db, user, job_id, address=address)
    return content


def _series_cells(series: JobSeries) -> Sequence[str]:
    return (
        *(series.patient_id, series.pseudonym, series.study_instance_uid, series.series_instance_uid),
        "" if series.series_number is None else str(series.series_number),
        series.modality,
        series.state.value,
        *map(str, (series.planned, series.delivered, series.filtered, series.failed)),
        series.message,
    )


def _all_tasks(db: Database, user: User, job_id: int) -> Iterator[Task]:
    after_id = None
    while tasks := tasks_of_job(db, user, job_id, limit=_AT_ONCE, after_id=after_id):
        yield from tasks
        after_id = tasks[-1].id


def _cells(task: Task) -> Sequence[str]:
    return (
        ", ".join(map(str, task.rows)),
        task.status.value,
        task.patient_id,
        task.pseudonym,
        task.study_instance_uid,
        ", ".join(task.series_instance_uids),
        *map(str, (task.planned, task.delivered, task.filtered, task.failed)),
        *map(str, (task.bytes_sent, task.attempts)),
        _moment(task.started_at),
        _moment(task.ended_at),
        task.message,
    )


def _moment(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""
