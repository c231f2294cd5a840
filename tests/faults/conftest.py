"""A stack whose processes tests may kill, archives behind networks that fail, and a record of it all."""

import os
from collections.abc import Iterator

import pytest

from tests.faults import table
from tests.faults.outcome import Outcome, Record
from tests.faults.scene import Stage, open_stage
from tests.servers import OrthancServer
from tests.stack import RunningStack, started_stack

FAST = {
    "ADIT_CLAIM_LEASE": "4",
    "ADIT_RETRY_DELAY": "1.5",
    "ADIT_RECONCILE_INTERVAL": "3",
    "ADIT_RECEIVER_AE_TITLE": "ADIT_MOVE_1",
    "ADIT_RECEIVER_MIN_FREE_BYTES": "0",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
}
"""Settings of a stack in which nobody has to wait for long."""

_rows = pytest.StashKey[dict[str, str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow faults to `make faults`."""
    config.stash[_rows] = {}
    if os.environ.get("ADIT_ALL_FAULTS"):
        return
    slow = [item for item in items if item.get_closest_marker("slow_faults")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what became of the faults onto the page, if that is asked for."""
    rows = session.config.stash.get(_rows, {})
    if rows and os.environ.get("ADIT_ALL_FAULTS"):
        page = table.PAGE.read_text()
        table.PAGE.write_text(table.with_rows(page, rows))


@pytest.fixture
def record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """What takes down the outcome of a fault, under the name that the test's marker `fault` has."""
    marker = request.node.get_closest_marker("fault")
    assert marker is not None, "the test has no marker `fault`"
    rows = request.config.stash[_rows]

    def take_down(outcome: Outcome) -> None:
        rows[marker.args[0]] = table.row(marker.args[0], outcome)
        (tmp_path_factory.getbasetemp() / "faults.md").write_text(table.table(rows))

    return take_down


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with started_stack(tmp_path_factory.mktemp("stack"), FAST) as stack:
        yield stack


@pytest.fixture(scope="session")
def shared_stage(
    shared_stack: RunningStack,
    running_orthanc_source: OrthancServer,
    running_orthanc_destination: OrthancServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """The stack between two Orthancs."""
    folder = tmp_path_factory.mktemp("studies")
    with open_stage(shared_stack, running_orthanc_source, running_orthanc_destination, folder) as stage:
        yield stage


@pytest.fixture(scope="module")
def stage_of_module(request: pytest.FixtureRequest, shared_stage: Stage) -> Iterator[Stage]:
    """The stage, connected to its Prefect only as long as a module of this folder runs."""
    shared_stage.revive()
    with shared_stage.adit.connected():
        yield shared_stage
    if _is_last(request.node, request.session):
        shared_stage.adit.end()  # tests of other folders are still to come


def _is_last(module: pytest.Module, session: pytest.Session) -> bool:
    """Tell whether no test of this folder comes after a module."""
    here = [item for item in session.items if item.path.parent == module.path.parent]
    return here[-1].path == module.path


@pytest.fixture
def stage(stage_of_module: Stage) -> Stage:
    """The stage, with all processes that the tests before have killed."""
    stage_of_module.revive()
    return stage_of_module
