"""Servers as fixtures: what is slow to start runs once a session, and is empty when a test begins."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers, tls_servers
from tests.certificates import Authority
from tests.quick_python import collect_garbage_rarely, keep_files_in_memory, share_compiled_sql

keep_files_in_memory()
share_compiled_sql()


def pytest_collection_finish() -> None:
    """Begin with what the collection has imported."""
    collect_garbage_rarely()


@pytest.fixture(scope="session")
def running_orthanc_source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.OrthancServer]:
    with servers.orthanc(tmp_path_factory.mktemp("source"), "SOURCE") as server:
        yield server


@pytest.fixture(scope="session")
def running_orthanc_destination(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.OrthancServer]:
    with servers.orthanc(tmp_path_factory.mktemp("destination"), "DESTINATION") as server:
        yield server


@pytest.fixture
def orthanc_source(running_orthanc_source: servers.OrthancServer) -> servers.OrthancServer:
    """An empty Orthanc with the AE title SOURCE."""
    running_orthanc_source.clear()
    return running_orthanc_source


@pytest.fixture
def orthanc_destination(running_orthanc_destination: servers.OrthancServer) -> servers.OrthancServer:
    """An empty Orthanc with the AE title DESTINATION."""
    running_orthanc_destination.clear()
    return running_orthanc_destination


@pytest.fixture
def dcmqrscp(tmp_path: Path) -> Iterator[servers.FileArchive]:
    """An empty dcmqrscp."""
    with servers.dcmqrscp(tmp_path / "dcmqrscp") as server:
        yield server


@pytest.fixture(scope="session")
def receiver_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.ReceiverServer]:
    """Our receiver, with the AE title ADIT_RECEIVER; what earlier tests sent may wait in it."""
    with servers.receiver(tmp_path_factory.mktemp("receiver")) as server:
        yield server


@pytest.fixture(scope="session")
def running_qrscp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.QrscpServer]:
    with servers.qrscp(tmp_path_factory.mktemp("qrscp")) as server:
        yield server


@pytest.fixture
def qrscp(running_qrscp: servers.QrscpServer) -> servers.QrscpServer:
    """An empty qrscp of pynetdicom."""
    running_qrscp.clear()
    return running_qrscp


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[servers.FileArchive]:
    """A storescp that has received nothing."""
    with servers.storescp(tmp_path / "storescp") as server:
        yield server


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The certification authority that the servers with TLS trust and are trusted by."""
    return Authority()


@pytest.fixture(scope="session")
def running_tls_orthanc(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[servers.OrthancServer]:
    with tls_servers.orthanc(tmp_path_factory.mktemp("tls-orthanc"), authority) as server:
        yield server


@pytest.fixture
def tls_orthanc(running_tls_orthanc: servers.OrthancServer) -> servers.OrthancServer:
    """An empty Orthanc that speaks TLS and wants certificates."""
    running_tls_orthanc.clear()
    return running_tls_orthanc


@pytest.fixture
def tls_storescp(tmp_path: Path, authority: Authority) -> Iterator[servers.FileArchive]:
    """A storescp that speaks TLS and wants certificates."""
    with tls_servers.storescp(tmp_path / "tls-storescp", authority) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.PostgresCluster]:
    """A PostgreSQL cluster; ask it for a database of your own."""
    with servers.postgres() as cluster:
        yield cluster


@pytest.fixture
def postgres_url(postgres: servers.PostgresCluster) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that nobody else can take and that nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
