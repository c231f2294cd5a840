"""Who has, or waits for, a place at a node: the one account that all processes share."""

from datetime import datetime
from enum import IntEnum

from sqlalchemy import Integer, UniqueConstraint
from sqlmodel import Field

from adit_core.db.columns import Table, UtcDateTime


class Precedence(IntEnum):
    """Who goes first at a node that is full; among equals, who asked first."""

    URGENT_JOB = 0
    ANSWER = 1
    """A person or a program that waits for an answer."""
    JOB = 2


class NodePlace(Table, table=True):
    """A place at a node that somebody has or waits for; `adit_core.services.node_places` changes it."""

    __table_args__ = (UniqueConstraint("node_id", "asker"),)

    id: int = Field(default=None, primary_key=True)
    node_id: int = Field(foreign_key="dicom_node.id", ondelete="CASCADE")
    asker: str = Field(max_length=36, index=True)
    """A UUID, the same at all nodes that are used together."""
    holder: str = Field(max_length=64)
    """Who that is, in words, such as "job 12"."""
    precedence: int = Field(sa_type=Integer)
    asked_at: datetime = Field(sa_type=UtcDateTime)
    taken_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """None for who still waits."""
    until: datetime = Field(sa_type=UtcDateTime)
    """When it is free again, unless it is renewed: who does not renew it has died."""
