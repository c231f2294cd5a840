"""What the statuses of tasks make of their job."""

import pytest

from adit_core.db import JobKind, JobStatus, TaskStatus
from adit_core.errors import JobFailed
from adit_core.services.job_status import JobResult, derive_status, summary

P, R, S, W, F, C = (
    TaskStatus.PENDING,
    TaskStatus.IN_PROGRESS,
    TaskStatus.SUCCESS,
    TaskStatus.WARNING,
    TaskStatus.FAILURE,
    TaskStatus.CANCELED,
)


@pytest.mark.parametrize(
    ("tasks", "cancel_requested", "started", "expected"),
    [
        ({P: 2}, False, False, JobStatus.PENDING),
        ({P: 1, S: 1}, False, False, JobStatus.PENDING),
        ({P: 2}, False, True, JobStatus.IN_PROGRESS),
        ({P: 1, R: 1}, False, True, JobStatus.IN_PROGRESS),
        ({R: 1, F: 5}, False, True, JobStatus.IN_PROGRESS),
        ({R: 1, C: 1}, True, True, JobStatus.CANCELING),
        ({P: 1}, True, False, JobStatus.CANCELING),
        ({C: 2}, True, False, JobStatus.CANCELED),
        ({C: 1, S: 1, F: 1}, True, True, JobStatus.CANCELED),
        ({S: 2}, True, True, JobStatus.SUCCESS),
        ({S: 2}, False, True, JobStatus.SUCCESS),
        ({S: 1, W: 1}, False, True, JobStatus.WARNING),
        ({W: 1}, False, True, JobStatus.WARNING),
        ({S: 9, F: 1}, False, True, JobStatus.WARNING),
        ({W: 1, F: 1}, False, True, JobStatus.WARNING),
        ({F: 2}, False, True, JobStatus.FAILURE),
        ({}, False, False, JobStatus.FAILURE),
    ],
)
def test_the_status_of_a_job_follows_from_its_tasks(
    tasks: dict[TaskStatus, int], cancel_requested: bool, started: bool, expected: JobStatus
):
    assert derive_status(tasks, cancel_requested=cancel_requested, started=started) is expected


def test_the_summary_tells_what_is_noteworthy():
    assert summary({S: 18, F: 2}, JobKind.BATCH_TRANSFER) == "2 of 20 studies failed."
    assert summary({S: 1, W: 1, F: 1, C: 1}, JobKind.BATCH_TRANSFER) == (
        "1 of 4 studies failed. 1 of 4 studies ended with a warning. 1 of 4 studies were canceled."
    )
    assert summary({S: 3}, JobKind.BATCH_TRANSFER) == ""
    assert summary({S: 2, F: 1}, JobKind.MASS_TRANSFER) == "1 of 3 searches and studies failed."


def test_a_result_without_any_success_is_raised():
    message = summary({F: 2}, JobKind.BATCH_TRANSFER)

    with pytest.raises(JobFailed, match=r"Job 7: 2 of 2 studies failed\."):
        JobResult(7, JobStatus.FAILURE, message, {F: 2}).or_raise()
    assert JobResult(7, JobStatus.WARNING, "", {F: 1, S: 1}).or_raise() == {"FAILURE": 1, "SUCCESS": 1}
