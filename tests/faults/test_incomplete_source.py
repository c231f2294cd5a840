"""A source that reports success while it withholds instances, with the whole machinery around it."""

from itertools import count
from pathlib import Path

import pytest

from adit_core.db import JobStatus, TaskStatus
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.nodes import add_server
from adit_core.services.submit import submit_batch_transfer
from deployments.demo.studies import write_study
from tests.factories import ct_study, instances_in
from tests.fakes.forgetful import ForgetfulArchive, forgetful_archive
from tests.servers import OrthancServer
from tests.stack import RunningStack

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

STUDY = ct_study(6, key="forgetful", patient_id="FORGETFUL")
_numbers = count(1)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_study(STUDY, tmp_path / "study")


def submit(adit: RunningStack, archive: ForgetfulArchive, destination: OrthancServer) -> int:
    names = []
    for node in (archive.node, destination.archive.node):
        names.append(f"{node.name}-incomplete-{next(_numbers)}")
        add_server(adit.db, names[-1], ae_title=node.ae_title, host=node.host, port=node.port)
    row = BatchStudy(STUDY.patient_id, STUDY.study_instance_uid, (), "", (2,))
    return submit_batch_transfer(
        adit.db,
        adit.launcher,
        owner_id=adit.user.id,
        source=names[0],
        destination=names[1],
        batch=BatchFile((row,)),
    )


def test_a_retry_fetches_only_what_is_missing_and_then_the_study_fails_by_name_and_number(
    adit: RunningStack, orthanc_destination: OrthancServer, tmp_path: Path, files: list[Path]
) -> None:
    uids = sorted(instances_in(tmp_path / "study"))
    withheld = set(uids[:2])
    with forgetful_archive(files, withheld) as archive:
        job = adit.finished(submit(adit, archive, orthanc_destination))
    (task,) = adit.tasks(job.id)
    assert (job.status, task.status) == (JobStatus.FAILURE, TaskStatus.FAILURE)
    assert (task.planned, task.delivered, task.filtered, task.failed) == (6, 4, 0, 2)
    assert task.attempts == 3
    assert f"series {STUDY.series_instance_uid(0)}: 2 of 6 (2 not received" in task.message
    assert archive.asked[0] == set(uids)
    assert all(asked <= withheld for asked in archive.asked[1:])
    assert task.sent == 4
    assert orthanc_destination.contents().keys() == set(uids) - withheld


def test_a_source_that_comes_to_its_senses_ends_in_success(
    adit: RunningStack, orthanc_destination: OrthancServer, tmp_path: Path, files: list[Path]
) -> None:
    expected = instances_in(tmp_path / "study")
    withheld = {next(iter(expected))}
    with forgetful_archive(files, withheld, times=1) as archive:
        job = adit.finished(submit(adit, archive, orthanc_destination))
    (task,) = adit.tasks(job.id)
    assert (job.status, task.attempts) == (JobStatus.SUCCESS, 2)
    assert (task.delivered, task.sent) == (6, 6)
    assert archive.asked == [set(expected), withheld]
    assert orthanc_destination.contents() == expected
