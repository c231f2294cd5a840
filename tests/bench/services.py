"""One service at a time, by one association, against the tool of DCMTK for it."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from adit_core.dicom.dimse import DimseDestination, DimseSource
from adit_core.dicom.move import DimseMoveSource
from adit_core.dicom.node import ServerNode
from adit_core.dicom.part10 import encode_file_header, read_file_instance
from adit_core.dicom.ports import InstanceHeader, Source
from deployments.demo.studies import StudySpec, write_study
from tests.bench import tools
from tests.bench.contest import Contest
from tests.factories import ct_study, instances_in, request_for_study
from tests.servers import PEERS, FileArchive, ReceiverServer, dcmqrscp, orthanc, receiver, storescp

_RECEIVER, _STORESCP = "ADIT_RECEIVER", "STORESCP"


def contests(servers: ExitStack, folder: Path, studies: int, instances: int) -> Iterator[Contest]:
    """Yield C-GET, C-MOVE and C-STORE with peers that send at once, then with peers that wait (Nagle)."""
    loaded = _write(folder / "loaded", "services", studies, instances)
    yield from _with_quick_peers(servers, folder, loaded)
    few = _write(folder / "few", "delayed", 1, instances)
    yield from _with_slow_peers(servers, folder, few)


class _Files:
    """An inlet that writes Part 10 files, as getscu does: nothing is flushed to the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None

    def begin(self, header: InstanceHeader) -> None:
        self._file = (self._folder / header.sop_instance_uid).open("wb")
        self._file.write(encode_file_header(header))

    def write(self, fragment: bytes | memoryview) -> None:
        assert self._file is not None
        self._file.write(fragment)

    def end(self) -> None:
        assert self._file is not None
        self._file.close()


class _Studies:
    """Studies, and a folder with the files of each."""

    def __init__(self, specs: Sequence[StudySpec], folder: Path) -> None:
        self.specs = specs
        self.folder = folder
        self.folders = [folder / spec.study_instance_uid for spec in specs]
        for spec, place in zip(specs, self.folders, strict=True):
            place.mkdir(parents=True)
            for path in write_study(spec, folder / "written"):
                path.rename(place / path.name)
        self.files = [sorted(place.iterdir()) for place in self.folders]
        self.instances = [[read_file_instance(path) for path in files] for files in self.files]
        self.hashes = instances_in(folder)
        self.megabytes = sum(path.stat().st_size for files in self.files for path in files) / 1e6


def _write(folder: Path, key: str, studies: int, instances: int) -> _Studies:
    specs = [
        ct_study(instances, rows=512, key=f"{key}-{number}", patient_id=f"SERVICE{number:03}")
        for number in range(studies)
    ]
    return _Studies(specs, folder)


def _with_quick_peers(servers: ExitStack, folder: Path, studies: _Studies) -> Iterator[Contest]:
    ours = servers.enter_context(receiver(folder / "receiver", _RECEIVER))
    theirs = servers.enter_context(storescp(folder / "storescp", _STORESCP, syntaxes="+x="))
    known = {**PEERS, _RECEIVER: ours.server.port, _STORESCP: theirs.archive.server.port}
    archive = servers.enter_context(dcmqrscp(folder / "dcmqrscp", peers=known))
    for files in studies.files:
        archive.archive.load(files)
    node = archive.archive.node
    yield _retrieval(
        "C-GET to a folder",
        studies,
        {
            "getscu": lambda place: tools.getscu(studies.specs, node, place),
            "ADIT": lambda place: _retrieve(studies, DimseSource(node), place),
        },
        goal=1.0,
    )
    yield _moving("dcmqrscp", studies, node, theirs, ours, environment=tools.NO_DELAY, goal=1.0)
    server = servers.enter_context(orthanc(folder / "orthanc", "SOURCE"))
    for ae_title in (_RECEIVER, _STORESCP):
        server.know(ae_title, known[ae_title])
    for files in studies.files:
        server.archive.load(files)
    yield _moving("Orthanc", studies, server.archive.node, theirs, ours, environment=tools.NO_DELAY, goal=1.0)
    yield _storage("C-STORE", studies, theirs, tools.NO_DELAY, goal=1.0)


