"""From archive to archive: ADIT's core and whole jobs against getscu followed by storescu."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from adit_core.db import JobStatus
from adit_core.dicom.manifest import Selection
from adit_core.dicom.node import ServerNode
from adit_core.dicom.transfer import transfer_study
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.jobs import JobView
from adit_core.services.nodes import add_server
from adit_core.services.routes import open_route
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.transfer_request import TransferRequest
from deployments.demo.studies import StudySpec, write_study
from tests.bench import tools
from tests.bench.contest import Contest
from tests.bench.memory import PeakMemory, watch_memory
from tests.bench.waiting import ended_job
from tests.factories import ct_study, large_study, one_instance_studies, study_reference
from tests.servers import OrthancServer, orthanc
from tests.stack import RunningStack, running_stack

SEVERAL = 4
"""Associations at a time where a node allows several."""
MoveStudies = Callable[[Sequence[StudySpec]], object]
_SOURCE, _DESTINATION = "SOURCE", "DESTINATION"


@dataclass(frozen=True)
class Arena:
    """Two Orthancs, and ADIT with them as nodes."""

    source: OrthancServer
    destination: OrthancServer
    adit: RunningStack
    folder: Path

    def load(self, studies: Sequence[StudySpec]) -> float:
        """Have the source hold these studies and no others, and return their size in MB."""
        self.source.clear()
        self.destination.clear()
        size = 0
        for study in studies:
            files = write_study(study, self.folder)
            self.source.archive.load(files)
            size += sum(path.stat().st_size for path in files)
            for path in files:
                path.unlink()
        return size / 1e6

    @property
    def nodes(self) -> tuple[ServerNode, ServerNode]:
        return self.source.archive.node, self.destination.archive.node

    def check(self) -> None:
        """Raise AssertionError unless the destination holds what the source does."""
        assert self.destination.contents() == self.source.contents()


@contextmanager
def open_arena(folder: Path) -> Iterator[Arena]:
    """Start everything, and end it afterwards."""
    with ExitStack() as servers:
        source = servers.enter_context(orthanc(folder / "source", _SOURCE))
        destination = servers.enter_context(orthanc(folder / "destination", _DESTINATION))
        adit = servers.enter_context(running_stack(folder / "stack", {}))
        for server in (source, destination):
            node = server.archive.node
            address = {"ae_title": node.ae_title, "host": node.host, "port": node.port}
            add_server(adit.db, node.name, **address, max_associations=SEVERAL)
        yield Arena(source, destination, adit, folder / "written")


def contest(servers: ExitStack, arena: Arena, studies: int, instances: int) -> Contest:
    """Return the contest in moving CT studies."""
    move_by_cores = servers.enter_context(several_cores(*arena.nodes))
    specs = _ct_studies("archives", studies, instances)
    megabytes = arena.load(specs)
    return Contest(
        f"Archive to archive, {studies} studies of {instances} CT images",
        megabytes,
        {
            "getscu + storescu": lambda: tools.getscu_and_storescu(specs, *arena.nodes),
            "pynetdicom": lambda: tools.pynetdicom(specs, *arena.nodes),
            "ADIT core, 1 association": lambda: move_by_core(specs, *arena.nodes),
            f"ADIT core, {SEVERAL} associations": lambda: move_by_cores(specs),
            "ADIT job, from submission": lambda: move_by_job(arena.adit, specs),
        },
        arena.check,
        before_each=arena.destination.clear,
        goals={"ADIT core, 1 association": 1.2, f"ADIT core, {SEVERAL} associations": 2.0},
    )


def orchestration(arena: Arena, *, studies: int, instances: int, rounds: int) -> dict[str, float]:
    """Return what a job adds to the moving itself, per cent, once its flow run has begun.

    Both move the same studies over as many associations at a time.
    """
    specs = _ct_studies("orchestration", studies, instances)
    arena.load(specs)
    core, job, begin = [], [], []
    with several_cores(*arena.nodes) as move_by_cores:
        for _ in range(rounds):
            arena.destination.clear()
            core.append(_seconds(lambda: move_by_cores(specs)))
            arena.destination.clear()
            view = move_by_job(arena.adit, specs)
            assert view.started_at is not None
            assert view.ended_at is not None
            job.append((view.ended_at - view.started_at).total_seconds())
            begin.append((view.started_at - view.created_at).total_seconds())
    arena.check()
    core_seconds, job_seconds = sorted(core)[rounds // 2], sorted(job)[rounds // 2]
    return {
        "core, s": core_seconds,
        "job once begun, s": job_seconds,
        "added by the job, %": (job_seconds / core_seconds - 1) * 100,
        "until it had begun, s": sorted(begin)[rounds // 2],
    }


def small_studies(arena: Arena, count: int) -> dict[str, float]:
    """Return what the core and a job take for studies of one instance each."""
    specs = one_instance_studies(count)
    arena.load(specs)
    core = _seconds(lambda: move_by_core(specs, *arena.nodes))
    arena.destination.clear()
    view = move_by_job(arena.adit, specs)
    assert view.started_at is not None
    assert view.ended_at is not None
    job = (view.ended_at - view.started_at).total_seconds()
    return {
        "core alone, ms a study": core / count * 1000,
        "job, ms a study once begun": job / count * 1000,
        "studies/s from submission to end": count / (view.ended_at - view.created_at).total_seconds(),
    }


def peak_memory(arena: Arena, *, instances: int, megabytes: int) -> dict[str, float]:
    """Return the peak memory in MB, for a study of many instances and for a large instance."""
    many = _watched(arena, [ct_study(instances, rows=16, key="many", patient_id="MANY")])
    large = _watched(arena, [large_study(megabytes)])
    return {
        f"child, {instances} instances": many.child,
        f"child, one instance of {megabytes} MB": large.child,
        "flow run": max(many.flow_run, large.flow_run),
    }


def move_by_core(studies: Sequence[StudySpec], source: ServerNode, destination: ServerNode) -> None:
    """Move studies one after the other, by one association a side: no database, no Prefect."""
    for study in studies:
        with open_route(source, destination) as route:
            outcome = transfer_study(route, study_reference(study), Selection())
        assert outcome.is_complete, outcome.message()


@contextmanager
def several_cores(source: ServerNode, destination: ServerNode) -> Iterator[MoveStudies]:
    """Yield what moves several studies at a time, each in a process that waits for it as those of jobs do."""
    move = partial(move_by_core, source=source, destination=destination)
    with ProcessPoolExecutor(SEVERAL) as pool:
        list(pool.map(move, [[]] * SEVERAL))
        yield lambda studies: list(pool.map(move, [[study] for study in studies]))


def move_by_job(adit: RunningStack, studies: Sequence[StudySpec]) -> JobView:
    """Move studies by a job, from its submission to its end."""
    rows = tuple(
        BatchStudy(study.patient_id, study.study_instance_uid, (), "", (row,))
        for row, study in enumerate(studies, 2)
    )
    job_id = submit_batch_transfer(
        adit.db,
        adit.launcher,
        TransferRequest(owner_id=adit.user.id, source=_SOURCE, destination=_DESTINATION),
        BatchFile(rows),
    )
    job = ended_job(adit, job_id)
    assert job.status is JobStatus.SUCCESS, job.message
    return job


def _ct_studies(key: str, studies: int, instances: int) -> list[StudySpec]:
    return [
        ct_study(instances, rows=512, key=f"{key}-{number}", patient_id=f"BENCH{number:03}")
        for number in range(studies)
    ]


def _watched(arena: Arena, studies: Sequence[StudySpec]) -> PeakMemory:
    arena.load(studies)
    worker = arena.adit.worker
    assert worker is not None
    with watch_memory(worker.pid) as peak:
        move_by_job(arena.adit, studies)
    arena.check()
    return peak


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
