"""Checking a node: what it really supports, and what of that differs from its configuration."""

from collections.abc import Iterator
from dataclasses import dataclass

from adit_core.db.engine import Database
from adit_core.dicom.folder_probe import FolderAnswers, probe_folder
from adit_core.dicom.node import ConnectionProfile, DicomWebNode, FolderNode, Node, ServerNode
from adit_core.dicom.probe import ServerAnswers, probe_server
from adit_core.dicom.web_probe import WebAnswer, probe_web
from adit_core.errors import InputProblem, refuse
from adit_core.services.node_differences import (
    Difference,
    folder_differences,
    server_differences,
    web_differences,
)
from adit_core.services.nodes import get_node, node_value
from adit_core.services.web_nodes import url_problems


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """What was found out about a node; what it was not asked for is None or empty."""

    node: str
    server: ServerAnswers | None
    web: tuple[WebAnswer, ...]
    folder: FolderAnswers | None
    differences: tuple[Difference, ...]

    @property
    def is_good(self) -> bool:
        """Tell whether jobs can use the node in all ways that it is configured for."""
        return not any(difference.is_harmful for difference in self.differences)


def check_node(db: Database, name: str, *, move_destination: str = "", web_url: str = "") -> NodeCheck:
    """Ask a node what it supports and compare that with its configuration, which stays as it is.

    Args:
        db: Where the node is kept.
        name: What users call it.
        move_destination: The AE title that a C-MOVE is to go to; by default the calling AE title.
        web_url: Of an archive that speaks DIMSE, the base URL of its DICOMweb services; empty if these
            are not to be asked for.

    Raises:
        NotFound: There is no such node.
        InvalidInput: What was given is for other nodes, or no URL.
        SecretUnreadable: A secret of the node or its connection profile cannot be read.
        TlsFailed: A certificate or the key of its connection profile cannot be used.
        AditError: It answered a C-ECHO, but the connections after that failed.
    """
    node = node_value(db, get_node(db, name))
    refuse(*_problems(node, move_destination, web_url))
    if isinstance(node, ServerNode):
        return _check_server(node, move_destination, web_url)
    if isinstance(node, DicomWebNode):
        web = probe_web(node)
        return NodeCheck(name, None, web, None, tuple(web_differences(node, web)))
    folder = probe_folder(node.path)
    is_source = isinstance(node, FolderNode)
    return NodeCheck(name, None, (), folder, tuple(folder_differences(folder, is_source=is_source)))


def _problems(node: Node, move_destination: str, web_url: str) -> Iterator[InputProblem]:
    if isinstance(node, ServerNode):
        if web_url:
            yield from url_problems(web_url, {})
        return
    for field, given in (("move_destination", move_destination), ("web_url", web_url)):
        if given:
            yield InputProblem(f"{node.name} is no archive that speaks DIMSE.", field=field)


def _check_server(node: ServerNode, move_destination: str, web_url: str) -> NodeCheck:
    answers = probe_server(node, move_destination=move_destination)
    web = probe_web(_web_node(node.name, web_url, node.profile)) if web_url else ()
    return NodeCheck(node.name, answers, web, None, tuple(server_differences(node, answers)))


def _web_node(name: str, url: str, profile: ConnectionProfile) -> DicomWebNode:
    return DicomWebNode(name=name, base_url=url, profile=profile)
