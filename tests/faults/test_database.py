"""PostgreSQL that is restarted, killed or away for a while, in the middle of a job."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.faults.conftest import FAST
from tests.faults.moments import BEGUN, HALF_WAY, LAST, STUDIES, Moment, assert_complete, reach
from tests.faults.outcome import Record
from tests.faults.scene import Stage, open_stage
from tests.servers import OrthancServer, PostgresCluster, postgres
from tests.stack import running_stack

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    """A PostgreSQL cluster that may be killed without losing anything."""
    with postgres(settings=()) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def stage_on_postgres(
    cluster: PostgresCluster,
    running_orthanc_source: OrthancServer,
    running_orthanc_destination: OrthancServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    with (
        running_stack(tmp_path_factory.mktemp("stack"), FAST, cluster.create_database()) as stack,
        open_stage(
            stack, running_orthanc_source, running_orthanc_destination, tmp_path_factory.mktemp("studies")
        ) as stage,
    ):
        yield stage


@dataclass(frozen=True)
class Outage:
    """How the database goes away, and for how long."""

    words: str
    how: signal.Signals
    seconds: float
    quick: bool


OUTAGES = (
    Outage("restart of PostgreSQL", signal.SIGINT, 0, False),
    Outage("kill -9 of PostgreSQL", signal.SIGKILL, 0, True),
    Outage("PostgreSQL is away for 20 s", signal.SIGQUIT, 20, False),
)


def outages() -> list[object]:
    return [
        pytest.param(
            outage,
            moment,
            id=f"{outage.words}, {moment.words}",
            marks=[
                pytest.mark.fault(f"{outage.words} when the job {moment.words}"),
                *([] if outage.quick and moment is HALF_WAY else [pytest.mark.slow_faults]),
            ],
        )
        for outage in OUTAGES
        for moment in (BEGUN, HALF_WAY, LAST)
    ]


@pytest.mark.parametrize(("outage", "moment"), outages())
def test_the_database_goes_away_and_comes_back(
    stage_on_postgres: Stage, cluster: PostgresCluster, outage: Outage, moment: Moment, record: Record
) -> None:
    stage = stage_on_postgres
    stage.revive()
    scene = stage.scene(studies=STUDIES)
    transfer = reach(moment, scene, scene.inbound)
    cluster.end(outage.how)
    time.sleep(outage.seconds)
    cluster.start()
    scene.inbound.heal()
    assert_complete(transfer, record)
    assert [name for name, process in stage.adit.processes.items() if process.poll() is not None] == []
