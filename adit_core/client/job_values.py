"""What becomes of jobs, or would become of them, as values."""

from dataclasses import dataclass, field
from datetime import date, datetime

from adit_core.client.reading import DAY, MOMENT, TUPLE, Table, table_of


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a job: one study, some rows of a query, or a period that is searched."""

    id: int
    job_id: int
    kind: str
    subject: str
    status: str
    message: str
    attempts: int
    rows: tuple[int, ...] = field(default=(), **TUPLE)
    patient_id: str = ""
    study_instance_uid: str = ""
    series_instance_uids: tuple[str, ...] = field(default=(), **TUPLE)
    pseudonym: str = ""
    planned: int = 0
    delivered: int = 0
    filtered: int = 0
    failed: int = 0
    sent: int = 0
    bytes_sent: int = 0
    started_at: datetime | None = field(default=None, **MOMENT)
    ended_at: datetime | None = field(default=None, **MOMENT)


@dataclass(frozen=True, slots=True)
class TaskDetail(Task):
    """A task, and what you may do with it."""

    actions: tuple[str, ...] = field(default=(), **TUPLE)
    refusals: dict[str, str] = field(default_factory=dict)
    """Why you may not do the rest."""


@dataclass(frozen=True, slots=True)
class TaskSeries:
    """How far a series of a task is."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    planned: int = 0
    delivered: int = 0
    filtered: int = 0
    failed: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class JobSeries(TaskSeries):
    """How far a series of a job is."""

    task_id: int = 0
    study_instance_uid: str = ""
    state: str = ""
    """Such as "delivered", "filtered" or "failed"."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a job, or to one of its tasks."""

    id: int
    at: datetime = field(**MOMENT)
    task_id: int | None = None
    attempt: int | None = None
    actor: str | None = None
    status: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class FoundResult:
    """A study, or series, that answers a row of a query."""

    patient_id: str
    patient_name: str
    patient_birth_date: date | None = field(**DAY)
    study_instance_uid: str = ""
    accession_number: str = ""
    study_date: date | None = field(default=None, **DAY)
    study_time: str = ""
    study_description: str = ""
    modalities: tuple[str, ...] = field(default=(), **TUPLE)
    series_instance_uid: str = ""
    series_number: int | None = None
    series_description: str = ""
    number_of_instances: int | None = None
    further: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    """A row of a query, and what came of it."""

    row: int
    cells: dict[str, str]
    status: str
    message: str
    is_open: bool
    results: Table[FoundResult] = field(default_factory=Table, **table_of(FoundResult))


@dataclass(frozen=True, slots=True)
class SeriesPreview:
    """A series that would be transferred, or filtered for a reason."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    instances: int = 0
    filtered: str = ""
    """Why it would be; empty if it would not."""


@dataclass(frozen=True, slots=True)
class StudyPreview:
    """What would become of a study."""

    study_instance_uid: str
    patient_id: str
    study_date: date | None = field(**DAY)
    instances: int = 0
    held: int | None = None
    """Instances that the destination has; None if it cannot be asked."""
    conflicts: tuple[str, ...] = field(default=(), **TUPLE)
    series: Table[SeriesPreview] = field(default_factory=Table, **table_of(SeriesPreview))


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of a transfer, or of the part of it that was looked at."""

    sample: str
    studies: Table[StudyPreview] = field(**table_of(StudyPreview))
    series: int = 0
    instances: int = 0
    held: int = 0
    filtered: dict[str, int] = field(default_factory=dict)
    bytes: float | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = field(default=(), **TUPLE)


@dataclass(frozen=True, slots=True)
class RowPreview:
    """What a row of a query asks, by the names of columns."""

    row: int
    finds_series: bool
    """Whether its results are series, and not studies."""
    asked: tuple[str, ...] = field(default=(), **TUPLE)
    """By which columns the archive chooses."""
    sifted: tuple[str, ...] = field(default=(), **TUPLE)
    """By which other ones ADIT chooses among what the archive answers."""


@dataclass(frozen=True, slots=True)
class QueryPreview:
    """What a query would ask."""

    total: int
    rows: Table[RowPreview] = field(**table_of(RowPreview))
    """The first of them."""
    seconds: float | None = None
    notes: tuple[str, ...] = field(default=(), **TUPLE)


@dataclass(frozen=True, slots=True)
class UploadedSeries:
    """A series of an upload."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    instances: int = 0


@dataclass(frozen=True, slots=True)
class UploadedStudy:
    """A study of an upload, as its files describe it."""

    patient_id: str
    study_instance_uid: str
    study_date: date | None = field(**DAY)
    study_description: str = ""
    instances: int = 0
    series: Table[UploadedSeries] = field(default_factory=Table, **table_of(UploadedSeries))


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that stands for no instance, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Upload:
    """What was recognised in an upload."""

    id: str
    studies: Table[UploadedStudy] = field(**table_of(UploadedStudy))
    refused: Table[RefusedFile] = field(default_factory=Table, **table_of(RefusedFile))
    problems: tuple[str, ...] = field(default=(), **TUPLE)
    """What is wrong with studies."""
    patients: int = 0
    series: int = 0
    instances: int = 0
