"""What a user must be allowed to do before something is done; whatever is not granted is denied."""

from adit_core.db import DicomNode, Job, Permission, PseudonymProject, User
from adit_core.db.engine import Database
from adit_core.errors import NotAllowed
from adit_core.services.nodes import NodeRole, may_use
from adit_core.services.projects import may_use_project
from adit_core.services.users import permissions_of


def require_staff(user: User) -> None:
    """Do nothing if `user` is a member of staff.

    Raises:
        NotAllowed: The user is not, or the account is closed.
    """
    if not (user.is_active and user.is_staff):
        raise NotAllowed("Only staff may do this.")


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
    require_permission(db, user, Permission.QUERY)
    if urgent:
        require_permission(db, user, Permission.PROCESS_URGENTLY)
    require_node(db, user, source, NodeRole.SOURCE)


def require_transfer(
    db: Database,
    user: User,
    *,
    source: DicomNode | None,
    destination: DicomNode,
    project: PseudonymProject | None,
    urgent: bool,
) -> None:
    """Do nothing if `user` may have studies moved from `source` to `destination`.

    Without a source, they were uploaded; without a project, they leave with the patients' names.

    Raises:
        NotAllowed: The user lacks a permission, or access to one of the nodes or to the project.
    """
    require_permission(db, user, Permission.TRANSFER)
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
        require_transfer(db, user, source=source, destination=destination, project=project, urgent=job.urgent)
    elif source is not None:
        require_query(db, user, source=source, urgent=job.urgent)
