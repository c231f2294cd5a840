"""How full the places are that ADIT writes to, as whoever sees them last found out."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger
from sqlmodel import Field

from adit_core.db.columns import Table, UtcDateTime, words


class SpaceState(StrEnum):
    """Whether there is room for more."""

    ENOUGH = "enough"
    LOW = "low"
    """Somebody should see to it; nothing is refused yet."""
    FULL = "full"
    """Nothing new is begun that writes there."""


class DiskReading(Table, table=True):
    """What was found out about a place, for those who cannot see it themselves.

    The dashboard need not have the folders of nodes, nor a worker the spool of the receiver.
    """

    place: str = Field(primary_key=True, max_length=80)
    """Such as ``uploads``, or ``node 3``."""
    node_id: int | None = Field(default=None, foreign_key="dicom_node.id", unique=True, ondelete="CASCADE")
    """The folder, if it is one of a node."""
    total: int = Field(sa_type=BigInteger)
    """The size of the disk in bytes."""
    free: int = Field(sa_type=BigInteger)
    used: int | None = Field(default=None, sa_type=BigInteger)
    """How much lies in the folder; counted only if it has a quota."""
    state: SpaceState = Field(sa_type=words(SpaceState))
    message: str = ""
    """What is free and what to do, unless there is enough."""
    measured_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When `used` was counted, which takes longer than the rest."""
    told: SpaceState = Field(default=SpaceState.ENOUGH, sa_type=words(SpaceState))
    """The worst that staff were told since there was enough."""
    told_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
