"""The link tables: who was who, for those who have the right, and every look-up in the audit trail.

What identifies patients is decrypted here only. Nothing deletes links but `delete_links`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, delete, select

from adit_core.db import PatientLink, Permission, PseudonymProject, StudyLink, User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring
from adit_core.errors import InputProblem, NotFound, refuse
from adit_core.services import audit
from adit_core.services.projects import deid_project, find_project
from adit_core.services.pseudonyms import patient_digest
from adit_core.services.rights import require_permission, require_project, require_staff
from adit_core.services.text_sheet import SheetFormat, encode_sheet

COLUMNS = ("PatientID", "Pseudonym", "StudyInstanceUID", "PseudonymizedStudyInstanceUID", "LinkedAt")


@dataclass(frozen=True, slots=True)
class LinkedStudy:
    """A study that left under another UID."""

    study_instance_uid: str
    pseudonymized_study_instance_uid: str
    linked_at: datetime


@dataclass(frozen=True, slots=True)
class LinkedPatient:
    """A patient, what stands for them, and their studies."""

    patient_id: str
    pseudonym: str
    linked_at: datetime
    studies: tuple[LinkedStudy, ...] = ()


def find_links(
    db: Database, user: User, project_name: str, term: str, *, address: str = ""
) -> list[LinkedPatient]:
    """Return the patients whom a Patient ID, a pseudonym or a pseudonymized Study Instance UID stands for.

    Raises:
        NotFound: There is no such project.
        NotAllowed: The user may not see who was who.
        InvalidInput: The term is empty.
    """
    term = term.strip()
    project = _allowed(db, user, project_name)
    if not term:
        refuse(InputProblem("Name a patient, a pseudonym or a study.", field="term"))
    with db.session() as session:
        by_study = select(StudyLink.patient_link_id).where(StudyLink.pseudonymized_study_instance_uid == term)
        digest = patient_digest(deid_project(db.keyring, project), term)
        rows = session.exec(
            select(PatientLink).where(
                PatientLink.project_id == project.id,
                (col(PatientLink.patient_digest) == digest)
                | (col(PatientLink.pseudonym) == term)
                | col(PatientLink.id).in_(by_study),
            )
        ).all()
        found = [_patient(session, db.keyring, row) for row in rows]
        _record(session, AuditAction.LINKS_VIEWED, user, project, found, address=address)
        session.commit()
    return found


def export_links(
    db: Database, user: User, project_name: str, form: SheetFormat, *, address: str = ""
) -> bytes:
    """Return all links of a project as a spreadsheet; patients without a study have a row, too.

    Raises:
        NotFound: There is no such project.
        NotAllowed: The user may not see who was who.
    """
    project = _allowed(db, user, project_name)
    with db.session() as session:
        rows = session.exec(
            select(PatientLink).where(PatientLink.project_id == project.id).order_by(col(PatientLink.id))
        ).all()
        found = [_patient(session, db.keyring, row) for row in rows]
        _record(session, AuditAction.LINKS_EXPORTED, user, project, found, address=address)
        session.commit()
    return encode_sheet(COLUMNS, _lines(found), form)


def delete_links(
    db: Database, user: User, project_name: str, pseudonyms: Sequence[str] | None, *, address: str = ""
) -> int:
    """Delete the links of these pseudonyms, or all of a project, for good; return how many patients.

    A patient who comes again is linked anew: to the same pseudonym if the project's are keyed.

    Raises:
        NotFound: There is no such project, or one of the pseudonyms is not linked; none is deleted then.
        NotAllowed: The user is not staff.
    """
    require_staff(user)
    project = _allowed(db, user, project_name)
    with db.session() as session:
        chosen = select(PatientLink).where(PatientLink.project_id == project.id)
        if pseudonyms is not None:
            chosen = chosen.where(col(PatientLink.pseudonym).in_(pseudonyms))
        links = session.exec(chosen).all()
        if unknown := sorted(set(pseudonyms or ()) - {link.pseudonym for link in links}):
            raise NotFound(f"Project {project.name} has no links of: {', '.join(unknown)}.")
        audit.record(
            session,
            AuditAction.LINKS_DELETED,
            actor=user,
            object_kind="project",
            object_id=project.name,
            address=address,
            patients=len(links),
            everything=pseudonyms is None,
        )
        ids = [link.id for link in links]
        session.exec(delete(StudyLink).where(col(StudyLink.patient_link_id).in_(ids)))
        session.exec(delete(PatientLink).where(col(PatientLink.id).in_(ids)))
        session.commit()
    return len(links)


def _allowed(db: Database, user: User, project_name: str) -> PseudonymProject:
    require_permission(db, user, Permission.VIEW_LINK_TABLE)
    with db.reading() as session:
        project = find_project(session, project_name)
    require_project(db, user, project)
    return project


def _patient(session: Session, keyring: Keyring, link: PatientLink) -> LinkedPatient:
    studies = session.exec(
        select(StudyLink).where(StudyLink.patient_link_id == link.id).order_by(col(StudyLink.id))
    )
    return LinkedPatient(
        keyring.unseal(link.patient_id),
        link.pseudonym,
        link.created_at,
        tuple(
            LinkedStudy(
                keyring.unseal(study.study_instance_uid),
                study.pseudonymized_study_instance_uid,
                study.created_at,
            )
            for study in studies
        ),
    )


def _record(
    session: Session,
    action: AuditAction,
    user: User,
    project: PseudonymProject,
    found: Sequence[LinkedPatient],
    *,
    address: str,
) -> None:
    """Tell the audit trail who was looked up, by pseudonym if it was one patient."""
    audit.record(
        session,
        action,
        actor=user,
        object_kind="project",
        object_id=project.name,
        address=address,
        patients=len(found),
        pseudonym=found[0].pseudonym if len(found) == 1 else None,
    )


def _lines(patients: Sequence[LinkedPatient]) -> Iterator[list[str]]:
    for patient in patients:
        if not patient.studies:
            yield [patient.patient_id, patient.pseudonym, "", "", patient.linked_at.isoformat()]
        for study in patient.studies:
            yield [
                patient.patient_id,
                patient.pseudonym,
                study.study_instance_uid,
                study.pseudonymized_study_instance_uid,
                study.linked_at.isoformat(),
            ]
