"""Whole transfers from and to real DICOMweb servers: in all combinations, and past all guards."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adit_core.dicom.credentials import BasicCredentials
from adit_core.dicom.dicomweb import WebSearcher
from adit_core.dicom.manifest import Selection
from adit_core.dicom.node import DicomWebNode, FolderNode, Node
from adit_core.dicom.query import StudyQuery
from adit_core.dicom.transfer import transfer_study
from adit_core.errors import ConnectionFailed, OperationFailed, TlsFailed
from adit_core.services.routes import open_route
from deployments.demo.studies import StudySpec, write_study
from tests import factories
from tests.certificates import Authority
from tests.fakes.web_peer import Exchange, FakeWebPeer
from tests.servers import OrthancServer
from tests.web_servers import GuardedOrthanc, guarded_orthanc

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedOrthanc]:
    with guarded_orthanc(tmp_path_factory.mktemp("guarded"), Authority()) as server:
        yield server


def transfer(spec: StudySpec, source: Node, destination: Node) -> None:
    with open_route(source, destination) as route:
        outcome = transfer_study(route, factories.study_reference(spec), Selection())
    assert outcome.is_complete, outcome.message()


def load(server: OrthancServer, spec: StudySpec, folder: Path) -> dict[str, str]:
    """Fill an archive and return the hash of each instance by its UID."""
    server.archive.load(write_study(spec, folder))
    return factories.instances_in(folder)


@pytest.mark.parametrize("source_by", ["web_node", "node"])
@pytest.mark.parametrize("destination_by", ["web_node", "node", "folder"])
def test_study_of_all_kinds_arrives_by_every_route(
    orthanc_source: OrthancServer,
    orthanc_destination: OrthancServer,
    tmp_path: Path,
    source_by: str,
    destination_by: str,
):
    spec = factories.mixed_study(key="routes")
    expected = load(orthanc_source, spec, tmp_path / "in")
    folder = tmp_path / "out"
    folder.mkdir()
    destination: Node = FolderNode("folder", folder)
    arrived: Callable[[], dict[str, str]] = lambda: factories.instances_in(folder)  # noqa: E731
    if destination_by != "folder":
        destination = getattr(orthanc_destination.archive, destination_by)
        arrived = orthanc_destination.contents
    transfer(spec, getattr(orthanc_source.archive, source_by), destination)
    assert arrived() == expected


def test_second_transfer_sends_only_what_is_missing(
    orthanc_source: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
):
    spec = factories.ct_study(5, key="missing")
    expected = load(orthanc_source, spec, tmp_path)
    files = sorted(tmp_path.rglob("*.dcm"))
    orthanc_destination.archive.load(files[:3])
    transfer(spec, orthanc_source.archive.web_node, orthanc_destination.archive.web_node)
    assert orthanc_destination.contents() == expected


def test_study_passes_certificates_passwords_prefixes_and_a_proxy(
    guarded: GuardedOrthanc, orthanc_destination: OrthancServer, tmp_path: Path
):
    guarded.server.clear()
    spec = factories.ct_study(30, key="guarded")
    expected = load(guarded.server, spec, tmp_path)

    def tunnel(exchange: Exchange) -> None:
        exchange.send_head(200)
        exchange.relay(guarded.https_port)

    with FakeWebPeer(tunnel) as proxy:
        node = replace(guarded.node, profile=replace(guarded.node.profile, proxy=proxy.url))
        transfer(spec, node, orthanc_destination.archive.web_node)
        assert orthanc_destination.contents() == expected
        guarded.server.clear()
        transfer(spec, orthanc_destination.archive.web_node, node)
    assert guarded.server.contents() == expected
    assert proxy.targets


def test_wrong_password_is_refused(guarded: GuardedOrthanc):
    credentials = BasicCredentials("adit", "wrong")
    profile = replace(guarded.node.profile, credentials=credentials)
    with pytest.raises(OperationFailed, match="401"):
        search(replace(guarded.node, profile=profile))


def test_missing_client_certificate_is_refused(guarded: GuardedOrthanc):
    tls = guarded.node.profile.tls
    assert tls is not None
    profile = replace(guarded.node.profile, tls=replace(tls, certificate="", private_key=""))
    with pytest.raises((TlsFailed, ConnectionFailed)):
        search(replace(guarded.node, profile=profile))


def test_unknown_authority_is_not_believed(guarded: GuardedOrthanc):
    profile = replace(guarded.node.profile, tls=None)
    with pytest.raises(TlsFailed, match="certification authority"):
        search(replace(guarded.node, profile=profile))


def search(node: DicomWebNode) -> None:
    with WebSearcher(node) as searcher:
        list(searcher.find_studies(StudyQuery()))
