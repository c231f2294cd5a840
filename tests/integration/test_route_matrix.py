"""Every way from every kind of source to every kind of destination, compared instance by instance.

==================== =====================================================================
what archives change how the cells of this archive allow for it
==================== =====================================================================
dcmqrscp by C-GET    sends in Explicit VR what it has in Implicit VR: encodings are not
and C-MOVE           compared here, but values, which are the same (tests/contract does both)
dcmqrscp by C-MOVE   sends nothing in a compressed transfer syntax: these instances, and no
                     others, must be told as failed and be absent
NIfTI                holds images only: reports must be told as filtered; voxels are compared
==================== =====================================================================
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID

from adit_core.dicom.manifest import Selection
from adit_core.dicom.node import ArchiveFormat, ArchiveNode, FolderNode, NiftiNode, Node, ServerNode, Service
from adit_core.dicom.outcome import StudyOutcome
from adit_core.dicom.subscription import ReceiverAddress
from adit_core.dicom.transfer import transfer_study
from adit_core.errors import ActionNotPossible
from adit_core.services.routes import open_route
from deployments.demo.archives import Archive
from deployments.demo.studies import Form, SeriesSpec, StudySpec, write_study
from tests import factories
from tests.archives import archived_instances
from tests.factories import instances_in
from tests.servers import PEERS, FileArchive, OrthancServer, ReceiverServer, dcmqrscp
from tests.volumes import read_volume, recorded_instances

PASSWORD = "open sesame"

_LATIN, _CYRILLIC, _UNICODE = factories.PATIENTS[1:]


def _small(key: str, patient: tuple[str, str], patient_id: str) -> StudySpec:
    return factories.ct_study(
        2, key=f"matrix {key}", character_set=patient[0], patient_name=patient[1], patient_id=patient_id
    )


MIXED = replace(
    factories.mixed_study(key="matrix"),
    character_set=_UNICODE[0],
    patient_name=_UNICODE[1],
    patient_id="0001",
)
MISDECLARED = _small("misdeclared", _LATIN, "0003")
STUDIES = (MIXED, _small("cyrillic", _CYRILLIC, "0002"), MISDECLARED)


def _uids(condition: Callable[[SeriesSpec], bool]) -> frozenset[str]:
    """Return the SOP Instance UIDs of all series that fulfil a condition."""
    return frozenset(
        spec.sop_instance_uid(index, number)
        for spec in STUDIES
        for index, series in enumerate(spec.series)
        if condition(series)
        for number in range(series.instances)
    )


REPORTS = _uids(lambda series: series.form is Form.REPORT)
COMPRESSED = _uids(lambda series: UID(series.transfer_syntax_uid).is_compressed)


@dataclass(frozen=True)
class Origin:
    """A node with all studies in it, and the instances that it cannot send."""

    node: Node
    receiver: ReceiverAddress | None = None
    never_sends: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Arrival:
    """An empty node, what is in it as the hash of each instance by its UID, and what it never takes."""

    node: Node
    contents: Callable[[], dict[str, str]]
    never_takes: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files that all sources are filled with."""
    folder = tmp_path_factory.mktemp("matrix") / "studies"
    for spec in STUDIES:
        files = write_study(spec, folder)
        if spec is MISDECLARED:
            factories.misdeclare_character_set(files[0])
    return folder


@pytest.fixture(scope="module")
def hashes(studies: Path) -> dict[str, str]:
    """The hash of each instance by its UID."""
    return instances_in(studies)


@pytest.fixture(scope="module")
def full_orthanc(
    running_orthanc_source: OrthancServer, receiver_server: ReceiverServer, studies: Path
) -> Archive:
    """An Orthanc with all studies, which knows our receiver."""
    running_orthanc_source.clear()
    running_orthanc_source.know(receiver_server.address.ae_title, receiver_server.server.port)
    running_orthanc_source.archive.load(sorted(studies.iterdir()))
    return running_orthanc_source.archive


@pytest.fixture(scope="module")
def full_dcmqrscp(
    tmp_path_factory: pytest.TempPathFactory, receiver_server: ReceiverServer, studies: Path
) -> Iterator[Archive]:
    """A dcmqrscp with all studies, which knows our receiver."""
    peers = {**PEERS, receiver_server.address.ae_title: receiver_server.server.port}
    with dcmqrscp(tmp_path_factory.mktemp("full") / "dcmqrscp", peers=peers) as server:
        server.archive.load(sorted(studies.iterdir()))
        yield server.archive


def _only(service: Service, node: ServerNode) -> ServerNode:
    return replace(node, services=frozenset({Service.FIND, service}))


@pytest.fixture
def get_orthanc(full_orthanc: Archive) -> Origin:
    return Origin(_only(Service.GET, full_orthanc.node))


@pytest.fixture
def get_dcmqrscp(full_dcmqrscp: Archive) -> Origin:
    return Origin(_only(Service.GET, full_dcmqrscp.node))


@pytest.fixture
def move_orthanc(full_orthanc: Archive, receiver_server: ReceiverServer) -> Origin:
    return Origin(_only(Service.MOVE, full_orthanc.node), receiver_server.address)


@pytest.fixture
def move_dcmqrscp(full_dcmqrscp: Archive, receiver_server: ReceiverServer) -> Origin:
    return Origin(_only(Service.MOVE, full_dcmqrscp.node), receiver_server.address, COMPRESSED)


@pytest.fixture
def wado_orthanc(full_orthanc: Archive) -> Origin:
    return Origin(full_orthanc.web_node)


