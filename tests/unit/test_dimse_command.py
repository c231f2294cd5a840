"""Command sets are what pynetdicom writes and reads, and garbage is told from them."""

import struct
from io import BytesIO

import pytest
from pynetdicom.dimse_messages import (
    C_CANCEL_RQ,
    C_ECHO_RQ,
    C_FIND_RQ,
    C_GET_RQ,
    C_STORE_RQ,
    C_STORE_RSP,
    DIMSEMessage,
)
from pynetdicom.dimse_primitives import C_CANCEL, C_ECHO, C_FIND, C_GET, C_STORE

from adit_core.dicom.command import Command, CommandField, is_sendable_uid
from tests.fakes.peer import decode
from tests.fakes.ports import CT

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
VERIFICATION = "1.2.840.10008.1.1"


def oracle(primitive: C_CANCEL | C_ECHO | C_FIND | C_GET | C_STORE, message: DIMSEMessage) -> bytes:
    """Return the command set as pynetdicom encodes it."""
    message.primitive_to_message(primitive)
    values = [value for data in message.encode_msg(1, 0) for _, value in data.presentation_data_value_list]
    return b"".join(value[1:] for value in values if value[0] & 1)


def store_request() -> C_STORE:
    primitive = C_STORE()
    primitive.AffectedSOPClassUID = CT
    primitive.AffectedSOPInstanceUID = "1.2.3.45"
    primitive.MessageID = 9
    primitive.Priority = 0
    primitive.DataSet = BytesIO(b"data")
    return primitive


def store_response() -> C_STORE:
    primitive = C_STORE()
    primitive.AffectedSOPClassUID = CT
    primitive.AffectedSOPInstanceUID = "1.2.3.45"
    primitive.MessageIDBeingRespondedTo = 9
    primitive.Status = 0xB000
    return primitive


def query(primitive: C_FIND | C_GET) -> C_FIND | C_GET:
    primitive.AffectedSOPClassUID = FIND
    primitive.MessageID = 9
    primitive.Priority = 0
    primitive.Identifier = BytesIO(b"data")
    return primitive


def echo_request() -> C_ECHO:
    primitive = C_ECHO()
    primitive.AffectedSOPClassUID = VERIFICATION
    primitive.MessageID = 9
    return primitive


def cancel() -> C_CANCEL:
    primitive = C_CANCEL()
    primitive.MessageIDBeingRespondedTo = 9
    return primitive


CASES = {
    "store": (
        Command(CommandField.C_STORE_RQ, 9, CT, "1.2.3.45", has_data_set=True),
        oracle(store_request(), C_STORE_RQ()),
    ),
    "stored": (
        Command(CommandField.C_STORE_RSP, 9, CT, "1.2.3.45", status=0xB000),
        oracle(store_response(), C_STORE_RSP()),
    ),
    "find": (
        Command(CommandField.C_FIND_RQ, 9, FIND, has_data_set=True),
        oracle(query(C_FIND()), C_FIND_RQ()),
    ),
    "get": (
        Command(CommandField.C_GET_RQ, 9, FIND, has_data_set=True),
        oracle(query(C_GET()), C_GET_RQ()),
    ),
    "cancel": (
        Command(CommandField.C_GET_RQ, 9, FIND, has_data_set=True).cancel(),
        oracle(cancel(), C_CANCEL_RQ()),
    ),
    "echo": (Command(CommandField.C_ECHO_RQ, 9, VERIFICATION), oracle(echo_request(), C_ECHO_RQ())),
}


@pytest.mark.parametrize("case", CASES)
def test_command_set_says_the_same_as_that_of_pynetdicom(case: str):
    command, expected = CASES[case]
    assert decode(command.encode()) == decode(expected)


@pytest.mark.parametrize("case", CASES)
def test_command_set_of_pynetdicom_is_read(case: str):
    command, encoded = CASES[case]
    assert Command.decode(encoded) == command


