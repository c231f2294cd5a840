"""A cancel of a transfer under way: it ends within seconds, and leaves no half-written file."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlmodel import select

from adit_core.db import DicomNode, Job, JobKind, JobStatus, StorageForm, Task, TaskStatus, User
from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring, new_key
from adit_core.errors import AditError
from adit_core.services.job_actions import cancel_job
from adit_core.services.nodes import add_folder
from adit_core.services.run_job import JobRun
from adit_core.services.storage import Storage
from adit_core.services.task_actions import kill_task
from adit_core.settings import Settings
from deployments.demo.studies import write_study
from tests.factories import large_study
from tests.fakes.launcher import FakeLauncher
from tests.fault_proxy import FaultProxy
from tests.rows import load, make_folder, make_server, make_user
from tests.servers import OrthancServer

pytestmark = pytest.mark.system

STUDY = large_study(100, key="cancel")
RATE = 8_000_000
"""Bytes per second, so that the study takes more than ten seconds."""
PATIENCE = 5.0
"""Seconds that a cancel may take."""


@dataclass
class Site:
    """A job that moves one large instance from a slow archive."""

    db: Database
    owner: User
    source: DicomNode
    folder: Path
    launcher: FakeLauncher = field(default_factory=FakeLauncher)

    def submit(self, destination: DicomNode) -> int:
        with self.db.session() as session:
            job = Job(
                kind=JobKind.BATCH_TRANSFER,
                owner_id=self.owner.id,
                source_id=self.source.id,
                destination_id=destination.id,
                run_number=1,
            )
            session.add(job)
            session.flush()
            session.add(
                Task(
                    job_id=job.id,
                    patient_id=STUDY.patient_id,
                    study_instance_uid=STUDY.study_instance_uid,
                )
            )
            session.commit()
            return job.id

    def disturb(self, job_id: int, *, once: Callable[[], bool], by: Callable[[], None]) -> float:
        """Perform the job, disturb it `once` something is so, and return how long it took to end then."""
        with JobRun(self.db, job_id, Settings()) as run, ThreadPoolExecutor(1) as pool:
            (task_id,) = run.new_tasks()
            attempt = pool.submit(self._perform, run, task_id)
            deadline = time.monotonic() + 60
            while not once():
                assert not attempt.done(), "the transfer ended before it could be disturbed"
                assert time.monotonic() < deadline, "the transfer does not begin"
                time.sleep(0.02)
            by()
            began = time.monotonic()
            attempt.result(timeout=60)
            return time.monotonic() - began

    def task(self, job_id: int) -> Task:
        with self.db.reading() as session:
            return session.exec(select(Task).where(Task.job_id == job_id)).one()

    def files(self) -> list[str]:
        return [path.name for path in self.folder.rglob("*") if path.is_file()]

    def is_writing(self) -> bool:
        return any(self.folder.rglob(".*.part"))

    def cancel(self, job_id: int) -> None:
        cancel_job(self.db, self.launcher, self.owner, job_id)

    def _perform(self, run: JobRun, task_id: int) -> None:
        with suppress(AditError):
            run.perform(task_id)


@pytest.fixture
def site(orthanc_source: OrthancServer, tmp_path: Path) -> Iterator[Site]:
    orthanc_source.archive.load(write_study(STUDY, tmp_path / "study"))
    database = Database(f"sqlite:///{tmp_path / 'adit.sqlite'}", Keyring((new_key(),)))
    database.upgrade()
    folder = tmp_path / "arrivals"
    folder.mkdir()
    node = orthanc_source.archive.node
    with FaultProxy(node.port) as network:
        network.throttle(RATE)
        source = make_server(database, "SLOW", ae_title=node.ae_title, host=node.host, port=network.port)
        yield Site(database, make_user(database, staff=True), source, folder)
    database.dispose()


@pytest.mark.parametrize(
    "storage", [Storage(), Storage(StorageForm.ZIP, password="secret of the study")], ids=["files", "zip"]
)
def test_a_cancel_while_a_file_is_written_leaves_nothing_of_it(site: Site, storage: Storage) -> None:
    job_id = site.submit(add_folder(site.db, "Export", path=str(site.folder), storage=storage))

    took = site.disturb(job_id, once=site.is_writing, by=lambda: site.cancel(job_id))

    assert took < PATIENCE
    assert site.task(job_id).status is TaskStatus.CANCELED
    assert load(site.db, Job, job_id).status is JobStatus.CANCELED
    assert [name for name in site.files() if not name.endswith(".lock")] == []


def test_a_cancel_while_an_archive_is_sent_an_instance_leaves_nothing_of_it(
    site: Site, orthanc_destination: OrthancServer
) -> None:
    node = orthanc_destination.archive.node
    destination = make_server(site.db, "DESTINATION", ae_title=node.ae_title, host=node.host, port=node.port)
    job_id = site.submit(destination)
    began = time.monotonic()

    def is_being_sent() -> bool:
        return site.task(job_id).planned == 1 and time.monotonic() > began + 5

    took = site.disturb(job_id, once=is_being_sent, by=lambda: site.cancel(job_id))

    assert took < PATIENCE
    task = site.task(job_id)
    assert (task.status, task.planned, task.delivered, task.failed) == (TaskStatus.CANCELED, 1, 0, 1)
    assert orthanc_destination.contents() == {}


def test_a_task_that_is_killed_ends_as_a_failure_and_leaves_nothing(site: Site) -> None:
    job_id = site.submit(make_folder(site.db, path=str(site.folder)))
    task_id = site.task(job_id).id

    took = site.disturb(
        job_id, once=site.is_writing, by=lambda: kill_task(site.db, site.launcher, site.owner, task_id)
    )

    assert took < PATIENCE
    assert (site.task(job_id).status, site.task(job_id).message) == (TaskStatus.FAILURE, "Killed.")
    assert site.files() == []
