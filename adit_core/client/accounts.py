"""Accounts and groups, for staff only."""

from collections.abc import Iterable
from typing import Unpack
from urllib.parse import quote

from adit_core.client.account_values import Group, Permission, User
from adit_core.client.administration_keys import NewUserSettings, UserChanges
from adit_core.client.connection import Connected
from adit_core.client.reading import Table, made, made_all


class Accounts(Connected):
    """Administers accounts by their user names, and groups by their ids."""

    def users(self) -> Table[User]:
        """Return the accounts, by name."""
        return made_all(User, self._connection.json("GET", "/admin/users"))

    def user(self, username: str) -> User:
        """Return an account."""
        return made(User, self._connection.json("GET", _user(username)))

    def add_user(
        self, username: str, *, password: str | None = None, **settings: Unpack[NewUserSettings]
    ) -> User:
        """Add an account; one without a password signs in elsewhere."""
        wish = {"username": username, "password": password, **settings}
        return made(User, self._connection.create("/admin/users", json=wish))

    def change_user(self, username: str, **changes: Unpack[UserChanges]) -> User:
        """Change an account, or close it: whoever it belongs to is signed out everywhere."""
        return made(User, self._connection.json("PATCH", _user(username), json=changes))

    def set_password(self, username: str, password: str, *, must_change: bool = False) -> None:
        """Give a user a new password, and sign the user out everywhere.

        Args:
            username: Whose.
            password: The new one.
            must_change: Whether the user can do nothing before choosing another one.
        """
        wish = {"password": password, "must_change": must_change}
        self._connection.json("PUT", f"{_user(username)}/password", json=wish)

    def groups(self) -> Table[Group]:
        """Return the groups, by name."""
        return made_all(Group, self._connection.json("GET", "/admin/groups"))

    def group(self, group_id: int) -> Group:
        """Return a group."""
        return made(Group, self._connection.json("GET", _group(group_id)))

    def add_group(self, name: str, permissions: Iterable[Permission] = ()) -> Group:
        """Add a group."""
        wish = {"name": name, "permissions": list(permissions)}
        return made(Group, self._connection.create("/admin/groups", json=wish))

    def remove_group(self, group_id: int) -> None:
        """Remove a group; its members keep what other groups permit."""
        self._connection.json("DELETE", _group(group_id))

    def set_permissions(self, group_id: int, permissions: Iterable[Permission]) -> Group:
        """Say what a group permits, replacing what was said before."""
        wish = {"permissions": list(permissions)}
        return made(Group, self._connection.json("PUT", f"{_group(group_id)}/permissions", json=wish))

    def add_member(self, group_id: int, username: str) -> Group:
        """Make a user a member of a group."""
        return made(Group, self._connection.json("PUT", _member(group_id, username)))

    def remove_member(self, group_id: int, username: str) -> Group:
        """Take a user out of a group."""
        return made(Group, self._connection.json("DELETE", _member(group_id, username)))

    def set_node_access(self, group_id: int, node: str, *, as_source: bool, as_destination: bool) -> Group:
        """Say what a group may use a node as, replacing what was said of that node before."""
        wish = {"node": node, "as_source": as_source, "as_destination": as_destination}
        return made(Group, self._connection.json("PUT", f"{_group(group_id)}/nodes", json=wish))


def _user(username: str) -> str:
    return f"/admin/users/{quote(username, safe='')}"


def _group(group_id: int) -> str:
    return f"/admin/groups/{group_id}"


def _member(group_id: int, username: str) -> str:
    return f"{_group(group_id)}/members/{quote(username, safe='')}"
