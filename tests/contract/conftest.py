"""Every implementation of the ports, behind one face."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
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
from adit_core.dicom.ports import Destination, Inlet, InstanceHeader, RetrieveRequest, Searcher, Source
from deployments.demo.archives import Archive
from deployments.demo.studies import StudySpec, write_study
from tests.archives import archived_instances
from tests.factories import ct_study, hashes, instances_in
from tests.fakes.archive import FakeArchive
from tests.fakes.proxy import Proxy
from tests.servers import PEERS, FileArchive, OrthancServer, ReceiverServer, dcmqrscp
from tests.volumes import recorded_instances


class Lack(StrEnum):
    """What an archive cannot do."""

    DETAILS = "answers only the keys that archives must support (PS3.4 C.6.2.1)"
    ALPHABETS = "answers in the Latin alphabet only"
    COMPRESSED = "proposes no compressed transfer syntax when it sends for a C-MOVE"
    IMPLICIT = "sends in Explicit VR Little Endian what it has in Implicit, if it was offered that"
    PEER = "is searched in an index of ours, which does not go away"


@dataclass(frozen=True)
class ManyInstances:
    """A study of small instances, their files in order, and the hash of each by its UID."""

    spec: StudySpec
    files: list[Path]
    hashes: dict[str, str]

    def first(self, count: int) -> "ManyInstances":
        """Return the study as if it had no more than so many instances."""
        files = self.files[:count]
        spec = ct_study(count, rows=16, key=self.spec.key)
        return ManyInstances(spec, files, {path.stem: self.hashes[path.stem] for path in files})


@pytest.fixture(scope="session")
def many_instances(tmp_path_factory: pytest.TempPathFactory) -> ManyInstances:
    """A study of 2,000 instances."""
    spec = ct_study(2000, rows=16, key="many")
    files = write_study(spec, tmp_path_factory.mktemp("many"))
    return ManyInstances(spec, files, hashes(files))


_SLOW_TO_STORE = 200
"""How many instances are many for qrscp, which needs 14 ms for each. The adapters get 2,000 elsewhere."""


@dataclass(frozen=True)
class SourceUnderTest:
    """An archive that instances are found in and retrieved from."""

    searcher: Callable[[], Searcher]
    source: Callable[[], Source]
    load: Callable[[Iterable[Path]], None]
    folder: Path
    """For the files of :meth:`holding`."""
    leaving_searcher: Callable[[], AbstractContextManager[Searcher]]
    """Yields a searcher whose peer goes away in the middle of a long answer."""
    leaving_source: Callable[[], AbstractContextManager[Source]]
    """Yields a source whose peer goes away in the middle of a retrieval of 640 kB."""
    lacks: frozenset[Lack] = frozenset()
    most_instances: int = 2000

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
    leaving: Callable[[], AbstractContextManager[tuple[Destination, Callable[[], None]]]]
    """Yields the destination, and what makes it go away; at the end of the block it is there again."""
    refuses_unknown_classes: bool = True
    is_converting: bool = False
    """True if instances become something else there, so that their hashes are lost."""
    most_instances: int = 2000

    def expected(self, folder: Path) -> dict[str, str]:
        """Return what :attr:`contents` is when all instances in a folder have arrived."""
        return self.as_kept(instances_in(folder))

    def as_kept(self, hashes: dict[str, str]) -> dict[str, str]:
        """Return what :attr:`contents` is when instances with these hashes have arrived."""
        return dict.fromkeys(hashes, "converted") if self.is_converting else hashes


_ANSWERS, _COMPRESSED_ANSWERS = 10_000, 2_000
"""So many bytes are about the half of answers about 200 instances."""
_IMAGES, _RESPONSES = 300_000, 1_200
"""So many bytes are about the half of 20 images, or of the pending responses to a C-MOVE of as many."""


def _fake(_request: pytest.FixtureRequest, folder: Path) -> SourceUnderTest:
    archive = FakeArchive()

    @contextmanager
    def leaving_searcher() -> Iterator[Searcher]:
        archive.faults.breaks_search_after = 70
        yield archive.searcher()

    @contextmanager
    def leaving_source() -> Iterator[Source]:
        archive.faults.breaks_after = 7
        yield archive.source()

    return SourceUnderTest(
        archive.searcher, archive.source, archive.load, folder, leaving_searcher, leaving_source
    )


def _networked(
    archive: Archive,
    port: int,
    folder: Path,
    *,
    searcher: Callable[[int], Searcher],
    source: Callable[[int], Source],
    answers: int = _ANSWERS,
    retrieval: int = _IMAGES,
    lacks: Iterable[Lack] = (),
) -> SourceUnderTest:
    """Return an archive that is reached at a port, or through a network that breaks after so many bytes."""

    @contextmanager
    def leaving_searcher() -> Iterator[Searcher]:
        with Proxy(port, allowed=answers) as proxy, searcher(proxy.port) as leaving:
            yield leaving
            assert proxy.was_broken

    @contextmanager
    def leaving_source() -> Iterator[Source]:
        with Proxy(port, allowed=retrieval) as proxy, source(proxy.port) as leaving:
            yield leaving
            assert proxy.was_broken

    return SourceUnderTest(
        lambda: searcher(port),
        lambda: source(port),
        archive.load,
        folder,
        leaving_searcher,
        leaving_source,
        frozenset(lacks),
    )


def _server(name: str, *lacks: Lack) -> Callable[[pytest.FixtureRequest, Path], SourceUnderTest]:
    def build(request: pytest.FixtureRequest, folder: Path) -> SourceUnderTest:
        archive: Archive = request.getfixturevalue(name).archive
        node = archive.node
        return _networked(
            archive,
            node.port,
            folder,
            searcher=lambda port: DimseSearcher(replace(node, port=port)),
            source=lambda port: DimseSource(replace(node, port=port)),
            lacks=lacks,
        )

    return build


class _LeavingFolderSource(FolderSource):
    """The share with the folder goes away after seven instances."""

    def __init__(self, node: FolderNode, index: FolderIndex) -> None:
        super().__init__(node, index)
        self._root = node.path
        self._inlet: Inlet
        self._instances = 0

    def retrieve(self, request: RetrieveRequest, inlet: Inlet) -> None:
        self._inlet = inlet
        super().retrieve(request, self)

    def begin(self, header: InstanceHeader) -> None:
        self._inlet.begin(header)

    def write(self, fragment: bytes | memoryview) -> None:
        self._inlet.write(fragment)

    def end(self) -> None:
        self._inlet.end()
        self._instances += 1
        if self._instances == 7:
            _leave(self._root)


def _leave(root: Path) -> None:
    """Make a folder go away, as shares do."""
    root.rename(_elsewhere(root))


def _elsewhere(root: Path) -> Path:
    return root.with_name(f"{root.name} elsewhere")


def _folder(_request: pytest.FixtureRequest, folder: Path) -> SourceUnderTest:
    """Return a folder in which files have names of no meaning."""
    root = folder.with_name("searched")
    root.mkdir()
    node, index = FolderNode("folder", root), FolderIndex(root)

    def load(files: Iterable[Path]) -> None:
        for number, path in enumerate(files, len(list(root.glob("*/DICOM/IM*")))):
            place = root / f"{number % 7}" / "DICOM"
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / f"IM{number:05}")

    @contextmanager
    def leaving_source() -> Iterator[Source]:
        yield _LeavingFolderSource(node, index)
        _elsewhere(root).rename(root)

    def searcher() -> Searcher:
        return FolderSearcher(node, index)

    return SourceUnderTest(
        searcher,
        lambda: FolderSource(node, index),
        load,
        folder,
        searcher,
        leaving_source,
        frozenset({Lack.PEER}),
    )


def _orthanc_web(request: pytest.FixtureRequest, folder: Path) -> SourceUnderTest:
    archive: Archive = request.getfixturevalue("orthanc_source").archive
    assert archive.http_port is not None
    return _networked(
        archive,
        archive.http_port,
        folder,
        searcher=lambda port: WebSearcher(replace(archive, http_port=port).web_node),
        source=lambda port: WebSource(replace(archive, http_port=port).web_node),
        answers=_COMPRESSED_ANSWERS,
    )


_ORTHANC = _server("orthanc_source")
_DCMQRSCP = _server("dcmqrscp", Lack.IMPLICIT)


def _moving(name: str, *lacks: Lack) -> Callable[[pytest.FixtureRequest, Path], SourceUnderTest]:
    """Return the builder of a server that is retrieved from by C-MOVE, through our receiver."""

    def build(request: pytest.FixtureRequest, folder: Path) -> SourceUnderTest:
        archive: Archive = request.getfixturevalue(name).archive
        node, address = archive.node, request.getfixturevalue("receiver_server").address
        return _networked(
            archive,
            node.port,
            folder,
            searcher=lambda port: DimseSearcher(replace(node, port=port)),
            source=lambda port: DimseMoveSource(replace(node, port=port), address, grace=1),
            retrieval=_RESPONSES,
            lacks=lacks,
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


def _qrscp(request: pytest.FixtureRequest, folder: Path) -> SourceUnderTest:
    return replace(
        _server("qrscp", Lack.DETAILS, Lack.ALPHABETS)(request, folder), most_instances=_SLOW_TO_STORE
    )


@pytest.fixture(
    params=[
        pytest.param(_fake, id="fake"),
        pytest.param(_folder, id="folder"),
        pytest.param(_ORTHANC, id="orthanc", marks=pytest.mark.system),
        pytest.param(_server("tls_orthanc"), id="orthanc-tls", marks=pytest.mark.system),
        pytest.param(_orthanc_web, id="orthanc-web", marks=pytest.mark.system),
        pytest.param(_DCMQRSCP, id="dcmqrscp", marks=pytest.mark.system),
        pytest.param(_qrscp, id="qrscp"),
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


Leaving = tuple[Destination, Callable[[], None]]


def _fake_destination(_request: pytest.FixtureRequest, _folder: Path) -> DestinationUnderTest:
    archive = FakeArchive()
    archive.faults.refuses.add(UNWELCOME_UID)

    def leave() -> None:
        archive.faults.is_gone = True

    @contextmanager
    def leaving() -> Iterator[Leaving]:
        yield archive.destination(), leave
        archive.faults.is_gone = False

    return DestinationUnderTest(archive.destination, archive.contents, leaving)


def _server_destination(
    name: str, *, most_instances: int = 2000
) -> Callable[[pytest.FixtureRequest, Path], DestinationUnderTest]:
    def build(request: pytest.FixtureRequest, _folder: Path) -> DestinationUnderTest:
        server = request.getfixturevalue(name)
        node = server.archive.node

        @contextmanager
        def leaving() -> Iterator[Leaving]:
            with (
                Proxy(node.port) as proxy,
                DimseDestination(replace(node, port=proxy.port)) as destination,
            ):
                yield destination, proxy.break_off

        return DestinationUnderTest(
            lambda: DimseDestination(node), server.contents, leaving, most_instances=most_instances
        )

    return build


def _orthanc_web_destination(request: pytest.FixtureRequest, _folder: Path) -> DestinationUnderTest:
    server = request.getfixturevalue("orthanc_destination")
    archive: Archive = server.archive
    assert archive.http_port is not None

    @contextmanager
    def leaving() -> Iterator[Leaving]:
        with (
            Proxy(archive.http_port or 0) as proxy,
            WebDestination(replace(archive, http_port=proxy.port).web_node) as destination,
        ):
            yield destination, proxy.break_off

    return DestinationUnderTest(
        lambda: WebDestination(archive.web_node), server.contents, leaving, refuses_unknown_classes=False
    )


def _on_disk(
    root: Path,
    destination: Callable[[], Destination],
    contents: Callable[[], dict[str, str]],
    *,
    is_converting: bool = False,
) -> DestinationUnderTest:
    """Return a destination that keeps what it has in a folder, which may be a share that goes away."""
    root.mkdir(exist_ok=True)

    @contextmanager
    def leaving() -> Iterator[Leaving]:
        yield destination(), lambda: _leave(root)
        _elsewhere(root).rename(root)

    return DestinationUnderTest(
        destination, contents, leaving, refuses_unknown_classes=False, is_converting=is_converting
    )


def _folder_destination(_request: pytest.FixtureRequest, folder: Path) -> DestinationUnderTest:
    node = FolderNode("folder", folder)
    return _on_disk(folder, lambda: FolderDestination(node), lambda: instances_in(folder))


def _archive_destination(
    kind: ArchiveFormat,
) -> Callable[[pytest.FixtureRequest, Path], DestinationUnderTest]:
    def build(_request: pytest.FixtureRequest, folder: Path) -> DestinationUnderTest:
        node = ArchiveNode("archive", folder, "pass word ä", kind)
        return _on_disk(folder, lambda: ArchiveDestination(node), lambda: archived_instances(node))

    return build


def _nifti_destination(_request: pytest.FixtureRequest, folder: Path) -> DestinationUnderTest:
    node = NiftiNode("nifti", folder)
    return _on_disk(
        folder,
        lambda: NiftiDestination(node),
        lambda: dict.fromkeys(recorded_instances(folder), "converted"),
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
        pytest.param(_server_destination("qrscp", most_instances=_SLOW_TO_STORE), id="qrscp"),
        pytest.param(_folder_destination, id="folder"),
        pytest.param(_archive_destination(ArchiveFormat.SEVEN_ZIP), id="7z"),
        pytest.param(_archive_destination(ArchiveFormat.ZIP), id="zip"),
        pytest.param(_nifti_destination, id="nifti"),
    ]
)
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> DestinationUnderTest:
    """Each destination in turn, empty."""
    return request.param(request, tmp_path / "destination")
