"""A cancel on each way that studies take, and of a search: within seconds, and nothing half-written stays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlmodel import select

from adit_core.db import DicomNode, Job, JobStatus, StorageForm, Task, TaskKind, TaskStatus
from adit_core.services.nodes import add_folder
from adit_core.services.storage import Storage
from adit_core.services.submit_mass import submit_mass_transfer
from adit_core.services.transfer_request import TransferRequest
from adit_core.settings import Settings
from deployments.demo.studies import write_study
from tests.canceling import Site
from tests.databases import new_database
from tests.factories import ct_study, instances_in
from tests.fault_proxy import FaultProxy
from tests.mass import mass_options
from tests.rows import load, make_folder, make_server, make_user, make_web_server
from tests.servers import OrthancServer, ReceiverServer

pytestmark = pytest.mark.system

STUDY = ct_study(80, rows=256, key="canceled ways", study_date="20240330")
SIZE = 2 * 256 * 256
FAST, SLOWLY = 50 * SIZE, SIZE // 2
"""Bytes that pass at once, after which the job is canceled, and bytes a second after them."""
PATIENCE = 5.0
"""Seconds that a cancel may take."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    database = new_database(tmp_path / "adit.sqlite")
    (tmp_path / "arrivals").mkdir()
    yield Site(database, make_user(database, staff=True), tmp_path / "arrivals")
    database.dispose()


@pytest.fixture
def expected(orthanc_source: OrthancServer, tmp_path: Path) -> dict[str, str]:
    """The hashes of what the archive has, by UID."""
    orthanc_source.archive.load(write_study(STUDY, tmp_path / "study"))
    return instances_in(tmp_path / "study")


def slow(port: int) -> FaultProxy:
    network = FaultProxy(port)
    network.throttle(SLOWLY, after=FAST)
    return network


def server(site: Site, archive: OrthancServer, *, port: int | None = None, **services: Any) -> DicomNode:
    node = archive.archive.node
    address = {"ae_title": node.ae_title, "host": node.host, "port": port or node.port}
    return make_server(site.db, node.name, **address, **services)


def web_server(site: Site, archive: OrthancServer, port: int) -> DicomNode:
    path = urlsplit(archive.archive.web_node.base_url).path
    return make_web_server(site.db, base_url=f"http://127.0.0.1:{port}{path}")


def assert_canceled(site: Site, job_id: int, took: float) -> Task:
    assert took < PATIENCE
    task = site.task(job_id)
    assert (task.status, load(site.db, Job, job_id).status) == (TaskStatus.CANCELED, JobStatus.CANCELED)
    assert task.planned == task.delivered + task.filtered + task.failed
    return task


def assert_folder_is_whole(site: Site, job_id: int, took: float, expected: dict[str, str]) -> None:
    """Check that what is in the folder is what is told to be delivered, and whole."""
    task = assert_canceled(site, job_id, took)
    arrived = instances_in(site.folder)
    assert arrived.items() <= expected.items()
    assert task.delivered <= len(arrived) == len(site.files()) < task.planned
    assert arrived


def test_what_comes_through_the_receiver(
    site: Site, expected: dict[str, str], orthanc_source: OrthancServer, receiver_server: ReceiverServer
) -> None:
    address = receiver_server.address
    site.settings = Settings.model_validate(
        {"receiver_ae_title": address.ae_title, "receiver_url": address.url, "receiver_token": address.token}
    )
    with slow(receiver_server.server.port) as network:
        orthanc_source.know(address.ae_title, network.port)
        source = server(site, orthanc_source, supports_get=False, supports_move=True)
        job_id = site.submit(STUDY, source, make_folder(site.db, path=str(site.folder)))

        took = site.canceled(job_id, once=lambda: network.passed > FAST and site.has_files())

        assert_folder_is_whole(site, job_id, took, expected)


def test_what_one_archive_sends_straight_to_the_other(
    site: Site, expected: dict[str, str], orthanc_source: OrthancServer, orthanc_destination: OrthancServer
) -> None:
    with slow(orthanc_destination.archive.node.port) as network:
        orthanc_source.know("DESTINATION", network.port)
        orthanc_destination.know("SOURCE", orthanc_source.archive.node.port)
        ends = [server(site, each, supports_move=True) for each in (orthanc_source, orthanc_destination)]
        job_id = site.submit(STUDY, *ends)

        took = site.canceled(job_id, once=lambda: network.passed > FAST)

        task = assert_canceled(site, job_id, took)
        assert task.bytes_sent == 0, "it went straight"
        assert orthanc_destination.contents()
        assert orthanc_destination.contents().items() <= expected.items()


def test_what_comes_by_dicomweb(site: Site, expected: dict[str, str], orthanc_source: OrthancServer) -> None:
    port = orthanc_source.archive.http_port
    assert port is not None
    with slow(port) as network:
        source = web_server(site, orthanc_source, network.port)
        job_id = site.submit(STUDY, source, make_folder(site.db, path=str(site.folder)))

        took = site.canceled(job_id, once=lambda: network.passed > FAST and site.has_files())

        assert_folder_is_whole(site, job_id, took, expected)


def test_what_goes_by_dicomweb(
    site: Site, expected: dict[str, str], orthanc_source: OrthancServer, orthanc_destination: OrthancServer
) -> None:
    port = orthanc_destination.archive.http_port
    assert port is not None
    with slow(port) as network:
        destination = web_server(site, orthanc_destination, network.port)
        job_id = site.submit(STUDY, server(site, orthanc_source), destination)

        took = site.canceled(job_id, once=lambda: network.passed > FAST)

        assert_canceled(site, job_id, took)
        assert orthanc_destination.contents().items() <= expected.items()


@pytest.mark.usefixtures("expected")
def test_what_becomes_volumes(site: Site, orthanc_source: OrthancServer) -> None:
    with slow(orthanc_source.archive.node.port) as network:
        source = server(site, orthanc_source, port=network.port)
        storage = Storage(StorageForm.NIFTI)
        destination = add_folder(site.db, "Volumes", path=str(site.folder), storage=storage)
        job_id = site.submit(STUDY, source, destination)

        took = site.canceled(job_id, once=lambda: network.passed > FAST)

        assert assert_canceled(site, job_id, took).delivered == 0
        assert site.files() == []


@pytest.mark.usefixtures("expected")
def test_a_search_of_a_mass_transfer(site: Site, orthanc_source: OrthancServer) -> None:
    with FaultProxy(orthanc_source.archive.node.port) as network:
        network.stall()
        source = server(site, orthanc_source, port=network.port)
        destination = make_folder(site.db, path=str(site.folder))
        request = TransferRequest(owner_id=site.owner.id, source=source.name, destination=destination.name)
        job_id = submit_mass_transfer(site.db, site.launcher, request, mass_options())

        took = site.canceled(job_id, once=lambda: network.most_open > 0)

        assert_canceled(site, job_id, took)
        with site.db.reading() as session:
            kinds = session.exec(select(Task.kind).where(Task.job_id == job_id)).all()
        assert set(kinds) == {TaskKind.DISCOVERY}, "what a search would have found is not added any more"
