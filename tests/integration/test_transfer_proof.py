"""Studies of all modalities and transfer syntaxes, between real archives, compared instance by instance."""

from pathlib import Path

import pytest

from adit_core.dicom.manifest import Selection
from adit_core.dicom.node import ArchiveFormat, ArchiveNode, FolderNode, NiftiNode, Node
from adit_core.dicom.outcome import StudyOutcome
from adit_core.dicom.transfer import transfer_study
from adit_core.services.routes import open_route
from deployments.demo.studies import Form, StudySpec, write_study
from tests.archives import archived_instances
from tests.factories import instances_in, mixed_studies, study_reference
from tests.servers import FileArchive, OrthancServer
from tests.volumes import recorded_instances

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


@pytest.fixture(params=["orthanc", "folder"])
def any_source(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Node, dict[str, str]]:
    """An archive and a folder in turn, with all studies, and the hash of each instance by its UID."""
    if request.param == "orthanc":
        server: OrthancServer = request.getfixturevalue("filled_source")
        return server.archive.node, server.contents()
    folder = tmp_path / "studies"
    for spec in STUDIES:
        write_study(spec, folder)
    return FolderNode("STUDIES", folder), instances_in(folder)


@pytest.mark.system
@pytest.mark.parametrize("kind", list(ArchiveFormat))
def test_twenty_mixed_studies_arrive_whole_in_one_encrypted_archive(
    any_source: tuple[Node, dict[str, str]], kind: ArchiveFormat, tmp_path: Path
) -> None:
    source, contents = any_source
    folder = tmp_path / "archives"
    folder.mkdir()
    node = ArchiveNode("ARCHIVE", folder, "secret", kind, archive="all")
    outcomes = transfer_all(STUDIES, source, node)
    assert [outcome.message() for outcome in outcomes] == [""] * len(STUDIES)
    assert [path.name for path in folder.iterdir()] == [f"all.{kind}"]
    assert archived_instances(node) == contents
    again = transfer_all(STUDIES[:3], source, node)
    assert sum(outcome.sent for outcome in again) == 0


@pytest.mark.system
def test_every_image_of_twenty_mixed_studies_goes_into_a_volume(
    any_source: tuple[Node, dict[str, str]], tmp_path: Path
) -> None:
    source, contents = any_source
    folder = tmp_path / "volumes"
    folder.mkdir()
    outcomes = transfer_all(STUDIES, source, NiftiNode("VOLUMES", folder))
    reports = {
        spec.sop_instance_uid(index, number)
        for spec in STUDIES
        for index, series in enumerate(spec.series)
        if series.form is Form.REPORT
        for number in range(series.instances)
    }
    assert sum(outcome.failed for outcome in outcomes) == 0
    assert sum(outcome.filtered for outcome in outcomes) == len(reports)
    assert set(recorded_instances(folder)) == contents.keys() - reports


@pytest.mark.system
def test_twenty_mixed_studies_arrive_whole_from_a_folder(
    orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    folder = tmp_path / "studies"
    for spec in STUDIES:
        write_study(spec, folder)
    outcomes = transfer_all(STUDIES, FolderNode("STUDIES", folder), orthanc_destination.archive.node)
    assert [outcome.message() for outcome in outcomes] == [""] * len(STUDIES)
    assert orthanc_destination.contents() == instances_in(folder)
