"""Entry point of the worker: makes the work pool and the deployments, then runs Prefect's worker.

The queues of the pool `dicom`: `urgent` passes `default`, and has places of its own, so that long jobs do
not block it; so has `housekeeping`, or there would be no backup as long as jobs hold all places. A worker
with arguments serves these queues only. ``python -m deployments.worker urgent`` is for a machine that is
kept free for urgent jobs, or has one worker of 250 MB more, so that they need not wait for one that is being
restarted.

With `PREFECT_WORKER_WEBSERVER_PORT` it answers there, at ``/health``, whether it still asks for work.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from adit_core.errors import AditError
from adit_core.logs import configure_logs
from adit_core.services.launcher import DEFAULT_QUEUE, URGENT_QUEUE, WORK_POOL
from adit_core.settings import get_settings
from deployments.stack import HOME, LOCALHOST
from deployments.worker_process import run_worker

HOUSEKEEPING_QUEUE = "housekeeping"
QUEUES = {URGENT_QUEUE: (1, 2), HOUSEKEEPING_QUEUE: (2, 1), DEFAULT_QUEUE: (3, 4)}
"""Priority (1 is first) and the number of flow runs that may run at once, by queue."""

_PATIENCE = 120.0


def main() -> None:
    """Wait for the server, make what is missing, and run the worker until it is to stop.

    The arguments, if there are some, are the only queues that the worker serves.
    """
    queues = sys.argv[1:]
    command = worker_command(queues)
    try:
        configure_logs()
        get_settings()  # the flow runs could say only in their logs what is wrong with them
    except AditError as error:
        sys.exit(str(error))
    wait_for_server()
    with get_client(sync_client=True) as client:
        make_pool(client)
    if not queues or DEFAULT_QUEUE in queues:  # one that helps out starts when the others do
        deploy()
    os.environ.setdefault("PREFECT_WORKER_QUERY_SECONDS", "2")
    prepare_environment()
    # What answers health checks is for nobody else.
    os.environ.setdefault("PREFECT_WORKER_WEBSERVER_HOST", LOCALHOST)
    sys.exit(run_worker(command))


def prepare_environment() -> None:
    """Let the command of prefect.yaml find this Python, and our packages, in any directory."""
    for variable, folder in (("PATH", Path(sys.executable).parent), ("PYTHONPATH", HOME)):
        os.environ[variable] = os.pathsep.join(filter(None, (str(folder), os.environ.get(variable))))


def worker_command(queues: Sequence[str]) -> list[str]:
    """Return the command of a worker that serves these queues; all if none is named."""
    if unknown := set(queues) - QUEUES.keys():
        sys.exit(f"There is no queue {', '.join(sorted(unknown))}; there are {', '.join(QUEUES)}.")
    command = [sys.executable, "-m", "prefect", "worker", "start", f"--pool={WORK_POOL}", "--type=process"]
    if "PREFECT_WORKER_WEBSERVER_PORT" in os.environ:
        command.append("--with-healthcheck")
    return [*command, *(f"--work-queue={queue}" for queue in queues)]


def wait_for_server(patience: float = _PATIENCE) -> None:
    """Wait until Prefect's server answers; raises TimeoutError after `patience` seconds."""
    deadline = time.monotonic() + patience
    with get_client(sync_client=True) as client:
        while client.api_healthcheck() is not None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Prefect's server does not answer at {client.api_url}.")
            time.sleep(0.5)


def make_pool(client: SyncPrefectClient) -> None:
    """Make the work pool and its queues, or bring their priorities and limits up to date."""
    with suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"))
    for name, (priority, limit) in QUEUES.items():
        try:
            queue = client.read_work_queue_by_name(name, work_pool_name=WORK_POOL)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # another worker, which starts as well, was quicker
                client.create_work_queue(
                    name, priority=priority, concurrency_limit=limit, work_pool_name=WORK_POOL
                )
        else:
            client.update_work_queue(queue.id, priority=priority, concurrency_limit=limit)


def deploy() -> None:
    """Register the deployments of prefect.yaml."""
    subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=HOME,
        check=True,
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
