"""The stream by which a receiver hands instances over: a frame for each, and empty frames in between.

A frame is the length of its header (4 bytes, big endian), the header (JSON), and as many bytes of the
encoded data set as the header says. A frame without a header says that there is nothing to hand over
at the moment; one comes as soon as what was waiting has been sent, and then every so often, so that a
connection that broke is noticed. The first frame of all names the subscription and has no data set.
"""

import json
import struct
from dataclasses import dataclass

from adit_core.dicom.ports import InstanceHeader
from adit_core.errors import ProtocolError

HEALTH_PATH = "/health"
STREAM_PATH = "/studies/{study_instance_uid}/stream"
"""GET begins a subscription and answers with the stream."""
ACKNOWLEDGE_PATH = "/subscriptions/{subscription_id}/acknowledgements"
"""POST takes a JSON list of SOP Instance UIDs."""
IDLE_INTERVAL = 2.0
"""Seconds between empty frames."""

LENGTH = struct.Struct(">L")
IDLE_FRAME = LENGTH.pack(0)
LONGEST_HEADER = 4096


@dataclass(frozen=True, slots=True)
class HandedInstance:
    """What a frame says of its instance; ``size`` counts the bytes of the data set that follow."""

    header: InstanceHeader
    size: int


def encode_greeting(subscription_id: str) -> bytes:
    """Return the first frame."""
    return _frame({"subscription_id": subscription_id})


def decode_greeting(encoded: bytes) -> str:
    """Return the name of the subscription. Raises ProtocolError if this is no greeting."""
    return str(_decoded(encoded)["subscription_id"])


def encode_instance(header: InstanceHeader, size: int) -> bytes:
    """Return the beginning of a frame, which `size` bytes of data set have to follow."""
    uids = {name: getattr(header, name) for name in InstanceHeader.__slots__}
    return _frame({**uids, "size": size})


def decode_instance(encoded: bytes) -> HandedInstance:
    """Return what the header of a frame says. Raises ProtocolError if it is no header."""
    values = _decoded(encoded)
    uids = (str(values[name]) for name in InstanceHeader.__slots__)
    return HandedInstance(InstanceHeader(*uids), int(str(values["size"])))


def _frame(header: dict[str, object]) -> bytes:
    encoded = json.dumps(header).encode()
    return LENGTH.pack(len(encoded)) + encoded


class _Header(dict[str, object]):
    def __missing__(self, key: str) -> object:
        raise ProtocolError(f"The receiver sent a header without {key}.")


def _decoded(encoded: bytes) -> _Header:
    try:
        values = json.loads(encoded)
    except ValueError as error:
        raise ProtocolError("The receiver sent a header that is no JSON.") from error
    if not isinstance(values, dict):
        raise ProtocolError("The receiver sent a header that is no JSON object.")
    return _Header(values)
