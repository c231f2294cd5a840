"""Submitting batch transfers: the studies that a spreadsheet lists."""

from collections.abc import Iterator

from sqlmodel import Session

from adit_core.db import Job, JobKind, Task
from adit_core.db.engine import Database
from adit_core.errors import InputProblem
from adit_core.services.batch_file import BatchFile
from adit_core.services.history import record_of_job
from adit_core.services.launching import Launcher
from adit_core.services.pseudonyms import Wish
from adit_core.services.transfer_request import (
    PseudonymOf,
    TransferRequest,
    require_allowed,
    write_and_launch,
)


def submit_batch_transfer(
    db: Database, launcher: Launcher, request: TransferRequest, batch: BatchFile
) -> int:
    """Have the studies of a batch file transferred and return the id of the job.

    The job is written whether or not the scheduler is available; if it is not, the job's message
    says so, and the reconciler has it run later. A job of a user who needs approval waits for that first.

    Raises:
        NotFound: There is no such user, node or project.
        NotAllowed: The user may not do this.
        InvalidInput: The nodes or the batch file do not allow it, with all that is wrong.
    """
    wishes = batch_wishes(batch)
    transfer = require_allowed(db, request, JobKind.BATCH_TRANSFER, *batch_problems(batch), wishes=wishes)

    def write_tasks(session: Session, job: Job, pseudonym_of: PseudonymOf) -> None:
        session.add_all(
            Task(
                job_id=job.id,
                patient_id=study.patient_id,
                study_instance_uid=study.study_instance_uid,
                series_instance_uids=study.series_instance_uids,
                pseudonym=pseudonym_of(study.patient_id),
                rows=study.known_rows,
            )
            for study in batch.studies
        )
        if batch.left_out:
            record_of_job(session, job, batch.left_out_in_words)

    return write_and_launch(
        db,
        launcher,
        transfer,
        write_tasks=write_tasks,
        studies=len(batch.studies),
        wishes=wishes,
    )


def batch_problems(batch: BatchFile) -> Iterator[InputProblem]:
    """Yield what keeps the studies of a batch file from being transferred."""
    if not batch.studies:
        yield InputProblem("There is no study to transfer.", field="batch")


def batch_wishes(batch: BatchFile) -> list[Wish]:
    """Return the patients of a batch file, with the pseudonyms that it gives, and where."""
    return [Wish(study.patient_id, study.pseudonym, min(study.rows, default=None)) for study in batch.studies]
