"""How the study of a task is pseudonymized on its way, and what of it waits for a reviewer."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sqlmodel import select

from adit_core.db import HeldInstance, Job, PseudonymProject, ReviewStatus, Task, TransferOptions
from adit_core.db.engine import Database
from adit_core.deid.subject import Project, Subject, is_fit_for_mark
from adit_core.dicom.references import StudyReference
from adit_core.errors import InputProblem, StudyFailed
from adit_core.services.deidentify import HeldBack, Review, StudyDeidentifier
from adit_core.services.projects import deid_project
from adit_core.services.pseudonyms import link_study


def study_deidentifier(
    db: Database, row: PseudonymProject, task: Task, options: TransferOptions
) -> StudyDeidentifier:
    """Return what the study of a task goes through, by the project and the options of its job.

    Which UID the study leaves under is written down before anything leaves.

    Raises:
        StudyFailed: There is no pseudonym for the patient.
        NotFound: The patient's link was deleted.
        SecretUnreadable: The project's secret was sealed with a key that is not at hand.
    """
    if not task.pseudonym:
        raise StudyFailed("The study names no patient who could be given a pseudonym.")
    project = _for_trial(deid_project(db.keyring, row), options)
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


def trial_problems(options: TransferOptions, project: PseudonymProject | None) -> Iterator[InputProblem]:
    """Yield why the trial protocol of a job cannot be written into data sets."""
    given = {
        "trial_protocol_id": options.trial_protocol_id,
        "trial_protocol_name": options.trial_protocol_name,
    }
    if any(given.values()) and project is None:
        message = "A trial protocol is written by de-identification: choose a project that does this."
        yield InputProblem(message, field="trial_protocol_id")
    if options.trial_protocol_name and not options.trial_protocol_id:
        message = "A trial protocol that has a name needs an ID, too."
        yield InputProblem(message, field="trial_protocol_id")
    for name, value in given.items():
        if not is_fit_for_mark(value):
            message = "Trial protocols have at most 64 ASCII characters, and no backslash."
            yield InputProblem(message, field=name)


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


def _for_trial(project: Project, options: TransferOptions) -> Project:
    """Return the project with the trial protocol of a job, if that has one: its name belongs to its ID."""
    if not options.trial_protocol_id:
        return project
    return replace(
        project,
        trial_protocol_id=options.trial_protocol_id,
        trial_protocol_name=options.trial_protocol_name,
    )


def _review(db: Database, task: Task) -> Review:
    with db.reading() as session:
        rows = session.exec(select(HeldInstance).where(HeldInstance.task_id == task.id)).all()
    return Review(
        released={row.sop_instance_uid: row.blanked for row in rows if row.status is ReviewStatus.RELEASED},
        rejected={row.sop_instance_uid for row in rows if row.status is ReviewStatus.REJECTED},
    )
