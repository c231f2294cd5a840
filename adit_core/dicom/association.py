"""One association over one blocking socket: its lifecycle, and DIMSE messages in both directions.

There are no threads and no queues; who waits for a message reads it. That makes an association four
times as fast as pynetdicom's, and it cannot lose responses between threads. Everything that comes
from the peer is checked, and bounded in size, before it is used.

::

    with Association.open(node, proposals) as association:      # released at the end, or aborted
        association.send(context, command, fragments)
        message = association.receive()
        for fragment in association.data_set(): ...
"""

import socket
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Self

from adit_core.dicom.acceptance import Acceptance, AssociationRequest, accept_pdu, decode_request, reject_pdu
from adit_core.dicom.command import Command, CommandField
from adit_core.dicom.connect import accept, connect
from adit_core.dicom.connection import Connection
from adit_core.dicom.contexts import MOST_CONTEXTS, AcceptedContexts, PresentationContext, ProposedContext
from adit_core.dicom.negotiation import (
    A_ABORT,
    A_RELEASE_RP,
    A_RELEASE_RQ,
    Agreement,
    abort_in_words,
    associate_request,
    decode_agreement,
    rejection,
)
from adit_core.dicom.node import ConnectionProfile, ServerNode
from adit_core.dicom.pdata import DataValue, DataValueReader, PeerReleased, message_batches
from adit_core.dicom.status import PENDING, PROCESSING_FAILURE
from adit_core.dicom.tls import is_tls_alert
from adit_core.errors import (
    AditError,
    AssociationRejected,
    ConnectionFailed,
    NoPresentationContext,
    PeerAborted,
    PeerTimeout,
    ProtocolError,
    TlsFailed,
)

_PDU_HEADER = struct.Struct(">BxL")
_A_ASSOCIATE_RQ = 0x01
_A_ASSOCIATE_AC = 0x02
_A_ASSOCIATE_RJ = 0x03
_A_ABORT = 0x07
_LONGEST_NEGOTIATION_PDU = 1 << 18
_LONGEST_COMMAND = 1 << 14
_LONGEST_IDENTIFIER = 1 << 22
_CANCEL_TIME = 0.5
"""How long a peer may take to end an operation once it is asked to, in seconds."""
_PERHAPS_TLS = " (perhaps it speaks TLS only)"
_LAST_WORDS_TIME = 0.5
"""How long a broken connection is searched for the peer's reason, in seconds."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message whose command set has come; its data set, if it has one, is still to be read."""

    context: PresentationContext
    command: Command


