"""What is asked of those who use a node, and how the node has been doing lately."""

from datetime import datetime, time
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from sqlalchemy import BigInteger
from sqlmodel import Field

from adit_core.db.columns import Table, UtcDateTime, validated, words


class Weekday(StrEnum):
    """A day of the week, in the order of the week."""

    MONDAY = "Mon"
    TUESDAY = "Tue"
    WEDNESDAY = "Wed"
    THURSDAY = "Thu"
    FRIDAY = "Fri"
    SATURDAY = "Sat"
    SUNDAY = "Sun"


class WeeklyWindow(BaseModel):
    """A time of the week in which a node may be used, as the clock on its wall shows it.

    ``until`` is the first moment after it; if that is not later than ``start``, it is on the next day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weekday: Weekday
    start: time
    until: time


class OutsideWindow(StrEnum):
    """What becomes of a study that is on the move when a window ends."""

    FINISH = "finish"
    STOP = "stop"
    """It stops after the series under way; the rest waits for the next window."""


class NodePolicy(Table, table=True):
    """How a node may be used; a node without one may be used at any time, as fast as it can.

    How many studies may be moved at the same time is said by the node itself.
    """

    node_id: int = Field(foreign_key="dicom_node.id", primary_key=True, ondelete="CASCADE")
    instances_per_second: float | None = None
    """How many instances may be moved from or to it, over all workers; None for any number."""
    windows: tuple[WeeklyWindow, ...] = Field(default=(), sa_type=validated(tuple[WeeklyWindow, ...]))
    """When it may be used; empty for always."""
    time_zone: str = Field(default="UTC", max_length=64)
    """Of the windows, by its name in the IANA database."""
    outside: OutsideWindow = Field(default=OutsideWindow.FINISH, sa_type=words(OutsideWindow))
    find_limit: int | None = None
    """How many results it gives to one query at most, as far as that is known."""
    min_free_bytes: int | None = Field(default=None, sa_type=BigInteger)
    """Of a folder: what stays free on its disk; None for what is usual."""
    quota_bytes: int | None = Field(default=None, sa_type=BigInteger)
    """Of a folder: how much it may hold; None for any amount."""


class NodeHealth(Table, table=True):
    """How a node has been doing, as all workers see it; `adit_core.services.node_health` changes it."""

    node_id: int = Field(foreign_key="dicom_node.id", primary_key=True, ondelete="CASCADE")
    failures: int = 0
    """How often in a row somebody was kept out of it."""
    failed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    paused_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    prober: str | None = Field(default=None, max_length=64)
    """Who alone may try it during the pause."""
    message: str = ""
    """What happened last."""

    width: int | None = None
    """How many studies it could cope with at the same time when it last said that it was busy."""
    busy_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    paced_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Until when moments for instances have been given away."""
