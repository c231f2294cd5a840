"""Statuses that end DIMSE operations: what they say, and which error they are (PS3.4, PS3.7 Annex C)."""

from adit_core.dicom.node import Service
from adit_core.errors import AditError, IncompleteTransfer, OperationFailed, PeerAborted, PeerBusy

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
CANCELED = 0xFE00
SOP_CLASS_NOT_SUPPORTED = 0x0122
PENDING = frozenset({0xFF00, 0xFF01})

_RESOURCE_LIMITATION = 0x0213
_GENERAL_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})

GENERAL_MEANINGS = {
    0x0000: "success",
    0x0001: "requested optional attributes are not supported",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0112: "no such SOP instance",
    0x0116: "attribute value out of range",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class-instance conflict",
    0x0122: "SOP class not supported",
    0x0124: "not authorized",
    0x0210: "duplicate invocation",
    0x0211: "unrecognized operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xFE00: "canceled",
}
"""PS3.7 Annex C."""

SERVICE_MEANINGS: dict[Service, dict[int, str]] = {
    # PS3.4 table B.2-1
    Service.STORE: {
        0xA700: "out of resources",
        0xA900: "data set does not match SOP class",
        0xB000: "coercion of data elements",
        0xB006: "elements discarded",
        0xB007: "data set does not match SOP class",
        0xC000: "cannot understand",
    },
    # PS3.4 table C.4-1
    Service.FIND: {
        0xA700: "out of resources",
        0xA900: "identifier does not match SOP class",
        0xC000: "unable to process",
    },
    # PS3.4 table C.4-3
    Service.GET: {
        0xA701: "out of resources: unable to calculate number of matches",
        0xA702: "out of resources: unable to perform sub-operations",
        0xA700: "out of resources",
        0xA900: "identifier does not match SOP class",
        0xB000: "sub-operations complete, one or more failures or warnings",
        0xC000: "unable to process",
    },
    # PS3.4 table C.4-2
    Service.MOVE: {
        0xA701: "out of resources: unable to calculate number of matches",
        0xA702: "out of resources: unable to perform sub-operations",
        0xA700: "out of resources",
        0xA801: "move destination unknown",
        0xA900: "identifier does not match SOP class",
        0xB000: "sub-operations complete, one or more failures or warnings",
        0xC000: "unable to process",
    },
}


def in_words(status: int, service: Service | None = None) -> str:
    """Return the status in hexadecimal and in the words of the standard; None is C-ECHO."""
    of_service = SERVICE_MEANINGS[service] if service else {}
    # Most services define ranges, A7xx and Cxxx among them, of which single codes may say more.
    meanings = (
        of_service.get(status),
        GENERAL_MEANINGS.get(status),
        of_service.get(status & 0xFF00),
        of_service.get(status & 0xF000),
    )
    return f"status 0x{status:04X} ({next(filter(None, meanings), 'unknown')})"


def is_out_of_resources(status: int) -> bool:
    """Tell whether the peer may do later what it does not do now."""
    return status & 0xFF00 == 0xA700 or status == _RESOURCE_LIMITATION


def is_warning(status: int) -> bool:
    """Tell whether the operation was done, although with a remark (PS3.7 C.3)."""
    return status & 0xF000 == 0xB000 or status in _GENERAL_WARNINGS


def status_error(status: int, service: Service | None, message: str) -> AditError:
    """Return the error for an operation that ended with `status` and without any result.

    ============================  ==================
    A7xx, 0213                    PeerBusy
    FE00, which we did not ask    PeerAborted
    Bxxx and other warnings       IncompleteTransfer
    anything else                 OperationFailed
    ============================  ==================
    """
    text = f"{message} ended with {in_words(status, service)}"
    if is_out_of_resources(status):
        return PeerBusy(text)
    if status == CANCELED:
        return PeerAborted(text)
    if is_warning(status):
        return IncompleteTransfer(text)
    return OperationFailed(text)
