"""Submitting a job once, however often a program asks for it (idempotency keys).

The key is written in the transaction that writes the job, so that neither is there without the other.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from adit_core.db import Job, Submission
from adit_core.db.engine import Database
from adit_core.errors import AditError, InputProblem, InvalidInput


@dataclass(frozen=True, slots=True)
class OnceKey:
    """What a program calls a submission, and what is asked for by it."""

    key: str
    """At most 200 characters."""
    request_hash: str
    """The SHA-256 of what is asked for, in hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job of a submission, and whether it is new."""

    job_id: int
    is_new: bool


def submit_once(db: Database, owner_id: int, once: OnceKey | None, submit: Callable[[], int]) -> Submitted:
    """Submit a job, unless the owner has done so before under the same key, and return it in either case.

    Args:
        db: Where jobs are kept.
        owner_id: Whose job it is.
        once: The key; without one, it is submitted in any case.
        submit: Submits it with that key, and returns the id of the job.

    Raises:
        InvalidInput: The key was used for something else.
        AditError: What `submit` raises.
    """
    if once is None:
        return Submitted(submit(), is_new=True)
    if known := _submitted_before(db, owner_id, once):
        return known
    try:
        return Submitted(submit(), is_new=True)
    except (IntegrityError, AditError):
        # Somebody may have been faster: then the key is taken, or an upload has its job already.
        if known := _submitted_before(db, owner_id, once):
            return known
        raise


def remember(session: Session, job: Job, once: OnceKey | None) -> None:
    """Add the key to the transaction that writes `job`, whose id is known.

    Its end raises IntegrityError if another transaction has written the same key.
    """
    if once is not None:
        session.add(
            Submission(owner_id=job.owner_id, key=once.key, request_hash=once.request_hash, job_id=job.id)
        )


def _submitted_before(db: Database, owner_id: int, once: OnceKey) -> Submitted | None:
    with db.reading() as session:
        found = session.get(Submission, (owner_id, once.key))
    if found is None:
        return None
    if found.request_hash != once.request_hash:
        problem = f"This key was used for job {found.job_id}, which is another one; use a new key."
        raise InvalidInput(InputProblem(problem, field="Idempotency-Key"))
    return Submitted(found.job_id, is_new=False)
