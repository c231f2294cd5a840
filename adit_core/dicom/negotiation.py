"""The negotiation of an association: A-ASSOCIATE-RQ, -AC and -RJ PDUs (PS3.8 9.3.2 to 9.3.4).

It happens once per association, so pynetdicom's PDU classes do the encoding and decoding. They take
milliseconds for it; but who is asked for the same answers the same, so it is remembered what they made.
"""

import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_items import PresentationContextItemAC, SOPClassExtendedNegotiationSubItem
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationVersionNameNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
)
from pynetdicom.presentation import PresentationContext as ContextItem

from adit_core.dicom.contexts import AcceptedContexts, PresentationContext, ProposedContext
from adit_core.dicom.node import ServerNode
from adit_core.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from adit_core.dicom.quiet import quiet_pydicom
from adit_core.errors import (
    AssociationRejected,
    InputProblem,
    InvalidInput,
    PeerBusy,
    ProtocolError,
)

A_RELEASE_RQ = struct.pack(">BBLL", 0x05, 0, 4, 0)
A_RELEASE_RP = struct.pack(">BBLL", 0x06, 0, 4, 0)
A_ABORT = struct.pack(">BBLL", 0x07, 0, 4, 0)
"""By the service user, which needs no reason (PS3.8 9.3.8)."""

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"
_SMALLEST_PDU_LENGTH = 128
"""That a peer may announce as its maximum; below, messages would be nothing but headers."""
_DECODING_ERRORS = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pynetdicom raises for PDUs that it cannot decode."""

_MOST_REMEMBERED = 64
"""Requests, and as many answers to them."""

REJECTION_SOURCES = {
    1: "by the application",
    2: "by its association service",
    3: "by its presentation service",
}
REJECTION_REASONS = {
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
_ABORT_REASONS = {
    1: "unrecognized PDU",
    2: "unexpected PDU",
    4: "unrecognized PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was agreed upon. ``max_pdu_length`` is the peer's limit for P-DATA-TF, 0 for none."""

    contexts: AcceptedContexts
    max_pdu_length: int
    extended: Mapping[str, bytes] = field(default_factory=dict)
    """By SOP class, what the peer answered to an extended negotiation; nothing of those that it ignored."""


def associate_request(
    node: ServerNode,
    proposals: Sequence[ProposedContext],
    provided: Collection[str],
    extended: Mapping[str, bytes],
) -> bytes:
    """Return the A-ASSOCIATE-RQ PDU to `node`.

    For the SOP classes `provided`, the peer is asked to be the user and to let us be the provider
    (role selection, PS3.7 D.3.3.4), as C-GET needs it. `extended` is the service class application
    information by SOP class (SOP class extended negotiation, PS3.7 D.3.3.5).

    Raises:
        InvalidInput: An AE title is none.
    """
    return _encoded_request(
        name=node.name,
        ae_title=node.ae_title,
        calling_ae_title=node.calling_ae_title,
        max_pdu_length=node.profile.max_pdu_length,
        proposals=tuple(proposals),
        provided=tuple(provided),
        extended=tuple(extended.items()),
    )


@lru_cache(_MOST_REMEMBERED)
def _encoded_request(
    *,
    name: str,
    ae_title: str,
    calling_ae_title: str,
    max_pdu_length: int,
    proposals: Sequence[ProposedContext],
    provided: Sequence[str],
    extended: Sequence[tuple[str, bytes]],
) -> bytes:
    request = A_ASSOCIATE()
    try:
        request.called_ae_title = ae_title
        request.calling_ae_title = calling_ae_title
    except ValueError as error:
        raise InvalidInput(InputProblem(f"the node {name} has an invalid AE title: {error}")) from error
    request.application_context_name = APPLICATION_CONTEXT_NAME
    request.presentation_context_definition_list = [
        _context_item(index * 2 + 1, proposal) for index, proposal in enumerate(proposals)
    ]
    request.maximum_length_received = max_pdu_length
    request.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    request.user_information += [
        version,
        *(_provider_role(sop_class) for sop_class in provided),
        *(_extended(sop_class, information) for sop_class, information in extended),
    ]
    return A_ASSOCIATE_RQ(request).encode()


