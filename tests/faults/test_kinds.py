"""kill -9 of the flow run of a job of every kind, half way: each ends as if nothing had happened."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
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


KINDS = (
    Kind("a batch query is asking", kinds.query, is_asking),
    Kind("a mass transfer is searching", kinds.mass_while_searching, is_searching),
    Kind("a mass transfer is moving studies", kinds.mass_while_moving),
    Kind("chosen series are half way", kinds.series),
    Kind("an upload is half way", kinds.upload),
    Kind("a pseudonymized transfer is half way", kinds.pseudonymized),
    Kind("a job with an archive of its own is half way", kinds.seven_zip_of_job),
    Kind("a transfer into archives of studies is half way", kinds.zip_of_studies, is_slow=True),
    Kind("a transfer to NIfTI is half way", kinds.nifti),
    Kind("a direct C-MOVE is half way", kinds.direct_move),
    # A request of STOW-RS has several instances, of which servers keep nothing if it breaks off.
    Kind("a transfer by DICOMweb is half way", kinds.dicomweb, in_flight=IN_FLIGHT * INSTANCES),
)


def parametrized(fault: str) -> pytest.MarkDecorator:
    """Return what has a test run for each kind; `fault` says what happens when its moment has come."""
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
            for kind in KINDS
        ],
    )


@pytest.fixture(scope="module")
def disturbed(
    request: pytest.FixtureRequest, stage_of_module: Stage
) -> Iterator[Mapping[str, Future[KindJob]]]:
    """A job of each kind that is to be tested, whose flow run was killed as soon as its moment had come."""
    chosen = {item.callspec.params["kind"].words for item in request.session.items if _is_of_a_kind(item)}
    room = BoundedSemaphore(_AT_ONCE)
    with ThreadPoolExecutor(_AT_ONCE) as watchers:
        jobs: dict[str, Future[KindJob]] = {}
        for kind in KINDS:
            if kind.words in chosen:
                room.acquire()
                job = watchers.submit(kill_at_its_moment, kind, kind.begin(stage_of_module))
                job.add_done_callback(lambda _: room.release())
                jobs[kind.words] = job
        yield jobs


def _is_of_a_kind(item: pytest.Item) -> bool:
    return getattr(item, "originalname", "") == test_a_job_of_any_kind_survives_its_flow_run.__name__


def kill_at_its_moment(kind: Kind, job: KindJob) -> KindJob:
    """Kill the flow run of a job when its moment has come, and return when it has ended."""
    adit, job_id = job.transfer.adit, job.transfer.job_id
    deadline = time.monotonic() + _PATIENCE
    while not kind.has_come(adit.tasks(job_id)):
        view = show_job(adit.db, adit.user, job_id)
        assert view.status in OPEN_JOBS, f"{kind.words}: it ended before it could be disturbed: {view}"
        assert time.monotonic() < deadline, f"{kind.words}: it never came to that: {view}"
        time.sleep(0.05)
    (run,) = adit.flow_runs_of(job_id)
    run.kill()
    job.network.heal()
    killed = replace(job, transfer=replace(job.transfer, fault_at=utc_now()))
    adit.finished(job_id)
    return killed


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
