"""Jobs with the real processes: urgent ones are not blocked by long ones, and ends are told."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.deployments import run_deployment

from adit_core.db import JobStatus
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.job_actions import cancel_job, make_urgent
from adit_core.services.jobs import show_job
from adit_core.services.nodes import add_folder, add_server
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.transfer_request import TransferRequest
from deployments.demo.studies import StudySpec, write_study
from deployments.worker import QUEUES
from tests.factories import ct_study, large_study
from tests.fakes.web_peer import Exchange, FakeWebPeer
from tests.fault_proxy import FaultProxy
from tests.servers import OrthancServer
from tests.stack import RunningStack, running_stack

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

LONG = large_study(100, key="long")
SHORT = ct_study(2, key="short")
_, PLACES = QUEUES["default"]


@pytest.fixture(scope="module")
def webhook() -> Iterator[FakeWebPeer]:
    with FakeWebPeer(Exchange.answer) as peer:
        yield peer


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, webhook: FakeWebPeer) -> Iterator[RunningStack]:
    variables = {
        "ADIT_STUDIES_IN_FLIGHT": "1",
        "ADIT_WEBHOOK_URL": webhook.url,
        "ADIT_WEBHOOK_SECRET": "shared",
    }
    with running_stack(tmp_path_factory.mktemp("stack"), variables) as stack:
        yield stack


@pytest.fixture
def archive(stack: RunningStack, orthanc_source: OrthancServer, tmp_path: Path) -> Iterator[None]:
    """An archive that is fast as FAST and takes minutes for a large study as SLOW, and a folder for both."""
    for spec in (LONG, SHORT):
        orthanc_source.archive.load(write_study(spec, tmp_path / "studies"))
    node = orthanc_source.archive.node
    with FaultProxy(node.port) as network:
        network.throttle(500_000)
        for name, port in (("FAST", node.port), ("SLOW", network.port)):
            add_server(
                stack.db,
                f"{name}-{tmp_path.name}",
                ae_title=node.ae_title,
                host=node.host,
                port=port,
                max_associations=16,
            )
        (tmp_path / "arrivals").mkdir()
        add_folder(stack.db, f"Export-{tmp_path.name}", path=str(tmp_path / "arrivals"), max_associations=16)
        yield


def submit(stack: RunningStack, tmp_path: Path, source: str, spec: StudySpec, *, urgent: bool = False) -> int:
    return submit_batch_transfer(
        stack.db,
        stack.launcher,
        TransferRequest(
            owner_id=stack.user.id,
            source=f"{source}-{tmp_path.name}",
            destination=f"Export-{tmp_path.name}",
            urgent=urgent,
        ),
        BatchFile((BatchStudy(spec.patient_id, spec.study_instance_uid, rows=(2,)),)),
    )


def cancel(stack: RunningStack, *job_ids: int) -> None:
    for job_id in job_ids:
        cancel_job(stack.db, stack.launcher, stack.user, job_id)
        stack.finished(job_id)


def status(stack: RunningStack, job_id: int) -> JobStatus:
    return show_job(stack.db, stack.user, job_id).status


@pytest.mark.usefixtures("archive")
def test_urgent_jobs_start_although_all_places_are_taken_by_long_ones(
    stack: RunningStack, tmp_path: Path
) -> None:
    long = [submit(stack, tmp_path, "SLOW", LONG) for _ in range(PLACES)]
    for job_id in long:
        stack.wait_for_progress(job_id, lambda job: job.status is JobStatus.IN_PROGRESS)
    waiting = [submit(stack, tmp_path, "FAST", SHORT) for _ in range(2)]

    urgent = submit(stack, tmp_path, "FAST", SHORT, urgent=True)
    assert stack.finished(urgent).status is JobStatus.SUCCESS
    assert [status(stack, job_id) for job_id in waiting] == [JobStatus.PENDING] * 2

    make_urgent(stack.db, stack.launcher, stack.user, waiting[1])
    assert stack.finished(waiting[1]).status is JobStatus.SUCCESS

    # Nor does the daily backup wait for them.
    kept: Any = run_deployment("housekeeping/housekeeping", timeout=60)
    assert kept.state.is_completed(), kept.state
    assert status(stack, waiting[0]) is JobStatus.PENDING
    assert {status(stack, job_id) for job_id in long} == {JobStatus.IN_PROGRESS}

    cancel(stack, *long)
    assert stack.finished(waiting[0]).status is JobStatus.SUCCESS


@pytest.mark.usefixtures("archive")
def test_the_end_of_a_job_is_told_without_anybody_asking(
    stack: RunningStack, webhook: FakeWebPeer, tmp_path: Path
) -> None:
    job_id = submit(stack, tmp_path, "FAST", SHORT)
    stack.finished(job_id)

    deadline = time.monotonic() + 30
    while (told := _told_of(webhook, job_id)) == []:
        assert time.monotonic() < deadline, "nothing is told"
        time.sleep(0.2)

    assert [job["status"] for job in told] == ["SUCCESS"]


def _told_of(webhook: FakeWebPeer, job_id: int) -> list[dict[str, Any]]:
    jobs = [json.loads(exchange.body)["job"] for exchange in webhook.exchanges]
    return [job for job in jobs if job["job_id"] == job_id]


@pytest.fixture
def urgent_worker(stack: RunningStack) -> Iterator[None]:
    """A worker that serves urgent jobs only, and no other one."""
    stack.stop("worker")
    stack.start("worker", "urgent")
    yield
    stack.stop("worker")
    stack.start("worker")


@pytest.mark.usefixtures("archive", "urgent_worker")
def test_a_worker_for_urgent_jobs_takes_no_others(stack: RunningStack, tmp_path: Path) -> None:
    ordinary = submit(stack, tmp_path, "FAST", SHORT)

    urgent = submit(stack, tmp_path, "FAST", SHORT, urgent=True)

    assert stack.finished(urgent).status is JobStatus.SUCCESS
    assert status(stack, ordinary) is JobStatus.PENDING
    cancel(stack, ordinary)
