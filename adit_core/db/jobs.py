"""Jobs, their tasks, and how far each series is.

For every task and every series that has ended: ``planned = delivered + filtered + failed``, counted
per SOP Instance UID.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from sqlalchemy import BigInteger, Index
from sqlmodel import Field

from adit_core.db.columns import NEVER_REUSE_IDS, Table, UtcDateTime, utc_now, validated, words


class JobKind(StrEnum):
    """What a job is made from."""

    BATCH_TRANSFER = "batch transfer"


class JobStatus(StrEnum):
    """Where a job is in its life; derived from its tasks by `adit_core.services.job_status`."""

    UNVERIFIED = "UNVERIFIED"
    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    FAILURE = "FAILURE"


class TaskStatus(StrEnum):
    """Where a task is in its life. It changes by conditional updates only."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    FAILURE = "FAILURE"
    CANCELED = "CANCELED"


class TransferOptions(BaseModel):
    """How the studies of a job are to be transferred."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    excluded_modalities: tuple[str, ...] = ()
    """Series of these modalities are filtered: counted, but not transferred."""
    direct_move: bool = True
    """Whether the source may be asked to send straight to the destination, where both nodes allow it."""


class Job(Table, table=True):
    """A piece of work that a user ordered."""

    __table_args__ = NEVER_REUSE_IDS

    id: int = Field(default=None, primary_key=True)
    kind: JobKind = Field(sa_type=words(JobKind))
    name: str = Field(default="", max_length=150)
    owner_id: int = Field(foreign_key="user.id", index=True)
    source_id: int = Field(foreign_key="dicom_node.id")
    destination_id: int = Field(foreign_key="dicom_node.id")
    options: TransferOptions = Field(default_factory=TransferOptions, sa_type=validated(TransferOptions))
    urgent: bool = False
    status: JobStatus = Field(default=JobStatus.PENDING, sa_type=words(JobStatus), index=True)
    message: str = ""
    cancel_requested: bool = False
    run_number: int = 0
    """Counts the executions; with the id it makes the idempotency key of a flow run."""
    idle_runs: int = 0
    """Executions in a row in which no task ended; the reconciler gives up at a limit."""
    running_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Until when the execution under way has said that it lives; None before it has begun."""
    flow_run_id: str | None = Field(default=None, max_length=36)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When the first task started since the job was submitted, or since its tasks were put back."""
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class TransferTask(Table, table=True):
    """One study of a job."""

    __table_args__ = (Index(None, "job_id", "status"), NEVER_REUSE_IDS)

    id: int = Field(default=None, primary_key=True)
    job_id: int = Field(foreign_key="job.id", ondelete="CASCADE")
    patient_id: str = Field(max_length=64)
    study_instance_uid: str = Field(max_length=64)
    series_instance_uids: tuple[str, ...] = Field(default=(), sa_type=validated(tuple[str, ...]))
    """The chosen series; empty for all."""
    pseudonym: str = Field(default="", max_length=64)
    rows: tuple[int, ...] = Field(default=(), sa_type=validated(tuple[int, ...]))
    """The rows of the spreadsheet that the task comes from, as the spreadsheet counts them."""

    status: TaskStatus = Field(default=TaskStatus.PENDING, sa_type=words(TaskStatus))
    message: str = ""
    log: str = ""
    """What happened, one line per event, oldest first."""
    attempts: int = 0
    claim_token: str | None = Field(default=None, max_length=36)
    claimed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)

    planned: int = 0
    delivered: int = 0
    filtered: int = 0
    failed: int = 0
    sent: int = 0
    """Instances that were sent, over all attempts; those that the destination already held are not."""
    bytes_sent: int = Field(default=0, sa_type=BigInteger)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SeriesProgress(Table, table=True):
    """How far one series of a task is."""

    task_id: int = Field(foreign_key="transfer_task.id", primary_key=True, ondelete="CASCADE")
    series_instance_uid: str = Field(max_length=64, primary_key=True)
    modality: str = Field(default="", max_length=16)
    series_number: int | None = None
    planned: int = 0
    delivered: int = 0
    filtered: int = 0
    failed: int = 0
    message: str = ""
