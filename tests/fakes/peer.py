"""Scriptable DICOM peers on real sockets: they do on purpose what real ones do on bad days.

A script is a function that gets a :class:`Conversation` for each connection::

    def script(peer: Conversation) -> None:
        peer.accept()
        request = peer.receive()
        peer.respond(request, 0xA700)

    with FakePeer(script) as fake:
        dimse.echo(fake.node())

Messages are built and read with pydicom and pynetdicom, not with the code under test. What a script
raises is raised again when the peer is closed.
"""

import select
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from threading import Thread
from typing import Any, Self

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext

from adit_core.dicom.node import ConnectionProfile, QueryRoot, ServerNode, Service

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
C_CANCEL_RQ = 0x0FFF
C_GET_RQ, C_GET_RSP = 0x0010, 0x8010
C_FIND_RQ, C_FIND_RSP = 0x0020, 0x8020
C_ECHO_RQ, C_ECHO_RSP = 0x0030, 0x8030

PATIENT = ConnectionProfile(connect_timeout=10, silence_timeout=10)
IMPATIENT = ConnectionProfile(connect_timeout=0.3, silence_timeout=0.3)
"""For peers that stall: a test waits for these timeouts."""

_TIME_LIMIT = 20.0
"""After which a script that still waits fails, in seconds."""


class PeerGone(Exception):
    """The other side closed or reset the connection."""


@dataclass(frozen=True)
class Received:
    """A message as it came."""

    context_id: int
    command: Dataset
    data_set: bytes = b""

    def decoded(self) -> Dataset:
        """Return the data set, which must be Explicit VR Little Endian."""
        return decode(self.data_set, implicit=False)


