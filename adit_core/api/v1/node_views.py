"""Nodes as programs see them."""

from typing import Any

from pydantic import Field, TypeAdapter

from adit_core.api.v1.values import Shown
from adit_core.db import DicomNode, NodeKind, StorageForm
from adit_core.dicom.node import WebService
from adit_core.services.node_check import NodeCheck
from adit_core.services.nodes import services_of
from adit_core.services.rights import NodeRole
from adit_core.services.web_nodes import prefixes_of, web_services_of

_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


class UsableNode(Shown):
    """A node that one may use."""

    name: str
    kind: NodeKind
    roles: list[NodeRole]
    """As what."""
    services: list[str]
    """What a server supports, such as C-FIND or WADO-RS."""
    closed: str
    """Why it may not be used now; empty if it may."""

    @classmethod
    def of(cls, row: DicomNode, roles: frozenset[NodeRole], closed: str) -> "UsableNode":
        """Return what is shown of a row."""
        return cls(
            name=row.name, kind=row.kind, roles=sorted(roles), services=services_in_words(row), closed=closed
        )


class Node(Shown):
    """A node with all its settings; what only nodes of another kind have is empty."""

    name: str
    kind: NodeKind
    max_associations: int
    services: list[str]
    ae_title: str = ""
    calling_ae_title: str = ""
    host: str = ""
    port: int | None = None
    query_root: str | None = None
    allows_direct_move: bool | None = None
    base_url: str = ""
    prefixes: dict[WebService, str] = Field(default={})
    """What follows the base URL for a service, where that is so."""
    path: str = ""
    storage: StorageForm | None = None
    connection_profile: str = ""
    closed: str = ""

    @classmethod
    def of(cls, row: DicomNode, profile: str, closed: str) -> "Node":
        """Return what is shown of a row."""
        shared: dict[str, Any] = {
            "name": row.name,
            "kind": row.kind,
            "max_associations": row.max_associations,
            "services": services_in_words(row),
            "connection_profile": profile,
            "closed": closed,
        }
        match row.kind:
            case NodeKind.FOLDER:
                return cls(**shared, path=row.path, storage=row.storage)
            case NodeKind.WEB:
                return cls(**shared, base_url=row.base_url, prefixes=prefixes_of(row))
            case NodeKind.SERVER:
                return cls(
                    **shared,
                    ae_title=row.ae_title,
                    calling_ae_title=row.calling_ae_title,
                    host=row.host,
                    port=row.port,
                    query_root=row.query_root.value,
                    allows_direct_move=row.allows_direct_move,
                )


class NodeDifference(Shown):
    """Where a node is not what its configuration says."""

    about: str
    message: str
    is_harmful: bool


class CheckedNode(Shown):
    """What was found out about a node; what it was not asked for is null or empty."""

    node: str
    is_good: bool
    """Whether jobs can use it in all ways that it is configured for."""
    differences: list[NodeDifference]
    server: dict[str, Any] | None
    web: list[dict[str, Any]]
    folder: dict[str, Any] | None

    @classmethod
    def of(cls, found: NodeCheck) -> "CheckedNode":
        """Return what is shown of a check."""
        return cls(
            node=found.node,
            is_good=found.is_good,
            differences=[NodeDifference.model_validate(each) for each in found.differences],
            server=_plain(found.server),
            web=_plain(found.web),
            folder=_plain(found.folder),
        )


def services_in_words(row: DicomNode) -> list[str]:
    """Return the names of the services that a server supports, in alphabetical order."""
    match row.kind:
        case NodeKind.SERVER:
            return sorted(services_of(row))
        case NodeKind.WEB:
            return sorted(web_services_of(row))
        case NodeKind.FOLDER:
            return []


def _plain(value: Any) -> Any:
    return _ANYTHING.dump_python(value, mode="json")
