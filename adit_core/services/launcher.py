"""The launcher: has jobs run by Prefect. The only module of `adit_core` that imports it.

What Prefect stores is ids and nothing else (in names, parameters and keys), since anybody who may
open its UI can read it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State, WorkerStatus
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelling, Crashed

from adit_core.db import JobKind
from adit_core.errors import SchedulerUnavailable

_DEPLOYMENTS = {
    JobKind.SELECTIVE_TRANSFER: "transfer/transfer",
    JobKind.BATCH_TRANSFER: "transfer/transfer",
    JobKind.UPLOAD: "transfer/transfer",
    JobKind.BATCH_QUERY: "query/query",
    JobKind.MASS_TRANSFER: "mass-transfer/mass-transfer",
}
"""Which flow runs jobs of which kind, as Prefect names its deployments."""
WORK_POOL = "dicom"
"""The work pool; what is no job is in a queue of its own, see `deployments.worker`."""
URGENT_QUEUE = "urgent"
DEFAULT_QUEUE = "default"
_REQUEST_TIMEOUT = 15.0
_START_PATIENCE = timedelta(minutes=2)
"""How long a flow run may take from when a worker has taken it until it gives a sign of life."""
_LEEWAY = timedelta(seconds=5)
"""How far ahead of the time that Prefect's server tells, to the second, its own records may be."""


class PrefectLauncher:
    """The launcher that asks the Prefect server at PREFECT_API_URL."""

    def launch(self, job_id: int, kind: JobKind, *, run_number: int, urgent: bool) -> str:
        """Create a flow run, or find the one that was created for this execution before."""
        name = f"job-{job_id}-run-{run_number}"
        with _client() as client:
            flow_run = client.create_flow_run_from_deployment(
                _deployment_id(client, _DEPLOYMENTS[kind]),
                parameters={"job_id": job_id},
                name=name,
                idempotency_key=name,
                work_queue_name=URGENT_QUEUE if urgent else DEFAULT_QUEUE,
            )
        return str(flow_run.id)

    def cancel(self, flow_run_id: str) -> None:
        """Ask for a flow run to be ended; one that has not started is ended at once."""
        with _client() as client:
            _set_state(client, flow_run_id, Cancelling())

    def abandon(self, flow_run_id: str) -> None:
        """Put a flow run whose process is dead into a final state.

        Nobody else would, and it would keep its place in its queue for ever.
        """
        with _client() as client:
            _set_state(client, flow_run_id, Crashed(message="Nothing is heard of it."), force=True)

    def is_awaited(self, flow_run_id: str) -> bool:
        """Tell whether a flow run is scheduled, or has been starting for less than two minutes.

        One that is scheduled for a time to come is not: all begin at once, so Prefect's clock was put back.
        """
        with _client() as client:
            state = _unfinished_state(client, flow_run_id)
            if state is None:
                return False
            now = _prefect_now(client)
        due = state.state_details.scheduled_time or state.timestamp
        if due > now + _LEEWAY:
            return False
        return state.is_scheduled() or now - state.timestamp < _START_PATIENCE

    def missing_deployments(self) -> list[str]:
        """Return which deployments Prefect does not know, as it names them."""
        with _client() as client:
            return [
                name for name in sorted(set(_DEPLOYMENTS.values())) if _find_deployment(client, name) is None
            ]

    def workers_online(self) -> int:
        """Return how many workers of the work pool have been heard of lately."""
        with _client() as client:
            try:
                workers = client.read_workers_for_work_pool(WORK_POOL)
            except ObjectNotFound:
                return 0  # the first worker makes the pool
        return sum(worker.status == WorkerStatus.ONLINE for worker in workers)


def _deployment_id(client: SyncPrefectClient, name: str) -> UUID:
    deployment_id = _find_deployment(client, name)
    if deployment_id is None:
        raise SchedulerUnavailable(
            f"Prefect does not know the deployment {name}: run `prefect --no-prompt deploy --all`."
        )
    return deployment_id


def _find_deployment(client: SyncPrefectClient, name: str) -> UUID | None:
    try:
        return client.read_deployment_by_name(name).id
    except ObjectNotFound:
        return None


def _unfinished_state(client: SyncPrefectClient, flow_run_id: str) -> State | None:
    """Return the state of a flow run, None if it is over, or not known."""
    try:
        state = client.read_flow_run(UUID(flow_run_id)).state
    except ObjectNotFound:
        return None
    return None if state is None or state.is_final() else state


def _prefect_now(client: SyncPrefectClient) -> datetime:
    """Return the present moment by the clock of Prefect's server, to the second."""
    return parsedate_to_datetime(client.hello().headers["Date"])


def _set_state(client: SyncPrefectClient, flow_run_id: str, state: State, *, force: bool = False) -> None:
    """Put a flow run into a state, unless it is over, or not known."""
    if _unfinished_state(client, flow_run_id) is not None:
        client.set_flow_run_state(flow_run_id, state, force=force)


@contextmanager
def _client() -> Iterator[SyncPrefectClient]:
    url = PREFECT_API_URL.value()
    if not url:
        # Without an address, Prefect would start a server of its own in each process.
        raise SchedulerUnavailable(
            "PREFECT_API_URL is not set: start ADIT with `make up`, and set it to the address of its Prefect."
        )
    try:
        with get_client(httpx_settings={"timeout": _REQUEST_TIMEOUT}, sync_client=True) as client:
            yield client
    except httpx.TransportError as error:
        raise SchedulerUnavailable(
            f"Prefect does not answer at {url}: start it with `make up`, "
            "or by itself with `python -m deployments.prefect_server`."
        ) from error
    except httpx.HTTPStatusError as error:
        raise SchedulerUnavailable(
            f"Prefect at {url} answered with status {error.response.status_code}: see its log."
        ) from error
