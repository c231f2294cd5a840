"""Submitting batch transfers: the studies that a spreadsheet lists."""

from collections.abc import Iterator

from sqlmodel import Session

from adit_core.db import Job, JobKind, Task, TransferOptions
from adit_core.db.engine import Database
from adit_core.errors import InputProblem
from adit_core.services.batch_file import BatchFile
from adit_core.services.launching import Launcher
from adit_core.services.once import OnceKey
from adit_core.services.transfer_request import TransferRequest, require_allowed, write_and_launch


def submit_batch_transfer(
    db: Database,
    launcher: Launcher,
    *,
    owner_id: int,
    source: str,
    destination: str,
    batch: BatchFile,
    name: str = "",
    urgent: bool = False,
    options: TransferOptions | None = None,
    address: str = "",
    once: OnceKey | None = None,
) -> int:
    """Have the studies of a batch file transferred and return the id of the job.

    The job is written whether or not the scheduler is available; if it is not, the job's message
    says so, and the reconciler has it run later. A job of a user who needs approval waits for that first.

    Args:
        db: Where the job is kept.
        launcher: The scheduler.
        owner_id: The user whose job it is.
        source: The name of the node that has the studies.
        destination: The name of the node that is to have them.
        batch: The studies.
        name: What the owner calls the job.
        urgent: Whether it goes before others.
        options: How the studies are to be transferred.
        address: The network address that the request came from.
        once: Under which it may be asked for again; see `submit_once`.

    Raises:
        NotFound: There is no such user or node.
        NotAllowed: The user may not do this.
        InvalidInput: The nodes or the batch file do not allow it, with all that is wrong.
    """
    request = TransferRequest(
        owner_id=owner_id,
        source=source,
        destination=destination,
        name=name,
        urgent=urgent,
        options=options or TransferOptions(),
        address=address,
        once=once,
    )
    transfer = require_allowed(db, request, *batch_problems(batch))

    def write_tasks(session: Session, job: Job) -> None:
        session.add_all(
            Task(
                job_id=job.id,
                patient_id=study.patient_id,
                study_instance_uid=study.study_instance_uid,
                series_instance_uids=study.series_instance_uids,
                pseudonym=study.pseudonym,
                rows=study.rows,
            )
            for study in batch.studies
        )

    return write_and_launch(
        db,
        launcher,
        transfer,
        kind=JobKind.BATCH_TRANSFER,
        write_tasks=write_tasks,
        studies=len(batch.studies),
    )


def batch_problems(batch: BatchFile) -> Iterator[InputProblem]:
    """Yield what keeps the studies of a batch file from being transferred."""
    if not batch.studies:
        yield InputProblem("There is no study to transfer.", field="batch")
    for study in batch.studies:
        if study.pseudonym:
            # To deliver it with the name that the pseudonym was to replace would be the worst answer.
            message = "Pseudonyms are not supported yet; without them, studies are delivered as they are."
            yield InputProblem(message, row=min(study.rows, default=None), field="Pseudonym")
