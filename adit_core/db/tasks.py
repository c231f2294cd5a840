"""Tasks, what a job consists of, and how far each series is.

For every task and every series that has ended: ``planned = delivered + filtered + failed``. Transfers
count instances, by their SOP Instance UID; queries count rows, and a row that was answered is delivered.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Index
from sqlmodel import Field

from adit_core.db.columns import NEVER_REUSE_IDS, Table, UtcDateTime, validated, words


class TaskKind(StrEnum):
    """What is to be done in a task."""

    TRANSFER = "transfer"
    """Move one study."""
    QUERY = "query"
    """Ask an archive about some rows of a spreadsheet."""
    DISCOVERY = "discovery"
    """Find the studies of one period, and add a task for each."""


class TaskStatus(StrEnum):
    """Where a task is in its life. It changes by conditional updates only."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    FAILURE = "FAILURE"
    CANCELED = "CANCELED"


class Task(Table, table=True):
    """A part of a job that is done, retried and accounted for by itself.

    Fields of the other kinds stay empty.
    """

    __table_args__ = (Index(None, "job_id", "status"), NEVER_REUSE_IDS)

    id: int = Field(default=None, primary_key=True)
    job_id: int = Field(foreign_key="job.id", ondelete="CASCADE")
    kind: TaskKind = Field(default=TaskKind.TRANSFER, sa_type=words(TaskKind))
    rows: tuple[int, ...] = Field(default=(), sa_type=validated(tuple[int, ...]))
    """The rows of the spreadsheet that the task comes from, as the spreadsheet counts them.

    If it was made of the results of a query, they are those of the query's spreadsheet.
    """

    patient_id: str = Field(default="", max_length=64)
    study_instance_uid: str = Field(default="", max_length=64)
    series_instance_uids: tuple[str, ...] = Field(default=(), sa_type=validated(tuple[str, ...]))
    """The chosen series; empty for all."""
    pseudonym: str = Field(default="", max_length=64)

    period_start: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """The first moment of the period whose studies are to be found."""
    period_end: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """The first moment after it."""
    parent_id: int | None = Field(default=None, foreign_key="task.id", ondelete="SET NULL", index=True)
    """The task that found this one."""

    status: TaskStatus = Field(default=TaskStatus.PENDING, sa_type=words(TaskStatus))
    message: str = ""
    attempts: int = 0
    claim_token: str | None = Field(default=None, max_length=36)
    claimed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    kill_requested: bool = False
    """The attempt under way is to be ended as FAILURE."""
    refused: bool = False
    """A member of staff did not approve it, so only one can have it done after all."""

    planned: int = 0
    delivered: int = 0
    filtered: int = 0
    failed: int = 0
    sent: int = 0
    """Instances that were sent, over all attempts; those that the destination already held are not."""
    bytes_sent: int = Field(default=0, sa_type=BigInteger)
    of_others: int = 0
    """Instances that were sent and name another patient, over all attempts."""
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    @property
    def subject(self) -> str:
        """What the task is about, without patient data: a Study Instance UID, or a period."""
        if self.period_start is None or self.period_end is None:
            return self.study_instance_uid
        return f"{self.period_start:%Y-%m-%d %H:%M} to {self.period_end:%Y-%m-%d %H:%M} UTC"


class SeriesProgress(Table, table=True):
    """How far one series of a task is."""

    task_id: int = Field(foreign_key="task.id", primary_key=True, ondelete="CASCADE")
    series_instance_uid: str = Field(max_length=64, primary_key=True)
    modality: str = Field(default="", max_length=16)
    series_number: int | None = None
    planned: int = 0
    delivered: int = 0
    filtered: int = 0
    failed: int = 0
    message: str = ""
