"""kill -9 of each process at each turn of a job: the job ends complete, and nothing is left behind."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil
import pytest

from adit_core.db import JobStatus
from adit_core.services.job_actions import cancel_job
from tests.faults.moments import (
    BEGUN,
    ENDED,
    HALF_WAY,
    IN_FLIGHT,
    LAST,
    STUDIES,
    SUBMITTED,
    Moment,
    assert_complete,
    reach,
)
from tests.faults.outcome import Record, assert_whole
from tests.faults.scene import Stage
from tests.stack import RunningStack

pytestmark = pytest.mark.system

MOMENTS = (SUBMITTED, BEGUN, HALF_WAY, LAST, ENDED)


@dataclass(frozen=True)
class Victim:
    """What is killed, and what a supervisor would start again."""

    words: str
    kill: Callable[[RunningStack], None]
    quick: frozenset[str] = frozenset({HALF_WAY.words})
    """The moments at which every run of the tests kills it; the others are left to `make faults`."""


def kill_flow_runs(adit: RunningStack) -> None:
    for process in adit.flow_runs():
        process.kill()


def kill_children(adit: RunningStack) -> None:
    for child in adit.transfer_children():
        with suppress(psutil.NoSuchProcess):  # it has ended by itself
            if "resource_tracker" not in " ".join(child.cmdline()) and child.children() == []:
                child.kill()


def kill_flow_run_server(adit: RunningStack) -> None:
    adit.flow_run_server().kill()


def kill_worker(adit: RunningStack) -> None:
    adit.kill("worker")
    adit.start("worker")


def kill_worker_and_flow_runs(adit: RunningStack) -> None:
    runs = adit.flow_runs()
    adit.kill("worker")
    for process in runs:
        process.kill()
    adit.start("worker")


def kill_scheduler(adit: RunningStack) -> None:
    below = psutil.Process(adit.processes["prefect_server"].pid).children(recursive=True)
    adit.kill("prefect_server")
    for process in below:
        process.kill()
    adit.start("prefect_server")


def kill_reconciler(adit: RunningStack) -> None:
    adit.kill("reconciler")
    adit.start("reconciler")


VICTIMS = (
    Victim("the flow run", kill_flow_runs),
    Victim("the children that move studies", kill_children),
    Victim("the server of flow runs", kill_flow_run_server),
    Victim("the worker alone", kill_worker),
    Victim("the worker with its flow run", kill_worker_and_flow_runs, frozenset()),
    Victim("Prefect's server", kill_scheduler),
    Victim("the reconciler", kill_reconciler, frozenset()),
)


def kills() -> list[object]:
    """Return every victim at every moment."""
    return [
        pytest.param(
            victim,
            moment,
            id=f"{victim.words}, {moment.words}",
            marks=[
                pytest.mark.fault(f"kill -9 of {victim.words} when the job {moment.words}"),
                *([] if moment.words in victim.quick else [pytest.mark.slow_faults]),
            ],
        )
        for victim in VICTIMS
        for moment in MOMENTS
    ]


@pytest.mark.parametrize(("victim", "moment"), kills())
def test_whatever_is_killed_the_job_ends_complete(
    stage: Stage, victim: Victim, moment: Moment, record: Record
) -> None:
    scene = stage.scene(studies=STUDIES)
    transfer = reach(moment, scene, scene.inbound)
    victim.kill(stage.adit)
    scene.inbound.heal()
    assert_complete(transfer, record)


@pytest.mark.slow_faults
@pytest.mark.fault("kill -9 of the worker with its flow run when the job is being canceled")
def test_a_job_whose_worker_dies_while_it_is_canceled_ends_canceled(stage: Stage, record: Record) -> None:
    adit = stage.adit
    scene = stage.scene(studies=STUDIES)
    transfer = reach(HALF_WAY, scene, scene.inbound)
    cancel_job(adit.db, adit.launcher, adit.user, transfer.job_id)
    kill_worker_and_flow_runs(adit)
    outcome = assert_whole(transfer)
    record(outcome)
    assert outcome.status is JobStatus.CANCELED


@pytest.mark.slow_faults
@pytest.mark.fault("the flow run freezes for longer than its claims last, and thaws")
def test_a_flow_run_that_comes_back_from_the_dead_disturbs_nothing(stage: Stage, record: Record) -> None:
    adit = stage.adit
    scene = stage.scene(studies=STUDIES)
    transfer = reach(HALF_WAY, scene, scene.inbound)
    frozen = adit.transfer_children() + adit.engines() + adit.flow_runs()
    for process in frozen:
        process.suspend()
    adit.wait_for_progress(transfer.job_id, lambda job: job.run_number > 1 and HALF_WAY.has_come(job))
    for process in frozen:
        process.resume()
    # What has thawed learns within a second that its claims are lost, and sends until then.
    assert_complete(transfer, record, in_flight=2 * IN_FLIGHT)
