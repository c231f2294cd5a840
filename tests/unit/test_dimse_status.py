"""Statuses are told in words and sorted into errors that may and may not be retried."""

import pytest

from adit_core.dicom.node import Service
from adit_core.dicom.status import in_words, is_out_of_resources, is_warning, status_error
from adit_core.errors import IncompleteTransfer, OperationFailed, PeerAborted, PeerBusy


@pytest.mark.parametrize(
    ("status", "service", "words"),
    [
        (0xA700, Service.STORE, "status 0xA700 (out of resources)"),
        (0xA712, Service.STORE, "status 0xA712 (out of resources)"),
        (0xA702, Service.GET, "status 0xA702 (out of resources: unable to perform sub-operations)"),
        (0xB007, Service.STORE, "status 0xB007 (data set does not match SOP class)"),
        (0xC001, Service.FIND, "status 0xC001 (unable to process)"),
        (0xA801, Service.MOVE, "status 0xA801 (move destination unknown)"),
        (0x0122, Service.STORE, "status 0x0122 (SOP class not supported)"),
        (0x0110, None, "status 0x0110 (processing failure)"),
        (0xFE00, Service.FIND, "status 0xFE00 (canceled)"),
        (0x4711, Service.FIND, "status 0x4711 (unknown)"),
    ],
)
def test_status_is_told_in_words_of_the_standard(status: int, service: Service | None, words: str):
    assert in_words(status, service) == words


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0xA700, PeerBusy),
        (0xA701, PeerBusy),
        (0xA7FF, PeerBusy),
        (0x0213, PeerBusy),
        (0xFE00, PeerAborted),
        (0xB000, IncompleteTransfer),
        (0xA900, OperationFailed),
        (0xC000, OperationFailed),
        (0x0124, OperationFailed),
        (0x0000, OperationFailed),
    ],
)
def test_status_without_a_result_is_an_error(status: int, kind: type[Exception]):
    found = status_error(status, Service.GET, "PACS: C-GET")
    assert type(found) is kind
    assert str(found).startswith(f"PACS: C-GET ended with status 0x{status:04X}")


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0xB606, 0x0107, 0x0116, 0x0001])
def test_warnings_mean_that_it_was_done(status: int):
    assert is_warning(status)


@pytest.mark.parametrize("status", [0x0000, 0xA700, 0xA900, 0xC000, 0x0110, 0xFE00])
def test_nothing_else_is_a_warning(status: int):
    assert not is_warning(status)


@pytest.mark.parametrize(
    ("status", "passing"), [(0xA700, True), (0x0213, True), (0xA900, False), (0xC000, False)]
)
def test_only_a_lack_of_resources_passes(status: int, passing: bool):
    assert is_out_of_resources(status) is passing
