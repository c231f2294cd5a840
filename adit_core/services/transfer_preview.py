"""What a transfer would move, filter and find in its way, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class SeriesPreview:
    """A series that would be transferred, or filtered for a reason."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    instances: int
    filtered: str = ""


@dataclass(frozen=True, slots=True)
class StudyPreview:
    """What would become of one study."""

    study_instance_uid: str
    patient_id: str
    study_date: date | None
    series: tuple[SeriesPreview, ...] = ()
    held: int | None = None
    """Instances of the wanted series that the destination has; None if it cannot be asked."""
    conflicts: tuple[str, ...] = ()
    """What is in the way, or looks wrong, without patient data."""

    @property
    def wanted(self) -> tuple[SeriesPreview, ...]:
        """The series that would be transferred."""
        return tuple(series for series in self.series if not series.filtered)

    @property
    def instances(self) -> int:
        """The instances of these."""
        return sum(series.instances for series in self.wanted)


@dataclass(frozen=True, slots=True)
class TransferPreview:
    """What would become of a transfer, or of the part of it that was looked at."""

    studies: tuple[StudyPreview, ...]
    sample: str = ""
    """Which part of the transfer this is, in words; empty if it is all of it."""
    filtered: Mapping[str, int] = field(default_factory=dict)
    """How many series would be filtered for which reason."""
    bytes: float | None = None
    """What would have to be sent, by what such instances had before; None if nothing is known."""
    seconds: float | None = None
    """How long that would take, by how fast it went before; None if nothing is known."""
    notes: tuple[str, ...] = ()

    @property
    def series(self) -> int:
        """How many series would be transferred."""
        return sum(len(study.wanted) for study in self.studies)

    @property
    def instances(self) -> int:
        """How many instances they have."""
        return sum(study.instances for study in self.studies)

    @property
    def held(self) -> int:
        """How many of them the destination has already, as far as it can be asked."""
        return sum(study.held or 0 for study in self.studies)
