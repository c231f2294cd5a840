"""Uploads: DICOM files that users brought, which lie here until they have been transferred."""

from datetime import date, datetime

from pydantic import BaseModel, ConfigDict
from sqlmodel import Field

from adit_core.db.columns import Table, UtcDateTime, utc_now, validated


class UploadedSeries(BaseModel):
    """A series of an upload, and how many instances of it there are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    series_instance_uid: str
    modality: str = ""
    series_number: int | None = None
    instances: int = 0


class UploadedStudy(BaseModel):
    """A study of an upload, as its files describe it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient_id: str
    study_instance_uid: str
    study_date: date | None = None
    study_description: str = ""
    series: tuple[UploadedSeries, ...] = ()

    @property
    def instances(self) -> int:
        """The instances of all series."""
        return sum(series.instances for series in self.series)


class Upload(Table, table=True):
    """Files that a user uploaded at once. They are the source of at most one job."""

    id: str = Field(primary_key=True, max_length=32)
    """Random, so that nobody guesses it."""
    owner_id: int = Field(foreign_key="user.id", index=True)
    job_id: int | None = Field(default=None, foreign_key="job.id", ondelete="SET NULL", index=True)
    """The job that transfers it; None as long as there is none."""
    folder: str
    """Where its files lie; workers find them there as well."""
    studies: tuple[UploadedStudy, ...] = Field(default=(), sa_type=validated(tuple[UploadedStudy, ...]))
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    removed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When its files were deleted."""
