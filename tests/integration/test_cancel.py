"""A cancel of a transfer under way: it ends within seconds, and leaves no half-written file."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adit_core.db import DicomNode, Job, JobStatus, StorageForm, TaskStatus
from adit_core.db.secrets import Keyring, new_key
from adit_core.services.nodes import add_folder, get_node
from adit_core.services.storage import Storage
from adit_core.services.task_actions import kill_task
from deployments.demo.studies import write_study
from tests.canceling import Site
from tests.databases import new_database
from tests.factories import large_study
from tests.fault_proxy import FaultProxy
from tests.rows import load, make_folder, make_server, make_user
from tests.servers import OrthancServer

pytestmark = pytest.mark.system

STUDY = large_study(100, key="cancel")
RATE = 8_000_000
"""Bytes per second, so that the study takes more than ten seconds."""
PATIENCE = 5.0
"""Seconds that a cancel may take."""


@pytest.fixture
def site(orthanc_source: OrthancServer, tmp_path: Path) -> Iterator[Site]:
    orthanc_source.archive.load(write_study(STUDY, tmp_path / "study"))
    database = new_database(tmp_path / "adit.sqlite", Keyring((new_key(),)))
    folder = tmp_path / "arrivals"
    folder.mkdir()
    node = orthanc_source.archive.node
    with FaultProxy(node.port) as network:
        network.throttle(RATE)
        make_server(database, "SLOW", ae_title=node.ae_title, host=node.host, port=network.port)
        yield Site(database, make_user(database, staff=True), folder)
    database.dispose()


@pytest.fixture
def source(site: Site) -> DicomNode:
    """The slow archive."""
    return get_node(site.db, "SLOW")


@pytest.mark.parametrize(
    "storage",
    [
        Storage(),
        Storage(StorageForm.ZIP, password="secret of the study"),
        Storage(StorageForm.SEVEN_ZIP, password="secret of the study"),
    ],
    ids=["files", "zip", "7z"],
)
def test_a_cancel_while_a_file_is_written_leaves_nothing_of_it(
    site: Site, source: DicomNode, storage: Storage
) -> None:
    destination = add_folder(site.db, "Export", path=str(site.folder), storage=storage)
    job_id = site.submit(STUDY, source, destination)

    took = site.canceled(job_id, once=site.is_writing)

    assert took < PATIENCE
    assert site.task(job_id).status is TaskStatus.CANCELED
    assert load(site.db, Job, job_id).status is JobStatus.CANCELED
    assert site.files() == []


def test_a_cancel_while_an_archive_is_sent_an_instance_leaves_nothing_of_it(
    site: Site, source: DicomNode, orthanc_destination: OrthancServer
) -> None:
    node = orthanc_destination.archive.node
    destination = make_server(site.db, "DESTINATION", ae_title=node.ae_title, host=node.host, port=node.port)
    job_id = site.submit(STUDY, source, destination)
    began = time.monotonic()

    def is_being_sent() -> bool:
        return site.task(job_id).planned == 1 and time.monotonic() > began + 5

    took = site.canceled(job_id, once=is_being_sent)

    assert took < PATIENCE
    task = site.task(job_id)
    assert (task.status, task.planned, task.delivered, task.failed) == (TaskStatus.CANCELED, 1, 0, 1)
    assert orthanc_destination.contents() == {}


def test_a_task_that_is_killed_ends_as_a_failure_and_leaves_nothing(site: Site, source: DicomNode) -> None:
    job_id = site.submit(STUDY, source, make_folder(site.db, path=str(site.folder)))
    task_id = site.task(job_id).id

    took = site.disturb(
        job_id, once=site.is_writing, by=lambda: kill_task(site.db, site.launcher, site.owner, task_id)
    )

    assert took < PATIENCE
    assert (site.task(job_id).status, site.task(job_id).message) == (TaskStatus.FAILURE, "Killed.")
    assert site.files() == []
