"""The launcher in front of a real Prefect server, which has our deployment but no worker."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.states import Completed, Crashed, Running, Scheduled
from prefect.testing.utilities import prefect_test_harness

from adit_core.db import JobKind
from adit_core.errors import SchedulerUnavailable
from adit_core.services.launcher import PrefectLauncher

UNKNOWN_RUN = "00000000-0000-4000-8000-000000000000"
_job_ids = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[SyncPrefectClient]:
    with (
        temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False}),
        prefect_test_harness(server_startup_timeout=90),
        get_client(sync_client=True) as client,
    ):
        client.create_work_pool(WorkPoolCreate(name="dicom", type="process"))
        deploy(client)
        yield client


@pytest.fixture
def launcher(server: SyncPrefectClient) -> PrefectLauncher:
    return PrefectLauncher()


@pytest.fixture
def job_id() -> int:
    """A job that the server has not heard of."""
    return next(_job_ids)


def deploy(server: SyncPrefectClient) -> UUID:
    flow_id = server.create_flow_from_name("transfer")
    return server.create_deployment(flow_id, "transfer", work_pool_name="dicom")


def state_of(server: SyncPrefectClient, flow_run_id: str) -> str:
    state = server.read_flow_run(UUID(flow_run_id)).state
    assert state is not None
    return state.type.value


@pytest.mark.parametrize(("urgent", "queue"), [(False, "default"), (True, "urgent")])
def test_a_launch_schedules_a_flow_run_that_holds_ids_only(
    server: SyncPrefectClient, launcher: PrefectLauncher, job_id: int, urgent: bool, queue: str
) -> None:
    flow_run = server.read_flow_run(
        UUID(launcher.launch(job_id, JobKind.BATCH_TRANSFER, run_number=3, urgent=urgent))
    )

    assert flow_run.parameters == {"job_id": job_id}
    assert flow_run.name == f"job-{job_id}-run-3"
    assert (flow_run.work_pool_name, flow_run.work_queue_name) == ("dicom", queue)


def test_an_execution_is_launched_once(launcher: PrefectLauncher, job_id: int) -> None:
    first = launcher.launch(job_id, JobKind.BATCH_TRANSFER, run_number=1, urgent=False)

    assert launcher.launch(job_id, JobKind.BATCH_TRANSFER, run_number=1, urgent=False) == first
    assert launcher.launch(job_id, JobKind.BATCH_TRANSFER, run_number=2, urgent=False) != first


def test_a_flow_run_that_has_not_started_is_canceled_at_once(
    server: SyncPrefectClient, launcher: PrefectLauncher, job_id: int
) -> None:
    flow_run_id = launcher.launch(job_id, JobKind.BATCH_TRANSFER, run_number=1, urgent=False)
    assert launcher.is_awaited(flow_run_id)

    launcher.cancel(flow_run_id)

    assert not launcher.is_awaited(flow_run_id)
    assert state_of(server, flow_run_id) == "CANCELLED"


def test_a_flow_run_that_is_running_is_asked_to_end(
    server: SyncPrefectClient, launcher: PrefectLauncher, job_id: int
) -> None:
    flow_run_id = launcher.launch(job_id, JobKind.BATCH_TRANSFER, run_number=1, urgent=False)
    server.set_flow_run_state(flow_run_id, Running(), force=True)

    launcher.cancel(flow_run_id)

    assert launcher.is_awaited(flow_run_id)
    assert state_of(server, flow_run_id) == "CANCELLING"


@pytest.mark.parametrize("final", [Completed(), Crashed()])
def test_a_flow_run_that_is_over_stays_as_it_is(
    server: SyncPrefectClient, launcher: PrefectLauncher, job_id: int, final: State
) -> None:
    flow_run_id = launcher.launch(job_id, JobKind.BATCH_TRANSFER, run_number=1, urgent=False)
    server.set_flow_run_state(flow_run_id, final, force=True)
    assert not launcher.is_awaited(flow_run_id)

    launcher.cancel(flow_run_id)
    launcher.abandon(flow_run_id)

    assert state_of(server, flow_run_id) == final.type.value


def test_a_flow_run_that_is_not_known_is_over(launcher: PrefectLauncher, server: SyncPrefectClient) -> None:
    assert not launcher.is_awaited(UNKNOWN_RUN)
    launcher.cancel(UNKNOWN_RUN)
    launcher.abandon(UNKNOWN_RUN)


def test_a_flow_run_that_was_started_long_ago_is_not_awaited_any_more(
    server: SyncPrefectClient, launcher: PrefectLauncher, job_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow_run_id = launcher.launch(job_id, JobKind.BATCH_TRANSFER, run_number=1, urgent=False)
    server.set_flow_run_state(flow_run_id, Running(), force=True)
    assert launcher.is_awaited(flow_run_id)

    monkeypatch.setattr("adit_core.services.launcher._START_PATIENCE", -timedelta(seconds=2))

    assert not launcher.is_awaited(flow_run_id)


def test_a_flow_run_that_prefect_would_start_in_an_hour_is_not_awaited(
    server: SyncPrefectClient, launcher: PrefectLauncher, job_id: int
) -> None:
    flow_run_id = launcher.launch(job_id, JobKind.BATCH_TRANSFER, run_number=1, urgent=False)
    # As it looks when the server's clock was put back since it was launched.
    in_an_hour = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=1))
    server.set_flow_run_state(flow_run_id, in_an_hour, force=True)
    assert not launcher.is_awaited(flow_run_id)


@pytest.mark.parametrize("canceled", [False, True])
def test_a_flow_run_that_is_abandoned_takes_up_no_place_any_more(
    server: SyncPrefectClient, launcher: PrefectLauncher, job_id: int, canceled: bool
) -> None:
    flow_run_id = launcher.launch(job_id, JobKind.BATCH_TRANSFER, run_number=1, urgent=False)
    server.set_flow_run_state(flow_run_id, Running(), force=True)
    if canceled:
        launcher.cancel(flow_run_id)

    launcher.abandon(flow_run_id)

    assert not launcher.is_awaited(flow_run_id)
    assert state_of(server, flow_run_id) == "CRASHED"


def test_a_missing_deployment_is_named(
    server: SyncPrefectClient, launcher: PrefectLauncher, job_id: int
) -> None:
    server.delete_deployment(server.read_deployment_by_name("transfer/transfer").id)
    try:
        with pytest.raises(SchedulerUnavailable, match=r"transfer/transfer: run `prefect --no-prompt deploy"):
            launcher.launch(job_id, JobKind.BATCH_TRANSFER, run_number=1, urgent=False)
    finally:
        deploy(server)


def test_a_server_that_is_not_there_is_named() -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}),
        pytest.raises(SchedulerUnavailable, match=r"does not answer at http://127\.0\.0\.1:1/api: start it"),
    ):
        PrefectLauncher().is_awaited(UNKNOWN_RUN)


class _Refusing(BaseHTTPRequestHandler):
    """What a server of Prefect answers that wants another password."""

    def do_GET(self) -> None:
        self.send_error(401)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the library
        pass


def test_a_server_that_refuses_is_named() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        Thread(target=server.serve_forever).start()
        with (
            temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{server.server_port}/api"}),
            pytest.raises(SchedulerUnavailable, match="answered with status 401"),
        ):
            PrefectLauncher().is_awaited(UNKNOWN_RUN)
        server.shutdown()


def test_no_server_is_started_where_none_is_named() -> None:
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(SchedulerUnavailable, match="PREFECT_API_URL is not set"),
    ):
        PrefectLauncher().launch(1, JobKind.BATCH_TRANSFER, run_number=1, urgent=False)
