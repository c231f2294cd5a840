"""Twenty studies of all modalities and transfer syntaxes, between real archives, compared by instance.

Every kind of route is in test_route_matrix.py, with fewer studies.
"""

from pathlib import Path

import pytest

from adit_core.dicom.manifest import Selection
from adit_core.dicom.node import FolderNode, Node
from adit_core.dicom.outcome import StudyOutcome
from adit_core.dicom.transfer import transfer_study
from adit_core.services.routes import open_route
from deployments.demo.studies import StudySpec, write_study
from tests.factories import instances_in, mixed_studies, study_reference
from tests.servers import FileArchive, OrthancServer

STUDIES = mixed_studies(20)


def transfer_all(studies: tuple[StudySpec, ...], source: Node, destination: Node) -> list[StudyOutcome]:
    outcomes = []
    for spec in studies:
        with open_route(source, destination) as route:
            outcomes.append(transfer_study(route, study_reference(spec), Selection()))
    return outcomes


@pytest.fixture
def filled_source(orthanc_source: OrthancServer, tmp_path: Path) -> OrthancServer:
    for spec in STUDIES:
        orthanc_source.archive.load(write_study(spec, tmp_path / "studies"))
    return orthanc_source


@pytest.mark.system
def test_twenty_mixed_studies_arrive_whole_and_a_second_run_sends_nothing(
    filled_source: OrthancServer, orthanc_destination: OrthancServer
) -> None:
    ends = filled_source.archive.node, orthanc_destination.archive.node
    first = transfer_all(STUDIES, *ends)
    assert [outcome.message() for outcome in first] == [""] * len(STUDIES)
    assert orthanc_destination.contents() == filled_source.contents()
    again = transfer_all(STUDIES, *ends)
    assert all(outcome.is_complete for outcome in again)
    assert sum(outcome.sent for outcome in again) == 0


@pytest.mark.system
def test_twenty_mixed_studies_arrive_whole_in_dcmqrscp(
    filled_source: OrthancServer, dcmqrscp: FileArchive
) -> None:
    outcomes = transfer_all(STUDIES, filled_source.archive.node, dcmqrscp.archive.node)
    assert [outcome.message() for outcome in outcomes] == [""] * len(STUDIES)
    assert dcmqrscp.contents() == filled_source.contents()


@pytest.mark.system
def test_twenty_mixed_studies_arrive_whole_in_a_folder(filled_source: OrthancServer, tmp_path: Path) -> None:
    folder = tmp_path / "arrivals"
    folder.mkdir()
    outcomes = transfer_all(STUDIES, filled_source.archive.node, FolderNode("FOLDER", folder))
    assert all(outcome.is_complete for outcome in outcomes)
    assert instances_in(folder) == filled_source.contents()


@pytest.mark.system
def test_twenty_mixed_studies_arrive_whole_from_dcmqrscp(
    dcmqrscp: FileArchive, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    for spec in STUDIES:
        dcmqrscp.archive.load(write_study(spec, tmp_path / "studies"))
    outcomes = transfer_all(STUDIES, dcmqrscp.archive.node, orthanc_destination.archive.node)
    assert [outcome.message() for outcome in outcomes] == [""] * len(STUDIES)
    assert orthanc_destination.contents() == dcmqrscp.contents()
