"""Nodes of ADIT's first edition as rows of ours; what cannot be taken over is said in words."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field

from adit_core.db import ConnectionProfile, DicomNode, NodeKind, NodePolicy
from adit_core.db.engine import Database
from adit_core.dicom import node as values
from adit_core.dicom.credentials import BasicCredentials, BearerToken, Credentials
from adit_core.dicom.node import QueryRoot, Service, WebService
from adit_core.errors import InputProblem, InvalidInput, refuse
from adit_core.services.adit_dump import DumpedFolder, DumpedServer
from adit_core.services.node_problems import (
    address_problems,
    ae_title_problems,
    name_problems,
    path_problems,
)
from adit_core.services.nodes import set_services
from adit_core.services.profiles import profile_row
from adit_core.services.web_nodes import url_problems, web_row

_GB = 10**9
Note = Callable[[str, str], None]
"""Takes the name of a field, and what of it cannot be taken over."""


@dataclass(slots=True)
class NodeRows:
    """A node, and what belongs to it."""

    node: DicomNode
    policy: NodePolicy | None = None
    profile: ConnectionProfile | None = None
    remarks: list[str] = field(default_factory=list)


def server_rows(
    db: Database, name: str, dumped: DumpedServer, *, calling_ae_title: str, note: Note
) -> NodeRows:
    """Return the rows of a server.

    Raises:
        InvalidInput: With all that is wrong, by the names of fields in the dump.
        SecretUnreadable: There is no key to seal credentials with.
    """
    policy = NodePolicy(find_limit=dumped.max_search_results) if dumped.max_search_results else None  # pyright: ignore[reportCallIssue]
    if dumped.speaks_dimse:
        rows = NodeRows(_dimse_node(name, dumped, calling_ae_title), policy)
        if dumped.speaks_web:
            note(
                "dicomweb_root_url",
                "A node speaks DIMSE or DICOMweb here. It was taken over with DIMSE; add another node for "
                "DICOMweb if you want both.",
            )
        _note_other_root(dumped, rows.node.query_root, note)
        return rows
    if dumped.speaks_web:
        return NodeRows(_web_node(name, dumped), policy, _profile(db, name, dumped, note))
    raise InvalidInput(InputProblem("It supports no service that ADIT could use.", field="ae_title"))


def folder_rows(name: str, dumped: DumpedFolder, *, note: Note) -> NodeRows:
    """Return the rows of a folder; raises InvalidInput with all that is wrong."""
    refuse(*name_problems(name), *path_problems(dumped.path))
    quota = dumped.quota * _GB if dumped.quota else None
    policy = NodePolicy(quota_bytes=quota) if quota else None  # pyright: ignore[reportCallIssue]
    if dumped.warn_size and not quota:
        note("warn_size", "Staff are warned by what is free on the disk, or at nine tenths of a quota.")
    if dumped.suspended:
        note("suspended", "It can be used here as soon as there is space.")
    return NodeRows(DicomNode(kind=NodeKind.FOLDER, name=name.strip(), path=dumped.path), policy)


def _dimse_node(name: str, dumped: DumpedServer, calling_ae_title: str) -> DicomNode:
    ae_title = dumped.ae_title.strip(" ")
    refuse(
        *name_problems(name),
        *ae_title_problems("ae_title", ae_title),
        *address_problems(dumped.host, dumped.port),
    )
    root = QueryRoot.STUDY
    if dumped.patient_root_find_support and not dumped.study_root_find_support:
        root = QueryRoot.PATIENT
    node = DicomNode(
        kind=NodeKind.SERVER,
        name=name.strip(),
        ae_title=ae_title,
        calling_ae_title=calling_ae_title,
        host=dumped.host,
        port=dumped.port,
        query_root=root,
    )
    set_services(node, frozenset(service for service in Service if _supports(dumped, root, service)))
    return node


def _supports(dumped: DumpedServer, root: QueryRoot, service: Service) -> bool:
    if service is Service.STORE:
        return dumped.store_scp_support
    names = {Service.FIND: "find", Service.GET: "get", Service.MOVE: "move"}
    return getattr(dumped, f"{_prefix(root)}_root_{names[service]}_support")


def _prefix(root: QueryRoot) -> str:
    return "patient" if root is QueryRoot.PATIENT else "study"


def _note_other_root(dumped: DumpedServer, root: QueryRoot, note: Note) -> None:
    other = QueryRoot.STUDY if root is QueryRoot.PATIENT else QueryRoot.PATIENT
    for service in (Service.FIND, Service.GET, Service.MOVE):
        if _supports(dumped, other, service) and not _supports(dumped, root, service):
            note(
                f"{_prefix(other)}_root_{service.name.lower()}_support",
                f"A node is asked in one information model here, which is {root.value.lower()} root.",
            )


def _web_node(name: str, dumped: DumpedServer) -> DicomNode:
    url = dumped.dicomweb_root_url.strip()
    prefixes = {
        WebService.QIDO: dumped.dicomweb_qido_prefix,
        WebService.WADO: dumped.dicomweb_wado_prefix,
        WebService.STOW: dumped.dicomweb_stow_prefix,
    }
    refuse(*name_problems(name), *url_problems(url, prefixes))
    supported = {
        WebService.QIDO: dumped.dicomweb_qido_support,
        WebService.WADO: dumped.dicomweb_wado_support,
        WebService.STOW: dumped.dicomweb_stow_support,
    }
    return web_row(
        name.strip(),
        base_url=url,
        prefixes=prefixes,
        services=[service for service, yes in supported.items() if yes],
        max_associations=2,
    )


def _profile(db: Database, name: str, dumped: DumpedServer, note: Note) -> ConnectionProfile | None:
    """Return a connection profile that proves who we are as the dump says, if it says so."""
    header = dumped.dicomweb_authorization_header.strip()
    if not header:
        return None
    credentials = _credentials(header)
    try:
        if credentials is not None:
            return profile_row(db, name, values.ConnectionProfile(credentials=credentials))
    except InvalidInput:
        pass
    note(
        "dicomweb_authorization_header",
        "It is neither Basic nor Bearer. The node was taken over without it; give it a connection profile.",
    )
    return None


def _credentials(header: str) -> Credentials | None:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return BearerToken(value.strip())
    if scheme.lower() != "basic":
        return None
    try:
        username, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return BasicCredentials(username, password) if colon else None