class Association:
    """An established association.

    Methods raise ConnectionFailed, PeerTimeout, PeerAborted or ProtocolError. After any of them the
    association is of no use, and :meth:`operation` and the context manager abort it.
    """

    def __init__(self, connection: Connection, agreement: Agreement, profile: ConnectionProfile) -> None:
        self.peer = connection.peer
        """Names the peer in messages."""
        self.contexts: AcceptedContexts = agreement.contexts
        self.extended: Mapping[str, bytes] = agreement.extended
        """By SOP class, what the peer answered to an extended negotiation."""
        self._connection = connection
        self._peer_max_length = agreement.max_pdu_length
        self._release_timeout = profile.connect_timeout
        self._values = DataValueReader(connection, profile.max_pdu_length)
        self._unread: PresentationContext | None = None
        self._unanswered: Message | None = None
        self._is_open = True
        self._last_message_id = 0

    @classmethod
    def open(
        cls,
        node: ServerNode,
        proposals: Sequence[ProposedContext],
        *,
        provided: Collection[str] = (),
        extended: Mapping[str, bytes] = {},
    ) -> Self:
        """Connect to `node` and negotiate `proposals`, being the provider of the classes `provided`.

        `extended` is the service class application information of classes whose negotiation is extended.

        Raises:
            AssociationRejected: The peer does not want the association.
            PeerBusy: It does not want it now.
            AditError: As for any other use of the association.
        """
        if len(proposals) > MOST_CONTEXTS:
            raise ValueError(f"{len(proposals)} presentation contexts do not fit in one association")
        request = associate_request(node, proposals, provided, extended)
        connection = connect(node)
        abort_early = _unless_complete(lambda: connection.abort(A_ABORT))
        with abort_early, connection.time_limit(node.profile.connect_timeout):
            connection.send([request])
            hint = "" if node.profile.tls else _PERHAPS_TLS
            agreement = _read_agreement(connection, proposals, extended, hint=hint)
        return cls(connection, agreement, node.profile)

    @classmethod
    def accept(cls, sock: socket.socket, peer: str, acceptance: Acceptance) -> Self:
        """Negotiate as a provider, over a connection that `peer` has made.

        Raises:
            AssociationRejected: The peer's request was refused.
            AditError: As for any other use of the association.
        """
        profile = acceptance.profile
        connection = accept(sock, peer=peer, profile=profile)
        abort_early = _unless_complete(lambda: connection.abort(A_ABORT))
        with abort_early, connection.time_limit(profile.connect_timeout):
            request = _read_request(connection)
            refusal = acceptance.judge(request)
            accepted = [] if refusal else acceptance.accepted(request)
            limit = profile.max_pdu_length
            connection.send([reject_pdu(refusal) if refusal else accept_pdu(request, accepted, limit)])
        user = f"{request.calling_ae_title} ({peer})"
        if refusal is not None:
            connection.close()
            raise AssociationRejected(
                f"{user} was refused as a user of {request.called_ae_title}: {refusal.in_words()}"
            )
        connection.peer = user
        return cls(connection, Agreement(AcceptedContexts((), accepted), request.max_pdu_length), profile)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        if exc_type is None:
            self.release()
        else:
            self.abort()

    def operation(self) -> AbstractContextManager[None]:
        """Abort the association unless the block ends normally; closing a generator in it does not count."""
        return _unless_complete(self.abort)

    @contextmanager
    def responses_to(self, context: PresentationContext, request: Command) -> Iterator[None]:
        """Have the peer end what `request` asked for unless the block, which reads its answer, ends normally.

        C-CANCEL lets hundreds of results through before it takes effect in some archives, and others
        answer it by an abort 20 s later. So who has not ended after half a second is aborted.
        """
        try:
            yield
        except (PeerAborted, ProtocolError):
            self.abort()
            raise
        except BaseException:
            self._cancel(context, request)
            raise

    @property
    def is_usable(self) -> bool:
        """Tell whether another operation may be started: the peer has not ended the association."""
        return self._is_open and self._unread is None and not self._connection.has_input()

    def has_input(self) -> bool:
        """Tell whether :meth:`receive` would find something, be it only the end of the association."""
        return self._connection.has_input()

    def fileno(self) -> int:
        """Return the file descriptor to wait for, together with others."""
        return self._connection.fileno()

    def context_of(self, sop_class_uid: str) -> PresentationContext:
        """Return the context to use for a service.

        Raises:
            NoPresentationContext: The peer does not support the service.
        """
        context = self.contexts.first_of(sop_class_uid)
        if context is None:
            raise NoPresentationContext(f"{self.peer} accepted no presentation context for {sop_class_uid}")
        return context

    def next_message_id(self) -> int:
        """Return a message ID that is not in use."""
        self._last_message_id = self._last_message_id % 0xFFFF + 1
        return self._last_message_id

    def send(
        self, context: PresentationContext, command: Command, fragments: Iterable[bytes | memoryview] = ()
    ) -> None:
        """Send a message; ``fragments`` is its encoded data set, which may be cut anywhere."""
        if command.is_response:
            self._unanswered = None
        batches = message_batches(context.context_id, command.encode(), fragments, self._peer_max_length)
        for batch in batches:
            try:
                self._connection.send(batch)
            except ConnectionFailed:
                self._raise_last_words()
                raise

    def receive(self, patience: float | None = None) -> Message:
        """Wait for a message and return it as soon as its command set has come.

        What was not read of the data set of the message before is skipped. `patience` is how long to
        wait, in seconds, instead of the silence timeout.
        """
        self.skip_data_set()
        with nullcontext() if patience is None else self._connection.time_limit(patience):
            context, encoded = self._read_command()
        try:
            command = Command.decode(encoded)
        except ValueError as error:
            raise ProtocolError(f"{self.peer} sent a malformed command set: {error}") from error
        if command.has_data_set:
            self._unread = context
        message = Message(context, command)
        self._unanswered = None if command.is_response else message
        return message

    def receive_response(self, request: Command) -> Message:
        """Wait for the response to `request`, or the next of them."""
        message = self.receive()
        self.check_response(message, request)
        return message

    def check_response(self, message: Message, request: Command) -> None:
        """Raise ProtocolError if `message` is no response to `request`."""
        mismatch = message.command.mismatch(request)
        if mismatch:
            raise ProtocolError(f"{self.peer} sent {mismatch}")

    def data_set(self) -> Iterator[memoryview]:
        """Yield the data set of the message that was just received, in pieces as they came."""
        try:
            while (fragment := self._values.take()) is not None:  # the rest of a value that was left
                yield fragment
            while self._unread is not None:
                value = self._next_value(is_command=False)
                if value.context_id != self._unread.context_id:
                    raise self._violation("a command set and its data set in different presentation contexts")
                if value.is_last:
                    self._unread = None
                while (fragment := self._values.take()) is not None:
                    yield fragment
        except (PeerAborted, ProtocolError):
            # Whoever reads may be outside of the block in which the operation is ended otherwise.
            self.abort()
            raise

    def skip_data_set(self) -> None:
        """Read what is left of the data set of the message that was just received, and forget it."""
        for _ in self.data_set():
            pass

    def read_data_set(self) -> bytes:
        """Return the data set of the message that was just received; for identifiers, which are short."""
        if self._unread is None:
            raise self._violation("a message without the data set that it must have")
        data_set = bytearray()
        for fragment in self.data_set():
            data_set += fragment
            if len(data_set) > _LONGEST_IDENTIFIER:
                raise self._violation(f"an identifier of more than {_LONGEST_IDENTIFIER} bytes")
        return bytes(data_set)

    @property
    def has_unread(self) -> bool:
        """Tell whether something of the data set of the message that was just received is still to come."""
        return self._unread is not None or self._values.has_unread

    def answer(self, status: int) -> None:
        """Respond to the request that was just received, unless that was done; skip what is unread of it."""
        self.skip_data_set()
        request = self._unanswered
        if request is not None:
            self.send(request.context, request.command.response(status))

    def release(self) -> None:
        """End the association in order, as far as the peer plays its part; never raises."""
        if not self._is_open:
            return
        with suppress(AditError), self._connection.time_limit(self._release_timeout):
            self._take_leave()
        self._close()

    def abort(self) -> None:
        """End the association at once; never raises, and never waits for the peer for long."""
        if self._is_open:
            self._is_open = False
            self._connection.abort(A_ABORT)

    def _cancel(self, context: PresentationContext, request: Command) -> None:
        """End an operation and the association: in order if the peer is quick about it, or by an abort."""
        if self._is_open and not self._connection.is_torn:
            with suppress(AditError), self._connection.time_limit(_CANCEL_TIME):
                self.send(context, request.cancel())
                self._refuse_the_rest()
                self._take_leave()
                self._close()
                return
        self.abort()

    def _refuse_the_rest(self) -> None:
        """Refuse the instance that was under way and all that follow, until the operation has ended."""
        message = self._unanswered or self.receive()
        while message.command.field is CommandField.C_STORE_RQ or message.command.status in PENDING:
            if message.command.field is CommandField.C_STORE_RQ:
                self.answer(PROCESSING_FAILURE)
            message = self.receive()

    def _take_leave(self) -> None:
        """Tell the peer that the association is over, and wait for its answer."""
        self.skip_data_set()
        self._connection.send([A_RELEASE_RQ])
        # Anything but an A-RELEASE-RP ends the association as well; there is nothing to say to it.
        self._connection.read(_PDU_HEADER.size)

    def _close(self) -> None:
        self._is_open = False
        self._connection.close()

    def _read_command(self) -> tuple[PresentationContext, bytearray]:
        encoded = bytearray()
        first = value = self._next_value(is_command=True)
        context = self.contexts.with_id(first.context_id)
        if context is None:
            raise self._violation(f"a message in presentation context {first.context_id}, which is not open")
        while True:
            if value.context_id != first.context_id:
                raise self._violation("one command set in several presentation contexts")
            if len(encoded) + value.length > _LONGEST_COMMAND:
                raise self._violation(f"a command set of more than {_LONGEST_COMMAND} bytes")
            while (fragment := self._values.take()) is not None:
                encoded += fragment
            if value.is_last:
                return context, encoded
            value = self._next_value(is_command=True)

    def _next_value(self, *, is_command: bool) -> DataValue:
        try:
            value = self._values.next_value()
        except PeerReleased:
            self._agree_to_release()
            raise
        if value.is_command != is_command:
            expected, found = ("command", "data") if is_command else ("data", "command")
            raise self._violation(f"a {found} set where a {expected} set is due")
        return value

    def _agree_to_release(self) -> None:
        with suppress(AditError):
            self._connection.send([A_RELEASE_RP])
        self._close()

    def _raise_last_words(self) -> None:
        """Raise PeerAborted if the peer said so before the connection broke."""
        broken = (ConnectionFailed, PeerTimeout, ProtocolError)
        with suppress(*broken), self._connection.time_limit(_LAST_WORDS_TIME):
            while True:
                self._values.next_value()
                while self._values.take() is not None:
                    pass

    def _violation(self, what: str) -> ProtocolError:
        return ProtocolError(f"{self.peer} sent {what}")


