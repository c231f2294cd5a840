"""How the result of `adit nodes check` is shown."""

from collections import Counter
from collections.abc import Iterator, Sequence

from pydicom.uid import UID
from rich.console import Group, RenderableType
from rich.text import Text

from adit_core.dicom.folder_probe import FolderAnswers
from adit_core.dicom.node import QueryRoot, Service
from adit_core.dicom.probe import ServerAnswers, StorageAnswer
from adit_core.dicom.web_probe import WebAnswer
from adit_core.services.node_check import NodeCheck
from adit_core.services.node_differences import Difference
from adit_core.terminal import cell, new_table, numbers

_ROOTS = (QueryRoot.STUDY, QueryRoot.PATIENT)
_QUERIES_AND_RETRIEVALS = (Service.FIND, Service.GET, Service.MOVE)


def shown(check: NodeCheck) -> RenderableType:
    """Return what was found out about a node, the differences at the end, where they are seen."""
    parts: list[RenderableType] = []
    if check.server:
        parts += _server(check.node, check.server)
    if check.web:
        parts += [*([""] if parts else []), _web_table(check.web)]
    if check.folder:
        parts += [cell(_folder_line(check.node, check.folder))]
    return Group(*parts, "", *_differences(check.differences))


def _server(name: str, server: ServerAnswers) -> Iterator[RenderableType]:
    yield cell(_first_line(name, server))
    if not server.failure:
        yield _services_table(server)
        yield ""
        yield from _storage(server.storage)


def _first_line(name: str, server: ServerAnswers) -> str:
    if server.echo_seconds is None:
        return f"{name} does not answer a C-ECHO."
    encryption = server.tls_version or ("TLS" if server.encryption == "TLS" else "no encryption")
    return f"{name} answered after {server.echo_seconds * 1000:.1f} ms, with {encryption}."


def _folder_line(name: str, folder: FolderAnswers) -> str:
    words = {
        (True, True): "can be read and written",
        (True, False): "can be read, but not written",
        (False, True): "can be written, but not read",
        (False, False): "can neither be read nor written",
    }[not folder.reading, not folder.writing]
    room = "" if folder.free_bytes is None else f", {folder.free_bytes / 1e9:.1f} GB are free"
    return f"{name} {words} on {folder.host}{room}."


def _services_table(server: ServerAnswers) -> RenderableType:
    table = new_table("service", *(f"{root.lower()} root" for root in _ROOTS), "remarks")
    for service in _QUERIES_AND_RETRIEVALS:
        answers = [answer for root in _ROOTS if (answer := server.answer(service, root))]
        remarks = dict.fromkeys(answer.words for answer in answers if answer.words)
        table.add_row(cell(service), *(cell(answer.verdict) for answer in answers), cell("; ".join(remarks)))
    return table


def _storage(answers: Sequence[StorageAnswer]) -> Iterator[RenderableType]:
    accepted = [answer for answer in answers if answer.transfer_syntax_uids]
    yield cell(f"C-STORE is accepted of {len(accepted)} of {len(answers)} SOP classes (by negotiation only).")
    if accepted:
        yield _syntaxes_table(accepted)
    refused = [_name(answer.sop_class_uid) for answer in answers if not answer.transfer_syntax_uids]
    if accepted and refused:
        yield cell(f"Not accepted: {', '.join(refused)}")


def _syntaxes_table(accepted: Sequence[StorageAnswer]) -> RenderableType:
    counts = Counter(syntax for answer in accepted for syntax in answer.transfer_syntax_uids)
    table = new_table("transfer syntax", numbers("SOP classes"))
    for syntax, count in counts.most_common():
        table.add_row(cell(_name(syntax)), cell(count))
    return table


def _web_table(answers: Sequence[WebAnswer]) -> RenderableType:
    table = new_table("service", "", "remarks")
    for answer in answers:
        table.add_row(cell(answer.service), cell(answer.verdict), cell(answer.words))
    return table


def _differences(differences: Sequence[Difference]) -> Iterator[Text]:
    if not differences:
        yield cell("Nothing differs from its configuration.")
    for each in differences:
        yield cell(f"{each.about}: {each.message}", "red" if each.is_harmful else "yellow")


def _name(uid: str) -> str:
    return UID(uid).name
