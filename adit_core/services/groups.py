"""Groups: who is in them, what they permit, and which nodes they may use."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, delete, select

from adit_core.db import DicomNode, Group, GroupPermission, Membership, NodeAccess, Permission, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, InvalidInput, NotFound, refuse
from adit_core.services import audit
from adit_core.services.active_group import forget_left_groups
from adit_core.services.nodes import get_node
from adit_core.services.rights import require_administrator
from adit_core.services.users import get_user

_MAX_NAME_LENGTH = 150


@dataclass(frozen=True, slots=True)
class UsableBy:
    """A node that a group may use, and as what."""

    node: str
    as_source: bool
    as_destination: bool


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group as it is shown."""

    id: int
    name: str
    permissions: tuple[Permission, ...]
    members: tuple[str, ...]
    """Their user names."""
    nodes: tuple[UsableBy, ...]


def list_groups(db: Database) -> list[GroupView]:
    """Return all groups by name."""
    with db.reading() as session:
        return _views(session, list(session.exec(select(Group).order_by(Group.name))))


def show_group(db: Database, group_id: int) -> GroupView:
    """Return a group.

    Raises:
        NotFound: There is no such group.
    """
    with db.reading() as session:
        (view,) = _views(session, [_existing(session, group_id)])
    return view


def add_group(
    db: Database, name: str, permissions: Collection[Permission] = (), *, actor: User | str = audit.SYSTEM
) -> GroupView:
    """Add a group without members and nodes.

    Raises:
        InvalidInput: The name is empty, too long, or that of another group.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    refuse(*_name_problems(name))
    group = Group(name=storable(name.strip()))
    try:
        with db.session() as session:
            session.add(group)
            session.flush()
            _permit(session, group, permissions)
            _record(session, actor, group, "added")
            session.commit()
    except IntegrityError as error:
        taken = InputProblem(f"There is a group called {group.name} already.", field="name")
        raise InvalidInput(taken) from error
    return show_group(db, group.id)


def remove_group(db: Database, group_id: int, *, actor: User | str = audit.SYSTEM) -> None:
    """Remove a group; its members keep what other groups permit.

    Raises:
        NotFound: There is no such group.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    with db.session() as session:
        group = _existing(session, group_id)
        _record(session, actor, group, "removed")
        session.delete(group)
        session.commit()


def set_permissions(
    db: Database, group_id: int, permissions: Collection[Permission], *, actor: User | str = audit.SYSTEM
) -> GroupView:
    """Say what a group permits, replacing what was said before.

    Raises:
        NotFound: There is no such group.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    with db.session() as session:
        group = _existing(session, group_id)
        session.exec(delete(GroupPermission).where(col(GroupPermission.group_id) == group_id))
        _permit(session, group, permissions)
        _record(session, actor, group, "permissions", ", ".join(sorted(permissions)))
        session.commit()
    return show_group(db, group_id)


def add_member(db: Database, group_id: int, username: str, *, actor: User | str = audit.SYSTEM) -> GroupView:
    """Make a user a member of a group; one who is already stays so.

    Raises:
        NotFound: There is no such group, or no such user.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    user = get_user(db, username)
    with db.session() as session:
        group = _existing(session, group_id)
        session.merge(Membership(user_id=user.id, group_id=group_id))
        _record(session, actor, group, "member added", user.username)
        session.commit()
    return show_group(db, group_id)


def remove_member(
    db: Database, group_id: int, username: str, *, actor: User | str = audit.SYSTEM
) -> GroupView:
    """Take a user out of a group; one who is no member stays none.

    Raises:
        NotFound: There is no such group, or no such user.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    user = get_user(db, username)
    with db.session() as session:
        group = _existing(session, group_id)
        session.exec(
            delete(Membership).where(col(Membership.group_id) == group_id, col(Membership.user_id) == user.id)
        )
        forget_left_groups(session)
        _record(session, actor, group, "member removed", user.username)
        session.commit()
    return show_group(db, group_id)


def set_members(
    db: Database, group_id: int, usernames: Collection[str], *, actor: User | str = audit.SYSTEM
) -> GroupView:
    """Say who is a member of a group, replacing what was said before.

    Raises:
        NotFound: There is no such group, or no such user.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    users = {user.id: user.username for user in (get_user(db, username) for username in usernames)}
    with db.session() as session:
        group = _existing(session, group_id)
        session.exec(delete(Membership).where(col(Membership.group_id) == group_id))
        session.add_all(Membership(user_id=user_id, group_id=group_id) for user_id in users)
        forget_left_groups(session)
        _record(session, actor, group, "members", ", ".join(sorted(users.values())) or "nobody")
        session.commit()
    return show_group(db, group_id)


