"""One pseudonym for each patient of a project, across all jobs.

Who has which is decided when a job is written, with the project locked: so that what contradicts what is
known already is told to whoever submits it, by rows, and never found out half-way.
"""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlmodel import Session, col, select

from adit_core.db import PatientLink, PseudonymProject, StudyLink
from adit_core.db.engine import Database
from adit_core.db.projects import PseudonymSource
from adit_core.db.secrets import Keyring
from adit_core.deid.pseudonyms import keyed_pseudonym, random_pseudonym
from adit_core.deid.subject import Project, Subject
from adit_core.errors import InputProblem, InvalidInput, NotFound, refuse
from adit_core.services.projects import deid_project

FIELD = "Pseudonym"
_AT_ONCE = 500
"""Digests in one query."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A patient who is to have a pseudonym; the one that is given, or if none is, the project's.

    ``row`` is where it was given, for messages.
    """

    patient_id: str
    pseudonym: str = ""
    row: int | None = None


def assign_pseudonyms(
    session: Session, keyring: Keyring, project_id: int, wishes: Iterable[Wish]
) -> dict[str, str]:
    """Return the pseudonyms of patients by their Patient ID, stripped; new ones are linked.

    Raises:
        InvalidInput: Pseudonyms contradict each other or what is known, with the rows.
    """
    project = session.exec(
        select(PseudonymProject).where(PseudonymProject.id == project_id).with_for_update(key_share=True)
    ).one()
    book = _Book(session, deid_project(keyring, project), project, list(wishes))
    refuse(*book.problems())
    chosen = book.chosen()
    for patient_id in (each for each in chosen if each not in book.known):
        session.add(
            PatientLink(
                project_id=project.id,
                patient_digest=book.digest(patient_id),
                patient_id=keyring.seal(patient_id),
                pseudonym=chosen[patient_id],
            )
        )
    return chosen


def foreseen_pseudonyms(
    db: Database, project: PseudonymProject, wishes: Iterable[Wish]
) -> tuple[dict[str, str], list[InputProblem]]:
    """Return what `assign_pseudonyms` would return, as far as that is known, and what is wrong.

    Pseudonyms that would be drawn are other ones when it comes to that.
    """
    with db.reading() as session:
        book = _Book(session, deid_project(db.keyring, project), project, list(wishes))
        problems = list(book.problems())
        return ({} if problems else book.chosen()), problems


def link_study(
    db: Database, project_id: int, project: Project, *, patient_id: str, study_uid: str, mapped_uid: str
) -> None:
    """Write down which study leaves under which UID; done again, it changes nothing.

    Raises:
        NotFound: The patient has no pseudonym in the project (any more).
    """
    with db.session() as session:
        patient = session.exec(
            select(PatientLink)
            .where(
                PatientLink.project_id == project_id,
                PatientLink.patient_digest == patient_digest(project, patient_id.strip()),
            )
            .with_for_update(key_share=True)
        ).one_or_none()
        if patient is None:
            raise NotFound("The patient's link was deleted: submit the transfer anew.")
        if not session.exec(
            select(StudyLink.id).where(
                StudyLink.patient_link_id == patient.id,
                StudyLink.pseudonymized_study_instance_uid == mapped_uid,
            )
        ).first():
            session.add(
                StudyLink(
                    patient_link_id=patient.id,
                    study_instance_uid=db.keyring.seal(study_uid),
                    pseudonymized_study_instance_uid=mapped_uid,
                )
            )
            session.commit()


def patient_digest(project: Project, patient_id: str) -> str:
    """Return by what a patient is found in the links of a project, without being named."""
    key = hmac.digest(project.secret, b"links", "sha256")
    return hmac.digest(key, patient_id.encode(), "sha256").hex()


