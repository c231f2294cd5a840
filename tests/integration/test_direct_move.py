"""Studies that archives send straight to each other, on our behalf, and the ways around it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adit_core.dicom.manifest import Selection
from adit_core.dicom.node import FolderNode, Node, ServerNode, Service
from adit_core.dicom.outcome import StudyOutcome
from adit_core.dicom.transfer import transfer_study
from adit_core.services.routes import open_route
from deployments.demo.studies import StudySpec, write_study
from tests.factories import ct_study, instances_in, mixed_study, study_reference
from tests.servers import PEERS, FileArchive, OrthancServer, dcmqrscp

pytestmark = pytest.mark.system

STUDY = ct_study(12, key="straight")


def transfer(
    source: ServerNode, destination: Node, spec: StudySpec = STUDY, series: frozenset[str] = frozenset()
) -> StudyOutcome:
    with open_route(source, destination, direct=True) as route:
        return transfer_study(route, study_reference(spec), Selection(series_instance_uids=series))


def only(node: ServerNode, *services: Service) -> ServerNode:
    return replace(node, services=frozenset(services))


@pytest.fixture
def knowing_orthanc(orthanc_source: OrthancServer, orthanc_destination: OrthancServer) -> OrthancServer:
    """An Orthanc that knows the other one as a move destination, and is known to it."""
    orthanc_source.know("DESTINATION", orthanc_destination.archive.node.port)
    orthanc_destination.know("SOURCE", orthanc_source.archive.node.port)
    return orthanc_source


@pytest.fixture
def knowing_dcmqrscp(tmp_path: Path, orthanc_destination: OrthancServer) -> Iterator[FileArchive]:
    """A dcmqrscp that knows the Orthanc as a move destination, and is known to it."""
    port = orthanc_destination.archive.node.port
    with dcmqrscp(tmp_path / "knowing", peers={**PEERS, "DESTINATION": port}) as server:
        orthanc_destination.know("DCMQRSCP", server.archive.node.port)
        yield server


def test_orthanc_sends_a_study_of_all_kinds_straight_to_the_other(
    knowing_orthanc: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    spec = mixed_study(key="straight")
    knowing_orthanc.archive.load(write_study(spec, tmp_path / "study"))
    outcome = transfer(knowing_orthanc.archive.node, orthanc_destination.archive.node, spec)
    assert outcome.is_complete, outcome.message()
    assert outcome.direct_failure == ""
    assert outcome.bytes_sent == 0, "nothing passed through here"
    assert orthanc_destination.contents() == instances_in(tmp_path / "study")


def test_dcmqrscp_sends_straight_to_orthanc(
    knowing_dcmqrscp: FileArchive, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    knowing_dcmqrscp.archive.load(write_study(STUDY, tmp_path / "study"))
    outcome = transfer(knowing_dcmqrscp.archive.node, orthanc_destination.archive.node)
    assert outcome.message() == "The source sent all 12 instances directly."
    assert outcome.bytes_sent == 0
    assert orthanc_destination.contents() == instances_in(tmp_path / "study")


def test_the_chosen_series_and_the_missing_instances_are_sent_only(
    knowing_orthanc: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    files = write_study(mixed_study(key="chosen"), tmp_path / "study")
    knowing_orthanc.archive.load(files)
    spec = mixed_study(key="chosen")
    wanted = {spec.sop_instance_uid(0, index) for index in range(12)}
    first, second = sorted(wanted)[:2]
    orthanc_destination.archive.load([path for path in files if path.stem in {first, second}])
    series = frozenset({spec.series_instance_uid(0)})
    outcome = transfer(knowing_orthanc.archive.node, orthanc_destination.archive.node, spec, series)
    assert (outcome.delivered, outcome.sent, outcome.bytes_sent) == (12, 10, 0)
    assert orthanc_destination.contents().keys() == wanted


def test_a_source_that_does_not_know_the_destination_is_gone_around(
    orthanc_destination: OrthancServer, dcmqrscp: FileArchive, tmp_path: Path
) -> None:
    dcmqrscp.archive.load(write_study(STUDY, tmp_path / "study"))
    outcome = transfer(dcmqrscp.archive.node, orthanc_destination.archive.node)
    assert outcome.is_complete
    assert outcome.warnings == ()
    assert "does not know this AE title" in outcome.direct_failure
    assert orthanc_destination.contents() == instances_in(tmp_path / "study")


def test_a_destination_that_does_not_listen_where_the_source_thinks_is_gone_around(
    orthanc_source: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    orthanc_source.know("DESTINATION", 9)  # nobody listens there
    orthanc_source.archive.load(write_study(STUDY, tmp_path / "study"))
    outcome = transfer(orthanc_source.archive.node, orthanc_destination.archive.node)
    assert outcome.is_complete
    assert outcome.direct_failure
    assert orthanc_destination.contents() == instances_in(tmp_path / "study")


@pytest.mark.parametrize("lacking", [Service.FIND, Service.MOVE])
def test_nothing_is_moved_directly_without_the_services_for_it(
    knowing_orthanc: OrthancServer, orthanc_destination: OrthancServer, lacking: Service
) -> None:
    source, destination = knowing_orthanc.archive.node, orthanc_destination.archive.node
    if lacking is Service.FIND:  # then nobody could verify what arrived
        destination = only(destination, Service.STORE)
    else:
        source = only(source, Service.FIND, Service.GET)
    with open_route(source, destination, direct=True) as route:
        assert route.direct is None


def test_nothing_is_moved_directly_to_a_folder_or_unless_it_is_wanted(
    orthanc_source: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    with open_route(orthanc_source.archive.node, FolderNode("FOLDER", tmp_path), direct=True) as route:
        assert route.direct is None
    with open_route(orthanc_source.archive.node, orthanc_destination.archive.node) as route:
        assert route.direct is None