def set_all_node_access(
    db: Database,
    group_id: int,
    *,
    sources: Collection[str],
    destinations: Collection[str],
    actor: User | str = audit.SYSTEM,
) -> GroupView:
    """Say which nodes a group may use as what, replacing what was said of all nodes before.

    Raises:
        NotFound: There is no such group, or no such node.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    nodes = {name: get_node(db, name).id for name in sorted({*sources, *destinations})}
    with db.session() as session:
        group = _existing(session, group_id)
        session.exec(delete(NodeAccess).where(col(NodeAccess.group_id) == group_id))
        session.add_all(
            NodeAccess(
                group_id=group_id,
                node_id=node_id,
                as_source=name in sources,
                as_destination=name in destinations,
            )
            for name, node_id in nodes.items()
        )
        said = (
            f"from {', '.join(sorted(sources)) or 'none'}",
            f"to {', '.join(sorted(destinations)) or 'none'}",
        )
        _record(session, actor, group, "nodes", "; ".join(said))
        session.commit()
    return show_group(db, group_id)


def set_node_access(
    db: Database, group_id: int, access: UsableBy, *, actor: User | str = audit.SYSTEM
) -> GroupView:
    """Say what a group may use a node as, replacing what was said before.

    Raises:
        NotFound: There is no such group, or no such node.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    node = get_node(db, access.node)
    with db.session() as session:
        group = _existing(session, group_id)
        session.merge(
            NodeAccess(
                group_id=group_id,
                node_id=node.id,
                as_source=access.as_source,
                as_destination=access.as_destination,
            )
        )
        uses = {"source": access.as_source, "destination": access.as_destination}
        roles = " and ".join(role for role, is_allowed in uses.items() if is_allowed)
        _record(session, actor, group, "nodes", f"{node.name}: {roles or 'not at all'}")
        session.commit()
    return show_group(db, group_id)


def _existing(session: Session, group_id: int) -> Group:
    group = session.get(Group, group_id)
    if group is None:
        raise NotFound(f"There is no group {group_id}.")
    return group


def _permit(session: Session, group: Group, permissions: Collection[Permission]) -> None:
    session.add_all(GroupPermission(group_id=group.id, permission=word) for word in set(permissions))


def _record(session: Session, actor: User | str, group: Group, changed: str, about: str = "") -> None:
    audit.record(
        session,
        AuditAction.GROUP_CHANGED,
        actor=actor,
        object_kind="group",
        object_id=group.name,
        changed=changed,
        about=about,
    )


def _views(session: Session, groups: list[Group]) -> list[GroupView]:
    ids = [group.id for group in groups]
    permissions, members = defaultdict[int, list[Permission]](list), defaultdict[int, list[str]](list)
    nodes = defaultdict[int, list[UsableBy]](list)
    for row in session.exec(select(GroupPermission).where(col(GroupPermission.group_id).in_(ids))):
        permissions[row.group_id].append(Permission(row.permission))
    named = select(Membership.group_id, User.username).join(User, col(User.id) == col(Membership.user_id))
    for group_id, username in session.exec(named.where(col(Membership.group_id).in_(ids))):
        members[group_id].append(username)
    reached = select(NodeAccess, DicomNode.name).join(DicomNode, col(DicomNode.id) == col(NodeAccess.node_id))
    reached = reached.where(col(NodeAccess.group_id).in_(ids), col(DicomNode.retired_at).is_(None))
    for access, name in session.exec(reached):
        nodes[access.group_id].append(UsableBy(name, access.as_source, access.as_destination))
    return [
        GroupView(
            id=group.id,
            name=group.name,
            permissions=tuple(sorted(permissions[group.id])),
            members=tuple(sorted(members[group.id])),
            nodes=tuple(sorted(nodes[group.id], key=lambda each: each.node)),
        )
        for group in groups
    ]


def _name_problems(name: str) -> list[InputProblem]:
    if name.strip() and len(name.strip()) <= _MAX_NAME_LENGTH:
        return []
    return [InputProblem(f"A group needs a name of 1 to {_MAX_NAME_LENGTH} characters.", field="name")]
