"""Every implementation of the ports, behind one face."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from adit_core.dicom.archive import ArchiveDestination
from adit_core.dicom.dicomweb import WebDestination, WebSearcher, WebSource
from adit_core.dicom.dimse import DimseDestination, DimseSearcher, DimseSource
from adit_core.dicom.folder import FolderDestination
from adit_core.dicom.folder_index import FolderIndex
from adit_core.dicom.folder_source import FolderSearcher, FolderSource
from adit_core.dicom.move import DimseMoveSource
from adit_core.dicom.nifti import NiftiDestination
from adit_core.dicom.node import ArchiveFormat, ArchiveNode, FolderNode, NiftiNode
from adit_core.dicom.ports import Destination, Searcher, Source
from deployments.demo.archives import Archive
from deployments.demo.studies import StudySpec, write_study
from tests.archives import archived_instances
from tests.factories import instances_in
from tests.fakes.archive import FakeArchive
from tests.servers import PEERS, FileArchive, OrthancServer, ReceiverServer, dcmqrscp
from tests.volumes import recorded_instances


class Lack(StrEnum):
    """What an archive cannot do."""

    DETAILS = "answers only the keys that archives must support (PS3.4 C.6.2.1)"
    ALPHABETS = "answers in the Latin alphabet only"
    COMPRESSED = "proposes no compressed transfer syntax when it sends for a C-MOVE"
    IMPLICIT = "sends in Explicit VR Little Endian what it has in Implicit, if it was offered that"


@dataclass(frozen=True)
class SourceUnderTest:
    """An archive that instances are found in and retrieved from."""

    searcher: Callable[[], Searcher]
    source: Callable[[], Source]
    load: Callable[[Iterable[Path]], None]
    folder: Path
    """For the files of :meth:`holding`."""
    lacks: frozenset[Lack] = frozenset()

    def holding(self, *specs: StudySpec) -> dict[str, str]:
        """Fill the archive with studies, and return the hash of each instance by its UID."""
        files = [file for spec in specs for file in write_study(spec, self.folder)]
        self.load(files)
        return instances_in(self.folder)

    def allow_for(self, lack: Lack) -> None:
        """Skip a test that this archive cannot pass, whatever an adapter does."""
        if lack in self.lacks:
            pytest.skip(f"this archive {lack}")


@dataclass(frozen=True)
class DestinationUnderTest:
    """Something that instances are delivered to."""

    destination: Callable[[], Destination]
    contents: Callable[[], dict[str, str]]
    """Returns the hash of each instance by its UID, read without the code under test."""
    refuses_unknown_classes: bool = True
    is_converting: bool = False
    """True if instances become something else there, so that their hashes are lost."""

    def expected(self, folder: Path) -> dict[str, str]:
        """Return what :attr:`contents` is when all instances in a folder have arrived."""
        expected = instances_in(folder)
        return dict.fromkeys(expected, "converted") if self.is_converting else expected


def _fake(_request: pytest.FixtureRequest, folder: Path) -> SourceUnderTest:
    archive = FakeArchive()
    return SourceUnderTest(archive.searcher, archive.source, archive.load, folder)


def _server(name: str, *lacks: Lack) -> Callable[[pytest.FixtureRequest, Path], SourceUnderTest]:
    def build(request: pytest.FixtureRequest, folder: Path) -> SourceUnderTest:
        archive: Archive = request.getfixturevalue(name).archive
        node = archive.node
        return SourceUnderTest(
            lambda: DimseSearcher(node),
            lambda: DimseSource(node),
            archive.load,
            folder,
            frozenset(lacks),
        )

    return build


def _folder(_request: pytest.FixtureRequest, folder: Path) -> SourceUnderTest:
    """Return a folder in which files have names of no meaning."""
    root = folder.with_name("searched")
    root.mkdir()
    node, index = FolderNode("folder", root), FolderIndex(root)

    def load(files: Iterable[Path]) -> None:
        for number, path in enumerate(files):
            place = root / f"{number % 7}" / "DICOM"
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / f"IM{number:05}")

    return SourceUnderTest(
        lambda: FolderSearcher(node, index), lambda: FolderSource(node, index), load, folder
    )


def _orthanc_web(request: pytest.FixtureRequest, folder: Path) -> SourceUnderTest:
    archive: Archive = request.getfixturevalue("orthanc_source").archive
    node = archive.web_node
    return SourceUnderTest(lambda: WebSearcher(node), lambda: WebSource(node), archive.load, folder)


_ORTHANC = _server("orthanc_source")
_DCMQRSCP = _server("dcmqrscp", Lack.IMPLICIT)


def _moving(name: str, *lacks: Lack) -> Callable[[pytest.FixtureRequest, Path], SourceUnderTest]:
    """Return the builder of a server that is retrieved from by C-MOVE, through our receiver."""

    def build(request: pytest.FixtureRequest, folder: Path) -> SourceUnderTest:
        archive: Archive = request.getfixturevalue(name).archive
        address = request.getfixturevalue("receiver_server").address
        return SourceUnderTest(
            lambda: DimseSearcher(archive.node),
            lambda: DimseMoveSource(archive.node, address, grace=1),
            archive.load,
            folder,
            frozenset(lacks),
        )

    return build


@pytest.fixture
def moving_orthanc(orthanc_source: OrthancServer, receiver_server: ReceiverServer) -> OrthancServer:
    """An empty Orthanc that knows our receiver as a move destination."""
    orthanc_source.know(receiver_server.address.ae_title, receiver_server.server.port)
    return orthanc_source


@pytest.fixture
def moving_dcmqrscp(tmp_path: Path, receiver_server: ReceiverServer) -> Iterator[FileArchive]:
    """An empty dcmqrscp that knows our receiver as a move destination."""
    peers = {**PEERS, receiver_server.address.ae_title: receiver_server.server.port}
    with dcmqrscp(tmp_path / "dcmqrscp", peers=peers) as server:
        yield server


_QRSCP = _server("qrscp", Lack.DETAILS, Lack.ALPHABETS)


@pytest.fixture(
    params=[
        pytest.param(_fake, id="fake"),
        pytest.param(_folder, id="folder"),
        pytest.param(_ORTHANC, id="orthanc", marks=pytest.mark.system),
        pytest.param(_server("tls_orthanc"), id="orthanc-tls", marks=pytest.mark.system),
        pytest.param(_orthanc_web, id="orthanc-web", marks=pytest.mark.system),
        pytest.param(_DCMQRSCP, id="dcmqrscp", marks=pytest.mark.system),
        pytest.param(_QRSCP, id="qrscp"),
        pytest.param(_moving("moving_orthanc"), id="orthanc-move", marks=pytest.mark.system),
        pytest.param(
            _moving("moving_dcmqrscp", Lack.COMPRESSED, Lack.IMPLICIT),
            id="dcmqrscp-move",
            marks=pytest.mark.system,
        ),
    ]
)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> SourceUnderTest:
    """Each archive in turn, empty."""
    return request.param(request, tmp_path / "loaded")


def _fake_destination(_request: pytest.FixtureRequest, _folder: Path) -> DestinationUnderTest:
    archive = FakeArchive()
    archive.faults.refuses.add(UNWELCOME_UID)
    return DestinationUnderTest(archive.destination, archive.contents)


def _server_destination(name: str) -> Callable[[pytest.FixtureRequest, Path], DestinationUnderTest]:
    def build(request: pytest.FixtureRequest, _folder: Path) -> DestinationUnderTest:
        server = request.getfixturevalue(name)
        return DestinationUnderTest(lambda: DimseDestination(server.archive.node), server.contents)

    return build


def _orthanc_web_destination(request: pytest.FixtureRequest, _folder: Path) -> DestinationUnderTest:
    server = request.getfixturevalue("orthanc_destination")
    node = server.archive.web_node
    return DestinationUnderTest(lambda: WebDestination(node), server.contents, refuses_unknown_classes=False)


def _folder_destination(_request: pytest.FixtureRequest, folder: Path) -> DestinationUnderTest:
    folder.mkdir()
    node = FolderNode("folder", folder)
    return DestinationUnderTest(
        lambda: FolderDestination(node), lambda: instances_in(folder), refuses_unknown_classes=False
    )


def _archive_destination(
    kind: ArchiveFormat,
) -> Callable[[pytest.FixtureRequest, Path], DestinationUnderTest]:
    def build(_request: pytest.FixtureRequest, folder: Path) -> DestinationUnderTest:
        folder.mkdir()
        node = ArchiveNode("archive", folder, "pass word ä", kind)
        return DestinationUnderTest(
            lambda: ArchiveDestination(node),
            lambda: archived_instances(node),
            refuses_unknown_classes=False,
        )

    return build


def _nifti_destination(_request: pytest.FixtureRequest, folder: Path) -> DestinationUnderTest:
    folder.mkdir()
    node = NiftiNode("nifti", folder)
    return DestinationUnderTest(
        lambda: NiftiDestination(node),
        lambda: dict.fromkeys(recorded_instances(folder), "converted"),
        refuses_unknown_classes=False,
        is_converting=True,
    )


UNWELCOME_UID = "1.2.3.4.5.6.7.8.9"
"""The SOP Instance UID of an instance that archives refuse, for its SOP class is unknown to them."""


@pytest.fixture(
    params=[
        pytest.param(_fake_destination, id="fake"),
        pytest.param(_server_destination("orthanc_destination"), id="orthanc", marks=pytest.mark.system),
        pytest.param(_server_destination("tls_orthanc"), id="orthanc-tls", marks=pytest.mark.system),
        pytest.param(_orthanc_web_destination, id="orthanc-web", marks=pytest.mark.system),
        pytest.param(_server_destination("dcmqrscp"), id="dcmqrscp", marks=pytest.mark.system),
        pytest.param(_server_destination("qrscp"), id="qrscp"),
        pytest.param(_folder_destination, id="folder"),
        pytest.param(_archive_destination(ArchiveFormat.SEVEN_ZIP), id="7z"),
        pytest.param(_archive_destination(ArchiveFormat.ZIP), id="zip"),
        pytest.param(_nifti_destination, id="nifti"),
    ]
)
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> DestinationUnderTest:
    """Each destination in turn, empty."""
    return request.param(request, tmp_path / "destination")
