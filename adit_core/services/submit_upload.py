"""Submitting uploads: DICOM files that their owner brought, to a node."""

from sqlmodel import Session

from adit_core.db import Job, JobKind, UploadedStudy
from adit_core.db.engine import Database
from adit_core.dicom.query import SeriesResult, StudyResult
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.services.found_studies import FoundStudy, add_tasks
from adit_core.services.launching import Launcher
from adit_core.services.pseudonyms import Wish
from adit_core.services.transfer_request import (
    PseudonymOf,
    TransferRequest,
    require_allowed,
    write_and_launch,
)
from adit_core.services.uploads import unused_upload, use_upload


def submit_upload(db: Database, launcher: Launcher, request: TransferRequest, upload_id: str) -> int:
    """Have the studies of an upload transferred and return the id of the job.

    Raises:
        NotFound: There is no such user, node or upload, or there is a job for it.
        NotAllowed: The user may not do this.
        InvalidInput: The node or the project does not allow it, with all that is wrong.
    """
    transfer = require_allowed(db, request, JobKind.UPLOAD)
    upload = unused_upload(db, transfer.owner, upload_id)

    def write_tasks(session: Session, job: Job, pseudonym_of: PseudonymOf) -> None:
        use_upload(session, upload, job.id)
        add_tasks(session, job.id, map(found_study, upload.studies), pseudonym_of)

    return write_and_launch(
        db,
        launcher,
        transfer,
        write_tasks=write_tasks,
        studies=len(upload.studies),
        wishes=[Wish(study.patient_id) for study in upload.studies],
    )


def found_study(study: UploadedStudy) -> FoundStudy:
    """Return an uploaded study as one that is to be transferred."""
    reference = StudyReference(study.study_instance_uid, study.patient_id)
    return FoundStudy(
        StudyResult(reference),
        tuple(
            SeriesResult(
                SeriesReference(reference, one.series_instance_uid),
                modality=one.modality,
                series_number=one.series_number,
                number_of_instances=one.instances,
            )
            for one in study.series
        ),
    )
