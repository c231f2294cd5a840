"""Images that are held back for what may be written in their pixels, and what reviewers make of them.

They are kept nowhere: a reviewer is shown what the source has. What is released leaves when its task is
done again, which moves only what is missing.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from pydicom.dataset import Dataset
from sqlmodel import Session, col, select

from adit_core.db import (
    DicomNode,
    HeldInstance,
    Job,
    JobStatus,
    Permission,
    PseudonymProject,
    ReviewStatus,
    Task,
    TaskStatus,
    User,
)
from adit_core.db.audit import AuditAction
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.deid.pixels.policy import apply
from adit_core.deid.pixels.preview import preview_png
from adit_core.deid.pixels.regions import Rectangle
from adit_core.dicom.references import SeriesReference
from adit_core.dicom.subscription import ReceiverAddress
from adit_core.errors import ActionNotPossible, InputProblem, NotFound, refuse
from adit_core.services import audit
from adit_core.services.deidentify import released_as
from adit_core.services.execute_transfer import study_of
from adit_core.services.fetch_instance import Origin, origin_at, origin_in
from adit_core.services.job_actions import give_new_run
from adit_core.services.job_status import OPEN_JOBS, lock_job, settle_job
from adit_core.services.launching import Launcher, launch_job
from adit_core.services.projects import usable_projects
from adit_core.services.rights import require_permission
from adit_core.services.task_status import reset_tasks
from adit_core.services.uploads import uploaded_folder

MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class HeldView:
    """A held-back instance as a reviewer is told of it."""

    id: int
    job_id: int
    task_id: int
    project: str
    pseudonym: str
    series_instance_uid: str
    sop_instance_uid: str
    reason: str
    status: ReviewStatus
    held_at: datetime
    reviewed_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldPicture:
    """A frame of a held-back instance, and how large the image is that it was made of."""

    png: bytes
    rows: int
    columns: int
    frames: int


def list_held(
    db: Database,
    user: User,
    *,
    statuses: Sequence[ReviewStatus] = (ReviewStatus.HELD,),
    job_id: int | None = None,
    after_id: int = 0,
    limit: int = MOST_LISTED,
) -> list[HeldView]:
    """Return instances that wait for a reviewer, or were reviewed, of projects that the user may use.

    Raises:
        NotAllowed: The user is no reviewer.
    """
    projects = {project.id: project.name for project in _reviewable(db, user)}
    with db.reading() as session:
        chosen = (
            select(HeldInstance, Task, Job)
            .join(Task, col(Task.id) == col(HeldInstance.task_id))
            .join(Job, col(Job.id) == col(Task.job_id))
            .where(
                col(Job.project_id).in_(projects),
                col(HeldInstance.status).in_(statuses),
                col(HeldInstance.id) > after_id,
            )
        )
        if job_id is not None:
            chosen = chosen.where(Job.id == job_id)
        rows = session.exec(chosen.order_by(col(HeldInstance.id)).limit(limit))
        return [_view(held, task, job, projects[job.project_id or 0]) for held, task, job in rows]


def picture_of_held(
    db: Database,
    user: User,
    held_id: int,
    *,
    receiver: ReceiverAddress | None,
    regions: Sequence[Rectangle] = (),
    frame: int = 0,
    address: str = "",
) -> bytes:
    """Return a frame of a held-back instance as PNG, as the source has it, with `regions` outlined.

    Raises:
        NotFound: There is no such instance, or none any more, or no such frame.
        NotAllowed: The user is no reviewer.
        NodeClosed: The source may not be used now.
        DeidentificationFailed: The pixels cannot be decoded, so nobody can look at them.
    """
    return preview_png(_looked_at(db, user, held_id, receiver, address=address), regions, frame=frame)


def look_at_held(
    db: Database,
    user: User,
    held_id: int,
    *,
    receiver: ReceiverAddress | None,
    frame: int = 0,
    address: str = "",
) -> HeldPicture:
    """Return a frame of a held-back instance as the source has it. Raises what `picture_of_held` raises."""
    return _picture(_looked_at(db, user, held_id, receiver, address=address), frame)


def foresee_release(
    db: Database,
    user: User,
    held_id: int,
    blank: Sequence[Rectangle],
    *,
    receiver: ReceiverAddress | None,
    frame: int = 0,
    address: str = "",
) -> HeldPicture:
    """Return a frame as it would leave with these regions blanked. Raises what `picture_of_held` raises."""
    dataset = _looked_at(db, user, held_id, receiver, address=address)
    return _picture(apply(released_as(blank), dataset) if blank else dataset, frame)


def release_held(
    db: Database,
    launcher: Launcher,
    user: User,
    held_ids: Sequence[int],
    *,
    blank: Sequence[Rectangle] = (),
    address: str = "",
) -> None:
    """Let instances leave, with these regions of all their frames blanked; their tasks are done again.

    Raises:
        NotFound: There is no such instance; nothing is changed then.
        NotAllowed: The user is no reviewer.
        ActionNotPossible: One was released before, or its task is in progress or being canceled.
        InvalidInput: A region has no pixels.
    """
    empty = [one for one in blank if not one.width * one.height]
    refuse(*(InputProblem("A region has no pixels.", field="blank") for _ in empty))
    with db.session() as session:
        job_ids = []
        for job, waiting in _by_job(session, _reviewable(db, user), held_ids):
            for held, task in waiting:
                held.blanked = tuple(blank)
                _release(session, user, held, task, address=address)
            _do_again(session, user, job, [task for _, task in waiting])
            job_ids.append(job.id)
        session.commit()
    for job_id in job_ids:
        launch_job(db, launcher, job_id)


def reject_held(db: Database, user: User, held_ids: Sequence[int], *, address: str = "") -> None:
    """Decide that instances never leave.

    Raises:
        NotFound: There is no such instance; nothing is changed then.
        NotAllowed: The user is no reviewer.
        ActionNotPossible: One was reviewed before.
    """
    with db.session() as session:
        for _, waiting in _by_job(session, _reviewable(db, user), held_ids):
            for held, task in waiting:
                if held.status is not ReviewStatus.HELD:
                    raise ActionNotPossible(f"Instance {held.id} was {held.status.value} before.")
                _decide(session, user, held, ReviewStatus.REJECTED)
                _record(session, AuditAction.INSTANCE_REJECTED, user, held, task, address=address)
        session.commit()


def _release(session: Session, user: User, held: HeldInstance, task: Task, *, address: str) -> None:
    if held.status is ReviewStatus.RELEASED:
        raise ActionNotPossible(f"Instance {held.id} was released before.")
    _decide(session, user, held, ReviewStatus.RELEASED)
    _record(session, AuditAction.INSTANCE_RELEASED, user, held, task, address=address)


def _do_again(session: Session, user: User, job: Job, tasks: Sequence[Task]) -> None:
    """Put tasks of a locked job back, unless they wait anyway."""
    if job.status is JobStatus.CANCELING:
        raise ActionNotPossible(f"Job {job.id} is being canceled: wait for its end.")
    if busy := [task.id for task in tasks if task.status is TaskStatus.IN_PROGRESS]:
        raise ActionNotPossible(f"Task {busy[0]} is in progress: wait for its end.")
    these = col(Task.id).in_([task.id for task in tasks])
    reset_tasks(session, job, these, event="Held instances were released.", actor=user)
    if job.status in OPEN_JOBS:
        settle_job(session, job)
    else:
        give_new_run(session, job)


def _by_job(
    session: Session, projects: Sequence[PseudonymProject], held_ids: Sequence[int]
) -> Iterator[tuple[Job, list[tuple[HeldInstance, Task]]]]:
    """Yield the jobs of held instances, locked one after the other, with those instances and their tasks."""
    found = [_found(session, projects, held_id) for held_id in sorted(set(held_ids))]
    for job_id, rows in groupby(sorted(found, key=_job_id), key=_job_id):
        ids = [held.id for held, _, _ in rows]
        job = lock_job(session, job_id)
        if job is None:
            raise NotFound(f"There is no job {job_id} any more.")
        # As they are now that nobody else can change them.
        fresh = session.exec(
            select(HeldInstance, Task)
            .join(Task, col(Task.id) == col(HeldInstance.task_id))
            .where(col(HeldInstance.id).in_(ids))
            .order_by(col(HeldInstance.id))
            .execution_options(populate_existing=True)
        ).all()
        yield job, list(fresh)


def _job_id(row: tuple[HeldInstance, Task, Job]) -> int:
    return row[2].id


def _found(
    session: Session, projects: Iterable[PseudonymProject], held_id: int
) -> tuple[HeldInstance, Task, Job]:
    row = session.exec(
        select(HeldInstance, Task, Job)
        .join(Task, col(Task.id) == col(HeldInstance.task_id))
        .join(Job, col(Job.id) == col(Task.job_id))
        .where(HeldInstance.id == held_id, col(Job.project_id).in_([project.id for project in projects]))
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no held instance {held_id}.")
    return row


def _reviewable(db: Database, user: User) -> list[PseudonymProject]:
    require_permission(db, user, Permission.REVIEW_HELD_INSTANCES)
    return usable_projects(db, user)


def _looked_at(
    db: Database, user: User, held_id: int, receiver: ReceiverAddress | None, *, address: str
) -> Dataset:
    with db.session() as session:
        held, task, job = _found(session, _reviewable(db, user), held_id)
        _record(session, AuditAction.INSTANCE_VIEWED, user, held, task, address=address)
        session.commit()
    return _fetched(db, held, task, job, receiver)


def _picture(dataset: Dataset, frame: int) -> HeldPicture:
    png = preview_png(dataset, frame=frame)
    return HeldPicture(png, int(dataset.Rows), int(dataset.Columns), int(dataset.get("NumberOfFrames") or 1))


def _fetched(
    db: Database, held: HeldInstance, task: Task, job: Job, receiver: ReceiverAddress | None
) -> Dataset:
    series = SeriesReference(study_of(task), held.series_instance_uid)
    with _origin(db, job, receiver) as origin:
        for instance in origin.instances(series):
            if instance.reference.sop_instance_uid == held.sop_instance_uid:
                return origin.fetch(instance)
    raise NotFound(f"The source does not have instance {held.sop_instance_uid} any more.")


def _origin(db: Database, job: Job, receiver: ReceiverAddress | None) -> AbstractContextManager[Origin]:
    if job.source_id is None:
        return origin_in(uploaded_folder(db, job.id))
    with db.reading() as session:
        node = session.get_one(DicomNode, job.source_id)
    return origin_at(db, node, receiver)


def _decide(session: Session, user: User, held: HeldInstance, status: ReviewStatus) -> None:
    held.status = status
    held.reviewer_id = user.id
    held.reviewed_at = utc_now()
    session.add(held)


def _record(
    session: Session, action: AuditAction, user: User, held: HeldInstance, task: Task, *, address: str
) -> None:
    audit.record(
        session,
        action,
        actor=user,
        object_kind="instance",
        object_id=held.sop_instance_uid,
        address=address,
        job=task.job_id,
        task=task.id,
        blanked=len(held.blanked),
    )


def _view(held: HeldInstance, task: Task, job: Job, project: str) -> HeldView:
    return HeldView(
        id=held.id,
        job_id=job.id,
        task_id=task.id,
        project=project,
        pseudonym=task.pseudonym,
        series_instance_uid=held.series_instance_uid,
        sop_instance_uid=held.sop_instance_uid,
        reason=held.reason,
        status=held.status,
        held_at=held.held_at,
        reviewed_at=held.reviewed_at,
    )
