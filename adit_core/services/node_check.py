"""Checking a server: what it really supports, and what of that differs from its configuration."""

from collections.abc import Iterator
from dataclasses import dataclass

import requests

from adit_core.db import NodeKind
from adit_core.db.engine import Database
from adit_core.dicom.node import QueryRoot, ServerNode, Service
from adit_core.dicom.probe import (
    MOVE_DESTINATION_UNKNOWN,
    Encryption,
    ServerAnswers,
    ServiceAnswer,
    Verdict,
    probe_server,
)
from adit_core.dicom.web_probe import WebAnswer, WebUrls, probe_web
from adit_core.errors import ActionNotPossible
from adit_core.services.nodes import get_node, node_value

_QUERIES_AND_RETRIEVALS = (Service.FIND, Service.GET, Service.MOVE)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a server does otherwise than its configuration says."""

    about: str
    """A service, "connection" or "encryption"."""
    message: str
    is_harmful: bool
    """Whether jobs will fail because of it. Otherwise something is left unused, or not sure."""


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """What was found out about a node."""

    node: str
    server: ServerAnswers
    web: tuple[WebAnswer, ...]
    differences: tuple[Difference, ...]

    @property
    def is_good(self) -> bool:
        """Tell whether jobs can use the node in all ways that it is configured for."""
        return not any(difference.is_harmful for difference in self.differences)


def check_node(db: Database, name: str, *, move_destination: str = "", web_url: str = "") -> NodeCheck:
    """Ask a server what it supports and compare that with its configuration, which stays as it is.

    Args:
        db: Where the node is kept.
        name: What users call it.
        move_destination: The AE title that a C-MOVE is to go to; by default the calling AE title.
        web_url: The base URL of its DICOMweb services; empty if these are not to be asked for.

    Raises:
        NotFound: There is no such node.
        ActionNotPossible: The node is a folder.
        SecretUnreadable: The private key of its connection profile cannot be read.
        AditError: It answered a C-ECHO, but the connections after that failed.
    """
    row = get_node(db, name)
    if row.kind is not NodeKind.SERVER:
        raise ActionNotPossible(f"{name} is a folder; only servers are checked.")
    node = node_value(db, row)
    assert isinstance(node, ServerNode), "the rows of servers are servers"
    answers = probe_server(node, move_destination=move_destination)
    web = _probe_web(web_url, node.profile.silence_timeout) if web_url else ()
    return NodeCheck(name, answers, web, tuple(differences(node, answers)))


def _probe_web(url: str, timeout: float) -> tuple[WebAnswer, ...]:
    base = url.rstrip("/")
    with requests.Session() as session:
        return probe_web(session, WebUrls(base, base, base), timeout=timeout)


def differences(node: ServerNode, answers: ServerAnswers) -> Iterator[Difference]:
    """Yield what differs between the configuration of a server and its answers.

    =============  =====================  =========================================================
    configured     the server             difference
    =============  =====================  =========================================================
    anything       does not answer        harmful, nothing else is told but the encryption
    a service      does not support it    harmful
    a service      answers unclearly      not harmful
    no service     supports it            not harmful
    C-MOVE         does not know where    harmful
    =============  =====================  =========================================================
    """
    yield from _encryption_differences(node, answers.encryption)
    if answers.failure:
        yield Difference("connection", answers.failure, is_harmful=True)
        return
    for service in _QUERIES_AND_RETRIEVALS:
        yield from _service_differences(node, answers, service)
    yield from _move_destination_differences(node, answers)
    yield from _storage_differences(node, answers)


def _encryption_differences(node: ServerNode, spoken: Encryption) -> Iterator[Difference]:
    if node.profile.tls is None and spoken is Encryption.TLS:
        message = "It speaks TLS: give it a connection profile with TLS."
        yield Difference("encryption", message, is_harmful=True)
    if node.profile.tls is not None and spoken is Encryption.NONE:
        message = "It does not speak TLS: give it a connection profile without TLS, or another port."
        yield Difference("encryption", message, is_harmful=True)


def _service_differences(node: ServerNode, answers: ServerAnswers, service: Service) -> Iterator[Difference]:
    root = node.query_root
    answer = answers.answer(service, root)
    is_configured = service in node.services
    if answer is None:
        return
    if not is_configured and answer.verdict is Verdict.SUPPORTED:
        yield Difference(service, "It is supported, but not configured.", is_harmful=False)
    elif is_configured and answer.verdict is Verdict.UNCLEAR:
        yield Difference(service, f"Not sure whether it is supported: {answer.words}.", is_harmful=False)
    elif is_configured and answer.verdict is not Verdict.SUPPORTED:
        message = f"It is configured, but {_denial(answer)}{_elsewhere(answers, service, root)}."
        yield Difference(service, message, is_harmful=True)


def _denial(answer: ServiceAnswer) -> str:
    where = f"in the {answer.query_root.lower()} root"
    return f"{answer.verdict} {where}{f' ({answer.words})' if answer.words else ''}"


def _elsewhere(answers: ServerAnswers, service: Service, root: QueryRoot) -> str:
    """Say that the service is supported in the other information model, if it is."""
    other = QueryRoot.PATIENT if root is QueryRoot.STUDY else QueryRoot.STUDY
    answer = answers.answer(service, other)
    if answer is None or answer.verdict is not Verdict.SUPPORTED:
        return ""
    return f"; it is supported in the {other.lower()} root"


def _move_destination_differences(node: ServerNode, answers: ServerAnswers) -> Iterator[Difference]:
    answer = answers.answer(Service.MOVE, node.query_root)
    if Service.MOVE in node.services and answer and answer.status == MOVE_DESTINATION_UNKNOWN:
        message = (
            f"It does not know {answers.move_destination} as a move destination: "
            "enter its AE title, address and port there."
        )
        yield Difference(Service.MOVE, message, is_harmful=True)


def _storage_differences(node: ServerNode, answers: ServerAnswers) -> Iterator[Difference]:
    accepts = any(answer.transfer_syntax_uids for answer in answers.storage)
    if Service.STORE in node.services and not accepts:
        yield Difference(Service.STORE, "It is configured, but no SOP class is accepted.", is_harmful=True)
    if Service.STORE not in node.services and accepts:
        yield Difference(Service.STORE, "It is supported, but not configured.", is_harmful=False)
