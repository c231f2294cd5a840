"""Submissions that a program may repeat when it does not know whether the first one arrived."""

from datetime import datetime

from sqlmodel import Field

from adit_core.db.columns import Table, UtcDateTime, utc_now
from adit_core.db.secrets import Sealed, SealedSecret


class Submission(Table, table=True):
    """A job was submitted under a key; whoever submits it again is told of this job."""

    owner_id: int = Field(foreign_key="user.id", primary_key=True, ondelete="CASCADE")
    key: str = Field(max_length=200, primary_key=True)
    """What the owner's program called it."""
    request_hash: str = Field(max_length=64)
    """The SHA-256 of what was asked for, so that a key is not used for something else by mistake."""
    job_id: int = Field(foreign_key="job.id", index=True, ondelete="CASCADE")
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class RepeatableCreation(Table, table=True):
    """Something other than a job is created, or was created, under a key."""

    owner_id: int = Field(foreign_key="user.id", primary_key=True, ondelete="CASCADE")
    key: str = Field(max_length=200, primary_key=True)
    request_hash: str = Field(default="", max_length=64)
    """A keyed hash of what was asked for: there may be a password in it."""
    answer: Sealed | None = Field(default=None, sa_type=SealedSecret)
    """What was answered; None as long as it is being created."""
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
