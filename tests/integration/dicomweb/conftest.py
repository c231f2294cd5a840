"""The proxy in front of an Orthanc that is asked by DIMSE only."""

from collections.abc import Iterator

import pytest

from adit_core.db import User
from deployments.demo.studies import StudySpec, write_study
from tests import servers
from tests.dicomweb_proxy import Proxy, running_proxy
from tests.factories import hashes


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_proxy(tmp_path_factory.mktemp("proxy")) as proxy:
        yield proxy


@pytest.fixture
def proxy(
    running: Proxy,
    running_orthanc_source: servers.OrthancServer,
    running_orthanc_destination: servers.OrthancServer,
) -> Proxy:
    """A proxy that knows the archives SOURCE and DESTINATION."""
    running.add_node(running_orthanc_source.archive.node)
    running.add_node(running_orthanc_destination.archive.node)
    return running


@pytest.fixture
def user(running: Proxy) -> User:
    """A new user who may do everything."""
    return running.staff()


@pytest.fixture
def holding(orthanc_source: servers.OrthancServer, tmp_path):
    """Let SOURCE hold studies, and return the hashes of their instances."""

    def hold(*specs: StudySpec) -> dict[str, str]:
        files = [path for spec in specs for path in write_study(spec, tmp_path)]
        orthanc_source.archive.load(files)
        return hashes(files)

    return hold
