"""How the study of a task is pseudonymized on its way, and what of it waits for a reviewer."""

from collections.abc import Iterable

from sqlmodel import select

from adit_core.db import HeldInstance, Job, PseudonymProject, ReviewStatus, Task, TransferOptions
from adit_core.db.engine import Database
from adit_core.deid.subject import Subject
from adit_core.dicom.references import StudyReference
from adit_core.errors import StudyFailed
from adit_core.services.deidentify import HeldBack, Review, StudyDeidentifier
from adit_core.services.projects import deid_project
from adit_core.services.pseudonyms import link_study


def study_deidentifier(db: Database, row: PseudonymProject, task: Task) -> StudyDeidentifier:
    """Return what the study of a task goes through.

    Which UID the study leaves under is written down before anything leaves.

    Raises:
        StudyFailed: There is no pseudonym for the patient.
        NotFound: The patient's link was deleted.
        SecretUnreadable: The project's secret was sealed with a key that is not at hand.
    """
    if not task.pseudonym:
        raise StudyFailed("The study names no patient who could be given a pseudonym.")
    project = deid_project(db.keyring, row)
    made = StudyDeidentifier(project, Subject(task.patient_id, task.pseudonym), _review(db, task))
    study = StudyReference(task.study_instance_uid, task.patient_id)
    link_study(
        db,
        row.id,
        project,
        patient_id=task.patient_id,
        study_uid=task.study_instance_uid,
        mapped_uid=made.study_reference(study).study_instance_uid,
    )
    return made


def project_of(db: Database, job: Job) -> PseudonymProject | None:
    """Return what a job is pseudonymized for; None if it changes nothing."""
    if job.project_id is None:
        return None
    with db.reading() as session:
        return session.get_one(PseudonymProject, job.project_id)


def excluded_modalities(options: TransferOptions, project: PseudonymProject | None) -> frozenset[str]:
    """Return the modalities that are filtered: those that a job says, and those that its project does."""
    excluded = frozenset(options.excluded_modalities)
    return excluded if project is None else excluded | project.profile.excluded_modalities


def hold_back(db: Database, task_id: int, instances: Iterable[HeldBack]) -> None:
    """Write down what waits for a reviewer, without what is written down already."""
    with db.session() as session:
        known = frozenset(
            session.exec(select(HeldInstance.sop_instance_uid).where(HeldInstance.task_id == task_id))
        )
        session.add_all(
            HeldInstance(
                task_id=task_id,
                series_instance_uid=held.reference.series.series_instance_uid,
                sop_instance_uid=held.reference.sop_instance_uid,
                reason=held.reason,
            )
            for held in instances
            if held.reference.sop_instance_uid not in known
        )
        session.commit()


def _review(db: Database, task: Task) -> Review:
    with db.reading() as session:
        rows = session.exec(select(HeldInstance).where(HeldInstance.task_id == task.id)).all()
    return Review(
        released={row.sop_instance_uid: row.blanked for row in rows if row.status is ReviewStatus.RELEASED},
        rejected={row.sop_instance_uid for row in rows if row.status is ReviewStatus.REJECTED},
    )
