"""Submitting selective transfers: studies and series that their owner picked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlmodel import Session

from adit_core.db import Job, JobKind, Task
from adit_core.db.engine import Database
from adit_core.dicom.references import is_valid_uid
from adit_core.errors import InputProblem
from adit_core.services.batch_file import patient_id_problem
from adit_core.services.launching import Launcher
from adit_core.services.pseudonyms import Wish
from adit_core.services.transfer_request import (
    PseudonymOf,
    TransferRequest,
    require_allowed,
    write_and_launch,
)

MOST_STUDIES = 1000
"""In one selective transfer. Who wants more has a list, for which there are batch files."""


@dataclass(frozen=True, slots=True)
class PickedStudy:
    """A study that is to be transferred; the chosen series, or all if none is named."""

    patient_id: str
    """As the source knows it."""
    study_instance_uid: str
    series_instance_uids: tuple[str, ...] = ()
    pseudonym: str = ""
    """What is to stand for the patient in the project; empty for what the project says."""


def submit_selective_transfer(
    db: Database, launcher: Launcher, request: TransferRequest, studies: Sequence[PickedStudy]
) -> int:
    """Have chosen studies or series transferred and return the id of the job.

    A study that is picked more than once is transferred once, with all the series that were picked.

    Raises:
        NotFound: There is no such user or node.
        NotAllowed: The user may not do this.
        InvalidInput: With all that is wrong; rows count what was picked, from 1.
    """
    wishes = picked_wishes(studies)
    transfer = require_allowed(
        db, request, JobKind.SELECTIVE_TRANSFER, *picked_problems(studies), wishes=wishes
    )
    merged = merged_picks(studies)

    def write_tasks(session: Session, job: Job, pseudonym_of: PseudonymOf) -> None:
        session.add_all(
            Task(
                job_id=job.id,
                patient_id=study.patient_id,
                study_instance_uid=study.study_instance_uid,
                series_instance_uids=study.series_instance_uids,
                pseudonym=pseudonym_of(study.patient_id),
            )
            for study in merged
        )

    return write_and_launch(
        db,
        launcher,
        transfer,
        write_tasks=write_tasks,
        studies=len(merged),
        wishes=wishes,
    )


def merged_picks(studies: Iterable[PickedStudy]) -> list[PickedStudy]:
    """Return each study once, with all its picked series; it is whole if it was picked as a whole once."""
    merged: dict[str, PickedStudy] = {}
    for study in studies:
        known = merged.get(study.study_instance_uid)
        merged[study.study_instance_uid] = study if known is None else _both(known, study)
    return list(merged.values())


def picked_wishes(studies: Sequence[PickedStudy]) -> list[Wish]:
    """Return the patients of picked studies, with the pseudonyms that are given; rows count picks, from 1."""
    return [Wish(study.patient_id, study.pseudonym, row) for row, study in enumerate(studies, 1)]


def picked_problems(studies: Sequence[PickedStudy]) -> Iterator[InputProblem]:
    """Yield what keeps picked studies from being transferred."""
    if not studies:
        yield InputProblem("There is no study to transfer.", field="studies")
    if len(studies) > MOST_STUDIES:
        yield InputProblem(
            f"These are more than {MOST_STUDIES} studies; use a batch file for them.", field="studies"
        )
    patients: dict[str, str] = {}
    for row, study in enumerate(studies, 1):
        uids = (study.study_instance_uid, *study.series_instance_uids)
        for uid in uids:
            if not is_valid_uid(uid):
                yield InputProblem("A UID is numbers with dots between them.", row, "studies")
        if problem := patient_id_problem(study.patient_id):
            yield InputProblem(problem, row, "patient_id")
        if patients.setdefault(study.study_instance_uid, study.patient_id) != study.patient_id:
            yield InputProblem("This study was picked before, of another patient.", row, "patient_id")


def _both(one: PickedStudy, other: PickedStudy) -> PickedStudy:
    series = dict.fromkeys((*one.series_instance_uids, *other.series_instance_uids))
    is_whole = not one.series_instance_uids or not other.series_instance_uids
    return replace(one, series_instance_uids=() if is_whole else tuple(series))
