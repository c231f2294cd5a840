"""Jobs and tasks as programs see them."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import Field

from adit_core.api.v1.values import Shown
from adit_core.db import JobKind, JobStatus, RowStatus, TaskKind, TaskStatus
from adit_core.services.action_rules import JobAction
from adit_core.services.job_series import SeriesState
from adit_core.services.jobs import JobView


class JobActionName(StrEnum):
    """What can be done with a job besides approving and deleting it, by the names of `JobAction`."""

    CANCEL = "cancel"
    RESUME = "resume"
    RETRY = "retry"
    RESTART = "restart"
    SEARCH_AGAIN = "search-again"
    MAKE_URGENT = "make-urgent"


class TaskActionName(StrEnum):
    """What can be done with a task besides deleting it, by the names of `TaskAction`."""

    RESET = "reset"
    KILL = "kill"


class Counts(Shown):
    """Instances by what became of them; of a query, rows. Planned ones are delivered, filtered or failed."""

    planned: int
    delivered: int
    filtered: int
    failed: int
    sent: int
    """Over all attempts; what the destination held already is not."""
    bytes_sent: int


class Progress(Shown):
    """How far a job is."""

    tasks: dict[TaskStatus, int]
    """How many tasks have which status; of a query, how many rows."""
    counts: Counts
    share: float
    """How much of it is done, from 0 to 1."""
    bytes_per_second: float | None
    seconds_left: float | None
    """An estimate; null if there is nothing to go by."""


class Job(Shown):
    """A job."""

    id: int
    kind: JobKind
    name: str
    owner: str
    group: str
    """Of the owner's groups the one that it was submitted for; empty for all of them together."""
    source: str | None
    destination: str | None
    excluded_modalities: list[str]
    direct_move: bool
    as_nifti: bool
    archive_file: str
    """The encrypted archive, in the folder, that all studies go into; empty if there is none."""
    trial_protocol_id: str
    trial_protocol_name: str
    urgent: bool
    status: JobStatus
    message: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    progress: Progress
    actions: list[str] = Field(examples=[["cancel", "delete"]])
    """What you may do with it."""
    refusals: dict[str, str]
    """Why you may not do the rest."""

    @classmethod
    def of(cls, view: JobView) -> "Job":
        """Return a job as it is shown."""
        return cls(
            id=view.id,
            kind=view.kind,
            name=view.name,
            owner=view.owner,
            group=view.group,
            source=view.source,
            destination=view.destination,
            excluded_modalities=list(view.options.excluded_modalities),
            direct_move=view.options.direct_move,
            as_nifti=view.options.as_nifti,
            archive_file=view.archive_file,
            trial_protocol_id=view.options.trial_protocol_id,
            trial_protocol_name=view.options.trial_protocol_name,
            urgent=view.urgent,
            status=view.status,
            message=view.message,
            created_at=view.created_at,
            started_at=view.started_at,
            ended_at=view.ended_at,
            progress=Progress.model_validate(view.progress),
            actions=sorted(map(_word, view.actions)),
            refusals={_word(action): reason for action, reason in view.refusals.items()},
        )


class Task(Shown):
    """A task of a job: one study, some rows of a query, or a period that is searched."""

    id: int
    job_id: int
    kind: TaskKind
    subject: str
    rows: tuple[int, ...]
    """Of the spreadsheet, or of that of the query whose results were transferred."""
    patient_id: str
    study_instance_uid: str
    series_instance_uids: tuple[str, ...]
    """The chosen ones; empty for all."""
    pseudonym: str
    status: TaskStatus
    message: str
    attempts: int
    planned: int
    delivered: int
    filtered: int
    failed: int
    sent: int
    bytes_sent: int
    started_at: datetime | None
    ended_at: datetime | None


class TaskDetail(Task):
    """A task, and what you may not do with it."""

    actions: list[str]
    refusals: dict[str, str]


class Series(Shown):
    """How far a series of a task is."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    planned: int
    delivered: int
    filtered: int
    failed: int
    message: str


class SeriesOfJob(Series):
    """How far a series of a job is."""

    task_id: int
    study_instance_uid: str
    state: SeriesState


class Event(Shown):
    """One thing that happened to a job, or to one of its tasks."""

    id: int
    at: datetime
    task_id: int | None
    attempt: int | None
    actor: str | None
    status: str | None
    message: str


class FoundResult(Shown):
    """A study, or series, that answers a row of a query."""

    patient_id: str
    patient_name: str
    patient_birth_date: date | None
    study_instance_uid: str
    accession_number: str
    study_date: date | None
    study_time: str
    study_description: str
    modalities: tuple[str, ...]
    series_instance_uid: str
    series_number: int | None
    series_description: str
    number_of_instances: int | None
    further: dict[str, str]


class AnsweredRow(Shown):
    """A row of a query, and what came of it."""

    row: int
    cells: dict[str, str]
    status: RowStatus
    message: str
    is_open: bool
    results: tuple[FoundResult, ...]


class LeftOutRow(Shown):
    """A row of a batch transfer that would not be transferred."""

    row: int
    """Of the query whose results these are, if the rows tell; else of the spreadsheet."""
    reason: str


class AcceptedOrder(Shown):
    """What would be submitted."""

    studies: int | None
    rows: int | None
    periods: int | None
    """Of a mass transfer: the days or weeks that would be searched."""
    left_out: tuple[LeftOutRow, ...]


class SeriesPreview(Shown):
    """A series that would be transferred, or filtered for a reason."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    instances: int
    filtered: str


class StudyPreview(Shown):
    """What would become of a study."""

    study_instance_uid: str
    patient_id: str
    study_date: date | None
    series: tuple[SeriesPreview, ...]
    instances: int
    held: int | None
    """Instances that the destination has; null if it cannot be asked."""
    conflicts: tuple[str, ...]


class Preview(Shown):
    """What would become of a transfer, or of the part of it that was looked at."""

    sample: str
    """Which part that is; empty if it is all of it."""
    studies: tuple[StudyPreview, ...]
    series: int
    instances: int
    held: int
    filtered: dict[str, int]
    """How many series would be filtered for which reason."""
    bytes: float | None
    seconds: float | None
    notes: tuple[str, ...]


class RowPreview(Shown):
    """What a row of a batch query asks, by the names of columns."""

    row: int
    finds_series: bool
    """Whether its results are series, and not studies."""
    asked: tuple[str, ...]
    """By which columns the archive chooses; none of them if it is asked for all of its studies."""
    sifted: tuple[str, ...]
    """By which other ones ADIT chooses among what the archive answers."""


class QueryPreview(Shown):
    """What a batch query would ask."""

    total: int
    """How many rows there are."""
    rows: tuple[RowPreview, ...]
    """The first of them."""
    seconds: float | None
    notes: tuple[str, ...]


def _word(action: JobAction) -> str:
    return action.value.replace(" ", "-")
