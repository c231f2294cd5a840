"""Finding out what a server really supports, by asking it.

What a server accepts when an association begins (PS3.7 D.3.2) is not yet what it does: Orthanc accepts
every retrieval and aborts those of users that may not retrieve. So queries and retrievals are asked for
as well, of a study that cannot exist: nothing is found, and nothing is sent.

Whether instances are really taken cannot be found out without storing one, which would stay. Of
C-STORE, the answer is what was negotiated.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from uuid import uuid4

from pydicom.uid import CTImageStorage

from adit_core.dicom.association import Association
from adit_core.dicom.command import Command, CommandField
from adit_core.dicom.connect import tls_version
from adit_core.dicom.contexts import (
    MESSAGE_TRANSFER_SYNTAXES,
    STORAGE_SOP_CLASSES,
    STORAGE_TRANSFER_SYNTAXES,
    VERIFICATION,
    AcceptedContexts,
    ProposedContext,
    message_proposals,
    storage_groups,
    storage_proposals,
)
from adit_core.dicom.dimse import echo
from adit_core.dicom.identifier import encode_identifier
from adit_core.dicom.node import QueryRoot, ServerNode, Service
from adit_core.dicom.status import PENDING, SUCCESS, in_words, is_out_of_resources, is_warning
from adit_core.errors import (
    AditError,
    AssociationRejected,
    NoPresentationContext,
    OperationFailed,
    PeerAborted,
    PeerBusy,
)

MOVE_DESTINATION_UNKNOWN = 0xA801
"""PS3.4 table C.4-2."""

_NOT_AUTHORIZED = 0x0124
_NOT_IMPLEMENTED = frozenset({0x0122, 0x0211})
"""SOP class not supported, unrecognized operation (PS3.7 Annex C)."""
_MOST_ANSWERS = 20
"""To a query for what cannot exist; an archive that finds more searches in its own way."""

QUERY_RETRIEVE_CLASSES: Mapping[tuple[Service, QueryRoot], str] = {
    (Service.FIND, QueryRoot.STUDY): "1.2.840.10008.5.1.4.1.2.2.1",
    (Service.FIND, QueryRoot.PATIENT): "1.2.840.10008.5.1.4.1.2.1.1",
    (Service.GET, QueryRoot.STUDY): "1.2.840.10008.5.1.4.1.2.2.3",
    (Service.GET, QueryRoot.PATIENT): "1.2.840.10008.5.1.4.1.2.1.3",
    (Service.MOVE, QueryRoot.STUDY): "1.2.840.10008.5.1.4.1.2.2.2",
    (Service.MOVE, QueryRoot.PATIENT): "1.2.840.10008.5.1.4.1.2.1.2",
}
"""Each query and retrieval as a SOP class (PS3.4 C.6)."""

_REQUESTS = {
    Service.FIND: CommandField.C_FIND_RQ,
    Service.GET: CommandField.C_GET_RQ,
    Service.MOVE: CommandField.C_MOVE_RQ,
}


class Verdict(StrEnum):
    """What became of a question."""

    SUPPORTED = "supported"
    REFUSED = "refused"
    """It knows the service, but not for us."""
    UNSUPPORTED = "unsupported"
    UNCLEAR = "unclear"
    """It answered in a way that says neither."""


class Encryption(StrEnum):
    """What is spoken at a port; there is no port that speaks both."""

    NONE = "none"
    TLS = "TLS"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """What a server does with a query or retrieval in one information model."""

    service: Service
    query_root: QueryRoot
    verdict: Verdict
    words: str = ""
    """Why, where the verdict does not say all."""
    status: int | None = None
    """That ended the operation, if it came so far."""


@dataclass(frozen=True, slots=True)
class StorageAnswer:
    """The transfer syntaxes in which a server accepts a SOP class; none if it does not accept it."""

    sop_class_uid: str
    transfer_syntax_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerAnswers:
    """What was found out about a server. Without a C-ECHO, nothing but the encryption was asked for."""

    failure: str = ""
    """Why a C-ECHO was not answered, empty if it was."""
    echo_seconds: float | None = None
    encryption: Encryption = Encryption.UNKNOWN
    tls_version: str = ""
    move_destination: str = ""
    """The AE title that was named as the destination of a C-MOVE."""
    services: tuple[ServiceAnswer, ...] = ()
    storage: tuple[StorageAnswer, ...] = ()

    def answer(self, service: Service, query_root: QueryRoot) -> ServiceAnswer | None:
        """Return what was said to a query or retrieval, None if it was not asked for."""
        of_model = (
            each for each in self.services if (each.service, each.query_root) == (service, query_root)
        )
        return next(of_model, None)


def probe_server(node: ServerNode, *, move_destination: str = "") -> ServerAnswers:
    """Ask `node` for everything that a node can be configured to support.

    It takes about 20 associations. A server that does not answer a C-ECHO is asked only whether it
    speaks TLS; that is part of the answers and does not raise.

    Args:
        node: The server, and how it is connected to. Its services do not matter.
        move_destination: The AE title to name in C-MOVE requests; by default the calling AE title.

    Raises:
        AditError: The server answered a C-ECHO, but the connections after that failed.
    """
    try:
        seconds = echo(node)
    except AditError as error:
        encryption, version = _encryption_behind(node, error)
        return ServerAnswers(failure=str(error), encryption=encryption, tls_version=version)
    destination = move_destination or node.calling_ae_title
    return ServerAnswers(
        echo_seconds=seconds,
        encryption=_configured_encryption(node),
        tls_version=tls_version(node) or "" if node.profile.tls else "",
        move_destination=destination,
        services=tuple(_ask_for_services(node, destination)),
        storage=tuple(_ask_for_storage(node)),
    )


def _configured_encryption(node: ServerNode) -> Encryption:
    return Encryption.TLS if node.profile.tls else Encryption.NONE


def _encryption_behind(node: ServerNode, error: AditError) -> tuple[Encryption, str]:
    """Return what a server speaks that did not answer a C-ECHO because of `error`."""
    if _said_something(error):
        return _configured_encryption(node), ""
    with suppress(AditError):  # that it cannot be connected to is what `error` says
        version = tls_version(node)
        if version is not None:
            return Encryption.TLS, version
        if node.profile.tls:
            echo(replace(node, profile=replace(node.profile, tls=None)))
            return Encryption.NONE, ""
    return Encryption.UNKNOWN, ""


def _said_something(error: AditError) -> bool:
    """Tell whether the peer said in DICOM what it does not like."""
    return isinstance(error, AssociationRejected | PeerBusy | NoPresentationContext | OperationFailed)


def _ask_for_services(node: ServerNode, move_destination: str) -> Iterator[ServiceAnswer]:
    proposals = chain.from_iterable(map(message_proposals, QUERY_RETRIEVE_CLASSES.values()))
    accepted = _negotiate(node, list(proposals))
    for (service, root), sop_class in QUERY_RETRIEVE_CLASSES.items():
        if accepted.cover([sop_class]):
            yield _ask(node, service, root, move_destination if service is Service.MOVE else "")
        else:
            yield ServiceAnswer(service, root, Verdict.UNSUPPORTED, "not accepted in the negotiation")


def _ask_for_storage(node: ServerNode) -> Iterator[StorageAnswer]:
    for group in storage_groups(STORAGE_SOP_CLASSES, reserved=len(MESSAGE_TRANSFER_SYNTAXES)):
        accepted = _negotiate(node, storage_proposals(group))
        for sop_class in group:
            syntaxes = (
                syntax
                for syntax in STORAGE_TRANSFER_SYNTAXES
                if accepted.accepting(ProposedContext(sop_class, syntax))
            )
            yield StorageAnswer(sop_class, tuple(syntaxes))


def _negotiate(node: ServerNode, proposals: Sequence[ProposedContext]) -> AcceptedContexts:
    """Return what is accepted of `proposals`, with the C-ECHO, for some reject what has no good part."""
    try:
        with Association.open(node, [*message_proposals(VERIFICATION), *proposals]) as association:
            return association.contexts
    except AssociationRejected:
        return AcceptedContexts(proposals, ())


def _ask(node: ServerNode, service: Service, root: QueryRoot, move_destination: str) -> ServiceAnswer:
    try:
        status = _final_status(node, service, root, move_destination)
    except PeerAborted:
        return ServiceAnswer(service, root, Verdict.UNSUPPORTED, "it aborted the association when asked")
    except (AssociationRejected, NoPresentationContext) as error:
        return ServiceAnswer(service, root, Verdict.UNSUPPORTED, str(error))
    except AditError as error:
        return ServiceAnswer(service, root, Verdict.UNCLEAR, str(error))
    if status is None:
        return ServiceAnswer(service, root, Verdict.SUPPORTED, "it finds more than was asked for")
    words = "" if status == SUCCESS else in_words(status, service)
    return ServiceAnswer(service, root, _verdict(service, status), words, status)


def _final_status(node: ServerNode, service: Service, root: QueryRoot, move_destination: str) -> int | None:
    """Ask for a study that nobody has, and return the status at the end, None if that does not come.

    If an archive sends anything in a C-GET nevertheless, the association is aborted at once.
    """
    sop_class = QUERY_RETRIEVE_CLASSES[service, root]
    images = (CTImageStorage,) if service is Service.GET else ()
    proposals = [*message_proposals(sop_class), *storage_proposals(images)]
    with (
        Association.open(node, proposals, provided=images) as association,
        association.operation(),
    ):
        context = association.context_of(sop_class)
        request = Command(
            _REQUESTS[service],
            association.next_message_id(),
            sop_class,
            has_data_set=True,
            move_destination=move_destination,
        )
        association.send(
            context, request, [encode_identifier(_keys_of_nothing(root), context.transfer_syntax_uid)]
        )
        statuses = (association.receive_response(request).command.status for _ in range(_MOST_ANSWERS))
        final = next((status for status in statuses if status not in PENDING), None)
        if final is None:
            association.abort()
        return final


def _keys_of_nothing(root: QueryRoot) -> dict[str, str]:
    """Return the keys of a study that nobody has: its UID is made of a fresh UUID (PS3.5 B.2)."""
    uid = f"2.25.{uuid4().int}"
    study = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": uid}
    return study | {"PatientID": uid} if root is QueryRoot.PATIENT else study


def _verdict(service: Service, status: int) -> Verdict:
    """Judge how a question for what nobody has has ended.

    ==========================================  =====================================================
    success, or a warning                       supported
    0122, 0211                                  unsupported
    0124                                        refused
    out of resources (A7xx, 0213)               unclear
    another failure of a query                  unclear: nothing was found is no failure of a query
    another failure of a retrieval              supported: so do archives that lack what is asked for
    ==========================================  =====================================================
    """
    if status == SUCCESS or is_warning(status):
        return Verdict.SUPPORTED
    if status in _NOT_IMPLEMENTED:
        return Verdict.UNSUPPORTED
    if status == _NOT_AUTHORIZED:
        return Verdict.REFUSED
    if service is Service.FIND or is_out_of_resources(status):
        return Verdict.UNCLEAR
    return Verdict.SUPPORTED
