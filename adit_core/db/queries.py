"""Batch queries: the rows that ask, and what archives answered."""

from datetime import date
from enum import StrEnum

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from adit_core.db.columns import Table, validated, words


class RowStatus(StrEnum):
    """What came of a row."""

    UNANSWERED = "not answered"
    """As yet, or for good if its task has ended; then the message says why."""
    FOUND = "found"
    NOTHING_FOUND = "nothing found"
    SEVERAL_PATIENTS = "several patients"
    """The row names one patient, but the studies found are of several."""
    FAILED = "failed"
    """The archive refused to answer, or ADIT to ask; asking again would not change that."""


class QueryRow(Table, table=True):
    """One row of the spreadsheet of a batch query; it belongs to the task that asks it, among others."""

    __table_args__ = (UniqueConstraint("job_id", "row"),)

    id: int = Field(default=None, primary_key=True)
    job_id: int = Field(foreign_key="job.id", ondelete="CASCADE")
    task_id: int = Field(foreign_key="task.id", ondelete="CASCADE", index=True)
    row: int
    """As the spreadsheet counts; the header is row 1."""
    cells: dict[str, str] = Field(default_factory=dict, sa_type=validated(dict[str, str]))
    """What was asked, by the names of `adit_core.services.query_columns`, in their order."""
    status: RowStatus = Field(default=RowStatus.UNANSWERED, sa_type=words(RowStatus))
    message: str = ""


class QueryResult(Table, table=True):
    """A study that answers a row; or a series of one, if ``series_instance_uid`` is not empty."""

    id: int = Field(default=None, primary_key=True)
    query_row_id: int = Field(foreign_key="query_row.id", ondelete="CASCADE", index=True)
    patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: date | None = None
    study_instance_uid: str = ""
    accession_number: str = ""
    study_date: date | None = None
    study_time: str = ""
    study_description: str = ""
    modalities: tuple[str, ...] = Field(default=(), sa_type=validated(tuple[str, ...]))
    """All of a study in alphabetical order, or the one of a series."""
    series_instance_uid: str = ""
    series_number: int | None = None
    series_description: str = ""
    number_of_instances: int | None = None
    """Of the study, or of the series; None if the archive does not tell."""
    further: dict[str, str] = Field(default_factory=dict, sa_type=validated(dict[str, str]))
    """The further attributes that the row asked for, as far as the archive told them."""
