"""The receiver: a provider of C-STORE and C-ECHO that keeps what it is sent in a spool (PS3.4 Annex B).

It is the destination of C-MOVE operations. One thread serves one association, up to a limit. Success is
answered when an instance is safe on the disk, and not before.
"""

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread, get_ident
from typing import Self

from pydicom.uid import UID

from adit_core.dicom.acceptance import Acceptance, AssociationRequest, Refusal, RequestedContext
from adit_core.dicom.association import Association, Message
from adit_core.dicom.command import CommandField, is_sendable_uid
from adit_core.dicom.contexts import MESSAGE_TRANSFER_SYNTAXES, VERIFICATION
from adit_core.dicom.handover import HandOver
from adit_core.dicom.node import ConnectionProfile
from adit_core.dicom.pdata import PeerReleased
from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.references import is_valid_uid
from adit_core.dicom.spool import Spool, SpooledInstance
from adit_core.dicom.status import SUCCESS
from adit_core.errors import (
    AditError,
    ConnectionFailed,
    DestinationFull,
    InvalidInput,
    OperationFailed,
    ProtocolError,
    TransientError,
)

_STANDARD_ROOT = "1.2.840.10008."
_STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."

_OUT_OF_RESOURCES = 0xA700
_CANNOT_UNDERSTAND = 0xC000
_PROCESSING_FAILURE = 0x0110

_STRANGERS = 16
"""Connections beyond the limit of associations that are answered by a rejection; more are closed."""
_BACKLOG = 128
_SWEEP_INTERVAL = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """How a receiver answers. Times are in seconds."""

    ae_title: str
    is_known: Callable[[str], bool]
    """Tells whether a calling AE title may send; called once for each association.

    It raises a TransientError while that is not known; the peer is rejected for the time being then.
    """
    host: str = "127.0.0.1"
    port: int = 11112
    """0 for any that is free."""
    max_associations: int = 32
    idle_timeout: float = 300.0
    """The longest time that an association may be silent between two messages."""
    profile: ConnectionProfile = field(default_factory=ConnectionProfile)