def decode_agreement(
    peer: str, pdu: bytes, proposals: Sequence[ProposedContext], extended: Collection[str]
) -> Agreement:
    """Decode the A-ASSOCIATE-AC PDU that answers `proposals`, and the `extended` negotiation of SOP classes.

    Raises:
        ProtocolError: The PDU is malformed or accepts what was not proposed.
    """
    return _decoded_agreement(peer, pdu, tuple(proposals), frozenset(extended))


@lru_cache(_MOST_REMEMBERED)
def _decoded_agreement(
    peer: str, pdu: bytes, proposals: Sequence[ProposedContext], extended: Collection[str]
) -> Agreement:
    accept = A_ASSOCIATE_AC()
    try:
        with quiet_pydicom():
            accept.decode(pdu)
        user_information = accept.user_information
        max_length = user_information.maximum_length if user_information else None
        # Whoever was asked for nothing may answer anything.
        answers = user_information.ext_neg if user_information and extended else []
    except _DECODING_ERRORS as error:
        raise ProtocolError(f"{peer} sent a malformed A-ASSOCIATE-AC PDU") from error
    if max_length is None:
        raise ProtocolError(f"{peer} accepted the association without saying its maximum PDU length")
    if 0 < max_length < _SMALLEST_PDU_LENGTH:
        raise ProtocolError(f"{peer} takes PDUs of at most {max_length} bytes, which is too little to use")
    accepted = _accepted_contexts(peer, accept.presentation_context, proposals)
    return Agreement(
        AcceptedContexts(proposals, accepted), max_length, _extended_answers(peer, answers, extended)
    )


def rejection(peer: str, body: bytes) -> AssociationRejected | PeerBusy | ProtocolError:
    """Return the error that the body of an A-ASSOCIATE-RJ PDU stands for (PS3.8 table 9-21)."""
    _, result, source, reason = body
    where = REJECTION_SOURCES.get(source, f"by source {source}")
    why = REJECTION_REASONS.get((source, reason), "no reason given" if reason == 1 else f"reason {reason}")
    words = f"{peer} rejected the association, {where}: {why}"
    if result == 1:
        return AssociationRejected(words)
    if result == 2:
        return PeerBusy(f"{words} (for the time being)")
    return ProtocolError(f"{words} (with the unknown result {result})")


def abort_in_words(body: bytes) -> str:
    """Say what the body of an A-ABORT PDU means (PS3.8 table 9-26)."""
    _, _, source, reason = body
    if source != 2:
        return "by the application"
    return _ABORT_REASONS.get(reason, "no reason given")


def _context_item(context_id: int, proposal: ProposedContext) -> ContextItem:
    item = ContextItem()
    item.context_id = context_id
    item.abstract_syntax = proposal.sop_class_uid
    item.add_transfer_syntax(proposal.transfer_syntax_uid)
    return item


def _provider_role(sop_class_uid: str) -> SCP_SCU_RoleSelectionNegotiation:
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid = sop_class_uid
    role.scu_role = False
    role.scp_role = True
    return role


def _extended(sop_class_uid: str, information: bytes) -> SOPClassExtendedNegotiation:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = sop_class_uid
    item.service_class_application_information = information
    return item


def _extended_answers(
    peer: str, items: Iterable[SOPClassExtendedNegotiationSubItem], proposed: Collection[str]
) -> dict[str, bytes]:
    answers: dict[str, bytes] = {}
    for item in items:
        sop_class_uid = str(item.uid or "")
        if sop_class_uid not in proposed or sop_class_uid in answers:
            raise ProtocolError(f"{peer} answered an extended negotiation that is not open")
        answers[sop_class_uid] = item.app_info or b""
    return answers


def _accepted_contexts(
    peer: str, items: Iterable[PresentationContextItemAC], proposals: Sequence[ProposedContext]
) -> list[PresentationContext]:
    accepted: dict[int, PresentationContext] = {}
    for item in items:
        context_id = item.context_id or 0
        index = context_id // 2
        if context_id % 2 == 0 or index >= len(proposals) or context_id in accepted:
            raise ProtocolError(f"{peer} answered presentation context {context_id}, which is not open")
        if item.result != 0:
            continue
        proposal = proposals[index]
        if item.transfer_syntax != proposal.transfer_syntax_uid:
            raise ProtocolError(
                f"{peer} accepted {proposal.sop_class_uid} in a transfer syntax that was not proposed"
            )
        accepted[context_id] = PresentationContext(
            context_id, proposal.sop_class_uid, proposal.transfer_syntax_uid
        )
    return list(accepted.values())
