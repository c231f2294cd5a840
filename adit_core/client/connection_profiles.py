"""Connection profiles, for staff only."""

from typing import Unpack
from urllib.parse import quote

from adit_core.client.administration_keys import ProfileSettings
from adit_core.client.connection import Connected
from adit_core.client.node_values import ConnectionProfile
from adit_core.client.reading import Table, made, made_all

_PATH = "/admin/profiles"


class ConnectionProfiles(Connected):
    """Administers connection profiles by their names."""

    def connection_profiles(self) -> Table[ConnectionProfile]:
        """Return the connection profiles, by name."""
        return made_all(ConnectionProfile, self._connection.json("GET", _PATH))

    def connection_profile(self, name: str) -> ConnectionProfile:
        """Return a connection profile."""
        return made(ConnectionProfile, self._connection.json("GET", _named(name)))

    def add_connection_profile(self, name: str, **settings: Unpack[ProfileSettings]) -> ConnectionProfile:
        """Add a connection profile."""
        return made(ConnectionProfile, self._connection.create(_PATH, json={"name": name, **settings}))

    def replace_connection_profile(self, name: str, **settings: Unpack[ProfileSettings]) -> ConnectionProfile:
        """Put settings in the place of those that have the name, as a whole, secrets included."""
        return made(ConnectionProfile, self._connection.json("PUT", _named(name), json=settings))

    def remove_connection_profile(self, name: str) -> None:
        """Remove a connection profile that no server uses."""
        self._connection.json("DELETE", _named(name))


def _named(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"
