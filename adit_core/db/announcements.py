"""What administrators tell everybody, and maintenance mode."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field

from adit_core.db.columns import NEVER_REUSE_IDS, Table, UtcDateTime, utc_now, words


class Importance(StrEnum):
    """How loudly an announcement is made."""

    NEWS = "news"
    WARNING = "warning"


class Announcement(Table, table=True):
    """Something that administrators tell everybody who opens a page."""

    __table_args__ = NEVER_REUSE_IDS

    id: int = Field(default=None, primary_key=True)
    message: str = Field(max_length=1000)
    importance: Importance = Field(default=Importance.NEWS, sa_type=words(Importance))
    starts_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """The first moment at which it is not shown any more; None until it is removed."""
    created_by: str = Field(max_length=150)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class Maintenance(Table, table=True):
    """Maintenance mode: there is a row while it is on, and never more than one."""

    id: int = Field(default=1, primary_key=True)
    message: str = Field(max_length=1000)
    started_by: str = Field(max_length=150)
    started_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
