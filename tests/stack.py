"""The real processes of one machine, for tests and benchmarks: Prefect's server, a worker, the reconciler.

Tests that need a receiver start it. Whatever was started is ended with the stack.
"""

import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterIdempotencyKey,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from adit_core.db import Task, User
from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring
from adit_core.errors import DatabaseUnavailable
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.jobs import JobView, list_tasks, show_job
from adit_core.services.launcher import PrefectLauncher
from adit_core.services.users import create_user
from deployments.stack import HOME, Stack, new_stack
from tests.ports import kept_port

_PATIENCE = 180.0
_ENDING_PATIENCE = 20.0
_FLOW_RUN = "deployments.flow_run"
_SERVER = "deployments.flow_run_server"


class RunningStack:
    """The processes, the database and what the tests do with them."""

    def __init__(self, stack: Stack, user: User, environment: Mapping[str, str]) -> None:
        self.stack = stack
        self.user = user
        self.db = Database(stack.database_url, Keyring(key_file=stack.data_dir / "secret.key"))
        self.launcher = PrefectLauncher()
        self.environment = environment
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        """By the names of `Stack.command`."""

    @property
    def worker(self) -> subprocess.Popen[bytes] | None:
        return self.processes.get("worker")

    def start(self, process: str, *arguments: str, environment: Mapping[str, str] = {}) -> None:
        """Start a process, with these variables besides, if it does not run."""
        if process in self.processes and self.processes[process].poll() is None:
            return
        with (self.stack.data_dir / f"{process}.log").open("ab") as log:
            self.processes[process] = subprocess.Popen(
                self.stack.command(process, *arguments),
                cwd=HOME,
                env={**os.environ, **self.stack.environment(), **self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self, process: str) -> None:
        """End a process by SIGKILL. What it has started goes on, as it would in reality."""
        self.processes[process].kill()
        self.processes[process].wait()

    def stop(self, process: str) -> None:
        """End a process as a supervisor does: by SIGTERM, and by SIGKILL after a while."""
        ending = self.processes[process]
        ending.terminate()
        try:
            ending.wait(_ENDING_PATIENCE)
        except subprocess.TimeoutExpired:
            ending.kill()
            ending.wait()

    @contextmanager
    def suspended(self, process: str) -> Iterator[None]:
        """Have a process do nothing while the block runs."""
        sleeper = psutil.Process(self.processes[process].pid)
        sleeper.suspend()
        try:
            yield
        finally:
            sleeper.resume()

    def end(self) -> None:
        """End all processes; they may have been ended before."""
        # Prefect's server last: the others would wait for it.
        for process in sorted(self.processes, key="prefect_server".__eq__):
            self.stop(process)
            if process == "worker":
                for run in self.flow_runs():
                    run.kill()
        self.db.dispose()

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Have this process speak to the stack's Prefect while the block runs."""
        variables = self.stack.environment()
        settings: dict[Any, str] = {
            PREFECT_API_URL: variables["PREFECT_API_URL"],
            PREFECT_API_AUTH_STRING: variables["PREFECT_API_AUTH_STRING"],
        }
        with temporary_settings(settings):
            yield

    def limit_files_of_worker(self, size: int) -> None:
        """Let neither the worker nor what it starts from now on write a file larger than `size`."""
        assert self.worker is not None
        for process in (self.worker.pid, *(each.pid for each in psutil.Process(self.worker.pid).children())):
            resource.prlimit(process, resource.RLIMIT_FSIZE, (size, size))

    def flow_runs(self) -> list[psutil.Process]:
        """The flow runs of this stack, wherever their worker is."""
        return [process for process in psutil.process_iter() if self._is_ours(process, _FLOW_RUN)]

    def flow_runs_of(self, job_id: int) -> list[psutil.Process]:
        """The process of the present flow run of a job, if it runs."""
        wanted = show_job(self.db, self.user, job_id).flow_run_id
        return [run for run in self.flow_runs() if run.environ().get("PREFECT__FLOW_RUN_ID") == wanted]

    def transfer_children(self) -> list[psutil.Process]:
        """The processes below flow runs that move studies, and the fork servers that they come from."""
        runs = [*self.flow_runs(), *self.engines()]
        return [child for run in runs for child in run.children(recursive=True)]

    def flow_run_server(self) -> psutil.Process:
        """The process that flow runs are forked from; one that was killed is started again within 30 s."""
        assert self.worker is not None
        deadline = time.monotonic() + _PATIENCE
        while True:
            for child in psutil.Process(self.worker.pid).children():
                if self._is_ours(child, _SERVER):
                    return child
            assert time.monotonic() < deadline, "there is no server of flow runs"
            time.sleep(0.1)

    def engines(self) -> list[psutil.Process]:
        """The forks of a flow run server whose deputies the flow runs are, also of one that was killed."""
        forks = [process for process in psutil.process_iter() if self._is_ours(process, _SERVER)]
        servers = [fork for fork in forks if self._is_ours(fork.parent(), "deployments.worker")]
        engines = [fork for fork in forks if fork not in servers]
        return [fork for fork in engines if fork.parent() not in engines]

    def finished(self, job_id: int) -> JobView:
        """Return the job once it has ended, which it must without any help."""
        deadline = time.monotonic() + _PATIENCE
        while (job := self._job(job_id)) is None or job.status in OPEN_JOBS:
            assert time.monotonic() < deadline, f"the job has not ended: {job}"
            time.sleep(0.5)
        return job

    def wait_for_progress(self, job_id: int, is_far_enough: Callable[[JobView], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not is_far_enough(job := show_job(self.db, self.user, job_id)):
            assert job.status in OPEN_JOBS, f"the job ended before it could be disturbed: {job}"
            assert time.monotonic() < deadline, f"the job does not get so far: {job}"
            time.sleep(0.05)

    def await_end_of_flow_runs(self, job: JobView) -> None:
        """Wait until Prefect, too, takes no run of the job to be under way."""
        deadline = time.monotonic() + _PATIENCE
        while self._has_unfinished_run(job):
            assert time.monotonic() < deadline, f"a flow run of job {job.id} is left behind"
            time.sleep(0.5)

    def _job(self, job_id: int) -> JobView | None:
        """Return a job, None while the database does not answer."""
        try:
            return show_job(self.db, self.user, job_id)
        except DatabaseUnavailable:
            return None

    def _has_unfinished_run(self, job: JobView) -> bool:
        keys = [f"job-{job.id}-run-{number}" for number in range(1, job.run_number + 1)]
        wanted = FlowRunFilter(
            idempotency_key=FlowRunFilterIdempotencyKey(any_=keys),
            state=FlowRunFilterState(type=FlowRunFilterStateType(not_any_=list(TERMINAL_STATES))),
        )
        try:
            with get_client(sync_client=True) as client:
                return bool(client.read_flow_runs(flow_run_filter=wanted))
        except httpx.TransportError:  # the server was killed and is not back yet
            return True

    def tasks(self, job_id: int) -> list[Task]:
        return list(list_tasks(self.db, self.user, job_id, limit=1000))

    def _is_ours(self, process: psutil.Process | None, module: str) -> bool:
        """Tell whether a process of this stack was started to run a module, or is a fork of such a one."""
        try:
            if process is None or module not in process.cmdline():
                return False
            return process.environ().get("ADIT_DATA_DIR") == str(self.stack.data_dir)
        except psutil.Error:
            return False


@contextmanager
def running_stack(
    folder: Path, environment: Mapping[str, str], database_url: str = ""
) -> Iterator[RunningStack]:
    """Run the processes and be connected to them, see `started_stack`."""
    with started_stack(folder, environment, database_url) as running, running.connected():
        yield running


@contextmanager
def started_stack(
    folder: Path, environment: Mapping[str, str], database_url: str = ""
) -> Iterator[RunningStack]:
    """Run the processes with these settings besides, and end them by their ids.

    Without a URL the database is the embedded one.
    """
    stack = new_stack(
        folder, web_port=0, prefect_port=0, receiver_port=0, handover_port=0, database_url=database_url
    )
    database = Database(stack.database_url)
    database.upgrade()
    user = create_user(database, username="operator", password="a long password", staff=True)
    running = RunningStack(stack, user, environment)
    with ExitStack() as kept:
        kept.callback(running.end)
        for port in (stack.web_port, stack.prefect_port, stack.receiver_port, stack.handover_port):
            kept.enter_context(kept_port(port))
        for process in ("prefect_server", "reconciler", "worker"):
            running.start(process)
        _wait_until_deployed(stack)
        yield running


def _wait_until_deployed(stack: Stack) -> None:
    deadline = time.monotonic() + _PATIENCE
    # The last one of prefect.yaml.
    url = f"{stack.prefect_url}/api/deployments/name/housekeeping/housekeeping"
    while True:
        try:
            if httpx.get(url, auth=("adit", stack.prefect_password)).is_success:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "Prefect did not start"
        time.sleep(0.5)
