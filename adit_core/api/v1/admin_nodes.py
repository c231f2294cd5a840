"""Nodes and their policies, for staff."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field, StringConstraints

from adit_core.api.v1.callers import Administrator, Wired
from adit_core.api.v1.creating import OneCreation
from adit_core.api.v1.node_views import Node
from adit_core.api.v1.values import Given, NodeName, Shown, Text
from adit_core.api.wiring import Wiring
from adit_core.db import DicomNode, NodePolicy, OutsideWindow, StorageForm
from adit_core.dicom.node import QueryRoot, Service, SidecarContent, WebService
from adit_core.services.node_gate import closed_nodes
from adit_core.services.node_health import record_answer
from adit_core.services.node_policies import change_policy, get_policy
from adit_core.services.node_removal import Removal, remove_node, restore_node
from adit_core.services.node_settings import change_folder, change_server, change_web_server
from adit_core.services.nodes import (
    add_folder,
    add_server,
    add_web_server,
    get_node,
    list_nodes,
    retired_nodes,
)
from adit_core.services.opening_hours import OpeningHours
from adit_core.services.profiles import list_profiles
from adit_core.services.storage import Storage

Name = Annotated[
    str, Path(max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$", description="Its name.", examples=["PACS"])
]
Associations = Annotated[int, Field(ge=1, le=100)]
FolderPath = Annotated[str, StringConstraints(max_length=1000)]
Template = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]

router = APIRouter(prefix="/admin", tags=["admin"])


class NewServer(Given):
    """An archive that speaks DIMSE."""

    name: NodeName
    ae_title: Text = Field(examples=["PACS"])
    host: Text = Field(examples=["pacs.example.org"])
    port: int = Field(ge=1, le=65535, examples=[11112])
    calling_ae_title: Text = "ADIT"
    services: list[Service] = Field(default=[Service.FIND, Service.GET, Service.STORE])
    query_root: QueryRoot = QueryRoot.STUDY
    max_associations: Associations = 2
    allows_direct_move: bool = True
    connection_profile: Text = ""


class NewWebServer(Given):
    """An archive that is reached by DICOMweb."""

    name: NodeName
    base_url: Text = Field(examples=["https://pacs.example.org/dicom-web"])
    prefixes: dict[WebService, Text] = Field(default={})
    """What follows the base URL for a service, where that is so."""
    services: list[WebService] = Field(default=list(WebService))
    max_associations: Associations = 2
    connection_profile: Text = ""


class FolderStorage(Given):
    """How a folder keeps what is transferred to it. A template that is null is what the form is used to."""

    form: StorageForm = StorageForm.FILES
    patient: Template | None = None
    study: Template | None = None
    series: Template | None = None
    instance: Template | None = None
    archive: Template | None = None
    password: Annotated[str, StringConstraints(max_length=1000)] = ""
    """Of archive files, which must have one."""
    sidecars: SidecarContent = SidecarContent.TECHNICAL

    def value(self) -> Storage:
        """Return the settings as what is kept."""
        return Storage(**self.model_dump())


class NewFolder(Given):
    """A folder."""

    name: NodeName
    path: FolderPath = Field(examples=["/research/incoming"])
    storage: FolderStorage = FolderStorage()
    max_associations: Associations = 2


class ChangedServer(Given):
    """What is to become of an archive that speaks DIMSE; what is null stays as it is."""

    ae_title: Text | None = Field(default=None, examples=["PACS"])
    host: Text | None = Field(default=None, examples=["pacs.example.org"])
    port: int | None = Field(default=None, ge=1, le=65535, examples=[11112])
    calling_ae_title: Text | None = None
    services: list[Service] | None = None
    query_root: QueryRoot | None = None
    max_associations: Associations | None = None
    allows_direct_move: bool | None = None
    connection_profile: Text | None = None
    """The name of one; empty for the usual settings."""


class ChangedWebServer(Given):
    """What is to become of an archive that is reached by DICOMweb; what is null stays as it is."""

    base_url: Text | None = Field(default=None, examples=["https://pacs.example.org/dicom-web"])
    prefixes: dict[WebService, Text] | None = None
    """All of them; what is not named has none."""
    services: list[WebService] | None = None
    max_associations: Associations | None = None
    connection_profile: Text | None = None
    """The name of one; empty for the usual settings."""


class ChangedFolder(Given):
    """What is to become of a folder; what is null stays as it is."""

    path: FolderPath | None = Field(default=None, examples=["/research/incoming"])
    storage: FolderStorage | None = None
    """All that is said of it, but for the password of archive files, which stays if it is empty."""
    max_associations: Associations | None = None


class Policy(Shown):
    """What is asked of those who use a node, and why it is closed, if it is."""

    node: str
    open: str = Field(examples=["Mon-Fri 20:00-06:00 (Europe/Berlin)"])
    outside: OutsideWindow
    instances_per_second: float | None
    find_limit: int | None
    min_free_bytes: int | None
    """Of a folder: what stays free on its disk; null for what is usual."""
    quota_bytes: int | None
    """Of a folder: how much it may hold; null for any amount."""
    closed: str

    @classmethod
    def of(cls, name: str, row: NodePolicy, closed: str) -> "Policy":
        """Return what is shown of a row."""
        return cls(
            node=name,
            open=OpeningHours(row.windows, row.time_zone).in_words(),
            outside=row.outside,
            instances_per_second=row.instances_per_second,
            find_limit=row.find_limit,
            min_free_bytes=row.min_free_bytes,
            quota_bytes=row.quota_bytes,
            closed=closed,
        )


class ChangedPolicy(Given):
    """What is to be asked of those who use a node; what is null stays as it is."""

    instances_per_second: float | None = Field(default=None, ge=0, le=1e6)
    """0 for any number."""
    windows: list[Text] | None = Field(default=None, max_length=100, examples=[["Mon-Fri 20:00-06:00"]])
    """When it may be used; an empty list for always."""
    time_zone: Text | None = Field(default=None, examples=["Europe/Berlin"])
    outside: OutsideWindow | None = None
    find_limit: int | None = Field(default=None, ge=0, le=2**31 - 1)
    """0 if that is not known."""
    min_free_bytes: int | None = Field(default=None, ge=0, lt=1 << 60, examples=[50_000_000_000])
    """Of a folder: 0 for what is usual."""
    quota_bytes: int | None = Field(default=None, ge=0, lt=1 << 60, examples=[2_000_000_000_000])
    """Of a folder: 0 for any amount."""


@router.get("/nodes")
def list_all(wiring: Wired, _caller: Administrator) -> list[Node]:
    """List all nodes with their settings, by name."""
    return _shown(wiring, list_nodes(wiring.database))


@router.post("/nodes/servers", status_code=201)
def add_dimse_server(wiring: Wired, caller: Administrator, creation: OneCreation, node: NewServer) -> Node:
    """Add an archive that speaks DIMSE."""

    def create() -> Node:
        return _one(wiring, add_server(wiring.database, **node.model_dump(), actor=caller.user))

    return creation.once(node, Node, create)


@router.post("/nodes/web-servers", status_code=201)
def add_dicomweb_server(
    wiring: Wired, caller: Administrator, creation: OneCreation, node: NewWebServer
) -> Node:
    """Add an archive that is reached by DICOMweb."""

    def create() -> Node:
        return _one(wiring, add_web_server(wiring.database, **node.model_dump(), actor=caller.user))

    return creation.once(node, Node, create)


@router.post("/nodes/folders", status_code=201)
def add_a_folder(wiring: Wired, caller: Administrator, creation: OneCreation, node: NewFolder) -> Node:
    """Add a folder."""

    def create() -> Node:
        added = add_folder(
            wiring.database,
            node.name,
            path=node.path,
            storage=node.storage.value(),
            max_associations=node.max_associations,
            actor=caller.user,
        )
        return _one(wiring, added)

    return creation.once(node, Node, create)


@router.patch("/nodes/servers/{name:path}")
def change_dimse_server(wiring: Wired, caller: Administrator, name: Name, changes: ChangedServer) -> Node:
    """Change how an archive that speaks DIMSE is spoken to."""
    changed = change_server(wiring.database, name, **changes.model_dump(), actor=caller.user)
    return _one(wiring, changed)


@router.patch("/nodes/web-servers/{name:path}")
def change_dicomweb_server(
    wiring: Wired, caller: Administrator, name: Name, changes: ChangedWebServer
) -> Node:
    """Change how an archive is reached by DICOMweb."""
    changed = change_web_server(wiring.database, name, **changes.model_dump(), actor=caller.user)
    return _one(wiring, changed)


@router.patch("/nodes/folders/{name:path}")
def change_a_folder(wiring: Wired, caller: Administrator, name: Name, changes: ChangedFolder) -> Node:
    """Change where a folder is, or how it keeps what is transferred to it."""
    changed = change_folder(
        wiring.database,
        name,
        path=changes.path,
        storage=changes.storage and changes.storage.value(),
        max_associations=changes.max_associations,
        actor=caller.user,
    )
    return _one(wiring, changed)


class Removed(Shown):
    """What became of a node: it was deleted, or retired because jobs refer to it."""

    node: str
    outcome: Removal


@router.delete("/nodes/{name:path}")
def remove(wiring: Wired, caller: Administrator, name: Name) -> Removed:
    """Delete a node; one that jobs refer to is retired instead: nobody uses it, but its jobs name it."""
    return Removed(node=name, outcome=remove_node(wiring.database, name, actor=caller.user))


@router.get("/retired-nodes")
def list_retired(wiring: Wired, _caller: Administrator) -> list[Node]:
    """List the nodes that are retired, by name."""
    return _shown(wiring, retired_nodes(wiring.database))


@router.post("/nodes/restore/{name:path}")
def restore(wiring: Wired, caller: Administrator, name: Name) -> Node:
    """Let a retired node be used again, as it was."""
    return _one(wiring, restore_node(wiring.database, name, actor=caller.user))


@router.post("/nodes/resume/{name:path}")
def resume(wiring: Wired, _caller: Administrator, name: Name) -> Node:
    """Let a node be used again at once that is paused because it failed."""
    node = get_node(wiring.database, name)
    record_answer(wiring.database, node.id)
    return _one(wiring, node)


@router.get("/policies/{name:path}")
def show_policy(wiring: Wired, _caller: Administrator, name: Name) -> Policy:
    """Show what is asked of those who use a node."""
    return _policy(wiring, name, get_policy(wiring.database, name))


@router.patch("/policies/{name:path}")
def set_policy(wiring: Wired, caller: Administrator, name: Name, changes: ChangedPolicy) -> Policy:
    """Change what is asked of those who use a node."""
    changed = change_policy(wiring.database, name, **changes.model_dump(), actor=caller.user)
    return _policy(wiring, name, changed)


def _policy(wiring: Wiring, name: str, row: NodePolicy) -> Policy:
    return Policy.of(name, row, closed_nodes(wiring.database).get(name, ""))


def _one(wiring: Wiring, row: DicomNode) -> Node:
    (node,) = _shown(wiring, [row])
    return node


def _shown(wiring: Wiring, rows: list[DicomNode]) -> list[Node]:
    profiles = {profile.id: profile.name for profile in list_profiles(wiring.database)}
    closed = closed_nodes(wiring.database)
    return [
        Node.of(row, profiles.get(row.connection_profile_id or 0, ""), closed.get(row.name, ""))
        for row in rows
    ]
