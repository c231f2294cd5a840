"""What studies are pseudonymized for, who was who, and what waits for a reviewer, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adit_core.client.reading import MOMENT, Table, made, reader, table_of


@dataclass(frozen=True, slots=True)
class Project:
    """What studies are pseudonymized for."""

    name: str
    pseudonyms: str
    """Where pseudonyms come from that nobody gives: keyed, random or given."""
    trial_protocol_id: str = ""
    trial_protocol_name: str = ""
    profile: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = field(default=None, **MOMENT)


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """One attribute before and after it was de-identified."""

    path: str
    before: str
    after: str | None
    """None if it was removed."""
    rule: str


@dataclass(frozen=True, slots=True)
class SeriesDryRun:
    """What a project would make of a series, by its first instance."""

    series_instance_uid: str
    modality: str
    sop_instance_uid: str
    pixels: str
    """What would become of the pixels, in words."""
    filtered: str = ""
    """Why the series would not leave; empty if it would."""
    failure: str = ""
    """Why the instance could not be de-identified; empty if it could."""
    changes: Table[AttributeChange] = field(default_factory=Table, **table_of(AttributeChange))


@dataclass(frozen=True, slots=True)
class LinkedStudy:
    """A study that left under another UID."""

    study_instance_uid: str
    pseudonymized_study_instance_uid: str
    linked_at: datetime | None = field(default=None, **MOMENT)


@dataclass(frozen=True, slots=True)
class LinkedPatient:
    """A patient, what stands for them, and their studies."""

    patient_id: str
    pseudonym: str
    linked_at: datetime | None = field(default=None, **MOMENT)
    studies: tuple[LinkedStudy, ...] = field(
        default=(), **reader(lambda told: tuple(made(LinkedStudy, each) for each in told))
    )


@dataclass(frozen=True, slots=True)
class HeldInstance:
    """An instance that did not leave, since its pixels may show who the patient is."""

    id: int
    job_id: int
    task_id: int
    project: str
    pseudonym: str
    sop_instance_uid: str
    reason: str
    status: str
    series_instance_uid: str = ""
    held_at: datetime | None = field(default=None, **MOMENT)
    reviewed_at: datetime | None = field(default=None, **MOMENT)