def _with_slow_peers(servers: ExitStack, folder: Path, studies: _Studies) -> Iterator[Contest]:
    ours = servers.enter_context(receiver(folder / "slow-receiver", _RECEIVER))
    target = servers.enter_context(
        storescp(folder / "slow-storescp", _STORESCP, environment={}, syntaxes="+x=")
    )
    known = {**PEERS, _RECEIVER: ours.server.port, _STORESCP: target.archive.server.port}
    archive = servers.enter_context(dcmqrscp(folder / "slow-dcmqrscp", peers=known, environment={}))
    for files in studies.files:
        archive.archive.load(files)
    node = archive.archive.node
    yield _retrieval(
        "C-GET, peer with Nagle's delay",
        studies,
        {
            "getscu, default": lambda place: tools.getscu(studies.specs, node, place, tools.DEFAULT),
            "ADIT": lambda place: _retrieve(studies, DimseSource(node), place),
        },
        goal=5.0,
    )
    yield _moving(
        "dcmqrscp with Nagle's delay", studies, node, target, ours, environment=tools.DEFAULT, goal=5.0
    )
    yield _storage("C-STORE, peer with Nagle's delay", studies, target, tools.DEFAULT, goal=5.0)


def _retrieval(
    name: str, studies: _Studies, contestants: dict[str, Callable[[Path], None]], goal: float
) -> Contest:
    place = studies.folder.with_name("retrieved")

    def into_place(contestant: Callable[[Path], None]) -> Callable[[], None]:
        return lambda: contestant(place)

    def check() -> None:
        assert instances_in(place) == studies.hashes

    return Contest(
        name,
        studies.megabytes,
        {who: into_place(contestant) for who, contestant in contestants.items()},
        check,
        before_each=lambda: _empty(place),
        goals={"ADIT": goal},
    )


def _moving(
    name: str,
    studies: _Studies,
    node: ServerNode,
    target: FileArchive,
    ours: ReceiverServer,
    *,
    environment: Mapping[str, str],
    goal: float,
) -> Contest:
    """Return C-MOVE: movescu has the archive send to a storescp, ADIT to its receiver."""
    place, store = studies.folder.with_name("moved"), target.archive.folder / "store"

    def before_each() -> None:
        _empty(place)
        _empty(store)

    def check() -> None:
        assert {**instances_in(place), **instances_in(store)} == studies.hashes

    return Contest(
        f"C-MOVE from {name} to a folder",
        studies.megabytes,
        {
            "movescu + storescp": lambda: tools.movescu(studies.specs, node, _STORESCP, environment),
            "ADIT": lambda: _retrieve(studies, DimseMoveSource(node, ours.address), place),
        },
        check,
        before_each,
        goals={"ADIT": goal},
    )


def _storage(
    name: str, studies: _Studies, target: FileArchive, environment: Mapping[str, str], goal: float
) -> Contest:
    node, store = target.archive.node, target.archive.folder / "store"

    def check() -> None:
        assert target.contents() == studies.hashes

    return Contest(
        name,
        studies.megabytes,
        {
            "storescu": lambda: tools.storescu(studies.folders, node, environment),
            "ADIT": lambda: _store(studies, node),
        },
        check,
        before_each=lambda: _empty(store),
        goals={"ADIT": goal},
    )


def _retrieve(studies: _Studies, source: Source, place: Path) -> None:
    with source:
        for spec in studies.specs:
            source.retrieve(request_for_study(spec), _Files(place))


def _store(studies: _Studies, node: ServerNode) -> None:
    for instances in studies.instances:
        with DimseDestination(node) as destination:
            deliveries = list(destination.deliver(instances))
        assert not any(delivery.failure for delivery in deliveries)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
