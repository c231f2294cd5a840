"""Accounts and groups, as values."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from adit_core.client.reading import MOMENT, TUPLE, Table, table_of

Permission: TypeAlias = Literal[
    "transfer selected studies",
    "transfer batches",
    "transfer masses",
    "upload",
    "query",
    "convert to NIfTI",
    "make encrypted archives",
    "process urgently",
    "transfer unpseudonymized",
    "view link table",
    "review held instances",
    "DICOMweb query",
    "DICOMweb retrieve",
    "DICOMweb store",
    "use the API",
]
"""What the members of a group may do beyond looking at their own jobs."""


@dataclass(frozen=True, slots=True)
class User:
    """An account."""

    username: str
    full_name: str = ""
    email: str = ""
    is_staff: bool = False
    is_active: bool = True
    needs_approval: bool = False
    """Whether staff have to approve the jobs."""
    notify_by_email: bool = False
    must_change_password: bool = False
    created_at: datetime | None = field(default=None, **MOMENT)


@dataclass(frozen=True, slots=True)
class NodeAccess:
    """A node that a group may use, and as what."""

    node: str
    as_source: bool
    as_destination: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A group: its members may do what it permits, with the nodes that it may use."""

    id: int
    name: str
    permissions: tuple[str, ...] = field(default=(), **TUPLE)
    members: tuple[str, ...] = field(default=(), **TUPLE)
    nodes: Table[NodeAccess] = field(default_factory=Table, **table_of(NodeAccess))