@dataclass
class Conversation:
    """One connection, seen from the fake peer."""

    sock: socket.socket
    context_ids: dict[tuple[str, str], int] = field(default_factory=dict)
    """The accepted contexts, by SOP class and transfer syntax."""
    request: A_ASSOCIATE_RQ = field(default_factory=A_ASSOCIATE_RQ)
    values: list[tuple[int, int, bytes]] = field(default_factory=list)
    """Presentation data values that were read with those before them."""

    def accept(
        self,
        *,
        max_length: int = 16384,
        refuse: Callable[[str, str], bool] = lambda _class, _syntax: False,
    ) -> A_ASSOCIATE_RQ:
        """Read the association request and accept it, but for the contexts to `refuse`."""
        self.read_request()
        self.send_raw(self.accept_pdu(max_length=max_length, refuse=refuse))
        return self.request

    def read_request(self) -> A_ASSOCIATE_RQ:
        pdu_type, body = self.read_pdu()
        assert pdu_type == 1
        self.request = A_ASSOCIATE_RQ()
        self.request.decode(struct.pack(">BxL", pdu_type, len(body)) + body)
        return self.request

    def accept_pdu(
        self,
        *,
        max_length: int = 16384,
        refuse: Callable[[str, str], bool] = lambda _class, _syntax: False,
    ) -> bytes:
        answer = A_ASSOCIATE()
        answer.application_context_name = "1.2.840.10008.3.1.1.1"
        answer.called_ae_title = self.request.called_ae_title
        answer.calling_ae_title = self.request.calling_ae_title
        answer.presentation_context_definition_results_list = self._results(refuse)
        limit = MaximumLengthNotification()
        limit.maximum_length_received = max_length
        implementation = ImplementationClassUIDNotification()
        implementation.implementation_class_uid = "1.2.3"
        answer.user_information = [limit, implementation]
        return A_ASSOCIATE_AC(answer).encode()

    def reject(self, result: int, source: int, reason: int) -> None:
        self.read_request()
        self.send_raw(struct.pack(">BxLxBBB", 3, 4, result, source, reason))

    def context_id(self, sop_class: str, syntax: str | None = None) -> int:
        """Return the first accepted context of the class, in `syntax` if that is given."""
        return next(
            context_id
            for (of_class, of_syntax), context_id in self.context_ids.items()
            if of_class == sop_class and syntax in (None, of_syntax)
        )

    def receive(self) -> Received:
        """Read a whole message."""
        encoded, context_id = self._read_set()
        command = decode(encoded)
        has_data_set = command.CommandDataSetType != 0x0101
        return Received(context_id, command, self._read_set()[0] if has_data_set else b"")

    def respond(self, request: Received, status: int, data_set: bytes | None = None, **elements: Any) -> None:
        """Send a response to `request`; `elements` replace or add elements of the command set."""
        command = {
            "AffectedSOPClassUID": request.command.AffectedSOPClassUID,
            "CommandField": request.command.CommandField | 0x8000,
            "MessageIDBeingRespondedTo": request.command.MessageID,
            "Status": status,
        } | elements
        self.send(request.context_id, command, data_set)

    def store(self, sop_class: str, sop_instance: str, data_set: bytes, syntax: str | None = None) -> int:
        """Send an instance as a sub-operation of C-GET and return the status of the answer."""
        command = store_request(sop_class, sop_instance)
        self.send(self.context_id(sop_class, syntax), command, data_set)
        return self.receive().command.Status

    def send(self, context_id: int, command: Mapping[str, Any], data_set: bytes | None = None) -> None:
        self.send_raw(message_pdus(context_id, command, data_set))

    def send_raw(self, encoded: bytes) -> None:
        try:
            self.sock.sendall(encoded)
        except OSError as error:
            raise PeerGone from error

    def read_pdu(self) -> tuple[int, bytes]:
        pdu_type, length = struct.unpack(">BxL", self._read(6))
        return pdu_type, self._read(length)

    def release(self) -> None:
        """Wait for the release of the association and agree to it."""
        assert self.read_pdu()[0] == 5, "the association was not released"
        self.send_raw(struct.pack(">BxLxxxx", 6, 4))

    def abort(self, source: int = 2, reason: int = 0) -> None:
        self.send_raw(struct.pack(">BxLxxBB", 7, 4, source, reason))

    def expect_cancel(self, request: Received) -> None:
        """Read the C-CANCEL of `request`, and fail if anything else comes."""
        command = self.receive().command
        assert command.CommandField == C_CANCEL_RQ
        assert command.MessageIDBeingRespondedTo == request.command.MessageID
        assert {each.keyword for each in command} == {
            "CommandGroupLength",
            "CommandField",
            "MessageIDBeingRespondedTo",
            "CommandDataSetType",
        }

    def expect_abort(self) -> None:
        """Read until the other side aborts, and fail if it does anything else."""
        pdu_type = 4
        while pdu_type == 4:
            pdu_type, _ = self.read_pdu()
        assert pdu_type == 7, f"PDU type {pdu_type} instead of an A-ABORT"

    def reset(self) -> None:
        """Break the connection off by an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def stall(self) -> None:
        """Neither read nor send until the other side leaves."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        poll.poll(_TIME_LIMIT * 1000)

    def _read_set(self) -> tuple[bytes, int]:
        """Read a command or data set, and in which context it came."""
        encoded, control, context_id = b"", 0, 0
        while not control & 2:
            if not self.values:
                pdu_type, body = self.read_pdu()
                if pdu_type != 4:
                    raise PeerGone(f"PDU type {pdu_type}")
                self.values = values_of(body)
            context_id, control, value = self.values.pop(0)
            encoded += value
        return encoded, context_id

    def _results(self, refuse: Callable[[str, str], bool]) -> list[PresentationContext]:
        results = []
        for item in self.request.presentation_context:
            sop_class, syntax = str(item.abstract_syntax), str(item.transfer_syntax[0])
            result = PresentationContext()
            result.context_id = item.context_id
            result.add_transfer_syntax(syntax)
            result.result = 3 if refuse(sop_class, syntax) else 0
            if result.result == 0:
                self.context_ids[sop_class, syntax] = item.context_id or 0
            results.append(result)
        return results

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            try:
                part = self.sock.recv(length - len(data))
            except ConnectionError as error:
                raise PeerGone from error
            if not part:
                raise PeerGone
            data += part
        return data


