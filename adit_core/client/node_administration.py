"""Nodes with all their settings, and their policies, for staff only."""

from typing import Any, Unpack
from urllib.parse import quote

from adit_core.client.administration_keys import (
    DimseSettings,
    FolderChanges,
    FolderSettings,
    PolicyChanges,
    ServerChanges,
    WebServerChanges,
    WebSettings,
)
from adit_core.client.connection import Connected
from adit_core.client.node_values import NodeSettings, Policy
from adit_core.client.plain import plain
from adit_core.client.reading import Table, made, made_all


class NodeAdministration(Connected):
    """Administers nodes by their names."""

    def all_nodes(self) -> Table[NodeSettings]:
        """Return all nodes with their settings, by name."""
        return made_all(NodeSettings, self._connection.json("GET", "/admin/nodes"))

    def add_server(
        self, name: str, *, ae_title: str, host: str, port: int, **settings: Unpack[DimseSettings]
    ) -> NodeSettings:
        """Add an archive that speaks DIMSE."""
        address = {"name": name, "ae_title": ae_title, "host": host, "port": port}
        return self._add("servers", {**address, **settings})

    def add_web_server(self, name: str, *, base_url: str, **settings: Unpack[WebSettings]) -> NodeSettings:
        """Add an archive that is reached by DICOMweb."""
        return self._add("web-servers", {"name": name, "base_url": base_url, **settings})

    def add_folder(self, name: str, *, path: str, **settings: Unpack[FolderSettings]) -> NodeSettings:
        """Add a folder, by an absolute path that the workers can write to."""
        return self._add("folders", {"name": name, "path": path, **settings})

    def change_server(self, name: str, **changes: Unpack[ServerChanges]) -> NodeSettings:
        """Change how an archive that speaks DIMSE is spoken to, and where it is."""
        return self._change("servers", name, changes)

    def change_web_server(self, name: str, **changes: Unpack[WebServerChanges]) -> NodeSettings:
        """Change how an archive is reached by DICOMweb; prefixes are given as a whole."""
        return self._change("web-servers", name, changes)

    def change_folder(self, name: str, **changes: Unpack[FolderChanges]) -> NodeSettings:
        """Change where a folder is, or how it keeps what is transferred to it, as a whole."""
        return self._change("folders", name, changes)

    def remove_node(self, name: str) -> str:
        """Delete a node, or retire one that jobs refer to; return which: ``deleted`` or ``retired``."""
        return self._connection.json("DELETE", f"/admin/nodes/{_quoted(name)}")["outcome"]

    def retired_nodes(self) -> Table[NodeSettings]:
        """Return the nodes that are retired, by name."""
        return made_all(NodeSettings, self._connection.json("GET", "/admin/retired-nodes"))

    def restore_node(self, name: str) -> NodeSettings:
        """Let a retired node be used again, as it was."""
        return made(NodeSettings, self._connection.json("POST", f"/admin/nodes/restore/{_quoted(name)}"))

    def resume_node(self, name: str) -> NodeSettings:
        """Let a node be used again at once that is paused because it failed."""
        return made(NodeSettings, self._connection.json("POST", f"/admin/nodes/resume/{_quoted(name)}"))

    def policy(self, node: str) -> Policy:
        """Return what is asked of those who use a node."""
        return made(Policy, self._connection.json("GET", f"/admin/policies/{_quoted(node)}"))

    def change_policy(self, node: str, **changes: Unpack[PolicyChanges]) -> Policy:
        """Change what is asked of those who use a node."""
        path = f"/admin/policies/{_quoted(node)}"
        return made(Policy, self._connection.json("PATCH", path, json=plain(changes)))

    def _add(self, kind: str, wish: dict[str, Any]) -> NodeSettings:
        return made(NodeSettings, self._connection.create(f"/admin/nodes/{kind}", json=plain(wish)))

    def _change(self, kind: str, name: str, changes: Any) -> NodeSettings:
        path = f"/admin/nodes/{kind}/{_quoted(name)}"
        return made(NodeSettings, self._connection.json("PATCH", path, json=plain(changes)))


def _quoted(name: str) -> str:
    return quote(name, safe="")
