"""Who one is, what archives have, and what everybody is told, as values."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from adit_core.client.reading import DAY, MOMENT, TUPLE, Table, table_of


@dataclass(frozen=True, slots=True)
class Me:
    """Who is signed in."""

    username: str
    full_name: str
    is_staff: bool
    email: str = ""
    needs_approval: bool = False
    """Whether staff have to approve one's jobs."""
    permissions: tuple[str, ...] = field(default=(), **TUPLE)
    groups: tuple[str, ...] = field(default=(), **TUPLE)
    active_group: str | None = None
    """The only one of the groups whose rights count; None if those of all count together."""
    scopes: tuple[str, ...] = field(default=(), **TUPLE)


@dataclass(frozen=True, slots=True)
class Node:
    """A node that one may use."""

    name: str
    kind: str
    roles: tuple[str, ...] = field(**TUPLE)
    services: tuple[str, ...] = field(**TUPLE)
    closed: str = ""
    """Why it may not be used now; empty if it may."""


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """Where a node is not what its configuration says."""

    about: str
    """A service, "connection", "encryption", "reading" or "writing"."""
    message: str
    is_harmful: bool
    """Whether jobs will fail because of it."""


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """What was found out about a node; what it was not asked for is None or empty."""

    node: str
    is_good: bool
    """Whether jobs can use it in all ways that it is configured for."""
    differences: Table[NodeDifference] = field(default_factory=Table, **table_of(NodeDifference))
    server: dict[str, Any] | None = None
    """What an archive that speaks DIMSE answered, by service."""
    web: tuple[dict[str, Any], ...] = field(default=(), **TUPLE)
    """What a DICOMweb server answered, one for each service."""
    folder: dict[str, Any] | None = None
    """What was found in a folder."""


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient that an archive knows."""

    patient_id: str
    patient_name: str
    patient_birth_date: date | None = field(**DAY)
    patient_sex: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """A study that an archive knows. Counts are None where it does not tell them."""

    patient_id: str
    patient_name: str
    patient_birth_date: date | None = field(**DAY)
    patient_sex: str = ""
    study_instance_uid: str = ""
    accession_number: str = ""
    study_date: date | None = field(default=None, **DAY)
    study_time: str = ""
    study_description: str = ""
    modalities: tuple[str, ...] = field(default=(), **TUPLE)
    number_of_series: int | None = None
    number_of_instances: int | None = None
    institution_name: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A series that an archive knows."""

    study_instance_uid: str
    series_instance_uid: str
    modality: str = ""
    series_number: int | None = None
    series_description: str = ""
    number_of_instances: int | None = None
    institution_name: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance that an archive knows."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""
    instance_number: int | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token, without the token itself."""

    id: int
    name: str
    prefix: str
    state: str
    owner: str = ""
    scopes: tuple[str, ...] = field(default=(), **TUPLE)
    created_at: datetime | None = field(default=None, **MOMENT)
    expires_at: datetime | None = field(default=None, **MOMENT)
    last_used_at: datetime | None = field(default=None, **MOMENT)
    last_used_from: str = ""
    revoked_at: datetime | None = field(default=None, **MOMENT)


@dataclass(frozen=True, slots=True)
class NewToken(Token):
    """A token that was just made."""

    token: str = field(default="", repr=False)
    """Keep it: it is not shown again."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One thing that somebody did, or tried."""

    id: int
    at: datetime = field(**MOMENT)
    actor: str
    action: str
    succeeded: bool
    object_kind: str
    object_id: str
    address: str = ""
    """The network address that it was done from."""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something that everybody is told."""

    id: int
    message: str
    importance: str
    starts_at: datetime = field(**MOMENT)
    ends_at: datetime | None = field(default=None, **MOMENT)
    created_by: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the server is ready for requests."""

    status: str
    """ready, or not ready."""
    reason: str | None = None
    """Why it is not."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Maintenance mode: nobody but staff begins anything, what runs goes on."""

    is_on: bool
    message: str = ""
    started_by: str = ""
    started_at: datetime | None = field(default=None, **MOMENT)
