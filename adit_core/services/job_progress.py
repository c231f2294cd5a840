"""How far jobs are: their tasks and instances summed up, how fast they go, how long they still take."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import datetime

from sqlalchemy import Float, case, cast, func
from sqlmodel import Session, col, select

from adit_core.db import Job, JobKind, Task, TaskKind, TaskStatus
from adit_core.services.job_status import OPEN_TASKS, TaskNumbers
from adit_core.services.progress import TaskCounts
from adit_core.services.query_rows import count_rows

_ACCOUNT = tuple(field.name for field in fields(TaskCounts))


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is."""

    tasks: TaskNumbers
    """How many tasks have which status; of a query, how many rows."""
    counts: TaskCounts
    """The accounts of all tasks but discoveries, which count no instances, summed up."""
    share: float
    """How much of it is done, from 0 to 1; every study counts the same, however large it is."""
    bytes_per_second: float | None
    """The mean since the job started; None if it has not."""
    seconds_left: float | None
    """An estimate that takes all studies for equally large; None if there is nothing to go by."""


def measure(session: Session, jobs: Sequence[Job], *, now: datetime) -> dict[int, JobProgress]:
    """Return by job id how far each of `jobs` is at the moment `now`."""
    sums = _sums(session, [job.id for job in jobs])
    queries = [job.id for job in jobs if job.kind is JobKind.BATCH_QUERY]
    rows = count_rows(session, queries) if queries else {}
    progress = {job.id: _progress(job, sums[job.id], now) for job in jobs}
    return {
        job_id: replace(each, tasks=rows[job_id]) if job_id in rows else each
        for job_id, each in progress.items()
    }


@dataclass(frozen=True, slots=True)
class _Sum:
    """The tasks of a job that have the same status."""

    status: TaskStatus
    tasks: int
    counts: TaskCounts
    bytes_now: int
    """What was sent since the job started; it may have been put back after an earlier run."""
    done: float
    """How many studies are done, parts of studies included."""
    done_now: float
    """How many of them were done since the job started."""


def _sums(session: Session, job_ids: Collection[int]) -> Mapping[int, list[_Sum]]:
    since_start = col(Task.started_at) >= col(Job.started_at)
    accounted = col(Task.delivered) + col(Task.filtered) + col(Task.failed)
    part = case(
        (col(Task.status).not_in(OPEN_TASKS), 1.0),
        (col(Task.planned) > 0, cast(accounted, Float) / col(Task.planned)),
        else_=0.0,
    )
    has_account = col(Task.kind) != TaskKind.DISCOVERY
    rows = session.exec(  # pyright: ignore[reportCallIssue] - more columns than its overloads have
        select(  # pyright: ignore[reportCallIssue]
            Task.job_id,
            Task.status,
            func.count(),
            *(func.sum(case((has_account, getattr(Task, name)), else_=0)) for name in _ACCOUNT),
            func.sum(case((since_start, col(Task.bytes_sent)), else_=0)),
            func.sum(part),
            func.sum(case((since_start, part), else_=0.0)),
        )
        .join(Job)
        .where(col(Task.job_id).in_(job_ids))
        .group_by(col(Task.job_id), col(Task.status))
    )
    by_job = defaultdict[int, list[_Sum]](list)
    for job_id, status, tasks, *counts, bytes_now, done, done_now in rows:
        by_job[job_id].append(
            _Sum(status, tasks, TaskCounts(*map(int, counts)), int(bytes_now), float(done), float(done_now))
        )
    return by_job


def _progress(job: Job, sums: Sequence[_Sum], now: datetime) -> JobProgress:
    elapsed = ((job.ended_at or now) - job.started_at).total_seconds() if job.started_at else 0.0
    sent = sum(part.bytes_now for part in sums)
    studies = sum(part.tasks for part in sums)
    return JobProgress(
        tasks={part.status: part.tasks for part in sums},
        counts=_added_up([part.counts for part in sums]),
        share=sum(part.done for part in sums) / studies if studies else 0.0,
        bytes_per_second=sent / elapsed if elapsed > 0 else None,
        seconds_left=_seconds_left(sums, elapsed),
    )


def _added_up(accounts: Sequence[TaskCounts]) -> TaskCounts:
    return TaskCounts(*map(sum, zip(*[astuple(account) for account in accounts], strict=True)))


def _seconds_left(sums: Sequence[_Sum], elapsed: float) -> float | None:
    done = sum(part.done_now for part in sums)
    left = sum(part.tasks - part.done_now for part in sums if part.status in OPEN_TASKS)
    return elapsed * left / done if done and left else None
