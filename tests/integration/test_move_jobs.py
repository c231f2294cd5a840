"""Jobs whose source supports C-MOVE only: through the receiver into a folder, and straight to an archive."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adit_core.db import DicomNode, Job, Task, TaskStatus, TransferOptions
from adit_core.db.engine import Database
from adit_core.errors import StudyFailed
from adit_core.services.run_job import JobRun
from adit_core.settings import Settings
from deployments.demo.archives import Archive
from deployments.demo.studies import write_study
from tests.databases import new_database
from tests.factories import ct_study, instances_in
from tests.rows import make_folder, make_server, make_transfer, make_user
from tests.servers import OrthancServer, ReceiverServer, dcmqrscp

pytestmark = pytest.mark.system

STUDIES = (ct_study(5, key="first move"), ct_study(4, key="second move"))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = new_database(tmp_path / "adit.sqlite")
    yield database
    database.dispose()


@pytest.fixture
def settings(receiver_server: ReceiverServer) -> Settings:
    address = receiver_server.address
    return Settings.model_validate(
        {"receiver_ae_title": address.ae_title, "receiver_url": address.url, "receiver_token": address.token}
    )


def add(db: Database, archive: Archive, **services: bool) -> DicomNode:
    node = archive.node
    return make_server(
        db, node.name, ae_title=node.ae_title, host=node.host, port=node.port, supports_move=True, **services
    )


def add_job(db: Database, source: DicomNode, destination: DicomNode, *, direct_move: bool = True) -> Job:
    options = TransferOptions(direct_move=direct_move)
    return make_transfer(db, make_user(db), source, destination, STUDIES, options=options)


def run(db: Database, job: Job, settings: Settings) -> list[Task]:
    """Do the tasks of a job, one after the other, and return them as they ended."""
    with JobRun(db, job.id, settings) as execution:
        task_ids = execution.new_tasks()
        for task_id in task_ids:
            execution.perform(task_id)
    with db.reading() as session:
        return [session.get_one(Task, task_id) for task_id in task_ids]


def load(archive: Archive, folder: Path) -> dict[str, str]:
    for spec in STUDIES:
        archive.load(write_study(spec, folder))
    return instances_in(folder)


def test_an_archive_that_cannot_get_is_moved_from_into_a_folder(
    db: Database,
    settings: Settings,
    orthanc_source: OrthancServer,
    receiver_server: ReceiverServer,
    tmp_path: Path,
) -> None:
    orthanc_source.know(receiver_server.address.ae_title, receiver_server.server.port)
    expected = load(orthanc_source.archive, tmp_path / "studies")
    arrivals = tmp_path / "arrivals"
    arrivals.mkdir()
    source = add(db, orthanc_source.archive, supports_get=False)
    tasks = run(db, add_job(db, source, make_folder(db, path=str(arrivals))), settings)
    assert [(task.status, task.message) for task in tasks] == [(TaskStatus.SUCCESS, "")] * 2
    assert instances_in(arrivals) == expected


def test_without_a_receiver_the_study_fails_and_says_why(
    db: Database, orthanc_source: OrthancServer, tmp_path: Path
) -> None:
    load(orthanc_source.archive, tmp_path / "studies")
    source = add(db, orthanc_source.archive, supports_get=False)
    job = add_job(db, source, make_folder(db, path=str(tmp_path)))
    with pytest.raises(StudyFailed, match="supports C-MOVE only, and there is no receiver"):
        run(db, job, Settings())


def test_two_archives_that_know_each_other_need_no_receiver(
    db: Database, orthanc_source: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    orthanc_source.know("DESTINATION", orthanc_destination.archive.node.port)
    orthanc_destination.know("SOURCE", orthanc_source.archive.node.port)
    expected = load(orthanc_source.archive, tmp_path / "studies")
    ends = add(db, orthanc_source.archive), add(db, orthanc_destination.archive)
    tasks = run(db, add_job(db, *ends), Settings())
    assert [(task.status, task.sent, task.bytes_sent) for task in tasks] == [
        (TaskStatus.SUCCESS, 5, 0),
        (TaskStatus.SUCCESS, 4, 0),
    ]
    assert tasks[0].message == "The source sent all 5 instances directly."
    assert orthanc_destination.contents() == expected


@pytest.mark.parametrize("forbidden_by", ["source", "destination", "job"])
def test_nothing_goes_directly_if_a_node_or_the_job_forbids_it(
    db: Database,
    orthanc_source: OrthancServer,
    orthanc_destination: OrthancServer,
    tmp_path: Path,
    forbidden_by: str,
) -> None:
    orthanc_source.know("DESTINATION", orthanc_destination.archive.node.port)
    orthanc_destination.know("SOURCE", orthanc_source.archive.node.port)
    expected = load(orthanc_source.archive, tmp_path / "studies")
    ends = (
        add(db, orthanc_source.archive, allows_direct_move=forbidden_by != "source"),
        add(db, orthanc_destination.archive, allows_direct_move=forbidden_by != "destination"),
    )
    tasks = run(db, add_job(db, *ends, direct_move=forbidden_by != "job"), Settings())
    assert [(task.status, task.message) for task in tasks] == [(TaskStatus.SUCCESS, "")] * 2
    assert all(task.bytes_sent for task in tasks)
    assert orthanc_destination.contents() == expected


def test_a_source_that_cannot_send_directly_is_asked_once_in_a_run(
    db: Database, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    with dcmqrscp(tmp_path / "archive") as source:
        expected = load(source.archive, tmp_path / "studies")
        ends = add(db, source.archive), add(db, orthanc_destination.archive)
        tasks = run(db, add_job(db, *ends), Settings())
        assert [(task.status, task.message) for task in tasks] == [(TaskStatus.SUCCESS, "")] * 2
        assert orthanc_destination.contents() == expected
        assert source.archive.server.log.read_text().count("Received Move SCP") == 1
