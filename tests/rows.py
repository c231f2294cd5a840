"""Makes rows that the tests of the services start from."""

from collections.abc import Iterable
from typing import TypeVar

from sqlmodel import col, select

from adit_core.db import (
    DicomNode,
    Group,
    GroupPermission,
    Job,
    JobEvent,
    JobKind,
    Membership,
    NodeAccess,
    NodeKind,
    Permission,
    Task,
    TransferOptions,
    User,
)
from adit_core.db.engine import Database
from adit_core.services.rights import has_permission
from deployments.demo.studies import StudySpec

T = TypeVar("T")

TRANSFERS = (
    Permission.TRANSFER_SELECTED,
    Permission.TRANSFER_BATCHES,
    Permission.TRANSFER_MASSES,
    Permission.UPLOAD,
)
"""To have every kind of transfer done."""
FORMS = (Permission.CONVERT_TO_NIFTI, Permission.MAKE_ARCHIVES)
"""To have studies kept otherwise than as DICOM files."""


def make_user(db: Database, username: str = "ada", *, staff: bool = False, active: bool = True) -> User:
    """Add a user who may do nothing yet."""
    return _added(db, User(username=username, is_staff=staff, is_active=active))


def make_group(db: Database, *users: User, permissions: tuple[Permission, ...] = ()) -> Group:
    """Add a group with members."""
    name = "+".join(["group", *(user.username for user in users), *permissions])[:150]
    group = _added(db, Group(name=name))
    with db.session() as session:
        session.add_all(Membership(user_id=user.id, group_id=group.id) for user in users)
        session.add_all(GroupPermission(group_id=group.id, permission=word) for word in permissions)
        session.commit()
    return group


def let_use_api(db: Database, user: User) -> None:
    """Let a user have tokens, by a group of its own, who may not have any yet."""
    if not has_permission(db, user, Permission.USE_API):
        make_group(db, user, permissions=(Permission.USE_API,))


def make_server(db: Database, name: str = "PACS", **fields) -> DicomNode:
    """Add a server."""
    given = {"ae_title": "PACS", "host": "127.0.0.1", "port": 104, **fields}
    return _added(db, DicomNode(kind=NodeKind.SERVER, name=name, **given))


def make_web_server(db: Database, name: str = "WEB", **fields) -> DicomNode:
    """Add a server that is reached by DICOMweb."""
    given = {"base_url": "http://127.0.0.1:1/dicom-web", **fields}
    return _added(db, DicomNode(kind=NodeKind.WEB, name=name, **given))


def make_folder(db: Database, name: str = "Export", **fields) -> DicomNode:
    """Add a folder."""
    return _added(db, DicomNode(kind=NodeKind.FOLDER, name=name, **{"path": "/export", **fields}))


def allow(
    db: Database, group: Group, node: DicomNode, *, as_source: bool = False, as_destination: bool = False
) -> None:
    """Let a group use a node."""
    with db.session() as session:
        session.add(
            NodeAccess(group_id=group.id, node_id=node.id, as_source=as_source, as_destination=as_destination)
        )
        session.commit()


def make_job(db: Database, studies: int = 1, owner: User | None = None, **fields) -> Job:
    """Add a job with as many pending tasks, and what it refers to."""
    owner = owner or make_user(db)
    source = make_server(db, f"source of {owner.username}")
    destination = make_folder(db, f"destination of {owner.username}")
    job = _added(
        db,
        Job(
            owner_id=owner.id,
            source_id=source.id,
            destination_id=destination.id,
            **{"kind": JobKind.BATCH_TRANSFER, "run_number": 1, **fields},
        ),
    )
    with db.session() as session:
        session.add_all(
            Task(
                job_id=job.id, patient_id=f"P{number}", study_instance_uid=f"1.2.{number}", rows=(number + 1,)
            )
            for number in range(1, studies + 1)
        )
        session.commit()
    return job


def make_transfer(
    db: Database,
    owner: User,
    source: DicomNode,
    destination: DicomNode,
    specs: Iterable[StudySpec],
    *,
    options: TransferOptions | None = None,
) -> Job:
    """Add a job that moves these studies from one node to another."""
    job = _added(
        db,
        Job(
            kind=JobKind.BATCH_TRANSFER,
            owner_id=owner.id,
            source_id=source.id,
            destination_id=destination.id,
            options=options or TransferOptions(),
            run_number=1,
        ),
    )
    with db.session() as session:
        session.add_all(
            Task(job_id=job.id, patient_id=spec.patient_id, study_instance_uid=spec.study_instance_uid)
            for spec in specs
        )
        session.commit()
    return job


def told(db: Database, task_id: int) -> list[str]:
    """Return what is told of a task, oldest first: attempt, status and message of each event."""
    chosen = select(JobEvent).where(JobEvent.task_id == task_id).order_by(col(JobEvent.id))
    with db.reading() as session:
        return [f"{event.attempt} {event.status}: {event.message}" for event in session.exec(chosen)]


def load(db: Database, table: type[T], key: object) -> T:
    """Return a row as it is now."""
    with db.reading() as session:
        return session.get_one(table, key)


def _added(db: Database, row: T) -> T:
    with db.session() as session:
        session.add(row)
        session.commit()
        session.refresh(row)
    return row