class FakePeer:
    """Listens on 127.0.0.1 and plays one script for each connection, the last one for all further ones."""

    def __init__(self, *scripts: Callable[[Conversation], object]) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [Thread(target=self._listen)]
        self._failures: list[BaseException] = []
        self.conversations: list[Conversation] = []

    def node(
        self,
        *,
        profile: ConnectionProfile = PATIENT,
        query_root: QueryRoot = QueryRoot.STUDY,
        services: frozenset[Service] = frozenset(Service),
    ) -> ServerNode:
        """Return the node by which this peer is reached."""
        port = self._listener.getsockname()[1]
        return ServerNode(
            *("fake", "FAKE", "127.0.0.1", port), query_root=query_root, profile=profile, services=services
        )

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for connections
        for thread in self._threads:
            thread.join(_TIME_LIMIT)
        self._listener.close()
        if self._failures and exc_type is None:
            raise self._failures[0]

    def _listen(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(_TIME_LIMIT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conversation = Conversation(sock)
            script = self._scripts[min(len(self.conversations), len(self._scripts) - 1)]
            self.conversations.append(conversation)
            thread = Thread(target=self._converse, args=(conversation, script))
            self._threads.append(thread)
            thread.start()

    def _converse(self, conversation: Conversation, script: Callable[[Conversation], object]) -> None:
        try:
            script(conversation)
        except PeerGone:
            pass  # that the other side leaves is what many tests are about; they check how it leaves
        except BaseException as error:  # noqa: BLE001 - the edge of a thread: raised again at exit
            self._failures.append(error)
        finally:
            conversation.sock.close()


def values_of(body: bytes) -> list[tuple[int, int, bytes]]:
    """Return the presentation data values of a P-DATA-TF PDU: context ID, control header, bytes."""
    values, position = [], 0
    while position < len(body):
        length, context_id, control = struct.unpack_from(">LBB", body, position)
        values.append((context_id, control, body[position + 6 : position + 4 + length]))
        position += 4 + length
    return values


def data_pdu(context_id: int, control: int, value: bytes) -> bytes:
    """Return a P-DATA-TF PDU with one value; bit 0 of the control header says command, bit 1 last."""
    return struct.pack(">BxLLBB", 4, len(value) + 6, len(value) + 2, context_id, control) + value


def message_pdus(
    context_id: int, command: Mapping[str, Any], data_set: bytes | None = None, size: int = 16000
) -> bytes:
    """Return the PDUs of a message."""
    pdus = data_pdu(context_id, 3, encode_command(command, data_set))
    if data_set is None:
        return pdus
    pieces = [data_set[start : start + size] for start in range(0, len(data_set), size)] or [b""]
    for index, piece in enumerate(pieces):
        pdus += data_pdu(context_id, 2 if index == len(pieces) - 1 else 0, piece)
    return pdus


def encode_command(command: Mapping[str, Any], data_set: bytes | None = None) -> bytes:
    elements = {"CommandDataSetType": 0x0101 if data_set is None else 1} | dict(command)
    body = encode(implicit=True, **elements)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def store_request(sop_class: str, sop_instance: str, message_id: int = 7) -> dict[str, Any]:
    return {
        "AffectedSOPClassUID": sop_class,
        "CommandField": C_STORE_RQ,
        "MessageID": message_id,
        "Priority": 0,
        "AffectedSOPInstanceUID": sop_instance,
    }


def encode(*, implicit: bool = False, **elements: Any) -> bytes:
    """Encode a data set from keywords and values, which need not be valid."""
    data_set = Dataset()
    for keyword, value in elements.items():
        tag = Tag(keyword)
        data_set.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = implicit
    write_dataset(buffer, data_set)
    return buffer.getvalue()


def decode(encoded: bytes, *, implicit: bool = True) -> Dataset:
    return read_dataset(BytesIO(encoded), implicit, is_little_endian=True)
