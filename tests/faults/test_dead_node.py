"""A dead archive: other jobs do not wait for it, and its own job goes on by itself when it is back."""

from pathlib import Path

import pytest

from adit_core.db import DicomNode, JobStatus, TaskStatus
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.jobs import show_job
from adit_core.services.nodes import add_folder, add_server, get_node
from adit_core.services.submit import submit_batch_transfer
from deployments.demo.studies import StudySpec, write_study
from tests.factories import ct_study, instances_in
from tests.faults.scene import Stage
from tests.servers import OrthancServer
from tests.stack import RunningStack

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

STUDIES = tuple(ct_study(3, key=f"dead-{number}", patient_id=f"DEAD{number}") for number in range(6))


def submit(adit: RunningStack, source: str, destination: str) -> int:
    return submit_batch_transfer(
        adit.db,
        adit.launcher,
        owner_id=adit.user.id,
        source=source,
        destination=destination,
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


@pytest.fixture
def adit(stage: Stage) -> RunningStack:
    return stage.adit


def test_a_dead_source_delays_nobody_and_its_job_goes_on_when_it_is_back(
    adit: RunningStack, orthanc_source: OrthancServer, dead_port: int, tmp_path: Path
) -> None:
    for spec in STUDIES:
        orthanc_source.archive.load(write_study(spec, tmp_path / "studies"))
    expected = instances_in(tmp_path / "studies")
    node = orthanc_source.archive.node
    for name, port in (("DEAD", dead_port), ("HEALTHY", node.port)):
        add_server(adit.db, name, ae_title=node.ae_title, host=node.host, port=port)
        (tmp_path / name).mkdir()
        add_folder(adit.db, f"{name} arrivals", path=str(tmp_path / name))

    behind_dead = submit(adit, "DEAD", "DEAD arrivals")
    healthy = submit(adit, "HEALTHY", "HEALTHY arrivals")

    assert adit.finished(healthy).status is JobStatus.SUCCESS
    assert instances_in(tmp_path / "HEALTHY") == expected
    adit.wait_for_progress(behind_dead, lambda job: job.message.startswith("DEAD is paused"))
    assert sum(task.attempts for task in adit.tasks(behind_dead)) <= 2
    job = show_job(adit.db, adit.user, behind_dead)
    assert not any(job.progress.tasks.get(status) for status in (TaskStatus.FAILURE, TaskStatus.CANCELED))

    dead = get_node(adit.db, "DEAD")
    with adit.db.session() as session:
        session.get_one(DicomNode, dead.id).port = node.port
        session.commit()
    assert adit.finished(behind_dead).status is JobStatus.SUCCESS
    assert instances_in(tmp_path / "DEAD") == expected
