"""What archives told about studies and series, kept so that they are not asked twice."""

from datetime import date, datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from adit_core.db.columns import Table, UtcDateTime, utc_now, validated


class Study(Table, table=True):
    """A study as a node described it at a moment."""

    __table_args__ = (UniqueConstraint("node_id", "study_instance_uid"),)

    id: int = Field(default=None, primary_key=True)
    node_id: int = Field(foreign_key="dicom_node.id", ondelete="CASCADE")
    study_instance_uid: str = Field(max_length=64)
    patient_id: str = Field(default="", max_length=64, index=True)
    patient_name: str = ""
    patient_birth_date: date | None = None
    patient_sex: str = Field(default="", max_length=16)
    accession_number: str = Field(default="", max_length=64, index=True)
    study_date: date | None = None
    study_time: str = Field(default="", max_length=16)
    study_description: str = ""
    modalities: frozenset[str] = Field(default=frozenset(), sa_type=validated(frozenset[str]))
    number_of_series: int | None = None
    number_of_instances: int | None = None
    institution_name: str = ""
    fetched_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class Series(Table, table=True):
    """A series as a node described it at a moment."""

    __table_args__ = (UniqueConstraint("study_id", "series_instance_uid"),)

    id: int = Field(default=None, primary_key=True)
    study_id: int = Field(foreign_key="study.id", ondelete="CASCADE")
    series_instance_uid: str = Field(max_length=64)
    modality: str = Field(default="", max_length=16)
    series_number: int | None = None
    series_description: str = ""
    number_of_instances: int | None = None
    institution_name: str = ""
    fetched_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
