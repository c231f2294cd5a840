"""Whoever waits for a silent peer can be told from outside to stop, and notices at once."""

import socket
import time
from threading import Thread

import pytest

from adit_core.dicom.find import DimseSearcher
from adit_core.dicom.interruption import Interruption
from adit_core.dicom.node import DicomWebNode, ServerNode
from adit_core.dicom.ports import Searcher
from adit_core.dicom.qido import WebSearcher
from adit_core.dicom.query import StudyQuery
from adit_core.errors import ConnectionFailed, PeerAborted


@pytest.fixture
def silent_port():
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def dimse(port: int) -> Searcher:
    return DimseSearcher(ServerNode("SILENT", "SILENT", "127.0.0.1", port))


def web(port: int) -> Searcher:
    return WebSearcher(DicomWebNode("SILENT", f"http://127.0.0.1:{port}/dicom-web"))


@pytest.mark.parametrize("searcher_at", [dimse, web])
@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_who_waits_for_a_silent_peer_is_interrupted(silent_port, searcher_at, delay):
    interruption = Interruption()
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            with interruption.applying(), searcher_at(silent_port) as searcher:
                list(searcher.find_studies(StudyQuery()))
        except (ConnectionFailed, PeerAborted) as error:
            raised.append(error)

    thread = Thread(target=ask)
    started = time.monotonic()
    if delay:
        thread.start()
        time.sleep(delay)
        interruption.interrupt()
    else:
        interruption.interrupt()
        thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert raised
    assert time.monotonic() - started < delay + 10


def test_what_was_opened_elsewhere_is_left_alone(silent_port):
    interruption = Interruption()
    with socket.create_connection(("127.0.0.1", silent_port)) as other:
        interruption.interrupt()
        assert other.send(b"still open") == 10
