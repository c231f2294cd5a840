"""A destination folder whose disk becomes full: whole files only, and a message that says so."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adit_core.db import JobStatus
from adit_core.db.columns import utc_now
from adit_core.services.job_actions import retry_failed
from tests.disks import small_disk
from tests.faults.outcome import Record, assert_whole
from tests.faults.scene import INSTANCE_SIZE, INSTANCES, Stage

pytestmark = pytest.mark.system


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    with small_disk(tmp_path / "disk", "2m") as path:
        yield path


@pytest.mark.fault("the disk of the destination is full")
def test_a_full_destination_fails_the_study_at_once_and_has_whole_files_only(
    stage: Stage, disk: Path, record: Record
) -> None:
    filler = disk / "filler"
    filler.write_bytes(bytes((2 << 20) - 5 * INSTANCE_SIZE))
    scene = stage.scene()
    scene.deliver_to_folder(disk / "studies")
    transfer = scene.submit()
    outcome = assert_whole(transfer)
    assert outcome.status is JobStatus.FAILURE
    assert outcome.attempts == 1
    assert "space" in outcome.messages[0]
    assert 0 < outcome.delivered < INSTANCES
    assert [path for path in (disk / "studies").rglob("*") if path.is_file() and path.suffix != ".dcm"] == []
    record(outcome)
    filler.unlink()
    retried = replace(transfer, fault_at=utc_now())
    retry_failed(stage.adit.db, stage.adit.launcher, stage.adit.user, transfer.job_id)
    assert assert_whole(retried).delivered == INSTANCES


@pytest.mark.fault("the destination takes no file as large as the instance")
def test_a_file_that_may_not_grow_fails_the_study_and_leaves_no_piece(
    stage: Stage, tmp_path: Path, record: Record
) -> None:
    scene = stage.scene(instances=1, rows=3000)
    scene.deliver_to_folder(tmp_path / "studies")
    stage.adit.limit_files_of_worker(16 << 20)
    outcome = assert_whole(scene.submit())
    stage.adit.stop("worker")
    record(outcome)
    assert outcome.status is JobStatus.FAILURE
    assert "File too large" in outcome.messages[0]
    assert [path for path in (tmp_path / "studies").rglob("*") if path.is_file()] == []