class _Book:
    """What is known of some patients of a project, and what is wished for."""

    def __init__(
        self, session: Session, project: Project, row: PseudonymProject, wishes: Sequence[Wish]
    ) -> None:
        self._session = session
        self._project = project
        self._row = row
        # Spaces around a Patient ID are not significant (PS3.5 6.2).
        self._wishes = [replace(wish, patient_id=wish.patient_id.strip()) for wish in wishes]
        self._digests = {wish.patient_id: patient_digest(project, wish.patient_id) for wish in self._wishes}
        links = {link.patient_digest: link for link in self._links(PatientLink.patient_digest, self._digests)}
        self.known = {
            patient_id: links[digest].pseudonym
            for patient_id, digest in self._digests.items()
            if digest in links
        }
        self._given: dict[str, str] = {}
        for wish in self._wishes:
            if wish.pseudonym:
                self._given.setdefault(wish.patient_id, wish.pseudonym)

    def digest(self, patient_id: str) -> str:
        return self._digests[patient_id]

    def problems(self) -> Iterator[InputProblem]:
        """Yield what is wrong with the wishes, by rows."""
        taken = self._taken(self._given.values())
        holders: dict[str, str] = {}
        for wish in self._wishes:
            message = self._problem(wish, taken) or _held_by_another(wish, holders)
            if message:
                yield InputProblem(message, wish.row, FIELD)

    def chosen(self) -> dict[str, str]:
        """Return by Patient ID the pseudonym that is known, given, or made."""
        new = [patient_id for patient_id in self._digests if patient_id not in self.known]
        made = {patient_id: self._given.get(patient_id) or self._made(patient_id) for patient_id in new}
        clashes = self._taken(made.values()).keys()
        if clashes or len(set(made.values())) < len(made):
            # By chance once in millions of patients; or somebody gave what the key makes of another one.
            raise InvalidInput(
                InputProblem(
                    "A pseudonym that the project makes is taken; give this patient one.", None, FIELD
                )
            )
        return {**made, **self.known}

    def _problem(self, wish: Wish, taken: dict[str, str]) -> str:
        known = self.known.get(wish.patient_id)
        if not wish.patient_id:
            return "Without a Patient ID, there is nobody to be given a pseudonym."
        if not wish.pseudonym:
            is_missing = known is None and self._row.pseudonyms is PseudonymSource.GIVEN
            is_missing = is_missing and wish.patient_id not in self._given
            return f"Give one: project {self._row.name} makes none." if is_missing else ""
        try:
            Subject(wish.patient_id, wish.pseudonym)
        except InvalidInput as error:
            return f"A pseudonym {error.problems[0].message}."
        if known is not None and known != wish.pseudonym:
            return f"This patient has another pseudonym in project {self._row.name} already."
        if self._given[wish.patient_id] != wish.pseudonym:
            return "This patient is given another pseudonym elsewhere in this job."
        if taken.get(wish.pseudonym, self.digest(wish.patient_id)) != self.digest(wish.patient_id):
            return f"This is the pseudonym of another patient in project {self._row.name}."
        return ""

    def _made(self, patient_id: str) -> str:
        if self._row.pseudonyms is PseudonymSource.RANDOM:
            return random_pseudonym()
        return keyed_pseudonym(self._project.secret, patient_id)

    def _taken(self, pseudonyms: Iterable[str]) -> dict[str, str]:
        """Return which of these pseudonyms are linked, with the digests of their patients."""
        links = self._links(PatientLink.pseudonym, {name: name for name in pseudonyms})
        return {link.pseudonym: link.patient_digest for link in links}

    def _links(self, column: object, values: dict[str, str]) -> Iterator[PatientLink]:
        wanted = list(values.values())
        for start in range(0, len(wanted), _AT_ONCE):
            yield from self._session.exec(
                select(PatientLink).where(
                    PatientLink.project_id == self._row.id,
                    col(column).in_(wanted[start : start + _AT_ONCE]),  # pyright: ignore[reportArgumentType]
                )
            )


def _held_by_another(wish: Wish, holders: dict[str, str]) -> str:
    if not wish.pseudonym:
        return ""
    holder = holders.setdefault(wish.pseudonym, wish.patient_id)
    return "" if holder == wish.patient_id else "This pseudonym is given to another patient, too."
