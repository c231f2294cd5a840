"""The provider's part of negotiating an association: A-ASSOCIATE-RQ read, -AC or -RJ answered (PS3.8 9.3).

Archives open an association for each C-MOVE and propose more than a hundred contexts in it, of which
pynetdicom's PDU classes make objects that check each UID several times: longer than a series takes. So the
items (PS3.8 9.3.2) are read and written here. :mod:`adit_core.dicom.negotiation` is the user's part.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from adit_core.dicom.contexts import MESSAGE_TRANSFER_SYNTAXES, PresentationContext
from adit_core.dicom.negotiation import APPLICATION_CONTEXT_NAME
from adit_core.dicom.node import ConnectionProfile
from adit_core.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from adit_core.errors import ProtocolError

_FIXED = struct.Struct(">BxLH2x16s16s32s")
"""What A-ASSOCIATE-RQ and -AC begin with: type, length, protocol version, called and calling AE title,
and what is reserved; -AC repeats the titles and what is reserved (PS3.8 table 9-17)."""
_HEADER_LENGTH = 6
_ITEM = struct.Struct(">BxH")
_LENGTH = struct.Struct(">L")
_ACCEPT = 0x02
_APPLICATION_CONTEXT, _REQUESTED_CONTEXT, _ANSWERED_CONTEXT = 0x10, 0x20, 0x21
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX, _USER_INFORMATION = 0x30, 0x40, 0x50
_MAX_LENGTH, _IMPLEMENTATION_CLASS, _IMPLEMENTATION_VERSION = 0x51, 0x52, 0x55
_VERSION_1 = 1
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
    repeated: tuple[bytes, bytes, bytes]
    """Both AE titles and what is reserved, as they came, for the answer."""


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
    try:
        request = _decoded(pdu)
    except (ValueError, struct.error) as error:
        raise ProtocolError(f"{peer} sent a malformed A-ASSOCIATE-RQ PDU") from error
    identifiers = [context.context_id for context in request.contexts]
    if len(set(identifiers)) < len(identifiers) or any(number % 2 == 0 for number in identifiers):
        raise ProtocolError(f"{peer} proposed presentation contexts with invalid identifiers")
    return request


def accept_pdu(
    request: AssociationRequest, accepted: Iterable[PresentationContext], max_pdu_length: int
) -> bytes:
    """Return the A-ASSOCIATE-AC PDU that accepts these of the requested contexts."""
    syntaxes = {context.context_id: context.transfer_syntax_uid for context in accepted}
    items = [
        _item(_APPLICATION_CONTEXT, APPLICATION_CONTEXT_NAME.encode()),
        *(_answer(context.context_id, syntaxes.get(context.context_id)) for context in request.contexts),
        _item(
            _USER_INFORMATION,
            _item(_MAX_LENGTH, _LENGTH.pack(max_pdu_length)),
            _item(_IMPLEMENTATION_CLASS, IMPLEMENTATION_CLASS_UID.encode()),
            _item(_IMPLEMENTATION_VERSION, IMPLEMENTATION_VERSION_NAME.encode()),
        ),
    ]
    length = _FIXED.size - _HEADER_LENGTH + sum(map(len, items))
    return b"".join([_FIXED.pack(_ACCEPT, length, _VERSION_1, *request.repeated), *items])


def reject_pdu(refusal: Refusal) -> bytes:
    """Return the A-ASSOCIATE-RJ PDU that says why."""
    return struct.pack(">BxLxBBB", 0x03, 4, *refusal.value)


def _decoded(pdu: bytes) -> AssociationRequest:
    _, _, version, called, calling, reserved = _FIXED.unpack_from(pdu)
    contexts: list[RequestedContext] = []
    application_context_name, max_length = "", None
    for kind, value in _items(memoryview(pdu)[_FIXED.size :]):
        if kind == _APPLICATION_CONTEXT:
            application_context_name = _uid(value)
        elif kind == _REQUESTED_CONTEXT:
            contexts.append(_requested(value))
        elif kind == _USER_INFORMATION:
            max_length = _max_length(value)
    return AssociationRequest(
        called_ae_title=_title(called),
        calling_ae_title=_title(calling),
        contexts=tuple(contexts),
        max_pdu_length=_SMALLEST_SENT if max_length is None else max_length,
        is_version_1=bool(version & _VERSION_1),
        application_context_name=application_context_name,
        repeated=(called, calling, reserved),
    )


def _items(encoded: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield type and value of each item; raises ValueError or struct.error if one is cut off."""
    while encoded:
        kind, length = _ITEM.unpack_from(encoded)
        value = encoded[_ITEM.size : _ITEM.size + length]
        if len(value) < length:
            raise ValueError("an item is longer than what it is in")
        yield kind, value
        encoded = encoded[_ITEM.size + length :]


def _requested(encoded: memoryview) -> RequestedContext:
    abstract, transfer = "", []
    for kind, value in _items(encoded[4:]):
        if kind == _ABSTRACT_SYNTAX:
            abstract = _uid(value)
        elif kind == _TRANSFER_SYNTAX:
            transfer.append(_uid(value))
    if not abstract or not transfer:
        raise ValueError("a presentation context without abstract or transfer syntax")
    return RequestedContext(encoded[0], abstract, tuple(transfer))


def _max_length(user_information: memoryview) -> int | None:
    lengths = [value for kind, value in _items(user_information) if kind == _MAX_LENGTH]
    return _LENGTH.unpack(lengths[0])[0] if lengths else None


def _uid(value: memoryview) -> str:
    return bytes(value).decode("ascii", "replace").rstrip("\0 ")


def _title(padded: bytes) -> str:
    return padded.decode("ascii", "replace").strip(" \0")


def _item(kind: int, *values: bytes) -> bytes:
    return b"".join([_ITEM.pack(kind, sum(map(len, values))), *values])


def _answer(context_id: int, syntax: str | None) -> bytes:
    result = _ACCEPTED if syntax else _ABSTRACT_SYNTAX_NOT_SUPPORTED
    # The standard wants a transfer syntax of refused contexts too, although it has no meaning there.
    name = _item(_TRANSFER_SYNTAX, (syntax or MESSAGE_TRANSFER_SYNTAXES[-1]).encode("ascii"))
    return _item(_ANSWERED_CONTEXT, bytes([context_id, 0, result, 0]), name)
