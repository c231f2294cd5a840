"""What nodes do otherwise than their configuration says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adit_core.dicom.folder_probe import FolderAnswers
from adit_core.dicom.node import DicomWebNode, QueryRoot, ServerNode, Service
from adit_core.dicom.probe import (
    MOVE_DESTINATION_UNKNOWN,
    Encryption,
    ServerAnswers,
    ServiceAnswer,
    Verdict,
)
from adit_core.dicom.web_probe import WebAnswer

_QUERIES_AND_RETRIEVALS = (Service.FIND, Service.GET, Service.MOVE)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a node does otherwise than its configuration says."""

    about: str
    """A service, "connection", "encryption", "reading" or "writing"."""
    message: str
    is_harmful: bool
    """Whether jobs will fail because of it. Otherwise something is left unused, or not sure."""


def server_differences(node: ServerNode, answers: ServerAnswers) -> Iterator[Difference]:
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


def web_differences(node: DicomWebNode, answers: Sequence[WebAnswer]) -> Iterator[Difference]:
    """Yield what differs between the configuration of an archive and its answers by DICOMweb.

    =============  =====================  =========================================================
    configured     the server             difference
    =============  =====================  =========================================================
    anything       is not reached at all  harmful, nothing else is told
    a service      refuses it to us       harmful
    a service      does not support it    harmful
    a service      answers unclearly      not harmful
    no service     supports it            not harmful
    =============  =====================  =========================================================
    """
    if not any(answer.is_reached for answer in answers):
        yield Difference("connection", answers[0].words, is_harmful=True)
        return
    for answer in answers:
        yield from _web_service_differences(answer, is_configured=answer.service in node.services)


def folder_differences(answers: FolderAnswers, *, is_source: bool) -> Iterator[Difference]:
    """Yield what keeps jobs of this machine from using a folder; `is_source` if it may be read, too."""
    if answers.reading and is_source:
        message = f"It cannot be read on {answers.host}: {answers.reading}."
        yield Difference("reading", message, is_harmful=True)
    if answers.writing:
        message = f"It cannot be written to on {answers.host}: {answers.writing}."
        yield Difference("writing", message, is_harmful=True)


def _web_service_differences(answer: WebAnswer, *, is_configured: bool) -> Iterator[Difference]:
    why = f" ({answer.words})" if answer.words else ""
    if not is_configured and answer.verdict is Verdict.SUPPORTED:
        yield Difference(answer.service, "It is supported, but not configured.", is_harmful=False)
    elif is_configured and answer.verdict is Verdict.UNCLEAR:
        yield Difference(
            answer.service, f"Not sure whether it is supported: {answer.words}.", is_harmful=False
        )
    elif is_configured and answer.verdict is Verdict.REFUSED:
        message = f"It is configured, but refused{why}: look at the credentials of its connection profile."
        yield Difference(answer.service, message, is_harmful=True)
    elif is_configured and answer.verdict is Verdict.UNSUPPORTED:
        message = f"It is configured, but {answer.verdict}{why}."
        yield Difference(answer.service, message, is_harmful=True)


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
