"""What happened to jobs and their tasks, in order. Rows are added, never changed."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field

from adit_core.db.columns import Table, UtcDateTime, utc_now


class JobEvent(Table, table=True):
    """One thing that happened to a job, or to one of its tasks."""

    __table_args__ = (Index(None, "job_id", "id"), Index(None, "task_id", "id"))

    id: int = Field(default=None, primary_key=True)
    at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    job_id: int = Field(foreign_key="job.id", ondelete="CASCADE")
    task_id: int | None = Field(default=None, foreign_key="task.id", ondelete="CASCADE")
    """The task that it happened to; None if it happened to the job."""
    attempt: int | None = None
    """The attempt at the task that it happened in."""
    actor: str | None = Field(default=None, max_length=150)
    """The user who wanted it; None for what came about by itself."""
    status: str | None = Field(default=None, max_length=40)
    """The status that it led to; None if that stayed as it was."""
    message: str = ""
