"""Places at a node: as many as its setting allows, fewer while it is busy; nobody waits in vain for long."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from adit_core.db import DicomNode
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.dicom.interruption import Interruption
from adit_core.errors import NodeClosed, TaskStopped
from adit_core.services.node_health import record_busy
from adit_core.services.node_places import NodePlaces
from tests.rows import make_server

MOMENT = 0.4


@pytest.fixture
def node(database: Database) -> DicomNode:
    return make_server(database, max_associations=2)


def make_busy(db: Database, node: DicomNode, *, seconds_ago: float = 0) -> None:
    """Have the node say that it is busy, so that there is one place of two for 30 seconds."""
    now = utc_now() - timedelta(seconds=seconds_ago)
    record_busy(db, node, began=now, now=now)


def seconds_until_taken(places: NodePlaces, db: Database, node: DicomNode) -> float:
    started = time.monotonic()
    with places.taken(db, node):
        return time.monotonic() - started


def test_who_waits_gets_the_place_that_somebody_leaves(database: Database, node: DicomNode) -> None:
    places = NodePlaces()
    with ThreadPoolExecutor(1) as executor, places.taken(database, node):
        assert seconds_until_taken(places, database, node) < MOMENT
        with places.taken(database, node):
            waiting = executor.submit(seconds_until_taken, places, database, node)
            time.sleep(MOMENT)
            assert not waiting.done()
        assert waiting.result(timeout=5) >= MOMENT / 2


def test_a_busy_node_has_fewer_places(database: Database, node: DicomNode) -> None:
    places = NodePlaces()
    make_busy(database, node)
    with (
        places.taken(database, node),
        pytest.raises(NodeClosed, match="All 1 connections"),
        places.taken(database, node, patience=MOMENT),
    ):
        pass


def test_who_waits_for_a_busy_node_is_let_in_when_it_recovers(database: Database, node: DicomNode) -> None:
    places = NodePlaces()
    make_busy(database, node, seconds_ago=30 - 2 * MOMENT)
    with places.taken(database, node):
        assert MOMENT < seconds_until_taken(places, database, node) < 10 * MOMENT


def test_an_interruption_ends_the_wait(database: Database, node: DicomNode) -> None:
    places = NodePlaces()
    make_busy(database, node)
    interruption = Interruption()
    interruption.interrupt()
    with (
        places.taken(database, node),
        pytest.raises(TaskStopped),
        places.taken(database, node, interruption),
    ):
        pass
