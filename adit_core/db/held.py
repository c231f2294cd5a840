"""Instances that are held back because their pixels may show who the patient is, until somebody looks."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from adit_core.db.columns import NEVER_REUSE_IDS, Table, UtcDateTime, utc_now, validated, words
from adit_core.deid.pixels.regions import Rectangle


class ReviewStatus(StrEnum):
    """What a reviewer decided."""

    HELD = "held"
    """Nothing yet."""
    RELEASED = "released"
    """It leaves when its task is done again, blanked where the reviewer said."""
    REJECTED = "rejected"
    """It never leaves."""


class HeldInstance(Table, table=True):
    """An instance of a task that did not leave."""

    __table_args__ = (UniqueConstraint("task_id", "sop_instance_uid"), NEVER_REUSE_IDS)

    id: int = Field(default=None, primary_key=True)
    task_id: int = Field(foreign_key="task.id", ondelete="CASCADE")
    series_instance_uid: str = Field(max_length=64)
    sop_instance_uid: str = Field(max_length=64)
    """As the source calls it."""
    reason: str = ""
    """Why it is suspected; no patient data."""
    status: ReviewStatus = Field(default=ReviewStatus.HELD, sa_type=words(ReviewStatus), index=True)
    blanked: tuple[Rectangle, ...] = Field(default=(), sa_type=validated(tuple[Rectangle, ...]))
    """The regions that the reviewer wants blanked in every frame."""
    reviewer_id: int | None = Field(default=None, foreign_key="user.id", ondelete="SET NULL")
    reviewed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    held_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
