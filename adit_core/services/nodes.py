"""Nodes: adding them, changing them, and finding them."""

from collections.abc import Iterable, Mapping

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from adit_core.db import DicomNode, Group, NodeAccess, NodeKind, User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.dicom.node import Node, QueryRoot, ServerNode, Service, WebService
from adit_core.errors import InputProblem, InvalidInput, NotFound, refuse
from adit_core.services import audit
from adit_core.services.node_problems import (
    address_problems,
    ae_title_problems,
    max_associations_problems,
    name_problems,
    path_problems,
)
from adit_core.services.profiles import assignable_profile_id, profile_value
from adit_core.services.rights import NodeRole, require_administrator, usable_node_ids
from adit_core.services.storage import Storage, folder_value, set_storage
from adit_core.services.web_nodes import url_problems, web_row, web_value

_DEFAULT_SERVICES = frozenset({Service.FIND, Service.GET, Service.STORE})
KINDS_IN_WORDS = {
    NodeKind.SERVER: "an archive that speaks DIMSE",
    NodeKind.WEB: "an archive that is reached by DICOMweb",
    NodeKind.FOLDER: "a folder",
}
_NO_PREFIXES: Mapping[WebService, str] = {}


def add_server(
    db: Database,
    name: str,
    *,
    ae_title: str,
    host: str,
    port: int,
    calling_ae_title: str = "ADIT",
    services: Iterable[Service] = _DEFAULT_SERVICES,
    query_root: QueryRoot = QueryRoot.STUDY,
    max_associations: int = 2,
    allows_direct_move: bool = True,
    connection_profile: str = "",
    actor: User | str = audit.SYSTEM,
) -> DicomNode:
    """Add an archive.

    Args:
        db: Where it is kept.
        name: What users call it; no other node has the same.
        ae_title: What it calls itself.
        host: A host name or an address.
        port: Where it listens.
        calling_ae_title: What we call ourselves to it.
        services: What it supports as a provider.
        query_root: The information model that it is asked in.
        max_associations: How many studies, searches and requests may use it at the same time.
        allows_direct_move: Whether sources may be asked to send straight to it, and it to destinations.
        connection_profile: The name of one; empty for the usual settings.
        actor: Who adds it.

    Raises:
        InvalidInput: With all that is wrong.
        NotFound: There is no connection profile of that name.
        NotAllowed: The actor is a user who is not staff.
    """
    # Spaces around an AE title are not significant (PS3.5 6.2).
    require_administrator(actor)
    called, calling = ae_title.strip(" "), calling_ae_title.strip(" ")
    refuse(
        *name_problems(name),
        *ae_title_problems("ae_title", called),
        *ae_title_problems("calling_ae_title", calling),
        *address_problems(host, port),
        *max_associations_problems(max_associations),
    )
    node = DicomNode(
        kind=NodeKind.SERVER,
        name=name.strip(),
        ae_title=called,
        calling_ae_title=calling,
        host=host,
        port=port,
        query_root=query_root,
        max_associations=max_associations,
        allows_direct_move=allows_direct_move,
    )
    set_services(node, frozenset(services))
    return _add(db, node, actor, connection_profile)


def add_web_server(
    db: Database,
    name: str,
    *,
    base_url: str,
    prefixes: Mapping[WebService, str] = _NO_PREFIXES,
    services: Iterable[WebService] = frozenset(WebService),
    max_associations: int = 2,
    connection_profile: str = "",
    actor: User | str = audit.SYSTEM,
) -> DicomNode:
    """Add an archive that is reached by DICOMweb.

    Args:
        db: Where it is kept.
        name: What users call it; no other node has the same.
        base_url: Of all its services, such as ``https://pacs.example.org/dicom-web``.
        prefixes: What follows the base URL for a service, where that is so.
        services: What it supports.
        max_associations: How many studies, searches and requests may use it at the same time.
        connection_profile: The name of one, with what proves who we are; empty for the usual settings.
        actor: Who adds it.

    Raises:
        InvalidInput: With all that is wrong.
        NotFound: There is no connection profile of that name.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    url, paths = base_url.strip(), dict(prefixes)
    refuse(*name_problems(name), *url_problems(url, paths), *max_associations_problems(max_associations))
    node = web_row(
        name.strip(),
        base_url=url,
        prefixes=paths,
        services=frozenset(services),
        max_associations=max_associations,
    )
    return _add(db, node, actor, connection_profile)


def add_folder(
    db: Database,
    name: str,
    *,
    path: str,
    storage: Storage | None = None,
    max_associations: int = 2,
    actor: User | str = audit.SYSTEM,
) -> DicomNode:
    """Add a folder. One of DICOM files can be a source and a destination, any other a destination.

    Args:
        db: Where it is kept.
        name: What users call it; no other node has the same.
        path: An absolute path that the workers can write to. It need not exist on this machine.
        storage: How it keeps what is transferred to it; as DICOM files, if nothing is said.
        max_associations: How many studies may be written to it at the same time.
        actor: Who adds it.

    Raises:
        InvalidInput: With all that is wrong.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    refuse(*name_problems(name), *path_problems(path), *max_associations_problems(max_associations))
    node = DicomNode(kind=NodeKind.FOLDER, name=name.strip(), path=path, max_associations=max_associations)
    set_storage(db, node, storage or Storage())
    return _add(db, node, actor)


