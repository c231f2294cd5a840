"""Jobs: the pieces of work that users order."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from sqlmodel import Field

from adit_core.db.columns import NEVER_REUSE_IDS, Table, UtcDateTime, utc_now, validated, words
from adit_core.db.mass import MassTransferOptions
from adit_core.db.secrets import Sealed, SealedSecret


class JobKind(StrEnum):
    """What a job is made from."""

    SELECTIVE_TRANSFER = "selective transfer"
    """Studies or series that the owner picked from what an archive was found to hold."""
    BATCH_TRANSFER = "batch transfer"
    """Studies or series that a spreadsheet lists."""
    BATCH_QUERY = "batch query"
    """Questions that a spreadsheet lists; nothing is transferred."""
    MASS_TRANSFER = "mass transfer"
    """Whatever a range of dates and filters choose."""
    UPLOAD = "upload"
    """DICOM files that the owner uploaded."""


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


class TransferOptions(BaseModel):
    """How the studies of a job are to be transferred."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    excluded_modalities: tuple[str, ...] = ()
    """Series of these modalities are filtered: counted, but not transferred."""
    direct_move: bool = True
    """Whether the source may be asked to send straight to the destination, where both nodes allow it."""
    as_nifti: bool = False
    """Whether a folder gets NIfTI volumes instead of DICOM files."""
    trial_protocol_id: str = ""
    """What data sets get instead of the project's trial protocol; empty for that of the project."""
    trial_protocol_name: str = ""


class Job(Table, table=True):
    """A piece of work that a user ordered."""

    __table_args__ = NEVER_REUSE_IDS

    id: int = Field(default=None, primary_key=True)
    kind: JobKind = Field(sa_type=words(JobKind))
    name: str = Field(default="", max_length=150)
    owner_id: int = Field(foreign_key="user.id", index=True)
    group_id: int | None = Field(default=None, foreign_key="group.id", index=True, ondelete="SET NULL")
    """Of the owner's groups the one that was active then; None if all were, or if it is gone."""
    source_id: int | None = Field(default=None, foreign_key="dicom_node.id")
    """Where studies come from; None for what was uploaded."""
    destination_id: int | None = Field(default=None, foreign_key="dicom_node.id")
    """Where they go; None for a query."""
    project_id: int | None = Field(default=None, foreign_key="pseudonym_project.id", ondelete="RESTRICT")
    """What it is pseudonymized for; None if nothing is changed."""
    options: TransferOptions = Field(default_factory=TransferOptions, sa_type=validated(TransferOptions))
    archive_password: Sealed | None = Field(default=None, sa_type=SealedSecret)
    """Of the encrypted archive that all studies go into; None if there is none."""
    mass: MassTransferOptions | None = Field(default=None, sa_type=validated(MassTransferOptions))
    """What a mass transfer looks for; None for the other kinds."""
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
