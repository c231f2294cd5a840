"""What is still to be told to somebody: the outbox of notifications.

A row is added in the transaction that ends a job, or that finds a disk low or full, and deleted once it has
been told or given up, which the job's history says.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from sqlmodel import Field

from adit_core.db.columns import NEVER_REUSE_IDS, Table, UtcDateTime, utc_now, validated, words
from adit_core.db.disks import SpaceState
from adit_core.db.jobs import JobKind, JobStatus
from adit_core.db.tasks import TaskStatus


class Channel(StrEnum):
    """How somebody is told."""

    EMAIL = "e-mail"
    WEBHOOK = "webhook"


class JobEnd(BaseModel):
    """How a job ended, as it was then. Nothing here comes from a patient, or was typed by a user."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: int
    run_number: int
    kind: JobKind
    status: JobStatus
    summary: str
    """What did not go as it should have, in words."""
    tasks: dict[TaskStatus, int]
    """How many tasks have which status; those that no task has are left out."""
    ended_at: datetime


class DiskNews(BaseModel):
    """A disk is low or full, as it was then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str
    """What people call what lies on it."""
    state: SpaceState
    message: str
    at: datetime


class Notification(Table, table=True):
    """An end of a job for its owner, or a disk that is low for staff, to be told by one channel."""

    __table_args__ = NEVER_REUSE_IDS

    id: int = Field(default=None, primary_key=True)
    job_id: int | None = Field(default=None, foreign_key="job.id", index=True, ondelete="CASCADE")
    recipient_id: int | None = Field(default=None, foreign_key="user.id", ondelete="CASCADE")
    """Who is told, if it is about no job."""
    channel: Channel = Field(sa_type=words(Channel))
    job_end: JobEnd | None = Field(default=None, sa_type=validated(JobEnd))
    disk: DiskNews | None = Field(default=None, sa_type=validated(DiskNews))
    attempts: int = 0
    due_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
    """When to try next; while somebody tries, when to try again should nothing more be heard of that."""
