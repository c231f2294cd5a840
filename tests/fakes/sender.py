"""A peer that sends to our receiver, built with pynetdicom's PDUs and not with the code under test."""

import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext

from adit_core.dicom.handover import HandOver
from adit_core.dicom.node import ConnectionProfile
from adit_core.dicom.receiver import Receiver, ReceiverSettings
from adit_core.dicom.spool import Spool, SpoolLimits
from tests.fakes.peer import (
    PATIENT,
    Conversation,
    data_pdu,
    encode,
    encode_command,
    message_pdus,
    store_request,
)
from tests.fakes.ports import CT, EXPLICIT

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_ID, VERIFICATION_ID = 1, 3
RECEIVER, SENDER = "RECEIVER", "MY_PACS 1"
LIMITS = SpoolLimits(min_free_bytes=0)


@dataclass(frozen=True)
class RunningReceiver:
    """A receiver in this process."""

    receiver: Receiver
    hand_over: HandOver
    spool: Spool
    folder: Path

    def waiting(self) -> dict[str, bytes]:
        """Return the encoded data set of each instance that is safe in the spool by its UID."""
        found = {}
        for instance in self.spool.scan():
            data = instance.path.read_bytes()[instance.data_set_offset :]
            assert len(data) == instance.size
            found[instance.header.sop_instance_uid] = data
        return found


@contextmanager
def running_receiver(
    folder: Path,
    *,
    limits: SpoolLimits = LIMITS,
    profile: ConnectionProfile = PATIENT,
    idle_timeout: float = 20,
    max_associations: int = 32,
    is_known: Callable[[str], bool] = SENDER.__eq__,
) -> Iterator[RunningReceiver]:
    """Run a receiver called RECEIVER, which knows the AE title MY_PACS 1 unless `is_known` says otherwise."""
    settings = ReceiverSettings(
        RECEIVER,
        is_known=is_known,
        port=0,
        max_associations=max_associations,
        idle_timeout=idle_timeout,
        profile=profile,
    )
    with Spool(folder, limits) as spool:
        hand_over = HandOver(spool)
        with Receiver(settings, spool, hand_over) as receiver:
            yield RunningReceiver(receiver, hand_over, spool, folder)


def data_set(uid: str, study: str = "1.2.3", size: int = 3000) -> bytes:
    """Return an encoded instance (Explicit VR Little Endian) with so many bytes of pixels."""
    return encode(
        SOPClassUID=CT, SOPInstanceUID=uid, StudyInstanceUID=study, BitsAllocated=16, PixelData=bytes(size)
    )


def association_request(
    called: str = RECEIVER,
    calling: str = SENDER,
    proposals: Sequence[tuple[str, Sequence[str]]] = ((CT, (EXPLICIT,)), (VERIFICATION, (EXPLICIT,))),
    max_length: int = 16384,
) -> bytes:
    """Return an A-ASSOCIATE-RQ PDU; the contexts have the identifiers 1, 3, 5…"""
    request = A_ASSOCIATE()
    request.called_ae_title, request.calling_ae_title = called, calling
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.presentation_context_definition_list = [
        _proposed(2 * index + 1, *proposal) for index, proposal in enumerate(proposals)
    ]
    limit = MaximumLengthNotification()
    limit.maximum_length_received = max_length
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = "1.2.3"
    request.user_information = [limit, implementation]
    return A_ASSOCIATE_RQ(request).encode()


def store_pdus(uid: str, encoded: bytes | None = None, size: int = 1000) -> bytes:
    """Return a C-STORE request in PDUs of `size` bytes."""
    return message_pdus(STORAGE_ID, store_request(CT, uid), encoded or data_set(uid), size=size)


def echo_pdus() -> bytes:
    """Return a C-ECHO request."""
    command = {"AffectedSOPClassUID": VERIFICATION, "CommandField": 0x0030, "MessageID": 9}
    return data_pdu(VERIFICATION_ID, 3, encode_command(command))


RELEASE = struct.pack(">BxLxxxx", 5, 4)


@dataclass
class Sender:
    """One connection to a receiver; use it as a context manager."""

    port: int
    conversation: Conversation = field(init=False)

    def __enter__(self) -> Self:
        sock = socket.create_connection(("127.0.0.1", self.port), 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.conversation = Conversation(sock)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.conversation.sock.close()

    def associate(self, request: bytes | None = None) -> tuple[int, bytes]:
        """Send an association request and return the type and the body of the answer."""
        self.conversation.send_raw(request or association_request())
        return self.conversation.read_pdu()

    def store(self, uid: str, encoded: bytes | None = None) -> int:
        """Send an instance and return the status of the answer."""
        self.conversation.send_raw(store_pdus(uid, encoded))
        return self.conversation.receive().command.Status

    def echo(self) -> int:
        """Send a C-ECHO and return the status of the answer."""
        self.conversation.send_raw(echo_pdus())
        return self.conversation.receive().command.Status


def _proposed(context_id: int, sop_class: str, syntaxes: Sequence[str]) -> PresentationContext:
    item = PresentationContext()
    item.context_id = context_id
    item.abstract_syntax = sop_class
    for syntax in syntaxes:
        item.add_transfer_syntax(syntax)
    return item
