"""Networks that break, stall, swallow or refuse, on the way from the source and to the destination."""

import pytest

from adit_core.db import JobStatus
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.jobs import show_job
from tests.faults.cases import Case, assert_outcome, parametrized, submit_all
from tests.faults.outcome import Record, Transfer, assert_whole
from tests.faults.scene import INSTANCE_SIZE, Stage

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

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


def source_refuses(stage: Stage) -> Transfer:
    scene = stage.scene()
    scene.inbound.refuse()
    return scene.submit()


def source_is_swallowed(stage: Stage) -> Transfer:
    scene = stage.scene(studies=4)
    scene.inbound.swallow()
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


def destination_refuses(stage: Stage) -> Transfer:
    scene = stage.scene()
    scene.outbound.refuse()
    return scene.submit()


CASES = (
    # First, so that whatever it holds up would be behind it.
    Case(
        "the source answers nobody who connects",
        source_is_swallowed,
        JobStatus.FAILURE,
        attempts=3,
        says="did not take the connection",
    ),
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
    Case(
        "the source refuses connections",
        source_refuses,
        JobStatus.FAILURE,
        attempts=3,
        says="refused",
        is_slow=True,
    ),
    Case("each packet from the source is late", source_is_slow, attempts=1, is_slow=True),
    Case("an RST from the destination inside a PDU", destination_resets, attempts=2, in_flight=1),
    Case(
        "the destination falls silent in the middle of an association",
        destination_falls_silent,
        attempts=2,
        in_flight=1,
    ),
    Case(
        "the destination refuses connections",
        destination_refuses,
        JobStatus.FAILURE,
        attempts=3,
        says="refused",
        is_slow=True,
    ),
)


@pytest.fixture(scope="module")
def transfers(request: pytest.FixtureRequest, stage_of_module: Stage) -> dict[str, Transfer]:
    return submit_all(request, stage_of_module, CASES)


@parametrized(CASES)
def test_a_network_that_fails(case: Case, transfers: dict[str, Transfer], record: Record) -> None:
    assert_outcome(case, transfers[case.fault], record)


@pytest.mark.fault("one of two sources answers nobody, and the other is healthy")
def test_a_dead_source_does_not_hold_up_a_healthy_one(stage: Stage, record: Record) -> None:
    dead, healthy = stage.scene(studies=4), stage.scene()
    dead.inbound.swallow()
    waiting, moving = dead.submit(), healthy.submit()
    outcome = assert_whole(moving)
    record(outcome)
    assert outcome.status is JobStatus.SUCCESS
    assert show_job(stage.adit.db, stage.adit.user, waiting.job_id).status in OPEN_JOBS
    assert assert_whole(waiting).status is JobStatus.FAILURE
