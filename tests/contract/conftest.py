"""Every implementation of the ports, behind one face."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from adit_core.dicom.dimse import DimseDestination, DimseSearcher, DimseSource
from adit_core.dicom.folder import FolderDestination
from adit_core.dicom.move import DimseMoveSource
from adit_core.dicom.node import FolderNode
from adit_core.dicom.ports import Destination, Searcher, Source
from deployments.demo.archives import Archive
from deployments.demo.studies import StudySpec, write_study
from tests.factories import instances_in
from tests.fakes.archive import FakeArchive
from tests.servers import PEERS, FileArchive, OrthancServer, ReceiverServer, dcmqrscp


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
        pytest.param(_ORTHANC, id="orthanc", marks=pytest.mark.system),
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


def _folder_destination(_request: pytest.FixtureRequest, folder: Path) -> DestinationUnderTest:
    folder.mkdir()
    node = FolderNode("folder", folder)
    return DestinationUnderTest(
        lambda: FolderDestination(node), lambda: instances_in(folder), refuses_unknown_classes=False
    )


UNWELCOME_UID = "1.2.3.4.5.6.7.8.9"
"""The SOP Instance UID of an instance that archives refuse, for its SOP class is unknown to them."""


@pytest.fixture(
    params=[
        pytest.param(_fake_destination, id="fake"),
        pytest.param(_server_destination("orthanc_destination"), id="orthanc", marks=pytest.mark.system),
        pytest.param(_server_destination("dcmqrscp"), id="dcmqrscp", marks=pytest.mark.system),
        pytest.param(_server_destination("qrscp"), id="qrscp"),
        pytest.param(_folder_destination, id="folder"),
    ]
)
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> DestinationUnderTest:
    """Each destination in turn, empty."""
    return request.param(request, tmp_path / "destination")
