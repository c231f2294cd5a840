"""What a user must be allowed to do before something is done; whatever is not granted is denied.

Rights come from groups: from the one that is active, or from all of the user's groups if none is. Staff
have every right, whichever group is active.
"""

from collections.abc import Mapping
from enum import StrEnum

from sqlmodel import Session, col, or_, select
from sqlmodel.sql.expression import SelectOfScalar

from adit_core.db import (
    DicomNode,
    GroupPermission,
    Job,
    JobKind,
    Membership,
    NodeAccess,
    Permission,
    ProjectAccess,
    PseudonymProject,
    StorageForm,
    User,
)
from adit_core.db.engine import Database
from adit_core.errors import NotAllowed
from adit_core.services.storage import ARCHIVES, form_of

NEEDED_FOR: Mapping[JobKind, Permission] = {
    JobKind.SELECTIVE_TRANSFER: Permission.TRANSFER_SELECTED,
    JobKind.BATCH_TRANSFER: Permission.TRANSFER_BATCHES,
    JobKind.BATCH_QUERY: Permission.QUERY,
    JobKind.MASS_TRANSFER: Permission.TRANSFER_MASSES,
    JobKind.UPLOAD: Permission.UPLOAD,
}
"""What a user needs to have a job of a kind done."""
_NEEDED_TO_KEEP: Mapping[StorageForm, Permission] = {
    StorageForm.NIFTI: Permission.CONVERT_TO_NIFTI,
    **dict.fromkeys(ARCHIVES, Permission.MAKE_ARCHIVES),
}
"""What a user needs to have studies kept otherwise than as DICOM files."""


class NodeRole(StrEnum):
    """What a node is used as."""

    SOURCE = "source"
    DESTINATION = "destination"


def require_staff(user: User) -> None:
    """Do nothing if `user` is a member of staff.

    Raises:
        NotAllowed: The user is not, or the account is closed.
    """
    if not (user.is_active and user.is_staff):
        raise NotAllowed("Only staff may do this.")


def require_administrator(actor: User | str) -> None:
    """Do nothing if `actor` is staff, or a program of an administrator, which has a name but no account.

    Raises:
        NotAllowed: It is a user who is not staff, or whose account is closed.
    """
    if isinstance(actor, User):
        require_staff(actor)


def granted_permissions(db: Database, user: User) -> frozenset[Permission]:
    """Return all that `user` may do; staff have every permission, and closed accounts none."""
    if not user.is_active:
        return frozenset()
    return frozenset(Permission) if user.is_staff else frozenset(permissions_of(db, user))


def has_permission(db: Database, user: User, permission: Permission) -> bool:
    """Tell whether `user` has `permission`; staff have all, and closed accounts none."""
    return permission in granted_permissions(db, user)


def require_permission(db: Database, user: User, permission: Permission) -> None:
    """Do nothing if `user` has `permission`; staff have all.

    Raises:
        NotAllowed: The user lacks it, or the account is closed.
    """
    if not has_permission(db, user, permission):
        raise NotAllowed(
            f"You lack the permission to {permission.value}. An administrator can give it to your group."
        )


def require_node(db: Database, user: User, node: DicomNode, role: NodeRole) -> None:
    """Do nothing if `user` may use `node` in `role`.

    Raises:
        NotAllowed: The user may not.
    """
    if node.retired_at is not None:
        raise NotAllowed(f"{node.name} is retired. An administrator can restore it.")
    if not may_use(db, user, node, role):
        raise NotAllowed(
            f"You may not use {node.name} as a {role.value}. An administrator can let your group do so."
        )


def require_project(db: Database, user: User, project: PseudonymProject) -> None:
    """Do nothing if `user` may pseudonymize for `project`.

    Raises:
        NotAllowed: The user may not.
    """
    if not may_use_project(db, user, project):
        raise NotAllowed(
            f"You may not use project {project.name}. An administrator can let your group do so."
        )


def require_query(db: Database, user: User, *, source: DicomNode, urgent: bool) -> None:
    """Do nothing if `user` may ask `source` about the rows of a spreadsheet.

    Raises:
        NotAllowed: The user lacks a permission, or access to the node.
    """
    require_permission(db, user, NEEDED_FOR[JobKind.BATCH_QUERY])
    if urgent:
        require_permission(db, user, Permission.PROCESS_URGENTLY)
    require_node(db, user, source, NodeRole.SOURCE)