@contextmanager
def _unless_complete(abort: Callable[[], None]) -> Iterator[None]:
    """Call `abort` if the block is left early: by an error, or by closing the generator that it is in."""
    is_complete = False
    try:
        yield
        is_complete = True
    finally:
        if not is_complete:
            abort()


def _read_request(connection: Connection) -> AssociationRequest:
    header = connection.read(_PDU_HEADER.size)
    pdu_type, length = _PDU_HEADER.unpack(header)
    if pdu_type != _A_ASSOCIATE_RQ:
        raise ProtocolError(f"{connection.peer} began with a PDU of type 0x{pdu_type:02X}")
    if length > _LONGEST_NEGOTIATION_PDU:
        raise ProtocolError(f"{connection.peer} announced an A-ASSOCIATE-RQ PDU of {length} bytes")
    return decode_request(connection.peer, header + connection.read(length))


def _read_agreement(
    connection: Connection, proposals: Sequence[ProposedContext], extended: Collection[str], *, hint: str
) -> Agreement:
    peer = connection.peer
    try:
        header = connection.read(_PDU_HEADER.size)
    except ConnectionFailed as error:
        raise ConnectionFailed(f"{error}, instead of answering the association request{hint}") from error
    if is_tls_alert(header):
        raise TlsFailed(f"{peer} speaks TLS: give the node a connection profile with TLS")
    pdu_type, length = _PDU_HEADER.unpack(header)
    if pdu_type == _A_ASSOCIATE_RJ:
        raise rejection(peer, connection.read(4))
    if pdu_type == _A_ABORT:
        words = abort_in_words(connection.read(4))
        raise PeerAborted(f"{peer} aborted the association instead of accepting it ({words})")
    if pdu_type != _A_ASSOCIATE_AC:
        raise ProtocolError(f"{peer} answered the association request by a PDU of type 0x{pdu_type:02X}")
    if length > _LONGEST_NEGOTIATION_PDU:
        raise ProtocolError(f"{peer} announced an A-ASSOCIATE-AC PDU of {length} bytes")
    return decode_agreement(peer, header + connection.read(length), proposals, extended)
