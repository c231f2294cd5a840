"""What may be done with a job or a task, by whom and when: the one place that decides it.

The services ask before they act, with the job locked, and the faces ask what to offer. Nothing here
looks at the database. Whether a job is a user's at all is decided before (`job_access`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from adit_core.db import JobStatus, TaskStatus
from adit_core.errors import ActionNotPossible, NotAllowed
from adit_core.services.job_status import OPEN_TASKS, TaskNumbers


class JobAction(StrEnum):
    """What can be done with a job."""

    VERIFY = "verify"
    DELETE = "delete"
    CANCEL = "cancel"
    RESUME = "resume"
    RETRY = "retry"
    RESTART = "restart"
    SEARCH_AGAIN = "search again"
    MAKE_URGENT = "make urgent"


class TaskAction(StrEnum):
    """What can be done with a single task."""

    DELETE = "delete"
    RESET = "reset"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants something done: the owner of the job, or staff."""

    is_staff: bool
    may_process_urgently: bool


@dataclass(frozen=True, slots=True)
class JobState:
    """What decides what may be done with a job."""

    status: JobStatus
    tasks: TaskNumbers
    refused: int = 0
    """How many of its tasks were not approved."""
    urgent: bool = False
    was_started: bool = False
    """Whether a task of it was ever in progress."""
    searches: bool = False
    """Whether it looks for studies by itself, as mass transfers do."""

    @property
    def resumable(self) -> int:
        """How many tasks were canceled although they were approved, or needed no approval."""
        return self.tasks.get(TaskStatus.CANCELED, 0) - self.refused

    @property
    def repeatable(self) -> int:
        """How many tasks have ended otherwise than by not being approved."""
        ended = sum(number for status, number in self.tasks.items() if status not in OPEN_TASKS)
        return ended - self.refused


