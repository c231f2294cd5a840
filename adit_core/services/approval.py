"""Approval: jobs of users who need it do not run before a member of staff has verified them."""

from adit_core.db import Job, JobStatus, User
from adit_core.errors import ActionNotPossible


def needs_approval(user: User) -> bool:
    """Tell whether a member of staff has to look at the jobs of a user; those of staff need nobody else."""
    return user.needs_approval and not user.is_staff


def initial_status(user: User) -> JobStatus:
    """Return the status that a job of this user starts with, of whatever kind it is."""
    return JobStatus.UNVERIFIED if needs_approval(user) else JobStatus.PENDING


def initial_message(user: User) -> str:
    """Return what a job of this user says at first; empty if it need not wait for approval."""
    return "Waits for the approval of a member of staff." if needs_approval(user) else ""


def require_approved(job: Job) -> None:
    """Do nothing if the job may run.

    Raises:
        ActionNotPossible: It waits for approval.
    """
    if job.status is JobStatus.UNVERIFIED:
        raise ActionNotPossible(f"Job {job.id} waits for approval.")