class Receiver:
    """Receives instances from `start` to `stop`."""

    def __init__(self, settings: ReceiverSettings, spool: Spool, hand_over: HandOver) -> None:
        self._settings = settings
        self._spool = spool
        self._hand_over = hand_over
        self._acceptance = Acceptance(settings.profile, self._refusal, choose_syntax)
        self._lock = Lock()
        self._connections: set[socket.socket] = set()
        self._admitted: set[int] = set()
        """The threads that serve an association, or are about to."""
        self._is_stopping = Event()
        self._listener: socket.socket | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._listener is not None, "the receiver was not started"
        return self._listener.getsockname()[1]

    def start(self) -> None:
        """Listen, in threads of its own.

        Raises:
            ConnectionFailed: The port is taken.
        """
        address = (self._settings.host, self._settings.port)
        try:
            self._listener = socket.create_server(address, backlog=_BACKLOG)
        except OSError as error:
            raise ConnectionFailed(f"The receiver cannot listen at {address[0]}:{address[1]}.") from error
        Thread(target=self._listen, args=(self._listener,), name="receiver", daemon=True).start()
        Thread(target=self._sweep, name="receiver-sweep", daemon=True).start()

    def stop(self) -> None:
        """Listen no more and break off what goes on; peers see their instances as not received."""
        self._is_stopping.set()
        sockets = [self._listener] if self._listener else []
        with self._lock:
            sockets += self._connections
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        if self._listener:
            self._listener.close()

    def _listen(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, address = listener.accept()
            except OSError:
                if self._is_stopping.is_set():
                    return
                self._is_stopping.wait(0.1)  # too many open files, or a peer that is gone already
                continue
            with self._lock:
                has_room = len(self._connections) < self._settings.max_associations + _STRANGERS
                if has_room:
                    self._connections.add(sock)
            if not has_room:
                sock.close()
                continue
            peer = f"{address[0]}:{address[1]}"
            Thread(target=self._serve, args=(sock, peer), name=f"receiver-{peer}", daemon=True).start()

    def _serve(self, sock: socket.socket, peer: str) -> None:
        try:
            with Association.accept(sock, peer, self._acceptance) as association:
                self._converse(association)
        except PeerReleased:
            pass  # how associations end
        except AditError as error:
            _log.warning("receiver: %s", error)
        except Exception as error:  # noqa: BLE001 - the edge of a thread; its text might hold patient data
            _log.error("receiver: %s at %s", type(error).__name__, _place(error))
        finally:
            with self._lock:
                self._connections.discard(sock)
                self._admitted.discard(get_ident())
            sock.close()

    def _refusal(self, request: AssociationRequest) -> Refusal | None:
        if request.called_ae_title != self._settings.ae_title:
            return Refusal.CALLED_AE_TITLE
        try:
            is_known = self._settings.is_known(request.calling_ae_title)
        except TransientError as error:
            _log.warning("receiver: %s", error)
            return Refusal.TEMPORARY_CONGESTION
        if not is_known:
            return Refusal.CALLING_AE_TITLE
        with self._lock:
            if len(self._admitted) >= self._settings.max_associations:
                return Refusal.LOCAL_LIMIT
            self._admitted.add(get_ident())
        return None

    def _converse(self, association: Association) -> None:
        """Answer requests until the peer releases the association, which is raised as PeerReleased."""
        while True:
            message = association.receive(self._settings.idle_timeout)
            operation = message.command.field
            if operation is CommandField.C_STORE_RQ:
                self._store(association, message)
            elif operation is CommandField.C_ECHO_RQ:
                association.answer(SUCCESS)
            else:
                raise ProtocolError(f"{association.peer} sent a {operation.name} message to a receiver")

    def _store(self, association: Association, message: Message) -> None:
        """Take in an instance, answer, and hand it over while the peer sends the next one."""
        taken = self._take_in(association, message)
        if not isinstance(taken, SpooledInstance):
            association.answer(taken)
            return
        try:
            association.answer(SUCCESS)
        finally:
            self._hand_over.arrived(taken)

    def _take_in(self, association: Association, message: Message) -> SpooledInstance | int:
        """Return an instance that is safe in the spool, or the status that says why it is not."""
        command, context = message.command, message.context
        if not command.has_data_set or command.sop_class_uid != context.sop_class_uid:
            raise ProtocolError(f"{association.peer} sent a C-STORE request that does not fit its context")
        if not is_sendable_uid(command.sop_instance_uid):
            return _CANNOT_UNDERSTAND
        header = InstanceHeader(command.sop_class_uid, command.sop_instance_uid, context.transfer_syntax_uid)
        try:
            with self._spool.receive(header) as writing:
                for fragment in association.data_set():
                    writing.write(fragment)
                return writing.keep()
        except DestinationFull as error:
            return _failure(association, error, _OUT_OF_RESOURCES)
        except InvalidInput as error:
            return _failure(association, error, _CANNOT_UNDERSTAND)
        except OperationFailed as error:
            return _failure(association, error, _PROCESSING_FAILURE)

    def _sweep(self) -> None:
        while not self._is_stopping.wait(_SWEEP_INTERVAL):
            try:
                count = self._hand_over.sweep()
            except OSError as error:
                _log.warning("receiver: the spool could not be swept: %s", error.strerror)
            else:
                if count:
                    _log.warning("receiver: nobody claimed %d instances; they are in quarantine", count)


def choose_syntax(context: RequestedContext) -> str | None:
    """Return the transfer syntax to accept a context with, None if it is not supported.

    Of several, Explicit VR Little Endian comes first, then Implicit; it is not known here what the
    instances are stored in, and these two need no decompression by anyone. Otherwise the first one.
    """
    if context.sop_class_uid != VERIFICATION and not is_storage_class(context.sop_class_uid):
        return None
    offered = [syntax for syntax in context.transfer_syntax_uids if is_sendable_uid(syntax)]
    preferred = (syntax for syntax in MESSAGE_TRANSFER_SYNTAXES if syntax in offered)
    return next(preferred, offered[0] if offered else None)


def is_storage_class(sop_class_uid: str) -> bool:
    """Tell whether instances of a class can be stored: those of the standard, newer ones, private ones."""
    if not sop_class_uid.startswith(_STANDARD_ROOT) or sop_class_uid.startswith(_STORAGE_ROOT):
        return is_sendable_uid(sop_class_uid)
    name = UID(sop_class_uid).name if is_valid_uid(sop_class_uid) else ""
    return "Storage" in name and "Commitment" not in name and "Directory" not in name


def _failure(association: Association, error: AditError, status: int) -> int:
    _log.warning("receiver: an instance of %s was not taken: %s", association.peer, error)
    return status


def _place(error: BaseException) -> str:
    """Return where an exception was raised: file and line."""
    traceback = error.__traceback__
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}" if traceback else "?"