@dataclass(frozen=True, slots=True)
class TaskState:
    """What decides what may be done with a task."""

    status: TaskStatus
    job_status: JobStatus
    refused: bool = False
    is_only_one: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something may not be done: because of who asks, or because of how the job is."""

    reason: str
    is_about_rights: bool

    def error(self, subject: str) -> NotAllowed | ActionNotPossible:
        """Return the error that says so of `subject`, such as "Job 7"."""
        kind = NotAllowed if self.is_about_rights else ActionNotPossible
        return kind(f"{subject}: {self.reason}")


_NOT_STAFF = Refusal("Only staff may do this.", is_about_rights=True)
_NOT_URGENT = Refusal("You lack the permission to process urgently.", is_about_rights=True)


def refusal_of_job_action(action: JobAction, job: JobState, asker: Asker) -> Refusal | None:
    """Return why `asker` may not do something with a job; None if it may be done.

    =========== =========================================== ===============================
    action      possible while the job is                   needs besides
    =========== =========================================== ===============================
    verify      UNVERIFIED                                  staff
    delete      UNVERIFIED, PENDING                         that no task was ever started
    cancel      PENDING, IN_PROGRESS
    resume      CANCELED                                    a canceled task that was approved
    retry       FAILURE, WARNING                            a failed task
    restart     SUCCESS, WARNING, FAILURE, CANCELED         staff, a task that was approved
    search      SUCCESS, WARNING, FAILURE                   that it is a mass transfer
    again
    make urgent UNVERIFIED, PENDING, IN_PROGRESS            the permission; not urgent yet
    =========== =========================================== ===============================
    """
    if action in _FOR_STAFF and not asker.is_staff:
        return _NOT_STAFF
    if action is JobAction.MAKE_URGENT and not asker.may_process_urgently:
        return _NOT_URGENT
    reason = _REASONS[action](job)
    return Refusal(reason, is_about_rights=False) if reason else None


def refusals_of_job_actions(job: JobState, asker: Asker) -> dict[JobAction, str]:
    """Return by action why it may not be done with a job; those that may be done are left out."""
    refusals = {action: refusal_of_job_action(action, job, asker) for action in JobAction}
    return {action: refusal.reason for action, refusal in refusals.items() if refusal}


def refusal_of_task_action(action: TaskAction, task: TaskState, asker: Asker) -> Refusal | None:
    """Return why `asker` may not do something with a task; None if it may be done.

    ====== =================== ============== ===========================================
    action task is             job is         needs besides
    ====== =================== ============== ===========================================
    delete PENDING             any            that the job has others
    reset  ended               not CANCELING  staff, if it was not approved
    kill   IN_PROGRESS         any            staff
    ====== =================== ============== ===========================================
    """
    if action is TaskAction.KILL and not asker.is_staff:
        return _NOT_STAFF
    if action is TaskAction.RESET and task.refused and not asker.is_staff:
        return Refusal("It was not approved, so only staff may have it done.", is_about_rights=True)
    reason = _TASK_REASONS[action](task)
    return Refusal(reason, is_about_rights=False) if reason else None


def refusals_of_task_actions(task: TaskState, asker: Asker) -> dict[TaskAction, str]:
    """Return by action why it may not be done with a task; those that may be done are left out."""
    refusals = {action: refusal_of_task_action(action, task, asker) for action in TaskAction}
    return {action: refusal.reason for action, refusal in refusals.items() if refusal}


_FOR_STAFF = frozenset({JobAction.VERIFY, JobAction.RESTART})
_ENDED = frozenset({JobStatus.SUCCESS, JobStatus.WARNING, JobStatus.FAILURE, JobStatus.CANCELED})


def _against_verify(job: JobState) -> str:
    return _unless(job, "Only a job that waits for approval can be verified", JobStatus.UNVERIFIED)


def _against_delete(job: JobState) -> str:
    if job.status is JobStatus.PENDING and job.was_started:
        return "A job of which anything was started cannot be deleted."
    rule = "Only a job that was not started can be deleted"
    return _unless(job, rule, JobStatus.UNVERIFIED, JobStatus.PENDING)


def _against_cancel(job: JobState) -> str:
    rule = "Only a job that waits or is in progress can be canceled"
    return _unless(job, rule, JobStatus.PENDING, JobStatus.IN_PROGRESS)


def _against_resume(job: JobState) -> str:
    if job.status is JobStatus.CANCELED and not job.resumable:
        return "None of its canceled tasks was approved."
    return _unless(job, "Only a canceled job can be resumed", JobStatus.CANCELED)


def _against_retry(job: JobState) -> str:
    if job.status is JobStatus.WARNING and not job.tasks.get(TaskStatus.FAILURE):
        return "None of its tasks failed."
    return _unless(job, "Only failed tasks can be tried again", JobStatus.FAILURE, JobStatus.WARNING)


def _against_restart(job: JobState) -> str:
    if job.status in _ENDED and not job.repeatable:
        return "None of its tasks was approved."
    return _unless(job, "Only a job that has ended can be restarted", *_ENDED)


def _against_search(job: JobState) -> str:
    rule = "Only a job that has ended and was not canceled can search again"
    reason = _unless(job, rule, JobStatus.SUCCESS, JobStatus.WARNING, JobStatus.FAILURE)
    return reason if job.searches or reason else "Only a mass transfer looks for studies."


def _against_urgency(job: JobState) -> str:
    if job.urgent:
        return "It is urgent already."
    rule = "Only a job that has not ended can be made urgent"
    return _unless(job, rule, JobStatus.UNVERIFIED, JobStatus.PENDING, JobStatus.IN_PROGRESS)


def _unless(job: JobState, rule: str, *statuses: JobStatus) -> str:
    return "" if job.status in statuses else f"{rule}; this one is {job.status.value}."


def _against_task_deletion(task: TaskState) -> str:
    if task.status is not TaskStatus.PENDING:
        return f"Only a task that waits can be deleted; this one is {task.status.value}."
    return "It is the only task of its job: delete that." if task.is_only_one else ""


def _against_reset(task: TaskState) -> str:
    if task.status in OPEN_TASKS:
        return f"Only a task that has ended can be reset; this one is {task.status.value}."
    return "Its job is being canceled." if task.job_status is JobStatus.CANCELING else ""


def _against_kill(task: TaskState) -> str:
    if task.status is TaskStatus.IN_PROGRESS:
        return ""
    return f"Only a task in progress can be killed; this one is {task.status.value}."


_REASONS: Mapping[JobAction, Callable[[JobState], str]] = {
    JobAction.VERIFY: _against_verify,
    JobAction.DELETE: _against_delete,
    JobAction.CANCEL: _against_cancel,
    JobAction.RESUME: _against_resume,
    JobAction.RETRY: _against_retry,
    JobAction.RESTART: _against_restart,
    JobAction.SEARCH_AGAIN: _against_search,
    JobAction.MAKE_URGENT: _against_urgency,
}
"""Why an action is not possible with a job as it is; empty if it is."""
_TASK_REASONS: Mapping[TaskAction, Callable[[TaskState], str]] = {
    TaskAction.DELETE: _against_task_deletion,
    TaskAction.RESET: _against_reset,
    TaskAction.KILL: _against_kill,
}
"""Why an action is not possible with a task as it is; empty if it is."""
