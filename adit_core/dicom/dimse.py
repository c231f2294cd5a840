"""The DIMSE services as a user: C-ECHO here, C-FIND, C-GET and C-STORE in modules of their own (PS3.7 9.1).

All of them run on :class:`~adit_core.dicom.association.Association`.
"""

import time

from adit_core.dicom.association import Association
from adit_core.dicom.command import Command, CommandField
from adit_core.dicom.contexts import VERIFICATION, message_proposals
from adit_core.dicom.find import DimseSearcher
from adit_core.dicom.get import DimseSource
from adit_core.dicom.node import ServerNode
from adit_core.dicom.status import SUCCESS, status_error
from adit_core.dicom.store import DimseDestination

__all__ = ["DimseDestination", "DimseSearcher", "DimseSource", "echo"]

"""The SOP class of a C-ECHO (PS3.4 A.4)."""


def echo(node: ServerNode) -> float:
    """Verify that `node` answers a C-ECHO, and return after how many seconds (PS3.4 Annex A).

    Raises:
        AditError: It does not; the error says how it failed.
    """
    with Association.open(node, message_proposals(VERIFICATION)) as association:
        request = Command(CommandField.C_ECHO_RQ, association.next_message_id(), VERIFICATION)
        start = time.perf_counter()
        association.send(association.context_of(VERIFICATION), request)
        response = association.receive_response(request)
        elapsed = time.perf_counter() - start
    if response.command.status != SUCCESS:
        raise status_error(response.command.status, None, f"{association.peer}: C-ECHO")
    return elapsed
