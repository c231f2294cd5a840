"""C-MOVE through the receiver, when the receiver dies or is full, and from archives that send as they like.

The AE titles of the receiver (ADIT_MOVE_1) and of the archives have underscores.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adit_core.db import JobStatus, Task, TaskStatus
from adit_core.dicom.node import Service
from tests.disks import small_disk
from tests.fakes.faulty import FaultyArchive, faulty_archive
from tests.faults.cases import Case, assert_outcome, parametrized, submit_all
from tests.faults.conftest import FAST
from tests.faults.moments import BEGUN, HALF_WAY, LAST, STUDIES, Moment, assert_complete, reach
from tests.faults.outcome import Record, Transfer, assert_whole
from tests.faults.scene import INSTANCE_SIZE, INSTANCES, Scene, Stage
from tests.stack import RunningStack

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def stage_with_receiver(stage_of_module: Stage) -> Stage:
    """The stage, with a receiver that the source knows."""
    adit = stage_of_module.adit
    adit.start("receiver")
    stage_of_module.source.know(FAST["ADIT_RECEIVER_AE_TITLE"], adit.stack.receiver_port)
    return stage_of_module


def moving(stage: Stage, *, studies: int = 1) -> Scene:
    """Set a scene whose source supports C-MOVE only."""
    specs, held = stage.write(studies)
    stage.source.archive.load(stage.files(specs))
    node = replace(stage.source.archive.node, services=frozenset({Service.FIND, Service.MOVE}))
    return stage.scene_from(node, specs, held)


def moves(**faults: Any) -> Callable[[Stage], Transfer]:
    """Return what submits a job that retrieves by C-MOVE from an archive with these faults."""

    def submit(stage: Stage) -> Transfer:
        specs, held = stage.write()
        archive: FaultyArchive = stage.ending.enter_context(faulty_archive(stage.files(specs)))
        archive.receiver_port = stage.adit.stack.receiver_port
        archive.withheld = set(sorted(archive.instances)[: faults.get("withholds", 0)])
        archive.sends_twice = faults.get("sends_twice", False)
        archive.lateness = faults.get("lateness", 0.0)
        archive.status = faults.get("status", 0)
        archive.times = faults.get("times", archive.times)
        return stage.scene_from(archive.node(Service.MOVE), specs, held).submit()

    return submit


CASES = (
    Case("C-MOVE: each instance comes twice", moves(sends_twice=True), attempts=1),
    Case("C-MOVE: the instances come seconds after the answer", moves(lateness=2.0), attempts=1),
    Case("C-MOVE: a sub-operation is dropped, once", moves(withholds=1, times=1), attempts=2),
    Case(
        "C-MOVE: final status 0xA702, once", moves(withholds=INSTANCES, status=0xA702, times=1), is_slow=True
    ),
)


@pytest.fixture(scope="module")
def transfers(request: pytest.FixtureRequest, stage_with_receiver: Stage) -> dict[str, Transfer]:
    return submit_all(request, stage_with_receiver, CASES)


@parametrized(CASES)
def test_an_archive_that_sends_as_it_likes(
    case: Case, transfers: dict[str, Transfer], record: Record
) -> None:
    assert_outcome(case, transfers[case.fault], record)


def moments() -> list[object]:
    return [
        pytest.param(
            moment,
            id=moment.words,
            marks=[
                pytest.mark.fault(f"kill -9 of the receiver when a job by C-MOVE {moment.words}"),
                *([] if moment is HALF_WAY else [pytest.mark.slow_faults]),
            ],
        )
        for moment in (BEGUN, HALF_WAY, LAST)
    ]


@pytest.mark.parametrize("moment", moments())
def test_the_receiver_is_killed_and_comes_back(
    stage: Stage, stage_with_receiver: Stage, moment: Moment, record: Record
) -> None:
    scene = moving(stage, studies=STUDIES)
    transfer = reach(moment, scene, scene.outbound)
    stage.adit.kill("receiver")
    stage.adit.start("receiver")
    scene.outbound.heal()
    assert_complete(transfer, record)


@pytest.fixture
def spool(tmp_path: Path, stage_with_receiver: Stage) -> Iterator[Path]:
    """The spool of the receiver, on a disk of 2 MB."""
    adit = stage_with_receiver.adit
    with small_disk(tmp_path / "spool", "2m") as disk:
        restart_receiver(adit, disk)
        yield disk
        restart_receiver(adit, adit.stack.data_dir / "spool")


def restart_receiver(adit: RunningStack, spool: Path) -> None:
    adit.stop("receiver")
    adit.start(
        "receiver", environment={"ADIT_RECEIVER_SPOOL": str(spool), "ADIT_RECEIVER_MIN_FREE_BYTES": "8192"}
    )


def fill(disk: Path, *, leave: int) -> Path:
    """Leave so many bytes of space."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while shutil.disk_usage(disk).free > leave:
            file.write(bytes(4096))
    return filler


def was_tried(task: Task) -> bool:
    """Tell whether the first attempt at a study is over, and another one follows."""
    return task.attempts > 1 or (task.attempts == 1 and task.status is TaskStatus.PENDING)


@pytest.mark.fault("the disk of the spool is full for a while")
def test_a_full_spool_that_is_emptied_delays_the_study(stage: Stage, spool: Path, record: Record) -> None:
    filler = fill(spool, leave=3 * INSTANCE_SIZE)
    adit, transfer = stage.adit, moving(stage).submit()
    adit.wait_for_progress(transfer.job_id, lambda _: all(map(was_tried, adit.tasks(transfer.job_id))))
    filler.unlink()
    outcome = assert_whole(transfer)
    record(outcome)
    assert outcome.status is JobStatus.SUCCESS, outcome.messages
    assert outcome.attempts > 1


@pytest.mark.slow_faults
@pytest.mark.fault("the disk of the spool is full for good")
def test_a_spool_that_stays_full_fails_the_study(stage: Stage, spool: Path, record: Record) -> None:
    fill(spool, leave=0)
    outcome = assert_whole(moving(stage).submit())
    record(outcome)
    assert outcome.status is JobStatus.FAILURE
    assert outcome.attempts == 3
    assert "its spool's disk is low" in outcome.messages[0]
    assert (outcome.delivered, outcome.failed) == (0, INSTANCES)
