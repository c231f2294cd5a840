"""Networks that break, stall, swallow or refuse, on the way from the source and to the destination."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from adit_core.db import JobStatus, TaskStatus
from adit_core.db.columns import utc_now
from adit_core.services.jobs import show_job
from tests.faults.cases import Case, assert_outcome, parametrized, submit_all
from tests.faults.outcome import Record, Transfer, assert_whole
from tests.faults.scene import INSTANCE_SIZE, Scene, Stage

pytestmark = pytest.mark.system

SOME = 5 * INSTANCE_SIZE + INSTANCE_SIZE // 2
"""Bytes after which a connection fails, in the middle of an instance, and so of a PDU."""


def source_resets(stage: Stage) -> Transfer:
    scene = stage.scene()
    scene.inbound.cut_after(SOME)
    return scene.submit()


def source_resets_always(stage: Stage) -> Transfer:
    scene = stage.scene(instances=24)
    scene.inbound.cut_after(SOME, times=3)
    return scene.submit()


def source_falls_silent(stage: Stage) -> Transfer:
    scene = stage.scene()
    scene.inbound.stall_after(SOME)
    return scene.submit()


def source_is_slow(stage: Stage) -> Transfer:
    scene = stage.scene()
    scene.inbound.delay(0.05)
    return scene.submit()


def destination_resets(stage: Stage) -> Transfer:
    scene = stage.scene()
    scene.outbound.cut_after(SOME)
    return scene.submit()


def destination_falls_silent(stage: Stage) -> Transfer:
    scene = stage.scene()
    scene.outbound.stall_after(SOME)
    return scene.submit()


CASES = (
    Case("an RST from the source inside a PDU", source_resets, attempts=2),
    Case(
        "an RST from the source inside a PDU, in every attempt",
        source_resets_always,
        JobStatus.FAILURE,
        attempts=3,
        delivered=range(1, 24),
        says="were not delivered",
    ),
    Case("the source falls silent in the middle of an association", source_falls_silent, attempts=2),
    Case("each packet from the source is late", source_is_slow, attempts=1, is_slow=True),
    Case("an RST from the destination inside a PDU", destination_resets, attempts=2, in_flight=1),
    Case(
        "the destination falls silent in the middle of an association",
        destination_falls_silent,
        attempts=2,
        in_flight=1,
    ),
)


@pytest.fixture(scope="module")
def transfers(request: pytest.FixtureRequest, stage_of_module: Stage) -> dict[str, Transfer]:
    return submit_all(request, stage_of_module, CASES)


@parametrized(CASES)
def test_a_network_that_fails(case: Case, transfers: dict[str, Transfer], record: Record) -> None:
    assert_outcome(case, transfers[case.fault], record)


DEATHS: dict[str, Callable[[Scene], object]] = {
    "the source answers nobody who connects": lambda scene: scene.inbound.swallow(),
    "the source refuses connections": lambda scene: scene.inbound.refuse(),
    "the destination refuses connections": lambda scene: scene.outbound.refuse(),
}


def deaths() -> list[object]:
    return [
        pytest.param(
            die,
            id=name,
            marks=[
                pytest.mark.fault(f"{name}, for a while"),
                *([pytest.mark.slow_faults] if "refuses" in name else []),
            ],
        )
        for name, die in DEATHS.items()
    ]


@pytest.mark.parametrize("die", deaths())
def test_a_dead_archive_delays_nobody_and_its_job_goes_on_when_it_is_back(
    die: Callable[[Scene], object], stage: Stage, record: Record
) -> None:
    dead, healthy = stage.scene(studies=4), stage.scene()
    die(dead)
    waiting, moving = dead.submit(), healthy.submit()

    assert assert_whole(moving).status is JobStatus.SUCCESS
    adit = stage.adit
    adit.wait_for_progress(waiting.job_id, lambda job: " is paused until " in job.message)
    job = show_job(adit.db, adit.user, waiting.job_id)
    assert set(job.progress.tasks) <= {TaskStatus.PENDING, TaskStatus.IN_PROGRESS}
    assert sum(task.attempts for task in adit.tasks(waiting.job_id)) <= 2, "waiting used up attempts"

    # It waits by policy while the archive is paused, and for no longer than 3 minutes once that is back.
    healed_at = utc_now()
    for network in (dead.inbound, dead.outbound):
        network.heal()
    outcome = assert_whole(replace(waiting, fault_at=healed_at))
    record(outcome)
    assert outcome.status is JobStatus.SUCCESS
