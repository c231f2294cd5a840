"""Sets the scene for a fault: studies in an archive, a job that is to move them, networks that may fail."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from adit_core.dicom.node import ConnectionProfile, ServerNode, Service
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.nodes import add_folder, add_server, add_web_server
from adit_core.services.profiles import add_profile
from adit_core.services.storage import Storage
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.transfer_request import TransferRequest
from deployments.demo.processes import HOST
from deployments.demo.studies import StudySpec, write_study
from tests.factories import ct_study, hashes, instances_in
from tests.fakes.faulty import FaultyArchive, faulty_archive
from tests.fakes.store_counter import StoreCounter
from tests.fakes.stow_counter import StowCounter
from tests.fault_proxy import FaultProxy
from tests.faults.outcome import Hashes, Transfer
from tests.servers import OrthancServer
from tests.stack import RunningStack

ROWS = 128
INSTANCE_SIZE = 2 * ROWS * ROWS
"""Bytes of pixel data in an instance of a scene."""
INSTANCES = 12
"""How many instances a study of a scene has."""

_IMPATIENT = ConnectionProfile(connect_timeout=4, silence_timeout=5, verify_attempts=3, verify_delay=0.2)
PROFILE = "impatient"
"""The connection profile of the archives on a stage."""
# More places than can leak: those of the dead are free after 45 seconds only.
_MOST_ASSOCIATIONS = 16
_numbers = count(1)


@dataclass(frozen=True)
class Stage:
    """The processes and archives that scenes are set on, see `open_stage`.

    What scenes need is ended by `ending`.
    """

    adit: RunningStack
    source: OrthancServer
    destination: OrthancServer
    folder: Path
    ending: ExitStack

    def revive(self) -> None:
        """Start the processes that were killed."""
        for process in ("prefect_server", "reconciler", "worker"):
            self.adit.start(process)

    def scene(self, *, studies: int = 1, instances: int = INSTANCES, rows: int = ROWS) -> "Scene":
        """Set a scene between the two archives, with new studies that the source holds."""
        specs, held = self.write(studies, instances, rows)
        self.source.archive.load(self.files(specs))
        return self.between_archives(specs, held)

    def between_archives(self, specs: Sequence[StudySpec], held: Mapping[str, Hashes]) -> "Scene":
        """Set a scene between the two archives, of studies that were written."""
        return self.scene_from(_orthanc(self.source), specs, held)

    def scene_from(self, node: ServerNode, specs: Sequence[StudySpec], held: Mapping[str, Hashes]) -> "Scene":
        """Set a scene from a source that holds these studies to the destination."""
        scene = Scene(self, specs, held)
        scene.inbound = self.network(node.port)
        scene.source = self.server(node, scene.inbound)
        scene.deliver_to(_orthanc(self.destination), lambda: _contents(self.destination, held))
        return scene

    def scene_from_folder(self, spec: StudySpec, held: Mapping[str, Hashes]) -> "Scene":
        """Set a scene from the folder that a study was written to."""
        scene = Scene(self, [spec], held)
        scene.source = self.folder_node(self._folder_of(spec))
        scene.deliver_to(_orthanc(self.destination), lambda: _contents(self.destination, held))
        return scene

    def write(
        self, studies: int = 1, instances: int = INSTANCES, rows: int = ROWS
    ) -> tuple[list[StudySpec], dict[str, Hashes]]:
        """Write new studies below the folder, and return what is in them, too."""
        specs = [_new_study(instances, rows) for _ in range(studies)]
        return specs, self.write_these(specs)

    def write_these(self, specs: Iterable[StudySpec]) -> dict[str, Hashes]:
        """Write these studies below the folder, and return what is in them."""
        return {spec.study_instance_uid: hashes(self._write(spec)) for spec in specs}

    def files(self, specs: Sequence[StudySpec]) -> list[Path]:
        """Return the files of studies that were written."""
        return [path for spec in specs for path in sorted(self._folder_of(spec).rglob("*.dcm"))]

    def network(self, port: int, counter: StoreCounter | StowCounter | None = None) -> FaultProxy:
        """Lead to a port through a network that can fail, and count the instances that are sent over it."""
        return self.ending.enter_context(FaultProxy(port, tap=counter.tap if counter else None))

    def server(
        self,
        node: ServerNode,
        network: FaultProxy,
        *,
        allows_direct_move: bool = False,
    ) -> str:
        """Add a node that is reached through a network, and return its name."""
        name = f"{node.name}-{next(_numbers)}"
        add_server(
            self.adit.db,
            name,
            ae_title=node.ae_title,
            host=node.host,
            port=network.port,
            services=node.services,
            max_associations=_MOST_ASSOCIATIONS,
            allows_direct_move=allows_direct_move,
            connection_profile=PROFILE,
        )
        return name

    def web_server(self, port: int) -> str:
        """Add the DICOMweb of an archive that is reached at a port as a node, and return its name."""
        name = f"web-{next(_numbers)}"
        add_web_server(
            self.adit.db,
            name,
            base_url=f"http://{HOST}:{port}/dicom-web",
            max_associations=_MOST_ASSOCIATIONS,
            connection_profile=PROFILE,
        )
        return name

    def folder_node(self, path: Path, storage: Storage | None = None) -> str:
        """Add a folder as a node, and return its name."""
        name = f"folder-{next(_numbers)}"
        add_folder(self.adit.db, name, path=str(path), storage=storage, max_associations=_MOST_ASSOCIATIONS)
        return name

    def _write(self, spec: StudySpec) -> list[Path]:
        return write_study(spec, self._folder_of(spec))

    def _folder_of(self, spec: StudySpec) -> Path:
        return self.folder / spec.key


@contextmanager
def open_stage(
    adit: RunningStack, source: OrthancServer, destination: OrthancServer, folder: Path
) -> Iterator[Stage]:
    """Prepare a stage, and end afterwards what its scenes have used."""
    add_profile(adit.db, PROFILE, _IMPATIENT)
    with ExitStack() as ending:
        yield Stage(adit, source, destination, folder, ending)


def scene_from_faulty(
    stage: Stage, *, withheld: int = 0, instances: int = INSTANCES, **faults: Any
) -> "Scene":
    """Set a scene from an archive with these faults, which withholds so many instances."""
    specs, held = stage.write(instances=instances)
    archive: FaultyArchive = stage.ending.enter_context(faulty_archive(stage.files(specs)))
    archive.withheld = set(sorted(archive.instances)[:withheld])
    for name, value in faults.items():
        setattr(archive, name, value)
    return stage.scene_from(archive.node(Service.GET), specs, held)


@dataclass
class Scene:
    """A job to be: change what is wrong with its networks, submit it, and go on to disturb it."""

    stage: Stage
    specs: Sequence[StudySpec]
    held: Mapping[str, Hashes]
    """What the source has, by Study Instance UID."""
    source: str = ""
    """The name of the node."""
    destination: str = ""
    arrived: Callable[[], Hashes] = dict
    counter: StoreCounter | StowCounter | None = None
    """Of the instances that are sent to the destination; None if it is a folder, to which nothing is sent."""
    inbound: FaultProxy = field(init=False)
    """Between the source and the worker."""
    outbound: FaultProxy = field(init=False)
    """Between the worker and the destination."""

    def deliver_to(self, node: ServerNode, arrived: Callable[[], Hashes]) -> None:
        """Have the studies delivered to another archive."""
        self.counter = StoreCounter()
        self.outbound = self.stage.network(node.port, self.counter)
        self.destination = self.stage.server(node, self.outbound)
        self.arrived = arrived

    def deliver_to_folder(self, path: Path, storage: Storage | None = None) -> None:
        """Have the studies delivered to a folder."""
        path.mkdir(parents=True, exist_ok=True)
        self.counter = None
        self.destination = self.stage.folder_node(path, storage)
        self.arrived = lambda: instances_in(path)

    def deliver_to_web(self, port: int) -> None:
        """Have the studies delivered by STOW-RS to the archive whose DICOMweb is at a port."""
        self.counter = StowCounter()
        self.outbound = self.stage.network(port, self.counter)
        self.destination = self.stage.web_server(self.outbound.port)

    def submit(self, *, patient_id: str | None = None, pseudonym: str = "", **request: Any) -> Transfer:
        """Have the studies moved, as those of another patient or by another `request` if that is given."""
        adit = self.stage.adit
        job_id = submit_batch_transfer(
            adit.db,
            adit.launcher,
            self.request(**request),
            batch_of(self.specs, patient_id=patient_id, pseudonym=pseudonym),
        )
        return self.transfer(job_id)

    def request(self, **changes: Any) -> TransferRequest:
        """Return what every kind of transfer between the two is told."""
        return TransferRequest(
            **{
                "owner_id": self.stage.adit.user.id,
                "source": self.source,
                "destination": self.destination,
                **changes,
            }
        )

    def transfer(self, job_id: int) -> Transfer:
        """Return a job that was submitted to move the studies."""
        sent = self.counter.sent if self.counter else None
        return Transfer(self.stage.adit, job_id, self.held, self.arrived, sent)


def batch_of(specs: Sequence[StudySpec], *, patient_id: str | None = None, pseudonym: str = "") -> BatchFile:
    """Return a batch file that names studies, as those of another patient if one is given."""
    return BatchFile(
        tuple(
            BatchStudy(patient_id or spec.patient_id, spec.study_instance_uid, (), pseudonym, (row,))
            for row, spec in enumerate(specs, 2)
        )
    )


def _new_study(instances: int, rows: int) -> StudySpec:
    number = next(_numbers)
    return ct_study(instances, rows=rows, key=f"fault-{number}", patient_id=f"FAULT{number}")


def _orthanc(server: OrthancServer) -> ServerNode:
    return replace(server.archive.node, services=frozenset({Service.FIND, Service.GET, Service.STORE}))


def _contents(server: OrthancServer, studies: Mapping[str, Hashes]) -> Hashes:
    return {uid: digest for study in studies for uid, digest in server.study(study).items()}
