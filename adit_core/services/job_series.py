"""The series of a job, each with its state: one list, whichever studies and attempts they belong to."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from sqlmodel import Session, col, select

from adit_core.db import SeriesProgress, Task, TaskKind, TaskStatus, User
from adit_core.db.engine import Database
from adit_core.services.jobs import tasks_of_job
from adit_core.services.looks import record_look

_AT_ONCE = 500


class SeriesState(StrEnum):
    """What has become of a series."""

    WAITING = "waiting"
    IN_PROGRESS = "in progress"
    DELIVERED = "delivered"
    FILTERED = "filtered"
    """None of its instances is wanted."""
    FAILED = "failed"
    """Some of its instances are not at the destination, or its study could not be looked at."""
    CANCELED = "canceled"
    EMPTY = "empty"
    """The source has no instance of it (any more)."""


@dataclass(frozen=True, slots=True)
class JobSeries:
    """A series of a job, and how far it is."""

    task_id: int
    patient_id: str
    pseudonym: str
    study_instance_uid: str
    series_instance_uid: str
    state: SeriesState
    modality: str = ""
    series_number: int | None = None
    planned: int = 0
    delivered: int = 0
    filtered: int = 0
    failed: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class SeriesPage:
    """The series of some studies of a job."""

    series: tuple[JobSeries, ...]
    next_after: int | None
    """The task after which the next page begins; None if this is the last one."""


def list_series(
    db: Database,
    user: User,
    job_id: int,
    *,
    statuses: Collection[TaskStatus] = (),
    limit: int = 100,
    after_id: int | None = None,
    address: str = "",
) -> SeriesPage:
    """Return the series of a job, study by study; the audit trail is told of the look.

    Args:
        db: Where they are kept.
        user: Who asks.
        job_id: Their job.
        statuses: Only those of studies whose tasks have one of these; empty for all.
        limit: Those of at most so many studies.
        after_id: Only those of tasks after this one, to go on from where the last page ended.
        address: The network address that the request came from.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    page = _page(db, user, job_id, statuses=statuses, limit=limit, after_id=after_id)
    record_look(db, user, job_id, address=address)
    return page


def series_of_job(db: Database, user: User, job_id: int) -> Iterator[JobSeries]:
    """Yield all series of a job to those who tell the audit trail themselves what they are for.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    after_id: int | None = None
    while True:
        page = _page(db, user, job_id, limit=_AT_ONCE, after_id=after_id)
        yield from page.series
        if (after_id := page.next_after) is None:
            return


def _page(
    db: Database,
    user: User,
    job_id: int,
    *,
    statuses: Collection[TaskStatus] = (),
    limit: int,
    after_id: int | None,
) -> SeriesPage:
    tasks = tasks_of_job(
        db, user, job_id, statuses=statuses, limit=limit + 1, after_id=after_id, kind=TaskKind.TRANSFER
    )
    shown = tasks[:limit]
    with db.reading() as session:
        progress = _progress(session, [task.id for task in shown])
    series = tuple(each for task in shown for each in _series(task, progress[task.id]))
    return SeriesPage(series, shown[-1].id if len(tasks) > limit else None)


def _progress(session: Session, task_ids: Collection[int]) -> dict[int, list[SeriesProgress]]:
    rows = session.exec(select(SeriesProgress).where(col(SeriesProgress.task_id).in_(task_ids)))
    by_task = defaultdict[int, list[SeriesProgress]](list)
    for row in sorted(rows, key=lambda row: (row.series_number or 0, row.series_instance_uid)):
        by_task[row.task_id].append(row)
    return by_task


def _series(task: Task, progress: Collection[SeriesProgress]) -> Iterator[JobSeries]:
    """Yield the series of a task, also the chosen ones of which nothing else is known yet."""
    known = {row.series_instance_uid: row for row in progress}
    for uid in dict.fromkeys((*known, *task.series_instance_uids)):
        row = known.get(uid) or SeriesProgress(task_id=task.id, series_instance_uid=uid)
        yield JobSeries(
            task.id,
            task.patient_id,
            task.pseudonym,
            task.study_instance_uid,
            uid,
            _state(task.status, row),
            *(row.modality, row.series_number),
            *(row.planned, row.delivered, row.filtered, row.failed),
            row.message,
        )


def _state(task: TaskStatus, row: SeriesProgress) -> SeriesState:
    """Return what has become of a series.

    ============ ================================ ===========
    its task     its instances                    it is
    ============ ================================ ===========
    any          all delivered or filtered        DELIVERED, FILTERED if none was delivered
    PENDING      else                             WAITING
    IN_PROGRESS  else                             IN_PROGRESS
    CANCELED     else                             CANCELED
    FAILURE      else                             FAILED
    else         some failed                      FAILED
    else         there are none                   EMPTY
    ============ ================================ ===========
    """
    if row.planned and row.delivered + row.filtered >= row.planned:
        return SeriesState.DELIVERED if row.delivered else SeriesState.FILTERED
    if state := _BY_TASK.get(task):
        return state
    return SeriesState.FAILED if row.planned else SeriesState.EMPTY


_BY_TASK = {
    TaskStatus.PENDING: SeriesState.WAITING,
    TaskStatus.IN_PROGRESS: SeriesState.IN_PROGRESS,
    TaskStatus.CANCELED: SeriesState.CANCELED,
    TaskStatus.FAILURE: SeriesState.FAILED,
}