def test_group_length_counts_the_bytes_behind_it():
    encoded = CASES["store"][0].encode()
    assert struct.unpack_from("<L", encoded, 8)[0] == len(encoded) - 12


def element(number: int, value: bytes, group: int = 0) -> bytes:
    return struct.pack("<HHL", group, number, len(value)) + value


FIELD = element(0x0100, b"\x30\x80")
ID = element(0x0120, b"\x01\x00")
NO_DATA = element(0x0800, b"\x01\x01")
STATUS = element(0x0900, b"\x00\x00")


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        pytest.param(b"", "command field", id="empty"),
        pytest.param(b"\xff" * 64, "group FFFF", id="garbage"),
        pytest.param(FIELD + ID + NO_DATA + STATUS + b"\0\0", "in the midst", id="rest"),
        pytest.param(FIELD[:-1] + b"", "longer than", id="truncated"),
        pytest.param(struct.pack("<HHL", 0, 2, 0xFFFFFFFF), "longer than", id="absurd length"),
        pytest.param(element(0x0100, b"\x34\x12") + ID + NO_DATA, "unknown", id="unknown field"),
        pytest.param(FIELD + NO_DATA + STATUS, "0000,0120", id="no message ID"),
        pytest.param(FIELD + ID + STATUS, "0000,0800", id="no data set type"),
        pytest.param(FIELD + ID + NO_DATA, "0000,0900", id="no status"),
        pytest.param(FIELD + ID + NO_DATA + element(0x0900, b"\0\0\0\0"), "0000,0900", id="long status"),
        pytest.param(FIELD + ID + NO_DATA + STATUS + element(2, b"\xe4\xf6"), "0000,0002", id="no UID"),
        pytest.param(element(0x0010, b"Doe^Jane", group=0x10) + FIELD, "group 0010", id="data"),
    ],
)
def test_malformed_command_set_is_told(encoded: bytes, reason: str):
    with pytest.raises(ValueError, match=reason):
        Command.decode(encoded)


def test_padding_is_no_part_of_a_uid():
    encoded = FIELD + ID + NO_DATA + STATUS + element(0x0002, b"1.2.3\0") + element(0x1000, b"1.2 ")
    command = Command.decode(encoded)
    assert (command.sop_class_uid, command.sop_instance_uid) == ("1.2.3", "1.2")


def test_what_orthanc_adds_behind_a_command_set_is_left_alone():
    added = element(0x0058, b"1.2.3.4\0", group=0x0008)
    assert Command.decode(FIELD + ID + NO_DATA + STATUS + added) == Command.decode(
        FIELD + ID + NO_DATA + STATUS
    )


REQUEST = CASES["store"][0]


def test_response_fits_its_request():
    assert REQUEST.response(0).mismatch(REQUEST) == ""


def test_response_may_omit_the_affected_uids():
    assert Command(CommandField.C_STORE_RSP, 9).mismatch(REQUEST) == ""


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Command(CommandField.C_FIND_RSP, 9), "a C_FIND_RSP message"),
        (Command(CommandField.C_STORE_RQ, 9), "a C_STORE_RQ message"),
        (Command(CommandField.C_STORE_RSP, 10), "message 10, not 9"),
        (Command(CommandField.C_STORE_RSP, 9, "1.2.3"), "SOP class 1.2.3"),
        (Command(CommandField.C_STORE_RSP, 9, CT, "1.2.3.46"), "instance 1.2.3.46"),
    ],
)
def test_what_is_no_response_to_a_request_is_told(response: Command, reason: str):
    assert reason in response.mismatch(REQUEST)


@pytest.mark.parametrize(
    ("uid", "sendable"),
    [("1.2.3", True), ("1.02.3", True), ("1" * 64, True), ("1" * 65, False), ("", False), ("1.2.ä", False)],
)
def test_uids_of_careless_scanners_can_be_sent_but_no_garbage(uid: str, sendable: bool):
    assert is_sendable_uid(uid) is sendable
