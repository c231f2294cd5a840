"""Submitting jobs: checking what is asked for, writing the job with its tasks, having it run."""

from collections.abc import Iterator

from sqlmodel import Session

from adit_core.db import (
    DicomNode,
    Job,
    JobKind,
    NodeKind,
    StorageForm,
    Task,
    TransferOptions,
    User,
)
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, NotFound, refuse
from adit_core.services import audit
from adit_core.services.approval import initial_message, initial_status
from adit_core.services.batch_file import BatchFile
from adit_core.services.launching import Launcher, launch_job
from adit_core.services.nodes import get_node
from adit_core.services.rights import require_transfer

_MAX_NAME_LENGTH = 150


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

    Raises:
        NotFound: There is no such user or node.
        NotAllowed: The user may not do this.
        InvalidInput: The nodes or the batch file do not allow it, with all that is wrong.
    """
    owner = _user(db, owner_id)
    source_node, destination_node = get_node(db, source), get_node(db, destination)
    require_transfer(db, owner, source=source_node, destination=destination_node, urgent=urgent)
    refuse(
        *_source_problems(source_node),
        *_destination_problems(source_node, destination_node),
        *_batch_problems(batch),
        *_name_problems(name),
    )
    job = Job(
        kind=JobKind.BATCH_TRANSFER,
        name=name.strip(),
        owner_id=owner.id,
        source_id=source_node.id,
        destination_id=destination_node.id,
        options=options or TransferOptions(),
        urgent=urgent,
        run_number=1,
        status=initial_status(owner),
        message=initial_message(owner),
    )
    with db.session() as session:
        _write(session, job, batch)
        audit.record(
            session,
            AuditAction.JOB_SUBMITTED,
            actor=owner,
            object_kind="job",
            object_id=job.id,
            address=address,
            source=source,
            destination=destination,
            studies=len(batch.studies),
            urgent=urgent,
        )
        session.commit()
    launch_job(db, launcher, job.id)
    return job.id


def _user(db: Database, user_id: int) -> User:
    with db.reading() as session:
        user = session.get(User, user_id)
    if user is None:
        raise NotFound("There is no such user.")
    return user


def _write(session: Session, job: Job, batch: BatchFile) -> None:
    session.add(job)
    session.flush()
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


def _source_problems(node: DicomNode) -> Iterator[InputProblem]:
    if node.kind is NodeKind.FOLDER:
        if node.storage is not StorageForm.FILES:
            problem = f"{node.name} holds no DICOM files; choose an archive or another folder."
            yield InputProblem(problem, field="source")
    elif node.kind is NodeKind.WEB:
        if not (node.supports_qido and node.supports_wado):
            yield InputProblem(f"{node.name} does not support both QIDO-RS and WADO-RS.", field="source")
    elif not (node.supports_find and (node.supports_get or node.supports_move)):
        yield InputProblem(f"{node.name} does not support C-FIND with C-GET or C-MOVE.", field="source")


def _destination_problems(source: DicomNode, node: DicomNode) -> Iterator[InputProblem]:
    if node.id == source.id:
        yield InputProblem(f"{node.name} is the source, too; choose another node.", field="destination")
    elif node.kind is NodeKind.SERVER and not node.supports_store:
        yield InputProblem(f"{node.name} does not support C-STORE.", field="destination")
    elif node.kind is NodeKind.WEB and not node.supports_stow:
        yield InputProblem(f"{node.name} does not support STOW-RS.", field="destination")


def _batch_problems(batch: BatchFile) -> Iterator[InputProblem]:
    if not batch.studies:
        yield InputProblem("There is no study to transfer.", field="batch")
    for study in batch.studies:
        if study.pseudonym:
            # To deliver it with the name that the pseudonym was to replace would be the worst answer.
            message = "Pseudonyms are not supported yet; without them, studies are delivered as they are."
            yield InputProblem(message, row=min(study.rows, default=None), field="Pseudonym")


def _name_problems(name: str) -> Iterator[InputProblem]:
    if len(name.strip()) > _MAX_NAME_LENGTH:
        yield InputProblem(f"Use at most {_MAX_NAME_LENGTH} characters.", field="name")
