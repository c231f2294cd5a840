"""The account of a job that was disturbed: the promises that it must keep, whatever happened to it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from adit_core.db import JobStatus, SeriesProgress, Task, TaskKind, TaskStatus
from adit_core.services.job_status import OPEN_TASKS
from adit_core.services.jobs import JobView, series_of_task
from tests.stack import RunningStack

LONGEST = 180.0
"""Seconds from a fault after which a job must have ended."""
Hashes = Mapping[str, str]
"""The data set hash of each instance by its SOP Instance UID."""


@dataclass(frozen=True)
class Transfer:
    """A job, what there is to move, and where it can be seen what arrived."""

    adit: RunningStack
    job_id: int
    studies: Mapping[str, Hashes]
    """What the source holds, by Study Instance UID."""
    arrived: Callable[[], Hashes]
    """Returns what the destination holds of these studies, read without the code under test."""
    sent: Mapping[str, int] | None
    """How often each instance was sent to the destination; None if nobody counts that."""
    fault_at: datetime | None = None
    """When the fault came, or a wait by policy was over; None if the fault was there before the job began."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    status: JobStatus
    tasks: Counter[TaskStatus]
    planned: int
    delivered: int
    filtered: int
    failed: int
    attempts: int
    """Of the task that took the most."""
    sent_again: int | None
    """Instances that were sent although they had been before, counted each time; None if nobody counts."""
    seconds: float
    """From submission to the end."""
    seconds_from_fault: float
    """From `Transfer.fault_at` to the end; from the beginning of the job, if that is None."""
    messages: tuple[str, ...]
    """Of the tasks."""


Record = Callable[[Outcome], None]
"""Takes down the outcome of a fault."""


def assert_whole(transfer: Transfer, *, in_flight: int = 0) -> Outcome:
    """Wait until a job has ended, assert that it kept every promise, and return how it ended.

    At most `in_flight` instances may have been sent to the destination once more than needed.
    """
    adit, job_id = transfer.adit, transfer.job_id
    job = adit.finished(job_id)
    tasks = adit.tasks(job_id)
    arrived = transfer.arrived()
    for task in tasks:
        _assert_settled(task)
        if task.kind is TaskKind.TRANSFER:
            _assert_series_add_up(task, series_of_task(adit.db, adit.user, task.id))
            _assert_delivered(task, transfer.studies.get(task.study_instance_uid, {}), arrived)
    _assert_no_study_twice(tasks)
    everything = {uid: digest for study in transfer.studies.values() for uid, digest in study.items()}
    assert arrived.items() <= everything.items(), "the destination holds what the source never had"
    outcome = _outcome(job, tasks, transfer)
    assert outcome.seconds_from_fault <= LONGEST, (
        f"it took {outcome.seconds_from_fault:.0f} s after the fault"
    )
    _assert_sent(outcome, transfer.sent, in_flight)
    adit.await_end_of_flow_runs(job)
    return outcome


def _assert_settled(task: Task) -> None:
    assert task.status not in OPEN_TASKS, task.message
    assert task.claim_token is None
    assert task.claimed_until is None
    assert task.ended_at is not None
    assert task.planned == task.delivered + task.filtered + task.failed, task.message


def _assert_no_study_twice(tasks: Iterable[Task]) -> None:
    studies = Counter(task.study_instance_uid for task in tasks if task.kind is TaskKind.TRANSFER)
    assert set(studies.values()) <= {1}, "a job moves a study twice"


def _assert_series_add_up(task: Task, series: list[SeriesProgress]) -> None:
    for each in series:
        assert each.planned == each.delivered + each.filtered + each.failed, task.message
    assert task.planned == sum(each.planned for each in series)
    assert task.delivered == sum(each.delivered for each in series)


def _assert_delivered(task: Task, study: Hashes, arrived: Hashes) -> None:
    """Assert that what the task says of the destination is what the destination says.

    After a crash more may have arrived than anybody could write down, but never less.
    """
    there = study.keys() & arrived.keys()
    assert task.delivered <= len(there), task.message
    if task.status in (TaskStatus.SUCCESS, TaskStatus.WARNING):
        assert task.failed == 0
        assert task.delivered == task.planned - task.filtered == len(there), task.message


def _assert_sent(outcome: Outcome, sent: Mapping[str, int] | None, in_flight: int) -> None:
    if sent is None or outcome.sent_again is None:
        return
    assert outcome.delivered <= len(sent), f"only {len(sent)} of {outcome.delivered} instances were counted"
    assert outcome.sent_again <= in_flight, f"{outcome.sent_again} instances were sent again"


def _outcome(job: JobView, tasks: list[Task], transfer: Transfer) -> Outcome:
    assert job.ended_at is not None
    fault_at = transfer.fault_at or job.started_at or job.created_at
    # A search counts series, whose instances those count that move them.
    counted = [task for task in tasks if task.kind is not TaskKind.DISCOVERY]
    return Outcome(
        status=job.status,
        tasks=Counter(task.status for task in tasks),
        planned=sum(task.planned for task in counted),
        delivered=sum(task.delivered for task in counted),
        filtered=sum(task.filtered for task in counted),
        failed=sum(task.failed for task in counted),
        attempts=max(task.attempts for task in tasks),
        sent_again=None if transfer.sent is None else sum(count - 1 for count in transfer.sent.values()),
        seconds=(job.ended_at - job.created_at).total_seconds(),
        seconds_from_fault=(job.ended_at - fault_at).total_seconds(),
        messages=tuple(task.message for task in tasks),
    )