def require_transfer(
    db: Database,
    user: User,
    kind: JobKind,
    *,
    source: DicomNode | None,
    destination: DicomNode,
    project: PseudonymProject | None,
    form: StorageForm,
    urgent: bool,
) -> None:
    """Do nothing if `user` may have studies moved from `source` to `destination` by a job of this kind.

    Without a source, they were uploaded; without a project, they leave with the patients' names. At the
    destination, they are kept in this `form`.

    Raises:
        NotAllowed: The user lacks a permission, or access to one of the nodes or to the project.
    """
    require_permission(db, user, NEEDED_FOR[kind])
    if form in _NEEDED_TO_KEEP:
        require_permission(db, user, _NEEDED_TO_KEEP[form])
    if project is None:
        require_permission(db, user, Permission.TRANSFER_UNPSEUDONYMIZED)
    else:
        require_project(db, user, project)
    if urgent:
        require_permission(db, user, Permission.PROCESS_URGENTLY)
    if source is not None:
        require_node(db, user, source, NodeRole.SOURCE)
    require_node(db, user, destination, NodeRole.DESTINATION)


def require_again(db: Database, user: User, job: Job) -> None:
    """Do nothing if `user` may have `job` done again; rights may have been taken away since it was submitted.

    Raises:
        NotAllowed: The user lacks a permission, or access to a node of the job.
    """
    with db.reading() as session:
        source, destination = (
            session.get_one(DicomNode, node_id) if node_id is not None else None
            for node_id in (job.source_id, job.destination_id)
        )
        project = None if job.project_id is None else session.get_one(PseudonymProject, job.project_id)
    if destination is not None:
        require_transfer(
            db,
            user,
            job.kind,
            source=source,
            destination=destination,
            project=project,
            form=form_of(destination, job.options, in_archive=job.archive_password is not None),
            urgent=job.urgent,
        )
    elif source is not None:
        require_query(db, user, source=source, urgent=job.urgent)


def permissions_of(db: Database, user: User) -> frozenset[Permission]:
    """Return what the user's groups permit, all together, or the active one alone."""
    chosen = select(GroupPermission.permission).where(col(GroupPermission.group_id).in_(_groups_of(user)))
    with db.reading() as session:
        return frozenset(map(Permission, session.exec(chosen)))


def may_keep_as(granted: frozenset[Permission], form: StorageForm) -> bool:
    """Tell whether somebody with these permissions may have studies kept in a form."""
    return form not in _NEEDED_TO_KEEP or _NEEDED_TO_KEEP[form] in granted


def _groups_of(user: User) -> SelectOfScalar[int]:
    """Return a query for the ids of the groups whose rights the user has, as the database has them now."""
    return (
        select(Membership.group_id)
        .join(User, col(User.id) == col(Membership.user_id))
        .where(
            User.id == user.id,
            or_(col(User.active_group_id).is_(None), User.active_group_id == Membership.group_id),
        )
    )


def may_use(db: Database, user: User, node: DicomNode, role: NodeRole) -> bool:
    """Tell whether `user` may use `node` as a source, or as a destination.

    ============== ======= ==================================== =======
    account        staff   a group that counts has access       allowed
    ============== ======= ==================================== =======
    closed         any     any                                  no
    open           yes     any                                  yes
    open           no      in this role                         yes
    open           no      otherwise                            no
    ============== ======= ==================================== =======

    Nobody may use a node that is retired.
    """
    with db.reading() as session:
        return node.id in usable_node_ids(session, user, role)


def usable_node_ids(session: Session, user: User, role: NodeRole) -> frozenset[int]:
    """Return the ids of the nodes that `user` may use in `role`; see `may_use`."""
    if not user.is_active:
        return frozenset()
    if user.is_staff:
        return frozenset(session.exec(select(DicomNode.id).where(col(DicomNode.retired_at).is_(None))))
    granted = NodeAccess.as_source if role is NodeRole.SOURCE else NodeAccess.as_destination
    return frozenset(
        session.exec(
            select(NodeAccess.node_id)
            .join(DicomNode, col(DicomNode.id) == col(NodeAccess.node_id))
            .where(
                col(NodeAccess.group_id).in_(_groups_of(user)), granted, col(DicomNode.retired_at).is_(None)
            )
        )
    )


def may_use_project(db: Database, user: User, project: PseudonymProject) -> bool:
    """Tell whether `user` may pseudonymize for a project: staff, and members of groups that have access."""
    with db.reading() as session:
        return project.id in usable_project_ids(session, user)


def usable_project_ids(session: Session, user: User) -> frozenset[int]:
    """Return the ids of the projects that `user` may pseudonymize for; see `may_use_project`."""
    if not user.is_active:
        return frozenset()
    if user.is_staff:
        return frozenset(session.exec(select(PseudonymProject.id)))
    return frozenset(
        session.exec(
            select(ProjectAccess.project_id).where(col(ProjectAccess.group_id).in_(_groups_of(user)))
        )
    )
