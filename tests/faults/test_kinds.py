"""Jobs of every kind lose their flow run half way, or what else they need, and end as if they had not."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import BoundedSemaphore

import pytest

from adit_core.db import JobStatus, Task
from adit_core.db.columns import utc_now
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.jobs import show_job
from tests.faults import kinds
from tests.faults.kinds import Begin, KindJob, is_asking, is_half_way, is_searching
from tests.faults.moments import IN_FLIGHT
from tests.faults.outcome import Record, assert_whole
from tests.faults.scene import INSTANCES, Stage
from tests.faults.test_kill import kill_children, kill_worker_and_flow_runs
from tests.servers import OrthancServer, orthanc, restarted

pytestmark = [pytest.mark.system, pytest.mark.timeout(500)]

_PATIENCE = 240.0
_AT_ONCE = 4
"""How many jobs are under way at a time; as many have a flow run."""


@dataclass(frozen=True)
class Kind:
    """A kind of job, and when it is disturbed."""

    words: str
    begin: Begin
    has_come: Callable[[Sequence[Task]], bool] = is_half_way
    in_flight: int = IN_FLIGHT
    """How many instances may be on their way to the destination at that moment."""
    is_slow: bool = False
    """Whether it is left to `make faults`."""


QUERY = Kind("a batch query is asking", kinds.query, is_asking)
SEARCHING = Kind("a mass transfer is searching", kinds.mass_while_searching, is_searching)
MOVING = Kind("a mass transfer is moving studies", kinds.mass_while_moving)
ARCHIVE_OF_JOB = Kind("a job with an archive of its own is half way", kinds.seven_zip_of_job)
DIRECT = Kind("a direct C-MOVE is half way", kinds.direct_move)
KINDS = (
    QUERY,
    SEARCHING,
    MOVING,
    Kind("chosen series are half way", kinds.series),
    Kind("an upload is half way", kinds.upload),
    Kind("a pseudonymized transfer is half way", kinds.pseudonymized),
    ARCHIVE_OF_JOB,
    Kind("a transfer into archives of studies is half way", kinds.zip_of_studies, is_slow=True),
    Kind("a transfer to NIfTI is half way", kinds.nifti),
    DIRECT,
    # A request of STOW-RS has several instances, of which servers keep nothing if it breaks off.
    Kind("a transfer by DICOMweb is half way", kinds.dicomweb, in_flight=IN_FLIGHT * INSTANCES),
)


def parametrized(fault: str, kinds: Sequence[Kind] = KINDS) -> pytest.MarkDecorator:
    """Return what has a test run for kinds; `fault` says what happens when the moment has come."""
    return pytest.mark.parametrize(
        "kind",
        [
            pytest.param(
                kind,
                id=kind.words,
                marks=[
                    pytest.mark.fault(f"{fault} when {kind.words}"),
                    *([pytest.mark.slow_faults] if kind.is_slow else []),
                ],
            )
            for kind in kinds
        ],
    )


@pytest.fixture(scope="module")
def disturbed(
    request: pytest.FixtureRequest, stage_of_module: Stage
) -> Iterator[Mapping[str, Future[KindJob]]]:
    """A job of each kind that is to be tested, whose flow run was killed as soon as its moment had come."""
    survives = test_a_job_of_any_kind_survives_its_flow_run.__name__
    chosen = {item.name for item in request.session.items}
    room = BoundedSemaphore(_AT_ONCE)
    with ThreadPoolExecutor(_AT_ONCE) as watchers:
        jobs: dict[str, Future[KindJob]] = {}
        for kind in KINDS:
            if f"{survives}[{kind.words}]" in chosen:
                room.acquire()
                job = watchers.submit(kill_at_its_moment, kind, kind.begin(stage_of_module))
                job.add_done_callback(lambda _: room.release())
                jobs[kind.words] = job
        yield jobs


def kill_at_its_moment(kind: Kind, job: KindJob) -> KindJob:
    """Kill the flow run of a job when its moment has come, and return when it has ended."""
    adit, job_id = job.transfer.adit, job.transfer.job_id
    await_moment(kind, job)
    (run,) = adit.flow_runs_of(job_id)
    run.kill()
    killed = healed(job)
    adit.finished(job_id)
    return killed


def await_moment(kind: Kind, job: KindJob) -> None:
    """Wait until a job is where it is to be disturbed."""
    adit, job_id = job.transfer.adit, job.transfer.job_id
    deadline = time.monotonic() + _PATIENCE
    while not kind.has_come(adit.tasks(job_id)):
        view = show_job(adit.db, adit.user, job_id)
        assert view.status in OPEN_JOBS, f"{kind.words}: it ended before it could be disturbed: {view}"
        assert time.monotonic() < deadline, f"{kind.words}: it never came to that: {view}"
        time.sleep(0.05)


def healed(job: KindJob) -> KindJob:
    """Return a job to which the fault has come, after making it fast."""
    job.network.heal()
    return replace(job, transfer=replace(job.transfer, fault_at=utc_now()))


@parametrized("kill -9 of the flow run")
def test_a_job_of_any_kind_survives_its_flow_run(
    kind: Kind, disturbed: Mapping[str, Future[KindJob]], record: Record
) -> None:
    assert_as_if_nothing_had_happened(kind, disturbed[kind.words].result(), record)


def assert_as_if_nothing_had_happened(kind: Kind, job: KindJob, record: Record) -> None:
    outcome = assert_whole(job.transfer, in_flight=kind.in_flight)
    record(outcome)
    assert outcome.status is JobStatus.SUCCESS, outcome.messages
    assert outcome.attempts > 1, "nothing was disturbed"
    job.check()


@pytest.mark.slow_faults
@parametrized("kill -9 of the worker with its flow run", [QUERY, SEARCHING, MOVING])
def test_a_job_survives_its_worker(kind: Kind, stage: Stage, record: Record) -> None:
    job = kind.begin(stage)
    await_moment(kind, job)
    kill_worker_and_flow_runs(stage.adit)
    assert_as_if_nothing_had_happened(kind, healed(job), record)


@pytest.mark.slow_faults
@parametrized("kill -9 of the children", [ARCHIVE_OF_JOB])
def test_a_job_survives_its_children(kind: Kind, stage: Stage, record: Record) -> None:
    job = kind.begin(stage)
    await_moment(kind, job)
    kill_children(stage.adit)
    assert_as_if_nothing_had_happened(kind, healed(job), record)


@pytest.fixture
def restartable(tmp_path: Path) -> Iterator[OrthancServer]:
    """An Orthanc that no other test uses."""
    with orthanc(tmp_path / "restartable", "RESTARTABLE") as server:
        yield server


@pytest.mark.slow_faults
@parametrized("the source is killed and comes back", [QUERY, SEARCHING])
def test_a_job_survives_its_source(
    kind: Kind, stage: Stage, restartable: OrthancServer, record: Record
) -> None:
    restart_at_its_moment(kind, replace(stage, source=restartable), restartable, record)


@pytest.mark.slow_faults
@parametrized("the destination is killed and comes back", [DIRECT])
def test_a_job_survives_its_destination(
    kind: Kind, stage: Stage, restartable: OrthancServer, record: Record
) -> None:
    restart_at_its_moment(kind, replace(stage, destination=restartable), restartable, record)


def restart_at_its_moment(kind: Kind, stage: Stage, server: OrthancServer, record: Record) -> None:
    job = kind.begin(stage)
    await_moment(kind, job)
    server.archive.server.kill()
    with restarted(server):
        assert_as_if_nothing_had_happened(kind, healed(job), record)