def list_nodes(db: Database) -> list[DicomNode]:
    """Return all nodes by name, but for those that are retired."""
    with db.reading() as session:
        in_use = select(DicomNode).where(col(DicomNode.retired_at).is_(None))
        return list(session.exec(in_use.order_by(DicomNode.name)))


def retired_nodes(db: Database) -> list[DicomNode]:
    """Return the nodes that are retired, by name."""
    with db.reading() as session:
        retired = select(DicomNode).where(col(DicomNode.retired_at).is_not(None))
        return list(session.exec(retired.order_by(DicomNode.name)))


def get_node(db: Database, name: str) -> DicomNode:
    """Return the node of that name, whoever may use it.

    Raises:
        NotFound: There is none, or it is retired; the message lists those that there are.
    """
    return _named(name, list_nodes(db))


def services_of(node: DicomNode) -> frozenset[Service]:
    """Return what a server supports as a provider, as far as it was said."""
    supported = {
        Service.FIND: node.supports_find,
        Service.GET: node.supports_get,
        Service.MOVE: node.supports_move,
        Service.STORE: node.supports_store,
    }
    return frozenset(service for service, yes in supported.items() if yes)


def node_value(db: Database, node: DicomNode) -> Node:
    """Return a node as what a transfer works with.

    Raises:
        SecretUnreadable: A secret of it was sealed with a key that is not at hand.
    """
    if node.kind is NodeKind.FOLDER:
        return folder_value(db, node)
    if node.kind is NodeKind.WEB:
        return web_value(node, profile_value(db, node.connection_profile_id))
    return ServerNode(
        name=node.name,
        ae_title=node.ae_title,
        host=node.host,
        port=node.port,
        calling_ae_title=node.calling_ae_title,
        services=services_of(node),
        query_root=node.query_root,
        profile=profile_value(db, node.connection_profile_id),
    )


def set_access(
    db: Database, group_name: str, node_name: str, *, as_source: bool, as_destination: bool
) -> None:
    """Say what a group may use a node as, replacing what was said before.

    Raises:
        NotFound: There is no such group, or no such node.
    """
    node = get_node(db, node_name)
    with db.session() as session:
        group = session.exec(select(Group).where(Group.name == group_name)).one_or_none()
        if group is None:
            raise NotFound(f"There is no group called {group_name}.")
        session.merge(
            NodeAccess(group_id=group.id, node_id=node.id, as_source=as_source, as_destination=as_destination)
        )
        session.commit()


def usable_nodes(db: Database, user: User, role: NodeRole) -> list[DicomNode]:
    """Return the nodes that `user` may use in `role`, by name."""
    with db.reading() as session:
        usable = usable_node_ids(session, user, role)
        nodes = session.exec(select(DicomNode).where(col(DicomNode.id).in_(usable)).order_by(DicomNode.name))
        return list(nodes)


def _named(name: str, nodes: list[DicomNode]) -> DicomNode:
    for node in nodes:
        if node.name == name:
            return node
    known = ", ".join(node.name for node in nodes) or "none"
    raise NotFound(f"There is no node called {name}. Known nodes: {known}.")


def node_of_kind(db: Database, name: str, kind: NodeKind) -> DicomNode:
    """Return a node of that name and kind; raises NotFound, or InvalidInput if it is something else."""
    node = get_node(db, name)
    if node.kind is not kind:
        problem = f"{name} is {KINDS_IN_WORDS[node.kind]}, not {KINDS_IN_WORDS[kind]}."
        raise InvalidInput(InputProblem(problem, field="name"))
    return node


def _add(db: Database, node: DicomNode, actor: User | str, connection_profile: str = "") -> DicomNode:
    try:
        with db.session() as session:
            _set_profile(session, node, connection_profile)
            session.add(node)
            audit.record(
                session, AuditAction.NODE_ADDED, actor=actor, object_kind="node", object_id=node.name
            )
            session.commit()
    except IntegrityError as error:
        raise InvalidInput(InputProblem(_why_taken(db, node.name), field="name")) from error
    return node


def _why_taken(db: Database, name: str) -> str:
    if any(node.name == name for node in retired_nodes(db)):
        return f"A node called {name} is retired, and its jobs name it: restore it, or choose another name."
    return f"There is a node called {name} already."


def save_node(db: Database, node: DicomNode, actor: User | str, connection_profile: str | None) -> DicomNode:
    """Write a row that was changed; `connection_profile` None leaves its profile as it is."""
    with db.session() as session:
        if connection_profile is not None:
            _set_profile(session, node, connection_profile)
        session.add(node)
        audit.record(session, AuditAction.NODE_CHANGED, actor=actor, object_kind="node", object_id=node.name)
        session.commit()
    return node


def _set_profile(session: Session, node: DicomNode, name: str) -> None:
    node.connection_profile_id = assignable_profile_id(session, name) if name else None


def set_services(node: DicomNode, services: frozenset[Service]) -> None:
    """Say what a server supports."""
    node.supports_find = Service.FIND in services
    node.supports_get = Service.GET in services
    node.supports_move = Service.MOVE in services
    node.supports_store = Service.STORE in services
