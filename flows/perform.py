"""How the flows perform a job: one Prefect task run for each of its tasks, a bounded number at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task, exponential_backoff

from adit_core.errors import AditError, TransientError, UnexpectedError, kind_and_place
from adit_core.services.database import configured_database
from adit_core.services.job_status import job_result
from adit_core.services.run_job import JobRun
from adit_core.settings import get_settings

_SETTINGS = get_settings()
WINDOW = 4 * _SETTINGS.studies_in_flight
"""How many task runs are submitted and not yet over: enough to keep every child busy.

All at once would hold 10,000 of them in memory, and overrun the events by which Prefect keeps history.
"""

PerformingTask = Task[[JobRun, int], None]
"""A Prefect task that performs one of our tasks."""

# Prefect types task runners by their futures, invariantly; its own default does not fit either.
RUNNER: Any = ThreadPoolTaskRunner(max_workers=_SETTINGS.studies_in_flight)


def run_job(job_id: int, prefect_task: PerformingTask) -> dict[str, int]:
    """Perform what is unfinished of a job and return how many of its tasks ended how.

    Raises:
        JobFailed: Everything in the job failed.
    """
    with execution(job_id) as run:
        window = _Window(WINDOW)
        while task_ids := run.new_tasks():
            for task_id in task_ids:
                window.wait_for_room()
                window.enter(prefect_task.submit(run, task_id))
            window.wait_until_empty()
    return result_of(job_id)


@contextmanager
def execution(job_id: int) -> Iterator[JobRun]:
    """Yield an execution of a job; leaving the block stops what still runs.

    Whatever is raised in it goes into Prefect, so no text of foreign errors leaves it.
    """
    db = configured_database(_SETTINGS)
    with only_our_errors(), JobRun(db, job_id, _SETTINGS) as run:
        yield run


def result_of(job_id: int) -> dict[str, int]:
    """Return how many tasks of a job ended how; raises JobFailed if everything in it failed."""
    with only_our_errors():
        return job_result(configured_database(_SETTINGS), job_id).or_raise()


def performing(name: str) -> PerformingTask:
    """Return the Prefect task of this name, which performs one task while it has a place at each node."""

    @task(
        name=name,
        task_run_name="task-{task_id}",
        retries=_SETTINGS.task_attempts - 1,
        retry_delay_seconds=exponential_backoff(backoff_factor=_SETTINGS.retry_delay),
        retry_jitter_factor=0.5,
        retry_condition_fn=_is_transient,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def perform(run: JobRun, task_id: int) -> None:
        with only_our_errors(), run.turn():
            run.perform(task_id)

    return perform


class _Window:
    """Holds task runs until they are over, at most `size` of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._room = BoundedSemaphore(size)

    def wait_for_room(self) -> None:
        self._room.acquire()

    def enter(self, future: PrefectFuture[None]) -> None:
        future.add_done_callback(lambda _: self._room.release())

    def wait_until_empty(self) -> None:
        for _ in range(self._size):
            self._room.acquire()
        self._room.release(self._size)


def _is_transient(_task: Task[..., object], _run: TaskRun, state: State[object]) -> bool:
    """Tell Prefect whether to retry: the type of the error decides."""
    return isinstance(state.result(raise_on_failure=False), TransientError)


@contextmanager
def only_our_errors() -> Iterator[None]:
    """Let no text of foreign errors into Prefect, where patient data must not go."""
    try:
        yield
    except AditError:
        raise
    except Exception as error:  # noqa: BLE001 - the edge to Prefect
        raise UnexpectedError(f"Unexpected {kind_and_place(error)}.") from None
