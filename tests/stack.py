"""The real processes of one machine, for tests and benchmarks: Prefect's server, a worker, the reconciler."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from adit_core.db import Task, User
from adit_core.db.engine import Database
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.jobs import JobView, list_tasks, show_job
from adit_core.services.launcher import PrefectLauncher
from adit_core.services.users import create_user
from deployments.stack import HOME, Stack, new_stack

_PATIENCE = 180.0


class RunningStack:
    """The processes, the database and what the tests do with them."""

    def __init__(self, stack: Stack, user: User, environment: Mapping[str, str]) -> None:
        self.stack = stack
        self.user = user
        self.db = Database(stack.database_url)
        self.launcher = PrefectLauncher()
        self.environment = environment
        self.worker: subprocess.Popen[bytes] | None = None

    def start(self, process: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.stack.data_dir / f"{process}.log").open("ab") as log:
            return subprocess.Popen(
                self.stack.command(process, *arguments),
                cwd=HOME,
                env={**os.environ, **self.stack.environment(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start_worker(self, *queues: str) -> None:
        self.worker = self.start("worker", *queues)

    def stop_worker(self) -> None:
        """End the worker, and wait until it has."""
        if self.worker is not None:
            _end(self.worker)

    def flow_runs(self) -> list[psutil.Process]:
        """The flow runs of this stack, wherever their worker is."""
        return [process for process in psutil.process_iter() if self._is_flow_run(process)]

    def transfer_children(self) -> list[psutil.Process]:
        """The processes below flow runs that move studies, and the fork servers that they come from."""
        return [child for run in self.flow_runs() for child in run.children(recursive=True)]

    def finished(self, job_id: int) -> JobView:
        """Return the job once it has ended, which it must without any help."""
        deadline = time.monotonic() + _PATIENCE
        while (job := show_job(self.db, self.user, job_id)).status in OPEN_JOBS:
            assert time.monotonic() < deadline, f"job {job_id} is still {job.status}"
            time.sleep(0.5)
        return job

    def wait_for_progress(self, job_id: int, is_far_enough: Callable[[JobView], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not is_far_enough(job := show_job(self.db, self.user, job_id)):
            assert job.status in OPEN_JOBS, "the job ended before it could be disturbed"
            assert time.monotonic() < deadline, "the job does not begin"
            time.sleep(0.02)

    def tasks(self, job_id: int) -> list[Task]:
        return list(list_tasks(self.db, self.user, job_id, limit=1000))

    def _is_flow_run(self, process: psutil.Process) -> bool:
        try:
            if "prefect.engine" not in process.cmdline():
                return False
            return process.environ().get("ADIT_DATA_DIR") == str(self.stack.data_dir)
        except psutil.Error:
            return False


@contextmanager
def running_stack(folder: Path, environment: Mapping[str, str]) -> Iterator[RunningStack]:
    """Run the processes with these settings besides, and end them by their ids."""
    stack = new_stack(folder, web_port=0, prefect_port=0, receiver_port=0, handover_port=0)
    database = Database(stack.database_url)
    database.upgrade()
    user = create_user(database, username="operator", password="a long password", staff=True)
    variables = stack.environment()
    settings: dict[Any, str] = {
        PREFECT_API_URL: variables["PREFECT_API_URL"],
        PREFECT_API_AUTH_STRING: variables["PREFECT_API_AUTH_STRING"],
    }
    with temporary_settings(settings), ExitStack() as ending:
        running = RunningStack(stack, user, environment)
        ending.callback(_end, running.start("prefect_server"))
        ending.callback(_end_all, running)
        ending.callback(_end, running.start("reconciler"))
        running.start_worker()
        _wait_until_deployed(stack)
        yield running


def _wait_until_deployed(stack: Stack) -> None:
    deadline = time.monotonic() + _PATIENCE
    url = f"{stack.prefect_url}/api/deployments/name/transfer/transfer"
    while True:
        try:
            if httpx.get(url, auth=("adit", stack.prefect_password)).is_success:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "Prefect did not start"
        time.sleep(0.5)


def _end_all(running: RunningStack) -> None:
    if running.worker is not None:
        _end(running.worker)
    for process in running.flow_runs():
        process.send_signal(signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
