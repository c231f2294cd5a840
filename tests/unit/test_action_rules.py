"""What may be done with jobs and tasks: every status, every asker."""

import pytest

from adit_core.db import JobStatus, TaskStatus
from adit_core.errors import ActionNotPossible, NotAllowed
from adit_core.services.action_rules import (
    Asker,
    JobAction,
    JobState,
    TaskAction,
    TaskState,
    refusal_of_job_action,
    refusal_of_task_action,
    refusals_of_job_actions,
    refusals_of_task_actions,
)

STAFF = Asker(is_staff=True, may_process_urgently=True)
OWNER = Asker(is_staff=False, may_process_urgently=False)
HURRIED = Asker(is_staff=False, may_process_urgently=True)
MIXED = {TaskStatus.SUCCESS: 1, TaskStatus.FAILURE: 1, TaskStatus.CANCELED: 1}

VERIFY, DELETE, CANCEL = JobAction.VERIFY, JobAction.DELETE, JobAction.CANCEL
RESUME, RETRY, RESTART, MAKE_URGENT = (
    JobAction.RESUME,
    JobAction.RETRY,
    JobAction.RESTART,
    JobAction.MAKE_URGENT,
)


def allowed(job: JobState, asker: Asker) -> set[JobAction]:
    return set(JobAction) - refusals_of_job_actions(job, asker).keys()


def allowed_for_task(task: TaskState, asker: Asker) -> set[TaskAction]:
    return set(TaskAction) - refusals_of_task_actions(task, asker).keys()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (JobStatus.UNVERIFIED, {VERIFY, DELETE, MAKE_URGENT}),
        (JobStatus.PENDING, {DELETE, CANCEL, MAKE_URGENT}),
        (JobStatus.IN_PROGRESS, {CANCEL, MAKE_URGENT}),
        (JobStatus.CANCELING, set()),
        (JobStatus.CANCELED, {RESUME, RESTART}),
        (JobStatus.SUCCESS, {RESTART}),
        (JobStatus.WARNING, {RETRY, RESTART}),
        (JobStatus.FAILURE, {RETRY, RESTART}),
    ],
)
def test_the_status_of_a_job_decides(status: JobStatus, expected: set[JobAction]) -> None:
    job = JobState(status, MIXED)

    assert allowed(job, STAFF) == expected
    assert allowed(job, HURRIED) == expected - {VERIFY, RESTART}
    assert allowed(job, OWNER) == expected - {VERIFY, RESTART, MAKE_URGENT}


def test_a_job_of_which_anything_was_started_is_not_deleted() -> None:
    job = JobState(JobStatus.PENDING, {TaskStatus.PENDING: 2}, was_started=True)

    assert allowed(job, STAFF) == {CANCEL, MAKE_URGENT}


@pytest.mark.parametrize("asker", [STAFF, OWNER])
@pytest.mark.parametrize("status", JobStatus)
def test_a_mass_transfer_that_was_done_can_search_again(status: JobStatus, asker: Asker) -> None:
    is_possible = JobAction.SEARCH_AGAIN in allowed(JobState(status, MIXED, searches=True), asker)

    assert is_possible == (status in (JobStatus.SUCCESS, JobStatus.WARNING, JobStatus.FAILURE))


def test_a_job_that_is_urgent_cannot_be_made_so() -> None:
    assert allowed(JobState(JobStatus.PENDING, {}, urgent=True), STAFF) == {DELETE, CANCEL}


def test_a_warning_without_failures_is_not_tried_again() -> None:
    job = JobState(JobStatus.WARNING, {TaskStatus.WARNING: 1})

    refusal = refusal_of_job_action(RETRY, job, OWNER)

    assert refusal is not None
    assert refusal.reason == "None of its tasks failed."


def test_what_was_not_approved_is_neither_resumed_nor_restarted() -> None:
    nothing_approved = JobState(JobStatus.CANCELED, {TaskStatus.CANCELED: 2}, refused=2)
    some_approved = JobState(JobStatus.CANCELED, {TaskStatus.CANCELED: 2, TaskStatus.SUCCESS: 1}, refused=2)

    assert allowed(nothing_approved, STAFF) == set()
    assert allowed(some_approved, STAFF) == {RESTART}


@pytest.mark.parametrize("action", list(JobAction))
def test_what_staff_may_not_do_either_is_told_by_the_state_of_the_job(action: JobAction) -> None:
    refusal = refusal_of_job_action(action, JobState(JobStatus.CANCELING, {}), STAFF)

    assert refusal is not None
    error = refusal.error("Job 7")
    assert isinstance(error, ActionNotPossible)
    assert str(error) == f"Job 7: {refusal.reason}"
    assert "CANCELING" in str(error)


@pytest.mark.parametrize("action", [VERIFY, RESTART, MAKE_URGENT])
def test_a_right_that_is_missing_is_told_whatever_the_state_is(action: JobAction) -> None:
    for status in JobStatus:
        refusal = refusal_of_job_action(action, JobState(status, MIXED), OWNER)
        assert refusal is not None
        assert isinstance(refusal.error("Job 7"), NotAllowed)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (TaskStatus.PENDING, {TaskAction.DELETE}),
        (TaskStatus.IN_PROGRESS, {TaskAction.KILL}),
        (TaskStatus.SUCCESS, {TaskAction.RESET}),
        (TaskStatus.WARNING, {TaskAction.RESET}),
        (TaskStatus.FAILURE, {TaskAction.RESET}),
        (TaskStatus.CANCELED, {TaskAction.RESET}),
    ],
)
def test_the_status_of_a_task_decides(status: TaskStatus, expected: set[TaskAction]) -> None:
    task = TaskState(status, JobStatus.IN_PROGRESS)

    assert allowed_for_task(task, STAFF) == expected
    assert allowed_for_task(task, OWNER) == expected - {TaskAction.KILL}


def test_the_only_task_of_a_job_is_not_deleted() -> None:
    assert (
        allowed_for_task(TaskState(TaskStatus.PENDING, JobStatus.PENDING, is_only_one=True), STAFF) == set()
    )


def test_nothing_is_reset_while_the_job_is_being_canceled() -> None:
    assert allowed_for_task(TaskState(TaskStatus.FAILURE, JobStatus.CANCELING), STAFF) == set()


def test_only_staff_reset_what_was_not_approved() -> None:
    task = TaskState(TaskStatus.CANCELED, JobStatus.CANCELED, refused=True)

    assert allowed_for_task(task, STAFF) == {TaskAction.RESET}
    refusal = refusal_of_task_action(TaskAction.RESET, task, OWNER)
    assert refusal is not None
    assert isinstance(refusal.error("Task 3"), NotAllowed)
