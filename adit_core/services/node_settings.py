"""Saying anew how a node is reached: all of it, as a form does, or some of it, as programs do.

Its name, its kind and who may use it stay.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack

from adit_core.db import DicomNode, NodeKind, User
from adit_core.db.engine import Database
from adit_core.dicom.node import QueryRoot, Service, WebService
from adit_core.errors import refuse
from adit_core.services import audit
from adit_core.services.node_problems import (
    address_problems,
    ae_title_problems,
    max_associations_problems,
    path_problems,
)
from adit_core.services.nodes import node_of_kind, save_node, services_of, set_services
from adit_core.services.rights import require_administrator
from adit_core.services.storage import ARCHIVES, Storage, set_storage, storage_of
from adit_core.services.web_nodes import prefixes_of, set_web_services, url_problems, web_services_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """All that is said of an archive that speaks DIMSE; see `add_server`."""

    ae_title: str
    host: str
    port: int
    calling_ae_title: str
    services: Collection[Service]
    query_root: QueryRoot
    max_associations: int
    allows_direct_move: bool
    connection_profile: str | None = None
    """The name of one, empty for the usual settings; None for the one that it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServerSettings:
    """All that is said of an archive that is reached by DICOMweb; see `add_web_server`."""

    base_url: str
    prefixes: Mapping[WebService, str]
    services: Collection[WebService]
    max_associations: int
    connection_profile: str | None = None
    """As that of servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSettings:
    """All that is said of a folder; see `add_folder`. An empty password leaves that of archives as it is."""

    path: str
    storage: Storage
    max_associations: int


class ServerChanges(TypedDict, total=False):
    """Some of what is said of an archive that speaks DIMSE; what is None stays as it is."""

    ae_title: str | None
    host: str | None
    port: int | None
    calling_ae_title: str | None
    services: Collection[Service] | None
    query_root: QueryRoot | None
    max_associations: int | None
    allows_direct_move: bool | None
    connection_profile: str | None


class WebServerChanges(TypedDict, total=False):
    """Some of what is said of an archive that is reached by DICOMweb; what is None stays as it is."""

    base_url: str | None
    prefixes: Mapping[WebService, str] | None
    services: Collection[WebService] | None
    max_associations: int | None
    connection_profile: str | None


class FolderChanges(TypedDict, total=False):
    """Some of what is said of a folder; what is None stays as it is."""

    path: str | None
    storage: Storage | None
    max_associations: int | None


def change_server(
    db: Database, name: str, *, actor: User | str = audit.SYSTEM, **changes: Unpack[ServerChanges]
) -> DicomNode:
    """Change how a server is spoken to, and return it; raises what `replace_server` raises."""
    require_administrator(actor)
    node = node_of_kind(db, name, NodeKind.SERVER)
    settings = ServerSettings(
        ae_title=node.ae_title,
        host=node.host,
        port=node.port,
        calling_ae_title=node.calling_ae_title,
        services=services_of(node),
        query_root=node.query_root,
        max_associations=node.max_associations,
        allows_direct_move=node.allows_direct_move,
    )
    return replace_server(db, name, replace(settings, **_given(changes)), actor=actor)


def change_web_server(
    db: Database, name: str, *, actor: User | str = audit.SYSTEM, **changes: Unpack[WebServerChanges]
) -> DicomNode:
    """Change how an archive is reached by DICOMweb, and return it; raises what `replace_server` raises."""
    require_administrator(actor)
    node = node_of_kind(db, name, NodeKind.WEB)
    settings = WebServerSettings(
        base_url=node.base_url,
        prefixes=prefixes_of(node),
        services=web_services_of(node),
        max_associations=node.max_associations,
    )
    return replace_web_server(db, name, replace(settings, **_given(changes)), actor=actor)


def change_folder(
    db: Database, name: str, *, actor: User | str = audit.SYSTEM, **changes: Unpack[FolderChanges]
) -> DicomNode:
    """Change where a folder is or how it keeps studies; returns and raises what `replace_folder` does."""
    require_administrator(actor)
    node = node_of_kind(db, name, NodeKind.FOLDER)
    settings = FolderSettings(
        path=node.path, storage=storage_of(node), max_associations=node.max_associations
    )
    return replace_folder(db, name, replace(settings, **_given(changes)), actor=actor)


def replace_server(
    db: Database, name: str, settings: ServerSettings, *, actor: User | str = audit.SYSTEM
) -> DicomNode:
    """Say anew how a server is spoken to, and return it.

    Raises:
        NotFound: There is no such node, or no such connection profile.
        InvalidInput: The node is something else, or with all that is wrong.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    node = node_of_kind(db, name, NodeKind.SERVER)
    called, calling = settings.ae_title.strip(" "), settings.calling_ae_title.strip(" ")
    refuse(
        *ae_title_problems("ae_title", called),
        *ae_title_problems("calling_ae_title", calling),
        *address_problems(settings.host, settings.port),
        *max_associations_problems(settings.max_associations),
    )
    node.ae_title, node.calling_ae_title = called, calling
    node.host, node.port = settings.host, settings.port
    node.query_root = settings.query_root
    node.max_associations = settings.max_associations
    node.allows_direct_move = settings.allows_direct_move
    set_services(node, frozenset(settings.services))
    return save_node(db, node, actor, settings.connection_profile)


def replace_web_server(
    db: Database, name: str, settings: WebServerSettings, *, actor: User | str = audit.SYSTEM
) -> DicomNode:
    """Say anew how an archive is reached by DICOMweb, and return it; raises what `replace_server` raises."""
    require_administrator(actor)
    node = node_of_kind(db, name, NodeKind.WEB)
    url, prefixes = settings.base_url.strip(), dict(settings.prefixes)
    refuse(*url_problems(url, prefixes), *max_associations_problems(settings.max_associations))
    node.base_url = url
    node.qido_prefix = prefixes.get(WebService.QIDO, "")
    node.wado_prefix = prefixes.get(WebService.WADO, "")
    node.stow_prefix = prefixes.get(WebService.STOW, "")
    node.max_associations = settings.max_associations
    set_web_services(node, settings.services)
    return save_node(db, node, actor, settings.connection_profile)


def replace_folder(
    db: Database, name: str, settings: FolderSettings, *, actor: User | str = audit.SYSTEM
) -> DicomNode:
    """Say anew where a folder is and how it keeps studies, and return it.

    Raises:
        NotFound: There is no such node.
        InvalidInput: The node is something else, or with all that is wrong.
        SecretUnreadable: There is no key to seal the password with, or to read the one that is to stay.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    node = node_of_kind(db, name, NodeKind.FOLDER)
    refuse(*path_problems(settings.path), *max_associations_problems(settings.max_associations))
    storage = settings.storage
    if storage.form in ARCHIVES and not storage.password and node.archive_password is not None:
        storage = replace(storage, password=db.keyring.unseal(node.archive_password))
    node.path, node.max_associations = settings.path, settings.max_associations
    set_storage(db, node, storage)
    return save_node(db, node, actor, None)


def _given(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if value is not None}
