"""The provider's part of negotiating an association: A-ASSOCIATE-RQ read, -AC or -RJ answered (PS3.8 9.3).

It happens once per association, so pynetdicom's PDU classes do the encoding and decoding, as in
:mod:`adit_core.dicom.negotiation`, which is the user's part.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_items import PresentationContextItemRQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationVersionNameNotification
from pynetdicom.presentation import PresentationContext as ContextItem

from adit_core.dicom.contexts import MESSAGE_TRANSFER_SYNTAXES, PresentationContext
from adit_core.dicom.negotiation import APPLICATION_CONTEXT_NAME, DECODING_ERRORS
from adit_core.dicom.node import ConnectionProfile
from adit_core.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from adit_core.dicom.quiet import quiet_pydicom
from adit_core.errors import ProtocolError

_AE_TITLES = slice(10, 42)
"""Called and calling, in A-ASSOCIATE-RQ and -AC alike; the latter repeats them (PS3.8 table 9-17)."""
_TITLE_LENGTH = 16
_PLACEHOLDER = "ADIT"
_SMALLEST_SENT = 16384
"""The longest PDU that we send to a peer that says no maximum, in bytes."""

_ACCEPTED = 0
_ABSTRACT_SYNTAX_NOT_SUPPORTED = 3


class Refusal(Enum):
    """Why an association is not accepted: result, source and reason of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    APPLICATION_CONTEXT = (1, 1, 2)
    CALLING_AE_TITLE = (1, 1, 3)
    CALLED_AE_TITLE = (1, 1, 7)
    PROTOCOL_VERSION = (1, 2, 2)
    TEMPORARY_CONGESTION = (2, 3, 1)
    LOCAL_LIMIT = (2, 3, 2)
    """These two pass: the peer may try again later."""

    def in_words(self) -> str:
        """Say it for a message."""
        return self.name.lower().replace("_", " ").replace("ae ", "AE ")


@dataclass(frozen=True, slots=True)
class RequestedContext:
    """A presentation context as the peer proposes it."""

    context_id: int
    sop_class_uid: str
    transfer_syntax_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AssociationRequest:
    """What a peer asks for. AE titles are without their padding; ``max_pdu_length`` 0 is no limit."""

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[RequestedContext, ...]
    max_pdu_length: int
    is_version_1: bool
    application_context_name: str
    titles: bytes
    """Both AE titles as they came, for the answer."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a provider agrees to."""

    profile: ConnectionProfile
    refusal: Callable[[AssociationRequest], Refusal | None]
    """Says why an association is not wanted, None if it is."""
    choose_syntax: Callable[[RequestedContext], str | None]
    """Returns the transfer syntax to accept a context with; None if its SOP class is not supported."""

    def judge(self, request: AssociationRequest) -> Refusal | None:
        """Return why `request` is refused, None if it is not."""
        if not request.is_version_1:
            return Refusal.PROTOCOL_VERSION
        if request.application_context_name != APPLICATION_CONTEXT_NAME:
            return Refusal.APPLICATION_CONTEXT
        return self.refusal(request)

    def accepted(self, request: AssociationRequest) -> list[PresentationContext]:
        """Return the contexts of `request` that are accepted."""
        chosen = ((context, self.choose_syntax(context)) for context in request.contexts)
        return [
            PresentationContext(context.context_id, context.sop_class_uid, syntax)
            for context, syntax in chosen
            if syntax is not None
        ]


def decode_request(peer: str, pdu: bytes) -> AssociationRequest:
    """Decode an A-ASSOCIATE-RQ PDU.

    Raises:
        ProtocolError: It is malformed.
    """
    rq = A_ASSOCIATE_RQ()
    try:
        with quiet_pydicom():
            rq.decode(pdu)
            contexts = tuple(map(_requested, rq.presentation_context))
            user_information = rq.user_information
            max_length = user_information.maximum_length if user_information else None
            application_context_name = str(rq.application_context_name or "")
    except DECODING_ERRORS as error:
        raise ProtocolError(f"{peer} sent a malformed A-ASSOCIATE-RQ PDU") from error
    identifiers = [context.context_id for context in contexts]
    if len(set(identifiers)) < len(identifiers) or any(number % 2 == 0 for number in identifiers):
        raise ProtocolError(f"{peer} proposed presentation contexts with invalid identifiers")
    titles = pdu[_AE_TITLES]
    return AssociationRequest(
        called_ae_title=_title(titles[:_TITLE_LENGTH]),
        calling_ae_title=_title(titles[_TITLE_LENGTH:]),
        contexts=contexts,
        max_pdu_length=_SMALLEST_SENT if max_length is None else max_length,
        is_version_1=bool(rq.protocol_version & 1),
        application_context_name=application_context_name,
        titles=titles,
    )


def accept_pdu(
    request: AssociationRequest, accepted: Iterable[PresentationContext], max_pdu_length: int
) -> bytes:
    """Return the A-ASSOCIATE-AC PDU that accepts these of the requested contexts."""
    syntaxes = {context.context_id: context.transfer_syntax_uid for context in accepted}
    answer = A_ASSOCIATE()
    answer.called_ae_title = answer.calling_ae_title = _PLACEHOLDER
    answer.application_context_name = APPLICATION_CONTEXT_NAME
    with quiet_pydicom():  # of UIDs that are no valid ones
        answer.presentation_context_definition_results_list = [
            _result(context.context_id, syntaxes.get(context.context_id)) for context in request.contexts
        ]
    answer.maximum_length_received = max_pdu_length
    answer.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    answer.user_information += [version]
    with quiet_pydicom():
        pdu = bytearray(A_ASSOCIATE_AC(answer).encode())
    pdu[_AE_TITLES] = request.titles
    return bytes(pdu)


def reject_pdu(refusal: Refusal) -> bytes:
    """Return the A-ASSOCIATE-RJ PDU that says why."""
    return struct.pack(">BxLxBBB", 0x03, 4, *refusal.value)


def _title(padded: bytes) -> str:
    return padded.decode("ascii", "replace").strip(" \0")


def _requested(item: PresentationContextItemRQ) -> RequestedContext:
    syntaxes = tuple(map(str, item.transfer_syntax))
    if not syntaxes or item.abstract_syntax is None:
        raise ValueError("a presentation context without abstract or transfer syntax")
    return RequestedContext(item.context_id or 0, str(item.abstract_syntax), syntaxes)


def _result(context_id: int, syntax: str | None) -> ContextItem:
    item = ContextItem()
    item.context_id = context_id
    # The standard wants a transfer syntax of refused contexts too, although it has no meaning there.
    item.add_transfer_syntax(syntax or MESSAGE_TRANSFER_SYNTAXES[-1])
    item.result = _ACCEPTED if syntax else _ABSTRACT_SYNTAX_NOT_SUPPORTED
    return item
