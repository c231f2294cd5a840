"""A study of two patients, from every kind of source: it arrives as it is, and is warned of."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite

from adit_core.db import Job, Task, TaskStatus
from adit_core.db.engine import Database
from adit_core.dicom.manifest import Selection
from adit_core.dicom.node import FolderNode, Node, Service
from adit_core.dicom.outcome import StudyOutcome
from adit_core.dicom.subscription import ReceiverAddress
from adit_core.dicom.transfer import transfer_study
from adit_core.errors import IncompleteTransfer
from adit_core.services.routes import open_route
from adit_core.services.run_job import JobRun
from adit_core.services.task_status import reset_tasks
from adit_core.settings import Settings
from deployments.demo.studies import StudySpec, write_study
from tests import factories
from tests.databases import new_database
from tests.fakes.faulty import faulty_archive
from tests.rows import make_folder, make_server, make_transfer, make_user
from tests.servers import OrthancServer, receiver

_LATIN = factories.PATIENTS[1]
OF_ONE = factories.ct_study(2, key="of one", character_set=_LATIN[0], patient_id="Größe 1")
OF_TWO = factories.ct_study(4, key="of two", patient_id="0002")
WARNING = "1 instances name another patient than the source's answer did; "


@dataclass(frozen=True)
class Origin:
    """A node with both studies in it."""

    node: Node
    receiver: ReceiverAddress | None = None


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Both studies, the second with an instance of somebody else."""
    paths = [path for spec in (OF_ONE, OF_TWO) for path in write_study(spec, tmp_path / "studies")]
    name_somebody_else(paths[-1])
    return paths


def name_somebody_else(path: Path) -> None:
    instance = dcmread(path)
    instance.PatientID = "SOMEBODY ELSE"
    dcmwrite(path, instance)


@pytest.fixture
def get(files: list[Path]) -> Iterator[Origin]:
    with faulty_archive(files) as archive:
        yield Origin(archive.node(Service.GET))


@pytest.fixture
def move(files: list[Path], tmp_path: Path) -> Iterator[Origin]:
    with faulty_archive(files) as archive:
        node = archive.node(Service.MOVE)
        users = json.dumps([node.ae_title])
        with receiver(tmp_path / "receiver", receiver_calling_ae_titles=users) as server:
            archive.receiver_port = server.server.port
            yield Origin(node, server.address)


@pytest.fixture
def get_orthanc(files: list[Path], orthanc_source: OrthancServer) -> Origin:
    orthanc_source.archive.load(files)
    return Origin(replace(orthanc_source.archive.node, services=frozenset({Service.FIND, Service.GET})))


@pytest.fixture
def folder(files: list[Path]) -> Origin:
    return Origin(FolderNode("STUDIES", files[0].parent))


def transfer(origin: Origin, spec: StudySpec, arrivals: Path) -> StudyOutcome:
    arrivals.mkdir()
    with open_route(origin.node, FolderNode("ARRIVALS", arrivals), receiver=origin.receiver) as route:
        return transfer_study(route, factories.study_reference(spec), Selection())


@pytest.mark.system
@pytest.mark.parametrize("source", ["get", "move", "get_orthanc", "folder"])
def test_the_instance_of_somebody_else_arrives_and_is_warned_of(
    request: pytest.FixtureRequest, files: list[Path], tmp_path: Path, source: str
) -> None:
    origin: Origin = request.getfixturevalue(source)
    held = factories.instances_in(files[0].parent)

    outcome = transfer(origin, OF_TWO, tmp_path / "of two")
    assert outcome.is_complete
    assert outcome.of_others == 1
    assert outcome.message().startswith(WARNING)
    arrived = factories.instances_in(tmp_path / "of two")
    assert arrived == {uid: held[uid] for uid in OF_TWO.sop_instance_uids()}

    assert transfer(origin, OF_ONE, tmp_path / "of one").warnings == ()


@pytest.mark.system
def test_what_an_archive_sends_by_dicomweb_is_compared_as_well(
    tmp_path: Path, orthanc_source: OrthancServer
) -> None:
    """Orthanc finds no study by its UID that it has for two patients, so another node answers for it."""
    answered = Origin(FolderNode("ANSWERS", tmp_path / "answers"))
    write_study(OF_TWO, tmp_path / "answers")
    sent = write_study(OF_TWO, tmp_path / "sent")
    for path in sent:
        name_somebody_else(path)
    orthanc_source.archive.load(sent)
    arrivals = tmp_path / "arrivals"
    arrivals.mkdir()
    destination = FolderNode("ARRIVALS", arrivals)
    with (
        open_route(answered.node, destination) as answers,
        open_route(orthanc_source.archive.web_node, destination) as route,
    ):
        crossed = replace(route, searcher=answers.searcher)
        outcome = transfer_study(crossed, factories.study_reference(OF_TWO), Selection())
    assert outcome.is_complete
    assert outcome.of_others == len(factories.instances_in(arrivals)) == 4


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = new_database(tmp_path / "adit.sqlite")
    yield database
    database.dispose()


def task_of(db: Database, task_id: int) -> Task:
    with db.reading() as session:
        return session.get_one(Task, task_id)


@pytest.mark.system
def test_what_an_earlier_attempt_sent_is_still_warned_of(
    db: Database, files: list[Path], tmp_path: Path
) -> None:
    """A later attempt sends what is missing only, so it does not see the instance of somebody else again."""
    stranger = dcmread(files[-1]).SOPInstanceUID
    (tmp_path / "arrivals").mkdir()
    with faulty_archive(files) as archive:
        archive.withheld, archive.times = {min(OF_TWO.sop_instance_uids() - {stranger})}, 1
        node = archive.node()
        source = make_server(
            db, "FAULTY", ae_title=node.ae_title, host=node.host, port=node.port, supports_get=True
        )
        destination = make_folder(db, path=str(tmp_path / "arrivals"))
        job = make_transfer(db, make_user(db), source, destination, [OF_TWO])
        with JobRun(db, job.id, Settings()) as execution:
            (task_id,) = execution.new_tasks()
            with pytest.raises(IncompleteTransfer):
                execution.perform(task_id)
            assert WARNING in task_of(db, task_id).message
            execution.perform(task_id)
        task = task_of(db, task_id)
        assert (task.status, task.delivered, task.of_others) == (TaskStatus.WARNING, 4, 1)
        assert task.message == "1 instances that were sent before name another patient."

    with db.session() as session:
        reset_tasks(session, session.get_one(Job, job.id), event="Reset.")
        session.commit()
    again = task_of(db, task_id)
    assert (again.status, again.delivered, again.of_others) == (TaskStatus.PENDING, 0, 1)
