"""Users and groups, for staff."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field, StringConstraints

from adit_core.api.v1.callers import Administrator, Wired
from adit_core.api.v1.creating import OneCreation
from adit_core.api.v1.values import Given, Id, NodeName, Shown, Text
from adit_core.db import Permission
from adit_core.services import groups
from adit_core.services.users import UserChanges, change_user, create_user, get_user, list_users, set_password

Username = Annotated[
    str,
    Path(
        max_length=150,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$",
        description="The user name.",
        examples=["ada"],
    ),
]
Password = Annotated[str, StringConstraints(max_length=2000)]

router = APIRouter(prefix="/admin", tags=["admin"])


class User(Shown):
    """An account."""

    username: str
    full_name: str
    email: str
    is_staff: bool
    is_active: bool
    needs_approval: bool
    notify_by_email: bool
    must_change_password: bool
    created_at: datetime


class NewUser(Given):
    """An account that is to be added."""

    username: Text = Field(examples=["ada"])
    password: Password | None = Field(default=None, examples=["correct horse battery staple"])
    """Null for an account that signs in elsewhere."""
    full_name: Text = ""
    email: Text = ""
    is_staff: bool = False
    needs_approval: bool = False
    notify_by_email: bool = False
    must_change_password: bool = False
    """Whether the user can do nothing before choosing another password."""


class ChangedUser(Given):
    """What is to become of an account; what is null stays as it is."""

    full_name: Text | None = None
    email: Text | None = None
    is_staff: bool | None = None
    is_active: bool | None = None
    needs_approval: bool | None = None
    notify_by_email: bool | None = None


class NewPassword(Given):
    """A new password."""

    password: Password = Field(examples=["correct horse battery staple"])
    must_change: bool = False
    """Whether the user can do nothing before choosing another one."""


class NodeAccess(Shown):
    """A node that a group may use, and as what."""

    node: str
    as_source: bool
    as_destination: bool


class Group(Shown):
    """A group: its members may do what it permits, with the nodes that it may use."""

    id: int
    name: str
    permissions: list[Permission]
    members: list[str]
    nodes: list[NodeAccess]


class NewGroup(Given):
    """A group that is to be added."""

    name: Text = Field(examples=["Neuro"])
    permissions: list[Permission] = Field(default=[], examples=[["transfer", "query"]])


class Permissions(Given):
    """What a group permits."""

    permissions: list[Permission]


class WantedAccess(Given):
    """What a group is to use a node as."""

    node: NodeName
    as_source: bool
    as_destination: bool


@router.get("/users")
def list_accounts(wiring: Wired, _caller: Administrator) -> list[User]:
    """List the accounts, by name."""
    return [User.model_validate(user) for user in list_users(wiring.database)]


@router.post("/users", status_code=201)
def add_account(wiring: Wired, caller: Administrator, creation: OneCreation, user: NewUser) -> User:
    """Add an account."""

    def create() -> User:
        added = create_user(
            wiring.database,
            username=user.username,
            password=user.password,
            full_name=user.full_name,
            email=user.email,
            staff=user.is_staff,
            needs_approval=user.needs_approval,
            notify_by_email=user.notify_by_email,
            must_change_password=user.must_change_password,
            actor=caller.user,
        )
        return User.model_validate(added)

    return creation.once(user, User, create)


@router.get("/users/{username}")
def show_account(wiring: Wired, _caller: Administrator, username: Username) -> User:
    """Show an account."""
    return User.model_validate(get_user(wiring.database, username))


@router.patch("/users/{username}")
def change_account(wiring: Wired, caller: Administrator, username: Username, changes: ChangedUser) -> User:
    """Change an account, or close it: whoever it belongs to is signed out everywhere."""
    wanted = UserChanges(**changes.model_dump())
    return User.model_validate(change_user(wiring.database, username, wanted, actor=caller.user))


@router.put("/users/{username}/password", status_code=204)
def change_password(wiring: Wired, caller: Administrator, username: Username, given: NewPassword) -> None:
    """Give a user a new password, and sign the user out everywhere."""
    set_password(wiring.database, username, given.password, must_change=given.must_change, actor=caller.user)


@router.get("/groups")
def list_groups(wiring: Wired, _caller: Administrator) -> list[Group]:
    """List the groups, by name."""
    return [Group.model_validate(group) for group in groups.list_groups(wiring.database)]


@router.post("/groups", status_code=201)
def add_group(wiring: Wired, caller: Administrator, creation: OneCreation, group: NewGroup) -> Group:
    """Add a group."""

    def create() -> Group:
        added = groups.add_group(wiring.database, group.name, group.permissions, actor=caller.user)
        return Group.model_validate(added)

    return creation.once(group, Group, create)


@router.get("/groups/{group_id}")
def show_group(wiring: Wired, _caller: Administrator, group_id: Id) -> Group:
    """Show a group."""
    return Group.model_validate(groups.show_group(wiring.database, group_id))


@router.delete("/groups/{group_id}", status_code=204)
def remove_group(wiring: Wired, caller: Administrator, group_id: Id) -> None:
    """Remove a group; its members keep what other groups permit."""
    groups.remove_group(wiring.database, group_id, actor=caller.user)


@router.put("/groups/{group_id}/permissions")
def set_permissions(wiring: Wired, caller: Administrator, group_id: Id, wanted: Permissions) -> Group:
    """Say what a group permits, replacing what was said before."""
    changed = groups.set_permissions(wiring.database, group_id, wanted.permissions, actor=caller.user)
    return Group.model_validate(changed)


@router.put("/groups/{group_id}/members/{username}")
def add_member(wiring: Wired, caller: Administrator, group_id: Id, username: Username) -> Group:
    """Make a user a member of a group."""
    changed = groups.add_member(wiring.database, group_id, username, actor=caller.user)
    return Group.model_validate(changed)


@router.delete("/groups/{group_id}/members/{username}")
def remove_member(wiring: Wired, caller: Administrator, group_id: Id, username: Username) -> Group:
    """Take a user out of a group."""
    changed = groups.remove_member(wiring.database, group_id, username, actor=caller.user)
    return Group.model_validate(changed)


@router.put("/groups/{group_id}/nodes")
def set_node_access(wiring: Wired, caller: Administrator, group_id: Id, wanted: WantedAccess) -> Group:
    """Say what a group may use a node as, replacing what was said of that node before."""
    access = groups.UsableBy(wanted.node, wanted.as_source, wanted.as_destination)
    return Group.model_validate(groups.set_node_access(wiring.database, group_id, access, actor=caller.user))
