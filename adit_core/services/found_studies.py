"""Adding tasks for studies that were found, with their series, so that there is one list with their state."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlmodel import Session, col, select

from adit_core.db import SeriesProgress, Task, TaskKind
from adit_core.db.columns import storable
from adit_core.dicom.query import SeriesResult, StudyResult
from adit_core.dicom.references import StudyReference
from adit_core.services.job_status import OPEN_TASKS


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study of which some series are wanted; these tell their number of instances as far as it is known."""

    study: StudyResult
    series: tuple[SeriesResult, ...]

    @property
    def reference(self) -> StudyReference:
        """The study by its UID."""
        return self.study.reference

    @property
    def instances(self) -> int:
        """The instances of the wanted series, as far as they are told."""
        return sum(series.number_of_instances or 0 for series in self.series)

    def without(self, series_instance_uids: Collection[str]) -> "FoundStudy":
        """Return the study with fewer wanted series."""
        left = (one for one in self.series if one.reference.series_instance_uid not in series_instance_uids)
        return replace(self, series=tuple(left))


def add_new(
    session: Session,
    job_id: int,
    studies: Sequence[FoundStudy],
    pseudonym_of: Callable[[str], str],
    *,
    parent_id: int | None = None,
) -> int:
    """Add a task for each study with series that no task of the job has yet, and return how many.

    The caller has locked the job, so that nobody else adds the same.
    """
    known = _known_series(session, job_id, [study.reference.study_instance_uid for study in studies])
    new = [study.without(known.get(study.reference.study_instance_uid, frozenset())) for study in studies]
    wanted = (study for study in new if study.series)
    return add_tasks(session, job_id, wanted, pseudonym_of, parent_id=parent_id)


def grown_tasks(session: Session, job_id: int, studies: Sequence[FoundStudy]) -> frozenset[int]:
    """Return the tasks of the job that have ended, and of whose series the source has more by now."""
    found = {
        series.reference.series_instance_uid: series.number_of_instances or 0
        for study in studies
        for series in study.series
    }
    rows = session.exec(
        select(Task.id, SeriesProgress.series_instance_uid, SeriesProgress.planned)
        .join(SeriesProgress)
        .where(
            Task.job_id == job_id,
            Task.kind == TaskKind.TRANSFER,
            col(Task.study_instance_uid).in_([study.reference.study_instance_uid for study in studies]),
            col(Task.status).not_in(OPEN_TASKS),
            col(Task.refused).is_(False),
        )
    )
    return frozenset(task_id for task_id, uid, planned in rows if found.get(uid, 0) > planned)


def add_tasks(
    session: Session,
    job_id: int,
    studies: Iterable[FoundStudy],
    pseudonym_of: Callable[[str], str],
    *,
    parent_id: int | None = None,
) -> int:
    """Add a task for each study, with the pseudonym of its patient, and return how many."""
    tasks = [
        (_task(job_id, study, pseudonym_of(study.reference.patient_id), parent_id), study)
        for study in studies
    ]
    session.add_all(task for task, _ in tasks)
    session.flush()
    session.add_all(row for task, study in tasks for row in _series_rows(task.id, study))
    return len(tasks)


def _known_series(session: Session, job_id: int, study_uids: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return by study the series that tasks of the job are about."""
    rows = session.exec(
        select(Task.study_instance_uid, Task.series_instance_uids).where(
            Task.job_id == job_id,
            Task.kind == TaskKind.TRANSFER,
            col(Task.study_instance_uid).in_(study_uids),
        )
    )
    known: dict[str, frozenset[str]] = {}
    for study_uid, series_uids in rows:
        known[study_uid] = known.get(study_uid, frozenset()) | frozenset(series_uids)
    return known


def _task(job_id: int, study: FoundStudy, pseudonym: str, parent_id: int | None) -> Task:
    return Task(
        job_id=job_id,
        kind=TaskKind.TRANSFER,
        parent_id=parent_id,
        patient_id=storable(study.reference.patient_id, 64),
        study_instance_uid=study.reference.study_instance_uid,
        series_instance_uids=tuple(series.reference.series_instance_uid for series in study.series),
        pseudonym=pseudonym,
        planned=study.instances,
    )


def _series_rows(task_id: int, study: FoundStudy) -> Iterator[SeriesProgress]:
    for series in study.series:
        yield SeriesProgress(
            task_id=task_id,
            series_instance_uid=series.reference.series_instance_uid,
            modality=storable(series.modality, 16),
            series_number=series.series_number,
            planned=series.number_of_instances or 0,
        )
