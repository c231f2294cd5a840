"""Checking a node: what it really supports, and what of that differs from its configuration.

A check takes a place at a server, as all who connect to it do, so it asks for patience when ADIT itself uses
all of them.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from adit_core.db import DicomNode
from adit_core.db.engine import Database
from adit_core.dicom import dimse
from adit_core.dicom.folder_probe import FolderAnswers, probe_folder
from adit_core.dicom.node import ConnectionProfile, DicomWebNode, FolderNode, Node, ServerNode
from adit_core.dicom.probe import ServerAnswers, probe_server
from adit_core.dicom.web_probe import WebAnswer, probe_web
from adit_core.errors import ActionNotPossible, InputProblem, refuse
from adit_core.services.node_differences import (
    Difference,
    folder_differences,
    server_differences,
    web_differences,
)
from adit_core.services.node_health import record_answer
from adit_core.services.node_places import SHORT_PATIENCE, places_at
from adit_core.services.nodes import KINDS_IN_WORDS, get_node, node_value
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
        NodeClosed: All of its places are taken.
        InvalidInput: What was given is for other nodes, or no URL.
        SecretUnreadable: A secret of the node or its connection profile cannot be read.
        TlsFailed: A certificate or the key of its connection profile cannot be used.
        AditError: It answered a C-ECHO, but the connections after that failed.
    """
    row = get_node(db, name)
    node = node_value(db, row)
    refuse(*_problems(node, move_destination, web_url))
    if isinstance(node, ServerNode):
        with _place_at(db, row):
            return _check_server(node, move_destination, web_url)
    if isinstance(node, DicomWebNode):
        with _place_at(db, row):
            web = probe_web(node)
        return NodeCheck(name, None, web, None, tuple(web_differences(node, web)))
    folder = probe_folder(node.path)
    is_source = isinstance(node, FolderNode)
    return NodeCheck(name, None, (), folder, tuple(folder_differences(folder, is_source=is_source)))


def echo_node(db: Database, name: str) -> float:
    """Verify that an archive answers a C-ECHO, and return after how many seconds; that ends a pause of it.

    Raises:
        NotFound: There is no such node.
        ActionNotPossible: It does not speak DIMSE.
        NodeClosed: All of its places are taken.
        AditError: It did not answer.
    """
    row = get_node(db, name)
    node = node_value(db, row)
    if not isinstance(node, ServerNode):
        what = KINDS_IN_WORDS[row.kind]
        raise ActionNotPossible(f"{name} is {what}; only those that speak DIMSE answer a C-ECHO.")
    with _place_at(db, row):
        seconds = dimse.echo(node)
    record_answer(db, row.id)
    return seconds


def _place_at(db: Database, row: DicomNode) -> AbstractContextManager[None]:
    return places_at(db, [row], "check", patience=SHORT_PATIENCE)


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
