"""What the server tells, as values. Fields that a newer server tells besides are left out."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


class Table(list[T]):
    """A list of values that can become a data frame."""

    def to_pandas(self) -> "pd.DataFrame":
        """Return the values as a data frame, one row each. Identifiers stay text.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas as pd  # noqa: PLC0415 - an optional dependency

        return pd.DataFrame([asdict(value) for value in self])  # pyright: ignore[reportArgumentType]


def made(kind: type[T], told: Mapping[str, Any]) -> T:
    """Return what was told as a value of `kind`, a dataclass whose fields say how they are read."""
    known = fields(kind)  # pyright: ignore[reportArgumentType]
    return kind(**{each.name: _read(each.metadata, told[each.name]) for each in known if each.name in told})


def made_all(kind: type[T], told: list[Mapping[str, Any]]) -> Table[T]:
    """Return all that was told as values of `kind`."""
    return Table(made(kind, each) for each in told)


def _read(metadata: Mapping[Any, Any], value: Any) -> Any:
    return value if value is None or "read" not in metadata else metadata["read"](value)


def _reader(read: Callable[[Any], Any]) -> dict[str, Any]:
    return {"metadata": {"read": read}}


_DAY = _reader(date.fromisoformat)
_MOMENT = _reader(datetime.fromisoformat)
_TUPLE = _reader(tuple)


@dataclass(frozen=True, slots=True)
class Me:
    """Who is signed in."""

    username: str
    full_name: str
    is_staff: bool
    permissions: tuple[str, ...] = field(**_TUPLE)
    scopes: tuple[str, ...] = field(**_TUPLE)


@dataclass(frozen=True, slots=True)
class Node:
    """A node that one may use."""

    name: str
    kind: str
    roles: tuple[str, ...] = field(**_TUPLE)
    services: tuple[str, ...] = field(**_TUPLE)
    closed: str = ""
    """Why it may not be used now; empty if it may."""


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient that an archive knows."""

    patient_id: str
    patient_name: str
    patient_birth_date: date | None = field(**_DAY)
    patient_sex: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """A study that an archive knows. Counts are None where it does not tell them."""

    patient_id: str
    patient_name: str
    patient_birth_date: date | None = field(**_DAY)
    patient_sex: str = ""
    study_instance_uid: str = ""
    accession_number: str = ""
    study_date: date | None = field(default=None, **_DAY)
    study_time: str = ""
    study_description: str = ""
    modalities: tuple[str, ...] = field(default=(), **_TUPLE)
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
class Task:
    """A task of a job: one study, some rows of a query, or a period that is searched."""

    id: int
    job_id: int
    kind: str
    subject: str
    status: str
    message: str
    attempts: int
    rows: tuple[int, ...] = field(default=(), **_TUPLE)
    patient_id: str = ""
    study_instance_uid: str = ""
    series_instance_uids: tuple[str, ...] = field(default=(), **_TUPLE)
    pseudonym: str = ""
    planned: int = 0
    delivered: int = 0
    filtered: int = 0
    failed: int = 0
    sent: int = 0
    bytes_sent: int = 0
    started_at: datetime | None = field(default=None, **_MOMENT)
    ended_at: datetime | None = field(default=None, **_MOMENT)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a job, or to one of its tasks."""

    id: int
    at: datetime = field(**_MOMENT)
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
    patient_birth_date: date | None = field(**_DAY)
    study_instance_uid: str = ""
    accession_number: str = ""
    study_date: date | None = field(default=None, **_DAY)
    study_time: str = ""
    study_description: str = ""
    modalities: tuple[str, ...] = field(default=(), **_TUPLE)
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
    results: Table[FoundResult] = field(
        default_factory=Table, **_reader(lambda told: made_all(FoundResult, told))
    )


@dataclass(frozen=True, slots=True)
class StudyPreview:
    """What would become of a study."""

    study_instance_uid: str
    patient_id: str
    study_date: date | None = field(**_DAY)
    instances: int = 0
    held: int | None = None
    """Instances that the destination has; None if it cannot be asked."""
    conflicts: tuple[str, ...] = field(default=(), **_TUPLE)
    series: tuple[dict[str, Any], ...] = field(default=(), **_TUPLE)


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of a transfer, or of the part of it that was looked at."""

    sample: str
    studies: Table[StudyPreview] = field(**_reader(lambda told: made_all(StudyPreview, told)))
    series: int = 0
    instances: int = 0
    held: int = 0
    filtered: dict[str, int] = field(default_factory=dict)
    bytes: float | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = field(default=(), **_TUPLE)


@dataclass(frozen=True, slots=True)
class UploadedStudy:
    """A study of an upload, as its files describe it."""

    patient_id: str
    study_instance_uid: str
    study_date: date | None = field(**_DAY)
    study_description: str = ""
    instances: int = 0
    series: tuple[dict[str, Any], ...] = field(default=(), **_TUPLE)


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that stands for no instance, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Upload:
    """What was recognised in an upload."""

    id: str
    studies: Table[UploadedStudy] = field(**_reader(lambda told: made_all(UploadedStudy, told)))
    refused: Table[RefusedFile] = field(
        default_factory=Table, **_reader(lambda told: made_all(RefusedFile, told))
    )
    problems: tuple[str, ...] = field(default=(), **_TUPLE)
    series: int = 0
    instances: int = 0


@dataclass(frozen=True, slots=True)
class Project:
    """What studies are pseudonymized for."""

    name: str
    pseudonyms: str
    """Where pseudonyms come from that nobody gives: keyed, random or given."""
    trial_protocol_id: str = ""
    trial_protocol_name: str = ""
    profile: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkedStudy:
    """A study that left under another UID."""

    study_instance_uid: str
    pseudonymized_study_instance_uid: str


@dataclass(frozen=True, slots=True)
class LinkedPatient:
    """A patient, what stands for them, and their studies."""

    patient_id: str
    pseudonym: str
    studies: tuple[LinkedStudy, ...] = field(
        default=(), **_reader(lambda told: tuple(made(LinkedStudy, each) for each in told))
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


@dataclass(frozen=True, slots=True)
class Token:
    """A token, without the token itself."""

    id: int
    name: str
    prefix: str
    state: str
    owner: str = ""
    scopes: tuple[str, ...] = field(default=(), **_TUPLE)
    created_at: datetime | None = field(default=None, **_MOMENT)
    expires_at: datetime | None = field(default=None, **_MOMENT)
    last_used_at: datetime | None = field(default=None, **_MOMENT)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made."""

    id: int
    name: str
    token: str = field(repr=False)
    """Keep it: it is not shown again."""
    scopes: tuple[str, ...] = field(default=(), **_TUPLE)
    expires_at: datetime | None = field(default=None, **_MOMENT)
