"""Looking ahead at a job that waits for approval, for the member of staff who decides about it."""

from collections.abc import Collection, Sequence

from sqlmodel import Session, col, select

from adit_core.db import DicomNode, Job, JobKind, JobStatus, PseudonymProject, Task, User
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible
from adit_core.services.job_access import require_tasks, visible
from adit_core.services.preview import preview_mass_transfer, preview_studies
from adit_core.services.query_file import QueryFile
from adit_core.services.query_preview import QueryPreview, preview_query, questions_of_job
from adit_core.services.rights import require_staff
from adit_core.services.transfer_preview import TransferPreview
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.uploads import uploaded_folder


def preview_job(
    db: Database, user: User, job_id: int, *, task_ids: Collection[int] | None = None, address: str = ""
) -> TransferPreview | QueryPreview:
    """Look ahead at a job, of its studies or rows only at those of `task_ids`, if they are given.

    The nodes are asked for `user`, whom the audit trail names, and not for the owner. A mass transfer is
    judged by one day, whichever of its searches are chosen.

    Raises:
        NotFound: There is no such job, it is not the user's to see, or a task is none of it.
        NotAllowed: The user is not staff.
        ActionNotPossible: It does not wait for approval.
        SecretUnreadable: The password of its archive was sealed with a key that is not at hand.
        AditError: What the nodes raise, and what submitting such a job raises.
    """
    require_staff(user)
    with db.reading() as session:
        job = visible(session.get(Job, job_id), user, job_id)
        if job.status is not JobStatus.UNVERIFIED:
            raise ActionNotPossible(f"Job {job_id} does not wait for approval.")
        tasks = session.exec(select(Task).where(Task.job_id == job_id).order_by(col(Task.id))).all()
    require_tasks(job, (task.id for task in tasks), task_ids or ())
    chosen = [task for task in tasks if task_ids is None or task.id in task_ids]
    if job.kind is JobKind.BATCH_QUERY:
        return _preview_query(db, user, job, chosen)
    request = _request(db, user, job, address)
    if job.mass is not None:
        return preview_mass_transfer(db, request, job.mass)
    uploaded = uploaded_folder(db, job_id) if job.source_id is None else None
    return preview_studies(db, request, job.kind, chosen, uploaded=uploaded)


def _preview_query(db: Database, user: User, job: Job, chosen: Sequence[Task]) -> QueryPreview:
    with db.reading() as session:
        source = session.get_one(DicomNode, job.source_id).name
        every = questions_of_job(session, job.id)
    rows = {row for task in chosen for row in task.rows}
    query = QueryFile(tuple(question for question in every.questions if question.row in rows))
    return preview_query(db, user.id, source, query, urgent=job.urgent)


def _request(db: Database, user: User, job: Job, address: str) -> TransferRequest:
    with db.reading() as session:
        return TransferRequest(
            owner_id=user.id,
            source=_name(session, job.source_id),
            destination=_name(session, job.destination_id) or "",
            project=session.get_one(PseudonymProject, job.project_id).name if job.project_id else "",
            urgent=job.urgent,
            options=job.options,
            archive_password=db.keyring.unseal(job.archive_password) if job.archive_password else "",
            address=address,
        )


def _name(session: Session, node_id: int | None) -> str | None:
    return None if node_id is None else session.get_one(DicomNode, node_id).name
