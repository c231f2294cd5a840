"""kill -9 of the flow run of a job of every kind, half way: each ends as if nothing had happened."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

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

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

_PATIENCE = 240.0


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
def disturbed(request: pytest.FixtureRequest, stage_of_module: Stage) -> dict[str, KindJob]:
    """A job of each kind that is to be tested, whose flow run was killed as soon as its moment had come."""
    chosen = {item.callspec.params["kind"].words for item in request.session.items if _is_of_a_kind(item)}
    kinds = [kind for kind in KINDS if kind.words in chosen]
    with ThreadPoolExecutor(len(kinds)) as watchers:  # while others are still being submitted
        jobs = {
            kind.words: watchers.submit(kill_at_its_moment, kind, kind.begin(stage_of_module))
            for kind in kinds
        }
        return {words: job.result() for words, job in jobs.items()}


def _is_of_a_kind(item: pytest.Item) -> bool:
    return getattr(item, "originalname", "") == test_a_job_of_any_kind_survives_its_flow_run.__name__


def kill_at_its_moment(kind: Kind, job: KindJob) -> KindJob:
    """Kill the flow run of a job when its moment has come."""
    adit, job_id = job.transfer.adit, job.transfer.job_id
    deadline = time.monotonic() + _PATIENCE
    while not kind.has_come(adit.tasks(job_id)):
        view = show_job(adit.db, adit.user, job_id)
        assert view.status in OPEN_JOBS, f"{kind.words}: it ended before it could be disturbed: {view}"
        assert time.monotonic() < deadline, f"{kind.words}: it never came to that: {view}"
        time.sleep(0.05)
    return kill_flow_run(job)


def kill_flow_run(job: KindJob) -> KindJob:
    (run,) = job.transfer.adit.flow_runs_of(job.transfer.job_id)
    run.kill()
    job.network.heal()
    return replace(job, transfer=replace(job.transfer, fault_at=utc_now()))


@parametrized("kill -9 of the flow run")
def test_a_job_of_any_kind_survives_its_flow_run(
    kind: Kind, disturbed: dict[str, KindJob], record: Record
) -> None:
    assert_as_if_nothing_had_happened(kind, disturbed[kind.words], record)


def assert_as_if_nothing_had_happened(kind: Kind, job: KindJob, record: Record) -> None:
    outcome = assert_whole(job.transfer, in_flight=kind.in_flight)
    record(outcome)
    assert outcome.status is JobStatus.SUCCESS, outcome.messages
    assert outcome.attempts > 1, "nothing was disturbed"
    job.check()
