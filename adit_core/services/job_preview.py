"""Looking ahead at a job that waits for approval, for the member of staff who decides about it."""

from collections.abc import Collection

from sqlmodel import col, select

from adit_core.db import DicomNode, Job, JobKind, JobStatus, PseudonymProject, Task, User
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible
from adit_core.services.job_access import visible
from adit_core.services.preview import TransferPreview, preview_mass_transfer, preview_studies
from adit_core.services.rights import require_staff
from adit_core.services.transfer_request import TransferRequest

PREVIEWED_KINDS = frozenset({JobKind.BATCH_TRANSFER, JobKind.SELECTIVE_TRANSFER, JobKind.MASS_TRANSFER})
"""Jobs that can be looked ahead at; the files of an upload are its job's alone, and a query moves nothing."""


def preview_job(
    db: Database, user: User, job_id: int, *, task_ids: Collection[int] = (), address: str = ""
) -> TransferPreview:
    """Look ahead at a job, of its studies only at those of `task_ids`, if they are given.

    The nodes are asked for `user`, whom the audit trail names, and not for the owner. A mass transfer is
    judged by one day, whichever of its searches are chosen.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        NotAllowed: The user is not staff.
        ActionNotPossible: It does not wait for approval, or is of another kind than `PREVIEWED_KINDS`.
        SecretUnreadable: The password of its archive was sealed with a key that is not at hand.
        AditError: What the nodes raise, and what submitting such a job raises.
    """
    require_staff(user)
    with db.reading() as session:
        job = visible(session.get(Job, job_id), user, job_id)
        if job.status is not JobStatus.UNVERIFIED or job.kind not in PREVIEWED_KINDS:
            raise ActionNotPossible(f"Job {job_id} is no transfer between two nodes that waits for approval.")
        project = None if job.project_id is None else session.get_one(PseudonymProject, job.project_id)
        request = TransferRequest(
            owner_id=user.id,
            source=session.get_one(DicomNode, job.source_id).name,
            destination=session.get_one(DicomNode, job.destination_id).name,
            project=project.name if project else "",
            urgent=job.urgent,
            options=job.options,
            archive_password=db.keyring.unseal(job.archive_password) if job.archive_password else "",
            address=address,
        )
        tasks = session.exec(select(Task).where(Task.job_id == job_id).order_by(col(Task.id))).all()
    if job.mass is not None:
        return preview_mass_transfer(db, request, job.mass)
    return preview_studies(db, request, [task for task in tasks if not task_ids or task.id in task_ids])
