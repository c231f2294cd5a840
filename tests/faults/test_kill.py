"""kill -9 of each process in the middle of a job: the job ends complete, and nothing is left behind."""

from itertools import count
from pathlib import Path

import psutil
import pytest

from adit_core.db import JobStatus, TaskStatus
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.jobs import JobView
from adit_core.services.nodes import add_server
from adit_core.services.submit import submit_batch_transfer
from deployments.demo.studies import StudySpec, write_study
from tests.factories import ct_study
from tests.servers import OrthancServer
from tests.stack import RunningStack

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

STUDIES = tuple(
    ct_study(40, rows=256, key=f"kill-{number}", patient_id=f"KILL{number}") for number in range(12)
)
_numbers = count(1)


@pytest.fixture
def job_id(
    adit: RunningStack, orthanc_source: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> int:
    """A job of 12 studies that has just been submitted."""
    for spec in STUDIES:
        orthanc_source.archive.load(write_study(spec, tmp_path / "studies"))
    names = []
    for server in (orthanc_source, orthanc_destination):
        node = server.archive.node
        names.append(f"{node.name}-{next(_numbers)}")
        # More slots than can leak: Prefect frees those of the dead after a minute only.
        add_server(
            adit.db, names[-1], ae_title=node.ae_title, host=node.host, port=node.port, max_associations=16
        )
    return submit_batch_transfer(
        adit.db,
        adit.launcher,
        owner_id=adit.user.id,
        source=names[0],
        destination=names[1],
        batch=BatchFile(tuple(_row(spec, row) for row, spec in enumerate(STUDIES, 2))),
    )


def _row(spec: StudySpec, row: int) -> BatchStudy:
    return BatchStudy(
        patient_id=spec.patient_id,
        study_instance_uid=spec.study_instance_uid,
        series_instance_uids=(),
        pseudonym="",
        rows=(row,),
    )


def is_under_way(job: JobView) -> bool:
    """Some studies have ended, and others are being moved."""
    tasks = job.progress.tasks
    return bool(tasks.get(TaskStatus.SUCCESS)) and bool(tasks.get(TaskStatus.IN_PROGRESS))


def assert_complete(
    adit: RunningStack, job_id: int, source: OrthancServer, destination: OrthancServer
) -> None:
    job = adit.finished(job_id)
    assert job.status is JobStatus.SUCCESS, job.message
    for task in adit.tasks(job_id):
        assert task.status is TaskStatus.SUCCESS, task.message
        assert task.planned == task.delivered + task.filtered + task.failed == 40
        assert task.claim_token is None
    assert destination.contents() == source.contents()


def test_a_job_runs_to_its_end(
    adit: RunningStack, job_id: int, orthanc_source: OrthancServer, orthanc_destination: OrthancServer
) -> None:
    assert_complete(adit, job_id, orthanc_source, orthanc_destination)


def test_the_flow_run_is_killed(
    adit: RunningStack, job_id: int, orthanc_source: OrthancServer, orthanc_destination: OrthancServer
) -> None:
    adit.wait_for_progress(job_id, is_under_way)
    for process in adit.flow_runs():
        process.kill()
    assert_complete(adit, job_id, orthanc_source, orthanc_destination)


def test_the_children_are_killed(
    adit: RunningStack, job_id: int, orthanc_source: OrthancServer, orthanc_destination: OrthancServer
) -> None:
    adit.wait_for_progress(job_id, is_under_way)
    for child in adit.transfer_children():
        if "forkserver" in " ".join(child.cmdline()) and child.children() == []:
            child.kill()
    assert_complete(adit, job_id, orthanc_source, orthanc_destination)


def test_the_worker_and_its_flow_run_are_killed_and_the_worker_comes_back(
    adit: RunningStack, job_id: int, orthanc_source: OrthancServer, orthanc_destination: OrthancServer
) -> None:
    adit.wait_for_progress(job_id, is_under_way)
    assert adit.worker is not None
    processes = psutil.Process(adit.worker.pid).children(recursive=True)
    adit.worker.kill()
    adit.worker.wait()
    for process in processes:
        if process.is_running():
            process.kill()
    adit.start_worker()
    assert_complete(adit, job_id, orthanc_source, orthanc_destination)


def test_the_worker_alone_is_killed_and_comes_back(
    adit: RunningStack, job_id: int, orthanc_source: OrthancServer, orthanc_destination: OrthancServer
) -> None:
    adit.wait_for_progress(job_id, is_under_way)
    assert adit.worker is not None
    adit.worker.kill()
    adit.worker.wait()
    adit.start_worker()
    assert_complete(adit, job_id, orthanc_source, orthanc_destination)
