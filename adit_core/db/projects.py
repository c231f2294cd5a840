"""Projects that data are pseudonymized for, and who was who: the link tables.

What identifies a patient is encrypted. So that a patient is found again, there is a keyed digest beside
it, which says nothing without the secret of the project.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from adit_core.db.columns import NEVER_REUSE_IDS, Table, UtcDateTime, utc_now, validated, words
from adit_core.db.secrets import Sealed, SealedSecret
from adit_core.deid.profile import DeidProfile


class PseudonymSource(StrEnum):
    """Where the pseudonyms of a project come from, unless a job gives one."""

    KEYED = "keyed"
    """Derived from Patient ID and the project's secret: the same even after the links were deleted."""
    RANDOM = "random"
    """Drawn, and known by the link alone."""
    GIVEN = "given"
    """From nowhere: each new patient needs one that a spreadsheet or form gives."""


class PseudonymProject(Table, table=True):
    """What data are pseudonymized for, and how."""

    __table_args__ = NEVER_REUSE_IDS

    id: int = Field(default=None, primary_key=True)
    name: str = Field(max_length=64, unique=True)
    secret: Sealed = Field(sa_type=SealedSecret)
    """Keys all that is derived from original values; as hexadecimal digits."""
    profile: DeidProfile = Field(sa_type=validated(DeidProfile))
    pseudonyms: PseudonymSource = Field(default=PseudonymSource.KEYED, sa_type=words(PseudonymSource))
    trial_protocol_id: str = Field(default="", max_length=64)
    trial_protocol_name: str = Field(default="", max_length=64)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class ProjectAccess(Table, table=True):
    """A group may pseudonymize for a project."""

    group_id: int = Field(foreign_key="group.id", primary_key=True, ondelete="CASCADE")
    project_id: int = Field(foreign_key="pseudonym_project.id", primary_key=True, ondelete="CASCADE")


class PatientLink(Table, table=True):
    """A patient and the pseudonym that stands for them in a project."""

    __table_args__ = (
        UniqueConstraint("project_id", "patient_digest"),
        # Two patients of one pseudonym could not be told apart any more.
        UniqueConstraint("project_id", "pseudonym", name="uq_patient_link_pseudonym"),
        NEVER_REUSE_IDS,
    )

    id: int = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="pseudonym_project.id", ondelete="RESTRICT")
    patient_digest: str = Field(max_length=64)
    patient_id: Sealed = Field(sa_type=SealedSecret)
    pseudonym: str = Field(max_length=64)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class StudyLink(Table, table=True):
    """A study of a patient, and the UID that it has in a project."""

    __table_args__ = (
        UniqueConstraint("patient_link_id", "pseudonymized_study_instance_uid"),
        NEVER_REUSE_IDS,
    )

    id: int = Field(default=None, primary_key=True)
    patient_link_id: int = Field(foreign_key="patient_link.id", ondelete="CASCADE")
    study_instance_uid: Sealed = Field(sa_type=SealedSecret)
    pseudonymized_study_instance_uid: str = Field(max_length=64, index=True)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