@pytest.fixture
def from_folder(studies: Path) -> Origin:
    return Origin(FolderNode("STUDIES", studies))


@pytest.fixture
def store_orthanc(orthanc_destination: OrthancServer) -> Arrival:
    return Arrival(orthanc_destination.archive.node, orthanc_destination.contents)


@pytest.fixture
def store_dcmqrscp(dcmqrscp: FileArchive) -> Arrival:
    return Arrival(dcmqrscp.archive.node, dcmqrscp.contents)


@pytest.fixture
def stow_orthanc(orthanc_destination: OrthancServer) -> Arrival:
    return Arrival(orthanc_destination.archive.web_node, orthanc_destination.contents)


@pytest.fixture
def to_folder(tmp_path: Path) -> Arrival:
    return Arrival(FolderNode("FOLDER", tmp_path), lambda: instances_in(tmp_path))


@pytest.fixture
def to_7z(tmp_path: Path) -> Arrival:
    return _archives(tmp_path, ArchiveFormat.SEVEN_ZIP)


@pytest.fixture
def to_zip(tmp_path: Path) -> Arrival:
    return _archives(tmp_path, ArchiveFormat.ZIP)


def _archives(folder: Path, kind: ArchiveFormat) -> Arrival:
    node = ArchiveNode("ARCHIVES", folder, PASSWORD, kind, archive="all")

    def contents() -> dict[str, str]:
        assert [path.name for path in folder.iterdir()] == [f"all.{kind}"]
        return archived_instances(node)

    return Arrival(node, contents)


@pytest.fixture
def to_nifti(tmp_path: Path, studies: Path, hashes: dict[str, str]) -> Arrival:
    def contents() -> dict[str, str]:
        assert_voxels_are_pixels(tmp_path, studies)
        return {uid: hashes[uid] for uid in recorded_instances(tmp_path)}

    return Arrival(NiftiNode("VOLUMES", tmp_path), contents, REPORTS)


def assert_voxels_are_pixels(volumes: Path, studies: Path) -> None:
    """Compare the first series of the mixed study with its volume, which has its rows upside down."""
    instances = [dcmread(studies / f"{MIXED.sop_instance_uid(0, number)}.dcm") for number in range(12)]
    (path,) = volumes.rglob(f"{MIXED.series_instance_uid(0)}/*.nii.gz")
    volume, row = read_volume(path), 2 * instances[0].Columns
    assert (volume.data_type, volume.shape) == ("i2", (64, 64, 12))
    rows = [volume.data[start : start + row] for start in range(0, len(volume.data), row)]
    slices = {b"".join(reversed(rows[start : start + 64])) for start in range(0, len(rows), 64)}
    assert slices == {instance.PixelData for instance in instances}


def transfer_all(source: Origin, destination: Arrival) -> list[StudyOutcome]:
    outcomes = []
    for spec in STUDIES:
        with open_route(source.node, destination.node, receiver=source.receiver) as route:
            outcomes.append(transfer_study(route, factories.study_reference(spec), Selection()))
    return outcomes


def accounts(outcomes: list[StudyOutcome]) -> list[tuple[int, int, int]]:
    return [(outcome.delivered, outcome.filtered, outcome.failed) for outcome in outcomes]


def assert_reasons_are_told(outcomes: list[StudyOutcome]) -> None:
    """Check what is said of series that did not arrive: that they hold no images, or never came."""
    for series in (series for outcome in outcomes for series in outcome.series):
        if series.filtered:
            assert series.message == "modality SR has no images"
        elif series.failed:
            assert series.message == f"{series.failed} not received from the source"
        else:
            assert not series.message


SOURCES = ("get_orthanc", "get_dcmqrscp", "move_orthanc", "move_dcmqrscp", "wado_orthanc", "from_folder")
DESTINATIONS = (
    *("store_orthanc", "store_dcmqrscp", "stow_orthanc"),
    *("to_folder", "to_7z", "to_zip", "to_nifti"),
)


@pytest.mark.system
@pytest.mark.parametrize("destination", DESTINATIONS)
@pytest.mark.parametrize("source", SOURCES)
def test_studies_arrive_whole_and_a_second_run_sends_nothing(
    request: pytest.FixtureRequest, hashes: dict[str, str], source: str, destination: str
) -> None:
    origin: Origin = request.getfixturevalue(source)
    arrival: Arrival = request.getfixturevalue(destination)
    filtered = arrival.never_takes
    failed = origin.never_sends - filtered
    delivered = hashes.keys() - filtered - failed
    expected = [
        tuple(len(uids & spec.sop_instance_uids()) for uids in (delivered, filtered, failed))
        for spec in STUDIES
    ]

    first = transfer_all(origin, arrival)
    assert accounts(first) == expected, [outcome.message() for outcome in first]
    assert_reasons_are_told(first)
    assert arrival.contents() == {uid: hashes[uid] for uid in delivered}

    again = transfer_all(origin, arrival)
    assert accounts(again) == expected
    assert sum(outcome.sent for outcome in again) == 0


@pytest.mark.parametrize("kind", ["archives", "volumes"])
def test_what_holds_no_dicom_files_is_no_source(tmp_path: Path, kind: str) -> None:
    node = ArchiveNode("a", tmp_path, PASSWORD) if kind == "archives" else NiftiNode("a", tmp_path)
    with (
        pytest.raises(ActionNotPossible, match="holds no DICOM files"),
        open_route(node, FolderNode("b", tmp_path)),
    ):
        pass
